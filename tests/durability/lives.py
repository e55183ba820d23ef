"""Killing a gateway at a chosen write: before it, in the middle of it, or after it and before anybody is told.

Everything that must last goes through two ports, the database's `write` and the transcripts' `append` and
`remove`. Here both are wrapped; the n-th write meets what was planned for it. A gateway that was killed does
nothing more: whatever it still tries waits until it is buried, and then fails without having done anything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

from rookery.errors import StorageUnavailable
from rookery.ids import AgentId, SessionId
from rookery.messages import AnyEntry, Header, encode_line
from rookery.sessions import Brain, Brains
from rookery.sessions.disk import opened
from rookery.sessions.transcripts import Problem, Rewrite, Transcript, Transcripts
from rookery.storage import Database, Work

T = TypeVar("T")


class Blow(StrEnum):
    """What can befall a write."""

    KILLED_BEFORE = "killedBefore"
    """The process is gone, and nothing of the write is there."""

    KILLED_AFTER = "killedAfter"
    """The process is gone; the write is there, and nobody was told."""

    KILLED_MIDWAY = "killedMidway"
    """The process is gone; half of the line is in the file. Any other write is not there."""

    REFUSED = "refused"
    """The disk says no, and nothing of the write is there; the process lives on."""

    UNKNOWN = "unknown"
    """The disk says no, and yet the write is there; the process lives on."""


KILLS = (Blow.KILLED_BEFORE, Blow.KILLED_AFTER, Blow.KILLED_MIDWAY)


class Killed(Exception):
    """Nothing of ours, and nothing of the gateway's: what still ran when the process was killed."""


class Lives:
    """The gateway's lives, one after another, and what was planned for their writes, counted from 1."""

    def __init__(self, plan: Mapping[int, Blow]) -> None:
        self._plan = plan
        self._counting = False
        self.writes = 0
        self.synced = 0
        """How many of them waited for the disk."""
        self.met: list[Blow] = []
        """What has happened so far of the plan."""
        self.death = asyncio.Event()
        """Set when the gateway has been killed and is not buried yet."""
        self._life = Life(self)

    @property
    def kills(self) -> int:
        """How many times the gateway was killed."""
        return sum(blow in KILLS for blow in self.met)

    def count(self) -> None:
        """Count writes from here on."""
        self._counting = True

    def bury(self) -> None:
        """Let everything the killed gateway still tries fail."""
        self._life.buried.set()
        self.death.clear()

    def wrap_database(self, database: Database) -> Database:
        """Begin another life, with this database."""
        self._life = Life(self)
        return MortalDatabase(database, self._life)

    def wrap_brains(self, brains: Brains) -> Brains:
        """The brains of the same life."""
        return MortalBrains(brains, self._life)

    def next_blow(self, *, synced: bool = True) -> Blow | None:
        """Count one write, and say what is planned for it."""
        if not self._counting:
            return None
        self.writes += 1
        self.synced += synced
        blow = self._plan.get(self.writes)
        if blow is not None:
            self.met.append(blow)
        return blow


