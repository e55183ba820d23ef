"""People who talk calmly over `/v1`, and somebody else who makes trouble meanwhile. Runs in a process of its own.

`python -m benchmarks.crowd` reads one `Crowd` as JSON from its standard input and writes one `Felt` to its
standard output.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from random import Random
from time import perf_counter

import msgspec
import uvloop
from msgspec import Struct

from benchmarks import process
from benchmarks.clients import SESSION, Kind, ask
from benchmarks.wire import Line

PAUSE = (0.05, 0.25)
"""Between how many seconds people think before they write again."""

PATIENCE = 60.0
CALM = 0.5
"""The share of one processor below which a gateway is taken to be done with what was thrown at it."""


class Trouble(Struct, frozen=True, kw_only=True):
    """What somebody else does: on each of `lines` lines one of `tokens` asks in a session of its own, on and on.

    `pause`: the seconds between an answer and the next question. With `once` each line asks only once, and the
    others' clock starts when the gateway has taken all of it in.
    """

    tokens: tuple[str, ...]
    lines: int
    pause: float = 0.0
    once: bool = False


class Crowd(Struct, frozen=True, kw_only=True):
    """What to do: each of `tokens` asks `turns` times, with pauses."""

    gateway: str
    gateway_pid: int
    tokens: tuple[str, ...]
    turns: int
    trouble: Trouble | None = None


class Felt(Struct, frozen=True, kw_only=True):
    """Seconds of the others' turns, and of the troublemaker's that ended meanwhile; `refused` are those without an
    answer. `seconds` is how long it all took from the first question of the trouble."""

    turns: tuple[float, ...]
    trouble: tuple[float, ...] = ()
    refused: int = 0
    seconds: float = 0.0


class _Troubled:
    """The trouble, while it lasts."""

    def __init__(self, crowd: Crowd, trouble: Trouble) -> None:
        self._crowd = crowd
        self._trouble = trouble
        self._tasks: list[asyncio.Task[None]] = []
        self.turns: list[float] = []
        self.refused = 0
        self.began = perf_counter()

    async def begin(self) -> None:
        crowd, trouble = self._crowd, self._trouble
        lines = [await Line.to(crowd.gateway) for _ in range(trouble.lines)]
        self.began = perf_counter()
        for number, line in enumerate(lines):
            kind = Kind(tokens=(), session=f"trouble-{number}")
            request = ask(crowd.gateway, trouble.tokens[number % len(trouble.tokens)], kind)
            self._tasks.append(asyncio.create_task(self._go_on(line, request)))
        if trouble.once:
            await _calm(crowd.gateway_pid)
        else:
            await asyncio.sleep(1)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _go_on(self, line: Line, request: bytes) -> None:
        try:
            while True:
                began = perf_counter()
                try:
                    await line.ask(request)
                    self.turns.append(perf_counter() - began)
                except ValueError:
                    self.refused += 1
                if self._trouble.once:
                    return
                await asyncio.sleep(self._trouble.pause)
        finally:
            line.close()


async def _work(crowd: Crowd) -> Felt:
    lines = [await Line.to(crowd.gateway) for _ in crowd.tokens]
    requests = [ask(crowd.gateway, token, Kind(tokens=(), session=SESSION)) for token in crowd.tokens]
    await asyncio.gather(*(line.ask(request) for line, request in zip(lines, requests, strict=True)))
    troubled = _Troubled(crowd, crowd.trouble) if crowd.trouble is not None else None
    if troubled is not None:
        await troubled.begin()
    heard = await asyncio.gather(
        *(
            _talk(line, request, crowd.turns, Random(number))
            for number, (line, request) in _numbered(lines, requests)
        )
    )
    turns = tuple(seconds for each in heard for seconds in each)
    if troubled is None:
        return Felt(turns=turns)
    felt = Felt(
        turns=turns,
        trouble=tuple(troubled.turns),
        refused=troubled.refused,
        seconds=perf_counter() - troubled.began,
    )
    await troubled.end()
    return felt


def _numbered(lines: Sequence[Line], requests: Sequence[bytes]) -> enumerate[tuple[Line, bytes]]:
    return enumerate(zip(lines, requests, strict=True))


async def _talk(line: Line, request: bytes, turns: int, chance: Random) -> list[float]:
    taken: list[float] = []
    for _ in range(turns):
        await asyncio.sleep(chance.uniform(*PAUSE))
        began = perf_counter()
        ended = await asyncio.wait_for(line.ask(request), PATIENCE)
        taken.append(ended - began)
    return taken


async def _calm(pid: int) -> None:
    """Wait until the gateway has little to do."""
    for _ in range(100):
        before = process.cpu_seconds(pid)
        await asyncio.sleep(0.25)
        if process.cpu_seconds(pid) - before < 0.25 * CALM:
            return
    raise TimeoutError("The gateway is still busy with what it was asked 25 seconds ago.")


def main() -> None:
    """Do what stands on the standard input."""
    crowd = msgspec.json.decode(sys.stdin.buffer.read(), type=Crowd)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_work(crowd))))


if __name__ == "__main__":
    main()
