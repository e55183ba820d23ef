"""The load: people who write through the webhook and wait for their replies. Runs in a process of its own.

`python -m benchmarks.load` reads one `Job` as JSON from its standard input and writes one `Heard` to its
standard output. Everything that is sent is made and signed before the clock is looked at.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from time import perf_counter
from typing import Literal

import msgspec
import uvloop
from msgspec import Struct

from benchmarks import process
from benchmarks.wire import Callbacks, Line, post
from rookery.channels.webhook import signature

PAUSE = 0.01
"""Seconds between two messages where one at a time is measured, so that a turn meets an idle gateway."""

WORDS = " ".join(["hello"] * 20)
"""What people write: 20 words."""

OPENAI, ANTHROPIC = "bench", "bench-anthropic"
"""The endpoint's names as a provider, by the wire format it is spoken to in."""

PATIENCE = 30.0
"""Seconds after which a reply is taken to be lost."""


class Job(Struct, frozen=True, kw_only=True):
    """What to do.

    `alone`: one message after another, `turns` times round all people, each beside a request to the bare
    endpoint. `together`: all people at once, each writing as soon as they are answered, until `turns` replies
    have come in all. `once`: everybody writes once, 32 at a time. `bare`: as `together`, straight to the
    endpoint. Each person's first message, which makes their brain, is sent before and not counted, except in
    `once`.
    """

    kind: Literal["alone", "together", "once", "bare"]
    people: tuple[str, ...]
    turns: int
    endpoint: str
    model: str
    bare_history: int = 0
    gateway: str = ""
    gateway_pid: int = 0
    secret: str = ""
    callback_port: int = 0


class Heard(Struct, frozen=True, kw_only=True):
    """What came of it, in seconds. `gateway_cpu` and `own_cpu` are for all that `seconds` took."""

    seconds: float
    turns: tuple[float, ...]
    bare: tuple[float, ...]
    gateway_cpu: float
    own_cpu: float


