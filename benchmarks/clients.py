"""The load of `/v1`: people's OpenAI clients, each on a line of its own. Runs in a process of its own.

`python -m benchmarks.clients` reads one `Asking` as JSON from its standard input and writes one `Answered` to its
standard output. Every request is made before the clock is looked at.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from time import perf_counter

import msgspec
import uvloop
from msgspec import Struct

from benchmarks import process
from benchmarks.load import PATIENCE, PAUSE, WORDS
from benchmarks.wire import Line, post

FIRST_WORD = b"word1 "
"""What the endpoint's answers begin with."""


class Asking(Struct, frozen=True, kw_only=True):
    """What to do.

    With `at_once`, all people ask again as soon as they are answered, until there are `turns` answers in all;
    otherwise they ask one after another, `turns` times round, each beside the same question to the bare endpoint.
    `tokens` are the people's; those with a name in `sessions` ask in the session of that name, so that the gateway
    has the history, otherwise the request brings `history` messages along. Each person's first question, which
    makes their brain, is not counted.
    """

    at_once: bool
    tokens: tuple[str, ...]
    turns: int
    endpoint: str
    model: str
    gateway: str
    gateway_pid: int
    sessions: tuple[str | None, ...]
    history: int
    stream: bool


class Answered(Struct, frozen=True, kw_only=True):
    """What came of it, in seconds; `first` are those to the first word, `bare` is the endpoint's own."""

    seconds: float
    turns: tuple[float, ...]
    first: tuple[float, ...]
    bare: tuple[float, ...]
    bare_first: tuple[float, ...]
    gateway_cpu: float


@dataclass(slots=True)
class _Times:
    whole: list[float]
    first: list[float]

    async def add(self, line: Line, request: bytes) -> None:
        began = perf_counter()
        ended = await asyncio.wait_for(line.ask(request, mark=FIRST_WORD), PATIENCE)
        self.whole.append(ended - began)
        self.first.append(line.marked - began)


async def _work(asking: Asking) -> Answered:
    requests = [_request(asking, *each) for each in zip(asking.tokens, asking.sessions, strict=True)]
    lines = [await Line.to(asking.gateway) for _ in (requests if asking.at_once else requests[:1])]
    for number, request in enumerate(requests):
        await lines[number % len(lines)].ask(request)
    turns, bare = _Times([], []), _Times([], [])
    cpu, began = process.cpu_seconds(asking.gateway_pid), perf_counter()
    if asking.at_once:
        await asyncio.gather(
            *(_ask_on(turns, line, each, asking) for line, each in zip(lines, requests, strict=True))
        )
    else:
        await _ask_in_turn(turns, bare, lines[0], requests, asking)
    seconds = perf_counter() - began
    for line in lines:
        line.close()
    return Answered(
        seconds=seconds,
        turns=tuple(turns.whole),
        first=tuple(turns.first),
        bare=tuple(bare.whole),
        bare_first=tuple(bare.first),
        gateway_cpu=process.cpu_seconds(asking.gateway_pid) - cpu,
    )


async def _ask_on(turns: _Times, line: Line, request: bytes, asking: Asking) -> None:
    while len(turns.whole) < asking.turns:
        await turns.add(line, request)


async def _ask_in_turn(turns: _Times, bare: _Times, line: Line, requests: list[bytes], asking: Asking) -> None:
    endpoint = await Line.to(asking.endpoint)
    plain = _body(asking.model, asking.history, stream=True)
    to_endpoint = post(f"{asking.endpoint}/chat/completions", {"content-type": "application/json"}, plain)
    for _ in range(asking.turns):
        for request in requests:
            await asyncio.sleep(PAUSE)
            await bare.add(endpoint, to_endpoint)
            await asyncio.sleep(PAUSE)
            await turns.add(line, request)
    endpoint.close()


def _request(asking: Asking, token: str, session: str | None) -> bytes:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    if session is not None:
        headers["x-rookery-session-key"] = session
    body = _body("rookery", asking.history if session is None else 0, stream=asking.stream)
    return post(f"{asking.gateway}/v1/chat/completions", headers, body)


def _body(model: str, history: int, *, stream: bool) -> bytes:
    roles = ("user", "assistant")
    said = [{"role": roles[number % 2], "content": WORDS} for number in range(history + 1)]
    return msgspec.json.encode({"model": model, "stream": stream, "messages": said})


def main() -> None:
    """Ask what stands on the standard input."""
    asking = msgspec.json.decode(sys.stdin.buffer.read(), type=Asking)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_work(asking))))


if __name__ == "__main__":
    main()
