"""A gateway process on a disk that fails when it is told to, and one trial of what comes of that.

async with FaultyHouse(home, shim) as house:
    trial = await house.survives(Fault.WRITE_ENOSPC, at=17)
assert trial.wrong == []
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import subprocess
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from rookery.channels.webhook import signature
from tests.durability.process import Account, GatewayProcess, Remains
from tests.support.fake_openai import FakeOpenAI

SOURCE = Path(__file__).with_name("faults.c")
ACCOUNT = Account("one", "one-secret-of-sixteen")
PATIENCE = 20.0
"""Seconds a message may take from the disk's recovery to its reply."""

OUTAGE = 1 << 40
"""So many calls that the disk fails until it is mended."""


class Fault(IntEnum):
    """What the shim does to a call; the numbers are those of `faults.c`."""

    NONE = 0
    SYNC_EIO = 1
    WRITE_ENOSPC = 2
    WRITE_SHORT = 3
    KILL = 4


def build_shim(directory: Path) -> Path:
    """Compile the shim into this directory."""
    shim = directory / "faults.so"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", shim, SOURCE, "-ldl"]
    subprocess.run(command, check=True)
    return shim


class Control:
    """The memory shared with the shim."""

    _FIELDS = ("writes", "syncs", "kind", "from", "until", "failed")
    _NUMBER = struct.Struct("q")

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(len(self._FIELDS) * 8))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def __getitem__(self, name: str) -> int:
        return self._NUMBER.unpack_from(self._memory, self._FIELDS.index(name) * 8)[0]

    def __setitem__(self, name: str, value: int) -> None:
        self._NUMBER.pack_into(self._memory, self._FIELDS.index(name) * 8, value)

    def breaks(self, fault: Fault, at: int, count: int) -> None:
        """Let the `at`-th call from now on, and those after it, `count` in all, fail."""
        self["kind"] = Fault.NONE
        before = {Fault.SYNC_EIO: self["syncs"], Fault.KILL: self["syncs"] + self["writes"]}
        self["from"] = before.get(fault, self["writes"]) + at
        self["until"] = self["from"] + count
        self["failed"] = 0
        self["kind"] = fault

    def mends(self) -> int:
        """Let the disk work again; returns how many calls failed."""
        self["kind"] = Fault.NONE
        return self["failed"]

    def close(self) -> None:
        self._memory.close()


@dataclass(slots=True)
class Trial:
    """What came of one fault: how many calls failed, and what was wrong."""

    failed: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list[str])