class _Town:
    """The people, their lines to the gateway, and the server that takes their replies."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._waiting: dict[bytes, asyncio.Future[float]] = {}
        self._numbers = count()
        self._run = f"{time.time_ns():x}"
        self.bare_request = bare_request(job.endpoint, job.model, job.bare_history)

    async def open(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: Callbacks(self._waiting), "127.0.0.1", self._job.callback_port
        )

    def message(self, person: str) -> tuple[bytes, bytes]:
        """A signed message and its id."""
        id = f"{self._run}-{next(self._numbers)}"
        said = {"messageId": id, "senderId": person, "text": WORDS, "chat": {"kind": "dm", "id": person}}
        body = msgspec.json.encode(said)
        headers = {"content-type": "application/json"}
        headers |= signature.sign(self._job.secret.encode(), int(time.time()), body)
        return post(f"{self._job.gateway}/api/channels/webhook/default", headers, body), id.encode()

    async def turn(self, line: Line, message: tuple[bytes, bytes]) -> float:
        """Send a message; the seconds until its reply has come."""
        request, id = message
        answered = self._waiting[id] = asyncio.get_running_loop().create_future()
        began = perf_counter()
        await line.ask(request)
        return await asyncio.wait_for(answered, PATIENCE) - began

    async def bare(self, line: Line) -> float:
        """The same question straight to the endpoint; the seconds until its answer was there."""
        began = perf_counter()
        return await line.ask(self.bare_request) - began


async def _alone(town: _Town, job: Job) -> Heard:
    gateway, endpoint = await Line.to(job.gateway), await Line.to(job.endpoint)
    for person in job.people:
        await asyncio.sleep(PAUSE)
        await town.turn(gateway, town.message(person))
    messages = [town.message(person) for _ in range(job.turns) for person in job.people]
    turns: list[float] = []
    bare: list[float] = []
    clock = _Clock(job)
    for message in messages:
        await asyncio.sleep(PAUSE)
        bare.append(await town.bare(endpoint))
        await asyncio.sleep(PAUSE)
        turns.append(await town.turn(gateway, message))
    return clock.stop(turns, bare)


async def _together(town: _Town, job: Job) -> Heard:
    lines = [await Line.to(job.gateway) for _ in job.people]
    await asyncio.gather(*map(town.turn, lines, map(town.message, job.people)))
    # Nobody runs out of messages before the last reply is counted, unless they are served very unevenly.
    share = 2 * job.turns // len(job.people)
    written = [[town.message(person) for _ in range(share)] for person in job.people]
    tally = _Tally(job)

    async def write(line: Line, messages: Sequence[tuple[bytes, bytes]]) -> None:
        for message in messages:
            if tally.heard is not None:
                return
            tally.add(await town.turn(line, message))

    await asyncio.gather(*map(write, lines, written))
    return tally.all()


async def _bare(town: _Town, job: Job) -> Heard:
    lines = [await Line.to(job.endpoint) for _ in job.people]
    tally = _Tally(job)

    async def ask(line: Line) -> None:
        while tally.heard is None:
            tally.add(await town.bare(line))

    await asyncio.gather(*map(ask, lines))
    return tally.all()


async def _once(town: _Town, job: Job) -> Heard:
    tally = _Tally(job)

    async def write(rest: Iterator[tuple[bytes, bytes]]) -> None:
        line = await Line.to(job.gateway)
        for message in rest:
            tally.add(await town.turn(line, message))

    rest = iter([town.message(person) for person in job.people])
    await asyncio.gather(*(write(rest) for _ in range(32)))
    return tally.all()


class _Tally:
    """Counts turns until there are as many as were asked for; what comes after is not counted."""

    def __init__(self, job: Job) -> None:
        self.heard: Heard | None = None
        self._turns: list[float] = []
        self._wanted = job.turns
        self._clock = _Clock(job)

    def add(self, seconds: float) -> None:
        self._turns.append(seconds)
        if len(self._turns) == self._wanted:
            self.heard = self._clock.stop(self._turns, ())

    def all(self) -> Heard:
        if self.heard is None:
            raise ValueError(f"Only {len(self._turns)} of {self._wanted} turns were answered.")
        return self.heard


class _Clock:
    """Time that passes, and processor time that the gateway and this process use meanwhile."""

    def __init__(self, job: Job) -> None:
        self._pid = job.gateway_pid
        self._gateway = self._gateway_cpu()
        self._own = time.process_time()
        self._began = perf_counter()

    def stop(self, turns: Sequence[float], bare: Sequence[float]) -> Heard:
        return Heard(
            seconds=perf_counter() - self._began,
            turns=tuple(turns),
            bare=tuple(bare),
            gateway_cpu=self._gateway_cpu() - self._gateway,
            own_cpu=time.process_time() - self._own,
        )

    def _gateway_cpu(self) -> float:
        return process.cpu_seconds(self._pid) if self._pid else 0.0


def bare_request(endpoint: str, model: str, history: int) -> bytes:
    """What the gateway would ask the endpoint, with so many messages before the question.

    `model` is `provider/model`, as in the configuration; the provider's name says which wire format is spoken.
    """
    provider, _, name = model.partition("/")
    asked = {"model": name, "stream": True, "messages": said(history)}
    if provider == ANTHROPIC:
        path, asked = "/v1/messages", asked | {"max_tokens": 4096}
    else:
        path, asked = "/v1/chat/completions", asked | {"stream_options": {"include_usage": True}}
    return post(f"{endpoint}{path}", {"content-type": "application/json"}, msgspec.json.encode(asked))


def said(history: int) -> list[dict[str, str]]:
    """So many messages, and a question after them."""
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": WORDS} for number in range(history + 1)]


_KINDS = {"alone": _alone, "together": _together, "once": _once, "bare": _bare}


async def _work(job: Job) -> Heard:
    town = _Town(job)
    if job.kind == "bare":
        return await _bare(town, job)
    async with await town.open():
        return await _KINDS[job.kind](town, job)


def main() -> None:
    """Do the job that stands on the standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_work(job))))


if __name__ == "__main__":
    main()
