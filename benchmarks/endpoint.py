"""The model endpoint of the benchmarks, in a process of its own: both wire formats, fast, and counting.

`python -m benchmarks.endpoint` prints its address. The name of the model that is asked for says what it does:

    instant:N       an answer of N tokens, each a delta, all in one write
    each:N          the same, each delta in a write of its own, the loop turning between them
    paced:RxN       N tokens, R of them a second, each the nanosecond at which it was written
    paced:RxN~M     the same, now up to M tokens more, now up to M fewer
    tool:NAME       calls the tool NAME with {}; answers with 20 tokens once there is its result
    hang            reads the request and never answers
    429:S           status 429, with `Retry-After: S`
    close           hangs up without an answer

`cached:TALK+` before one of these measures, from one request of the conversation TALK to the next, how much of the
earlier prompt the later one begins with, and says in its usage that so much was read from the cache, as the prompt
cache of a provider does; a token is four bytes. `GET /counts` tells what was served so far.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from benchmarks.shapes import SHAPES, Asked, Counted, Shape, events, shared

BYTES_A_TOKEN = 4


class Served(Struct):
    """What was served for one key; "" is the key of whoever sent none."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Step(Struct, frozen=True):
    """From one request of a conversation to the next: bytes of the earlier prompt, and of those that are shared.

    `new_turn`: the later request is the first of its turn.
    """

    earlier: int
    shared: int
    new_turn: bool


class Counts(Struct):
    """All that was served, by key, and the prompts of the conversations that were watched."""

    served: dict[str, Served]
    talks: dict[str, list[Step]]


class Endpoint:
    """What all connections share."""

    def __init__(self) -> None:
        self.served: defaultdict[str, Served] = defaultdict(Served)
        self.chance = Random(20)
        self._talks: dict[str, list[Step]] = {}
        self._prompts: dict[str, bytes] = {}

    def counts(self) -> bytes:
        """What `GET /counts` answers."""
        return msgspec.json.encode(Counts(dict(self.served), self._talks))

    def read(self, talk: str, asked: Asked) -> Counted:
        """Look at a prompt of a watched conversation beside the one before it."""
        prompt = asked.prompt
        earlier = self._prompts.get(talk, b"")
        same = shared(earlier, prompt)
        steps = self._talks.setdefault(talk, [])
        if earlier:
            steps.append(Step(len(earlier), same, not asked.has_result))
        self._prompts[talk] = prompt
        return Counted(len(prompt) // BYTES_A_TOKEN, same // BYTES_A_TOKEN)


class Connection(asyncio.Protocol):
    """One client's connection: requests one after another, each with a Content-Length."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Every stream server is given one; uvloop's does not inherit from it.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        while not self._answering:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            line, *lines = bytes(self._received[:end]).split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(b":") for each in lines)}
            whole = end + 4 + int(headers.get(b"content-length", b"0"))
            if len(self._received) < whole:
                return
            body = bytes(self._received[end + 4 : whole])
            del self._received[:whole]
            self._answer(line.split(b" ", 2)[1].decode(), headers, body)

    def _answer(self, path: str, headers: dict[bytes, bytes], body: bytes) -> None:
        self._answering = True
        shape = next((shape for end, shape in SHAPES.items() if path.endswith(end)), None)
        if shape is None:
            known = path == "/counts"
            self._done(_whole(200, self._endpoint.counts()) if known else _whole(404, b"{}"))
            return
        asked = msgspec.json.decode(body, type=Asked)
        cached, watched, how = asked.model.rpartition("+")
        counted = self._endpoint.read(cached.removeprefix("cached:"), asked) if watched else Counted()
        words = self._behave(shape, asked, how, counted)
        key = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        served = self._endpoint.served[key.decode()]
        served.requests += 1
        if words:
            served.prompt_tokens += counted.prompt
            served.cached_tokens += counted.cached
            served.output_tokens += words

    def _behave(self, shape: Shape, asked: Asked, how: str, counted: Counted) -> int:
        """Begin the answer; returns how many tokens it will have."""
        name, _, parameter = how.partition(":")
        match name:
            case "instant":
                self._done(_all_at_once(shape, int(parameter), counted))
                return int(parameter)
            case "each":
                self._one_by_one(iter(_each(shape, int(parameter), counted)))
                return int(parameter)
            case "paced":
                rate, _, count = parameter.partition("x")
                middle, _, spread = count.partition("~")
                tokens = int(middle) + self._endpoint.chance.randint(-int(spread or 0), int(spread or 0))
                self._pace(shape, 1 / int(rate), tokens, counted)
                return tokens
            case "tool" if not asked.has_result:
                self._done(_HEAD + _chunked(shape.call(parameter, counted)) + _END)
                return 1
            case "tool":
                self._done(_all_at_once(shape, 20, counted))
                return 20
            case "429":
                self._done(_whole(429, shape.error(429), b"Retry-After: %b\r\n" % parameter.encode()))
            case "hang":
                pass
            case "close" if self._transport is not None:
                self._transport.abort()
            case _:
                self._done(_whole(404, shape.error(404)))
        return 0

    def _one_by_one(self, rest: Iterator[bytes]) -> None:
        piece = next(rest, None)
        if piece is None:
            self._done(b"")
        elif self._transport is not None:
            self._transport.write(piece)
            asyncio.get_running_loop().call_soon(self._one_by_one, rest)

    def _pace(self, shape: Shape, pause: float, count: int, counted: Counted) -> None:
        """Say a word each `pause` seconds: the nanosecond at which it is said, by the clock that does not jump."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._write(_HEAD + _chunked(shape.begin(counted)))

        def say(number: int) -> None:
            if number == count:
                self._done(_chunked(shape.end(counted, count)) + _END)
                return
            end = "\n\n" if number % 20 == 19 else " "
            self._write(_chunked(shape.word(f"{time.monotonic_ns()}{end}")))
            loop.call_at(began + (number + 1) * pause, say, number + 1)

        loop.call_at(began + pause, say, 0)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _done(self, data: bytes) -> None:
        self._write(data)
        self._answering = False
        if self._received:
            self.data_received(b"")


@lru_cache(maxsize=64)
def _each(shape: Shape, count: int, counted: Counted) -> list[bytes]:
    """An answer as it is written, a piece for each delta."""
    words = (f"word{number} " for number in range(1, count + 1))
    pieces = [_chunked(piece) for piece in events(shape, words, counted, count)]
    pieces[0] = _HEAD + pieces[0]
    pieces[-1] += _END
    return pieces


@lru_cache(maxsize=64)
def _all_at_once(shape: Shape, count: int, counted: Counted) -> bytes:
    return b"".join(_each(shape, count, counted))


def _whole(status: int, body: bytes, extra: bytes = b"") -> bytes:
    line = b"HTTP/1.1 %d Bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
    return line + extra + b"\r\n" + body


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


async def _serve() -> None:
    endpoint = Endpoint()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(endpoint), "127.0.0.1", 0, backlog=4096
    )
    host, port = server.sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    try:
        uvloop.run(_serve())
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
