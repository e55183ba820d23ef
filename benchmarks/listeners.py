"""Those who watch: sockets of `/api/ws`, in a process of their own. Reads its job from the standard input.

python -m benchmarks.listeners < job.json
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Literal

import msgspec
import uvloop
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import process
from benchmarks.wire import Line

PATIENCE = 120.0
AT_ONCE = 50


class Watch(Struct, frozen=True, kw_only=True):
    """What is to be done: open a socket for each of `tokens`, and hold them (`idle`), or let the first one's
    person say something and time the words of the answer on all (`stream`)."""

    kind: Literal["idle", "stream"]
    gateway: str
    gateway_pid: int
    tokens: tuple[str, ...]
    session: str = ""
    query: str = ""


class Watched(Struct, frozen=True, kw_only=True):
    """What came of it: the gateway's memory in MB before and after, or the seconds from the moment a word left the
    model to each watcher, and the gateway's share of one processor meanwhile."""

    before: float = 0.0
    after: float = 0.0
    latencies: tuple[float, ...] = ()
    frames: int = 0
    seconds: float = 0.0
    gateway_cpu: float = 0.0


async def _open(watch: Watch) -> list[ClientConnection]:
    url = f"{watch.gateway.replace('http', 'ws', 1)}/api/ws?{watch.query}"
    free = asyncio.Semaphore(AT_ONCE)

    async def one(token: str) -> ClientConnection:
        async with free:
            headers = {"Authorization": f"Bearer {token}"}
            line = await connect(url, additional_headers=headers, compression=None, proxy=None, ping_interval=None)
            await line.recv()
            return line

    return await asyncio.gather(*map(one, watch.tokens))


async def _idle(watch: Watch) -> Watched:
    # What is built right after the start, and what only the first of all needs, is no socket's.
    server = await Line.to(watch.gateway)
    await server.ask(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
    server.close()
    first = await _open(msgspec.structs.replace(watch, tokens=watch.tokens[:1]))
    await asyncio.sleep(0.5)
    before = process.memory(watch.gateway_pid).rss
    lines = await _open(watch)
    await asyncio.sleep(0.5)
    after = process.memory(watch.gateway_pid).rss
    await asyncio.gather(*(line.close() for line in [*first, *lines]))
    return Watched(before=before, after=after)


async def _stream(watch: Watch) -> Watched:
    lines = await _open(watch)
    ask = {"type": "message", "sessionKey": watch.session, "text": "Go on.", "idempotencyKey": str(time.time_ns())}
    cpu, began = process.cpu_seconds(watch.gateway_pid), time.perf_counter()
    await lines[0].send(msgspec.json.encode(ask).decode())
    heard = await asyncio.wait_for(asyncio.gather(*map(_hear, lines)), PATIENCE)
    seconds = time.perf_counter() - began
    cpu = process.cpu_seconds(watch.gateway_pid) - cpu
    await asyncio.gather(*(line.close() for line in lines))
    return Watched(
        latencies=tuple(latency for latencies, _ in heard for latency in latencies),
        frames=sum(frames for _, frames in heard),
        seconds=seconds,
        gateway_cpu=cpu,
    )


class _Frame(Struct):
    type: str
    text: str = ""


_decode = msgspec.json.Decoder(_Frame).decode


async def _hear(line: ClientConnection) -> tuple[Sequence[float], int]:
    """The seconds each word took to get here, and how many frames they came in."""
    latencies: list[float] = []
    frames = 0
    async for data in line:
        now = time.monotonic_ns()
        frame = _decode(data)
        if frame.type == "turn.delta":
            frames += 1
            latencies += [(now - int(word)) / 1e9 for word in frame.text.split()]
        elif frame.type == "turn.finished":
            break
    return latencies, frames


def main() -> None:
    """Do the job that stands on the standard input."""
    watch = msgspec.json.decode(sys.stdin.buffer.read(), type=Watch)
    done = uvloop.run(_idle(watch) if watch.kind == "idle" else _stream(watch))
    sys.stdout.buffer.write(msgspec.json.encode(done))


if __name__ == "__main__":
    main()
