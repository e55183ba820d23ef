"""The load of `/v1`: people's OpenAI clients, each on a line of its own. Runs in a process of its own.

`python -m benchmarks.clients` reads one `Asking` as JSON from its standard input and writes one `Answered` to its
standard output. Every request is made before the clock is looked at.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter

import msgspec
import uvloop
from msgspec import Struct

from benchmarks import process
from benchmarks.load import PATIENCE, PAUSE, bare_request, said
from benchmarks.wire import Line, post

FIRST_WORD = b"word1 "
"""What the endpoint's instant answers begin with."""

SESSION = "bench"
"""The session of a named question."""


class Kind(Struct, frozen=True, kw_only=True):
    """One way to ask: by whom, in which session (None: nameless), with how many earlier messages in the request.

    `bare_history`: how many earlier messages the same question to the bare endpoint has.
    """

    tokens: tuple[str, ...]
    session: str | None
    carried: int = 0
    bare_history: int = 0
    stream: bool = True


class Asking(Struct, frozen=True, kw_only=True):
    """What to do.

    With `at_once`, all people of the one kind ask again as soon as they are answered, until there are `turns`
    answers in all. Otherwise they ask one after another, `turns` times round, each beside the same question to the
    bare endpoint, and the kinds take turns, so that what else the machine does meets them alike. Each person's
    first question, which makes their brain, is not counted.
    """

    at_once: bool
    kinds: tuple[Kind, ...]
    turns: int
    endpoint: str
    model: str
    gateway: str
    gateway_pid: int


class Times(Struct, frozen=True):
    """What one kind took, in seconds; `first` to the first word, `bare` is the endpoint's own."""

    turns: tuple[float, ...]
    first: tuple[float, ...]
    bare: tuple[float, ...]
    bare_first: tuple[float, ...]


class Answered(Struct, frozen=True, kw_only=True):
    """What came of it: by kind, and in all."""

    kinds: tuple[Times, ...]
    seconds: float
    gateway_cpu: float


@dataclass(slots=True)
class _Taken:
    whole: list[float] = field(default_factory=list[float])
    first: list[float] = field(default_factory=list[float])

    async def add(self, line: Line, request: bytes) -> None:
        began = perf_counter()
        ended = await asyncio.wait_for(line.ask(request, mark=FIRST_WORD), PATIENCE)
        self.whole.append(ended - began)
        self.first.append(line.marked - began)


async def _work(asking: Asking) -> Answered:
    requests = [[ask(asking.gateway, token, kind) for token in kind.tokens] for kind in asking.kinds]
    lines = [await Line.to(asking.gateway) for _ in (requests[0] if asking.at_once else requests[:1])]
    if asking.at_once:
        await asyncio.gather(*(line.ask(each) for line, each in zip(lines, requests[0], strict=True)))
    else:
        for request in chain.from_iterable(requests):
            await lines[0].ask(request)
    cpu, began = process.cpu_seconds(asking.gateway_pid), perf_counter()
    if asking.at_once:
        taken = _Taken()
        await asyncio.gather(
            *(_ask_on(taken, line, each, asking.turns) for line, each in zip(lines, requests[0], strict=True))
        )
        times = [(taken, _Taken())]
    else:
        times = await _ask_in_turn(lines[0], requests, asking)
    seconds = perf_counter() - began
    for line in lines:
        line.close()
    return Answered(
        kinds=tuple(
            Times(tuple(turns.whole), tuple(turns.first), tuple(bare.whole), tuple(bare.first))
            for turns, bare in times
        ),
        seconds=seconds,
        gateway_cpu=process.cpu_seconds(asking.gateway_pid) - cpu,
    )


async def _ask_on(taken: _Taken, line: Line, request: bytes, turns: int) -> None:
    while len(taken.whole) < turns:
        await taken.add(line, request)


async def _ask_in_turn(line: Line, requests: list[list[bytes]], asking: Asking) -> list[tuple[_Taken, _Taken]]:
    endpoint = await Line.to(asking.endpoint)
    bare = [bare_request(asking.endpoint, asking.model, kind.bare_history) for kind in asking.kinds]
    times = [(_Taken(), _Taken()) for _ in asking.kinds]
    for _ in range(asking.turns):
        for each in zip(*requests, strict=True):
            for request, to_endpoint, (turns, bare_turns) in zip(each, bare, times, strict=True):
                await asyncio.sleep(PAUSE)
                await bare_turns.add(endpoint, to_endpoint)
                await asyncio.sleep(PAUSE)
                await turns.add(line, request)
    endpoint.close()
    return times


def ask(gateway: str, token: str, kind: Kind) -> bytes:
    """A question as an OpenAI client asks it, ready to be written."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    if kind.session is not None:
        headers["x-rookery-session-key"] = kind.session
    body = {"model": "rookery", "stream": kind.stream, "messages": said(kind.carried)}
    return post(f"{gateway}/v1/chat/completions", headers, msgspec.json.encode(body))


def main() -> None:
    """Ask what stands on the standard input."""
    asking = msgspec.json.decode(sys.stdin.buffer.read(), type=Asking)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_work(asking))))


if __name__ == "__main__":
    main()