class FaultyHouse:
    """The gateway, its bridge and its model, on a disk under control."""

    def __init__(
        self, home: Path, shim: Path, *, environ: Mapping[str, str] | None = None, patience: float = PATIENCE
    ) -> None:
        home.mkdir()
        self.control = Control(home.with_suffix(".control"))
        faults = {
            "LD_PRELOAD": str(shim),
            "FAULTS_UNDER": str(home.resolve()),
            "FAULTS_CONTROL": str(home.with_suffix(".control")),
        }
        self.gateway = GatewayProcess(home, environ={**faults, **(environ or {})})
        self._patience = patience
        self._fake = FakeOpenAI(keep=1)
        self._count = 0
        self._heard: dict[str, int] = {}
        self._news = asyncio.Condition()
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.callback(self.control.close)
            await self._fake.start()
            stack.push_async_callback(self._fake.stop)
            application = web.Application()
            application.router.add_post("/reply/one", self._on_reply)
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._session = await stack.enter_async_context(aiohttp.ClientSession())
            await self.gateway.prepare({"alice": [(ACCOUNT.name, "alice")]})
            callback = f"http://127.0.0.1:{site.port}/reply"
            self.gateway.configure(
                [ACCOUNT], callback=callback, endpoint=self._fake.base_url, model="instant:3", queue="collect"
            )
            await self.gateway.ready(self._session)
            self._stack = stack.pop_all()
        await self.survives(Fault.NONE, at=0)  # what is only made once is there from here on
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.gateway.running:
            await self.gateway.kill()
        await self._stack.aclose()

    async def survives(self, fault: Fault, at: int, count: int = 1) -> Trial:
        """Send one message while the disk fails at its `at`-th call, and see it answered once the disk works."""
        trial = Trial()
        self._count += 1
        message_id = f"m{self._count:05d}"
        where = f"{fault.name} at call {at}, {count} calls, {message_id}"
        self.control.breaks(fault, at, count)
        accepting = asyncio.create_task(self._send(message_id, trial))
        try:
            async with asyncio.timeout(self._patience):
                if fault is Fault.KILL:
                    await self._until_killed(accepting)
                elif count > 1:
                    await self._until_felt(trial)
                    trial.failed = self.control.mends()
                await accepting
                await self._answered(message_id)
                trial.failed = trial.failed or self.control.mends()
                await self._rest(message_id, trial, copies=2 if fault is Fault.KILL else 1)
        except TimeoutError:
            trial.wrong.append(f"hung; log: {self._log()}")
        finally:
            self.control.mends()
            accepting.cancel()
            with suppress(asyncio.CancelledError):
                await accepting
        trial.wrong = [f"{where}: {one}" for one in trial.wrong]
        return trial

    async def after_all(self) -> list[str]:
        """Kill it, start it once more, and look at everything it holds."""
        await self.gateway.kill()
        await self.gateway.ready(self._session)
        remains = self.gateway.remains()
        wrong = [f"integrity_check: {remains.integrity}"] if remains.integrity != "ok" else []
        accepted: list[str] = []
        for lines in remains.transcripts.values():
            ids = [line["id"] for line in lines]
            wrong += [f"{one} is there twice" for one in {one for one in ids if ids.count(one) > 1}]
            accepted += [turn_id for line in lines if line.get("role") == "user" for turn_id in line["accepted"]]
            ends = [line for line in lines if line.get("role") == "assistant" and line["stopReason"] == "stop"]
            if len(ends) != sum(line.get("role") == "user" for line in lines):
                wrong.append("not every user entry has its reply")
        rows = {row["turn_id"]: row["message_id"] for row in remains.turns}
        if sorted(rows.values()) != [f"m{number + 1:05d}" for number in range(self._count)]:
            wrong.append(f"{len(rows)} turns for {self._count} messages")
        if [rows[turn_id] for turn_id in accepted] != sorted(rows.values()):
            wrong.append("the transcript does not hold each message once, in order")
        return wrong

    # --- one message -----------------------------------------------------------------------------------------

    async def _send(self, message_id: str, trial: Trial) -> None:
        """Offer the message until it is receipted; a receipt has to be true at once."""
        body = msgspec.json.encode(
            {
                "messageId": message_id,
                "senderId": "alice",
                "text": f"this is {message_id}",
                "chat": {"kind": "dm", "id": "alice"},
            }
        )
        url = f"{self.gateway.url}/api/channels/webhook/{ACCOUNT.name}"
        while True:
            headers = signature.sign(ACCOUNT.secret.encode(), int(time.time()), body)
            with suppress(aiohttp.ClientError, OSError):
                async with self._session.post(url, data=body, headers=headers) as answer:
                    if answer.status in (200, 202):
                        # This is what a kill -9 at this very moment would leave.
                        if not _holds(self.gateway.remains(), message_id):
                            trial.wrong.append(f"receipted with {answer.status} and not kept")
                        return
                    trial.refused += 1
                    if answer.status != 503:
                        trial.wrong.append(f"answered {answer.status}: {await answer.text()}")
            await asyncio.sleep(0.02)

    async def _until_felt(self, trial: Trial) -> None:
        """Let the outage last until it has done something, or clearly does not touch this message any more."""
        end = time.monotonic() + 0.4
        while time.monotonic() < end and not (trial.refused and self.control["failed"] > 2):
            await asyncio.sleep(0.02)

    async def _until_killed(self, accepting: asyncio.Task[None]) -> None:
        """Start the gateway again when the fault has killed it; a fault behind the last call kills nobody."""
        gone = asyncio.create_task(self.gateway.gone())
        answered = asyncio.create_task(self._answered(f"m{self._count:05d}"))
        done, _ = await asyncio.wait([gone, answered], return_when=asyncio.FIRST_COMPLETED)
        if gone not in done:
            # Answered; the last call is the mark that it was sent.
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.shield(gone)
        answered.cancel()
        if gone.done():
            self.control["kind"] = Fault.NONE
            await self.gateway.ready(self._session)
        else:
            gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone

    async def _answered(self, message_id: str) -> None:
        async with self._news:
            await self._news.wait_for(lambda: message_id in self._heard)

    async def _rest(self, message_id: str, trial: Trial, *, copies: int) -> None:
        while (remains := self.gateway.remains()).unfinished:
            await asyncio.sleep(0.02)
        if remains.integrity != "ok":
            trial.wrong.append(f"integrity_check: {remains.integrity}")
        if self._heard[message_id] > copies:
            trial.wrong.append(f"answered {self._heard[message_id]} times")

    async def _on_reply(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        async with self._news:
            self._heard[body["inReplyTo"]] = self._heard.get(body["inReplyTo"], 0) + 1
            self._news.notify_all()
        return web.json_response({})

    def _log(self) -> str:
        path = self.gateway.home.log
        return path.read_text()[-1500:] if path.exists() else "none"


def _holds(remains: Remains, message_id: str) -> bool:
    marked = (ACCOUNT.name, message_id) in remains.seen
    return marked and any(row["message_id"] == message_id for row in remains.turns)


SWEEPS = (
    (Fault.SYNC_EIO, 1),
    (Fault.SYNC_EIO, OUTAGE),
    (Fault.WRITE_SHORT, 1),
    (Fault.WRITE_ENOSPC, 1),
    (Fault.WRITE_ENOSPC, OUTAGE),
    (Fault.KILL, 1),
)
"""Which faults a sweep goes through, and whether one call fails or all until the disk is mended."""

BEYOND = 200
"""No message takes so many calls; a sweep that gets here does not count right."""


async def sweep(home: Path, shim: Path, fault: Fault, count: int, *, first: int = 1, step: int = 1) -> Sweep:
    """One trial with the fault at call `first`, `first + step`, …, until a message is done before its call."""
    swept = Sweep()
    async with FaultyHouse(home, shim) as house:
        for at in range(first, BEYOND, step):
            trial = await house.survives(fault, at, count)
            swept.trials += 1
            swept.refused += trial.refused
            swept.wrong += trial.wrong
            if not trial.failed:
                break
        else:
            swept.wrong.append(f"{fault.name}: still failing at call {BEYOND}")
        swept.wrong += [f"{fault.name}, after all: {one}" for one in await house.after_all()]
    return swept


@dataclass(slots=True)
class Sweep:
    """What a sweep came to; `refused` counts the 503 that senders got meanwhile."""

    trials: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list[str])