class Life:
    """One run of a gateway, until it is killed."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives
        self.buried = asyncio.Event()
        self.over = False

    def next_blow(self, *, synced: bool = True) -> Blow | None:
        """What is planned for the write that is about to begin."""
        return self._lives.next_blow(synced=synced)

    def end(self) -> None:
        """Kill the gateway."""
        self.over = True
        self._lives.death.set()

    async def go_on(self) -> None:
        """Return at once while the gateway lives; otherwise never before it is buried, and with `Killed`."""
        if self.over:
            await self.buried.wait()
            raise Killed


class MortalDatabase:
    """A database port under which the process can be killed."""

    def __init__(self, inner: Database, life: Life) -> None:
        self._inner = inner
        self._life = life

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._inner.dialect

    async def write(self, work: Work[T], *, then: Callable[[T], None] | None = None, relaxed: bool = False) -> T:
        await self._life.go_on()
        blow = self._life.next_blow(synced=not relaxed)
        if blow in (Blow.KILLED_BEFORE, Blow.KILLED_MIDWAY):
            self._life.end()
            await self._life.go_on()
        if blow is Blow.REFUSED:
            raise StorageUnavailable("The disk said no, as planned.")

        def committed(result: T) -> None:
            if blow is Blow.KILLED_AFTER:
                self._life.end()
            elif blow is None and then is not None and not self._life.over:
                then(result)

        result = await self._inner.write(work, then=committed, relaxed=relaxed)
        await self._life.go_on()
        if blow is Blow.UNKNOWN:
            raise StorageUnavailable("The disk said no, as planned, and did it all the same.")
        return result

    async def read(self, work: Work[T]) -> T:
        await self._life.go_on()
        result = await self._inner.read(work)
        await self._life.go_on()
        return result

    async def scrub(self, *, whole: bool = True) -> None:
        await self._life.go_on()
        await _met(self._life, lambda: self._inner.scrub(whole=whole))

    async def close(self) -> None:
        await self._inner.close()


class MortalBrains:
    """Brains whose transcripts are written by a process that can be killed."""

    def __init__(self, inner: Brains, life: Life) -> None:
        self._inner = inner
        self._life = life

    def use(self, agent_id: AgentId) -> AbstractAsyncContextManager[Brain]:
        return self._use(agent_id)

    @asynccontextmanager
    async def _use(self, agent_id: AgentId) -> AsyncGenerator[Brain]:
        await self._life.go_on()
        async with self._inner.use(agent_id) as brain:
            # The one place where a test reaches into a brain: its port to the disk has no other handle.
            transcripts = brain._transcripts  # pyright: ignore[reportPrivateUsage]
            if not isinstance(transcripts, MortalTranscripts):
                mortal = MortalTranscripts(transcripts, self._life, brain.home)
                brain._transcripts = mortal  # pyright: ignore[reportPrivateUsage]
            yield brain

    async def erase(self, agent_id: AgentId) -> None:
        await self._life.go_on()
        await _met(self._life, lambda: self._inner.erase(agent_id))

    async def close(self) -> None:
        await self._inner.close()


async def _met(life: Life, work: Callable[[], Awaitable[None]]) -> None:
    """Do something whose halves do not show."""
    blow = life.next_blow()
    if blow in (Blow.KILLED_BEFORE, Blow.KILLED_MIDWAY):
        life.end()
        await life.go_on()
    if blow is Blow.REFUSED:
        raise StorageUnavailable("The disk said no, as planned.")
    await work()
    if blow is Blow.KILLED_AFTER:
        life.end()
    await life.go_on()
    if blow is Blow.UNKNOWN:
        raise StorageUnavailable("The disk said no, as planned, and did it all the same.")


class MortalTranscripts:
    """A transcripts port under which the process can be killed; `home` is the brain's directory, if it has one."""

    def __init__(self, inner: Transcripts, life: Life, home: Path | None) -> None:
        self._inner = inner
        self._life = life
        self._home = home
        self.shared = inner.shared

    async def append(self, session_id: SessionId, header: Header, entries: Sequence[AnyEntry]) -> int:
        await self._life.go_on()
        blow = self._life.next_blow()
        if blow is Blow.UNKNOWN and not self.shared:
            blow = Blow.REFUSED  # a file is cut back before it is used again, so the disk's no is a no
        if blow is Blow.KILLED_MIDWAY and entries:
            self._leave_half(session_id, encode_line(entries[-1]))
        return await self._met_by(blow, lambda: self._inner.append(session_id, header, entries))

    async def rewrite(self, session_id: SessionId, change: Rewrite) -> Transcript | None:
        await self._life.go_on()
        return await self._met_by(self._life.next_blow(), lambda: self._inner.rewrite(session_id, change))

    async def remove(self, session_id: SessionId) -> None:
        await self._life.go_on()
        await self._met_by(self._life.next_blow(), lambda: self._inner.remove(session_id))

    async def _met_by(self, blow: Blow | None, write: Callable[[], Awaitable[T]]) -> T:
        if blow in (Blow.KILLED_BEFORE, Blow.KILLED_MIDWAY):
            self._life.end()
            await self._life.go_on()
        if blow is Blow.REFUSED:
            raise StorageUnavailable("The disk said no, as planned.")
        result = await write()
        if blow is Blow.KILLED_AFTER:
            self._life.end()
        await self._life.go_on()
        if blow is Blow.UNKNOWN:
            raise StorageUnavailable("The disk said no, as planned, and did it all the same.")
        return result

    async def load(self, session_id: SessionId) -> Transcript | None:
        await self._life.go_on()
        return await self._inner.load(session_id)

    async def news(self, session_id: SessionId, after: int) -> Transcript:
        await self._life.go_on()
        return await self._inner.news(session_id, after)

    async def list_ids(self) -> list[SessionId]:
        return await self._inner.list_ids()

    async def export(self, session_id: SessionId) -> bytes | None:
        return await self._inner.export(session_id)

    async def problems(self) -> list[Problem]:
        return await self._inner.problems()

    def _leave_half(self, session_id: SessionId, line: bytes) -> None:
        if self._home is not None:
            with opened(
                self._home / "sessions" / f"{session_id}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND
            ) as file:
                os.write(file, line[: len(line) // 2])
