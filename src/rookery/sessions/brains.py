"""The brains that are open: those in use, and a bounded number of idle ones."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from rookery.ids import AgentId
from rookery.sessions.attachment_files import FileAttachments
from rookery.sessions.brain import SESSION_BYTES, Brain
from rookery.sessions.disk import FileOps, erase_directory
from rookery.sessions.index import IndexedSummaries
from rookery.sessions.jsonl import JsonlTranscripts
from rookery.sessions.profile_files import FileProfiles
from rookery.sessions.twin import (
    MemoryAttachments,
    MemoryProfiles,
    MemorySummaries,
    MemoryTranscripts,
    MemoryWorkspace,
)
from rookery.sessions.workspace_files import FileWorkspace
from rookery.storage import Database
from rookery.storage.threads import WriterThreads

OPEN_BRAINS = 64


class Brains(Protocol):
    """Opens brains and keeps them open for a while."""

    def use(self, agent_id: AgentId) -> AbstractAsyncContextManager[Brain]:
        """The agent's brain, open and pinned until the end of the block; made when there is none.

        Everybody who uses an agent's brain at the same time uses the same one. Never waits for other brains,
        however many are in use. Entering raises `StorageUnavailable`.
        """
        ...

    async def erase(self, agent_id: AgentId) -> None:
        """Delete the agent's brain with everything in it, once nobody uses it; one that is not there is gone.

        Whoever wants it meanwhile waits, and finds an empty one. Raises `StorageUnavailable`: then some of it may
        be there, and the same call again is the way to go on.
        """
        ...

    async def close(self) -> None:
        """Close all brains: idle ones before this returns, those in use when their block ends."""
        ...


class BrainPool:
    """Keeps `open_brains` idle brains open, those used last; brains in use come on top."""

    def __init__(
        self,
        open_brain: Callable[[AgentId], Awaitable[Brain]],
        erase_brain: Callable[[AgentId], Awaitable[None]],
        open_brains: int,
    ) -> None:
        self._open_brain = open_brain
        self._erase_brain = erase_brain
        self._open_brains = open_brains
        self._slots: dict[AgentId, _Slot] = {}
        self._idle: OrderedDict[AgentId, Brain] = OrderedDict()
        self._closing: dict[AgentId, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def use(self, agent_id: AgentId) -> AsyncGenerator[Brain]:
        """See `Brains.use`."""
        while (closing := self._closing.get(agent_id)) is not None:
            # Two brains of one agent would not know of each other's writes.
            await asyncio.wait({closing})
        slot = self._slots.get(agent_id)
        if slot is None:
            slot = self._slots[agent_id] = _Slot()
        slot.pins += 1
        self._idle.pop(agent_id, None)
        try:
            brain = slot.brain
            if brain is None:
                async with slot.opening:
                    brain = slot.brain
                    if brain is None:
                        brain = slot.brain = await self._open_brain(agent_id)
            yield brain
        finally:
            slot.pins -= 1
            if not slot.pins:
                slot.free.set()
                self._rest(agent_id, slot)

    async def erase(self, agent_id: AgentId) -> None:
        """See `Brains.erase`."""
        while True:
            closing = self._closing.get(agent_id)
            slot = self._slots.get(agent_id)
            if closing is not None:
                await asyncio.wait({closing})
            elif slot is not None and slot.pins:
                slot.free.clear()
                await slot.free.wait()
            else:
                break
        if slot is not None:
            self._idle.pop(agent_id, None)
            del self._slots[agent_id]
        task = self._end(agent_id, self._close_and_erase(agent_id, None if slot is None else slot.brain))
        await asyncio.shield(task)

    async def _close_and_erase(self, agent_id: AgentId, brain: Brain | None) -> None:
        if brain is not None:
            await brain.close()
        await self._erase_brain(agent_id)

    async def close(self) -> None:
        """See `Brains.close`."""
        self._open_brains = 0
        self._drop()
        await asyncio.gather(*self._closing.values())

    @property
    def open_count(self) -> int:
        """How many brains are open now, idle or in use."""
        return len(self._slots)

    def _rest(self, agent_id: AgentId, slot: _Slot) -> None:
        if slot.brain is None:
            del self._slots[agent_id]
        else:
            self._idle[agent_id] = slot.brain
            self._drop()

    def _drop(self) -> None:
        while len(self._idle) > self._open_brains:
            agent_id, brain = self._idle.popitem(last=False)
            del self._slots[agent_id]
            self._end(agent_id, brain.close())

    def _end(self, agent_id: AgentId, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Close a brain in a task that whoever wants to open it waits for."""
        task = asyncio.create_task(work, name=f"close brain {agent_id}")
        self._closing[agent_id] = task
        task.add_done_callback(lambda _: self._closing.pop(agent_id))
        return task


class FileBrains(BrainPool):
    """The embedded default: each brain a directory of `agents`, written by `threads`."""

    def __init__(
        self,
        agents: Path,
        threads: WriterThreads,
        open_brains: int = OPEN_BRAINS,
        *,
        session_bytes: int = SESSION_BYTES,
        ops: FileOps | None = None,
    ) -> None:
        async def open_brain(agent_id: AgentId) -> Brain:
            home = agents / agent_id
            transcripts = JsonlTranscripts(home, agent_id, threads, ops=ops)
            await transcripts.prepare()
            summaries = IndexedSummaries(home, agent_id, threads, transcripts)
            attachments = FileAttachments(home, agent_id, threads, ops=ops)
            profiles = FileProfiles(home, agent_id, threads, ops=ops)
            return Brain(
                agent_id,
                transcripts,
                summaries,
                attachments=attachments,
                profiles=profiles,
                workspace=FileWorkspace(home, agent_id, threads, ops=ops),
                home=home,
                session_bytes=session_bytes,
            )

        async def erase_brain(agent_id: AgentId) -> None:
            await threads.run(str(agent_id), partial(erase_directory, agents / agent_id, ops or FileOps()))

        super().__init__(open_brain, erase_brain, open_brains)


class RowBrains(BrainPool):
    """On PostgreSQL: each brain is the rows of its agent."""

    def __init__(
        self, database: Database, open_brains: int = OPEN_BRAINS, *, session_bytes: int = SESSION_BYTES
    ) -> None:
        # Imported by who has a PostgreSQL database, and by nobody else's start.
        from rookery.sessions.attachment_rows import RowAttachments
        from rookery.sessions.profile_rows import RowProfiles
        from rookery.sessions.rows import RowSummaries, RowTranscripts, erase_rows
        from rookery.sessions.workspace_rows import RowWorkspace

        async def open_brain(agent_id: AgentId) -> Brain:
            transcripts = RowTranscripts(database, agent_id)
            summaries = RowSummaries(database, agent_id, transcripts)
            attachments = RowAttachments(database, agent_id)
            profiles = RowProfiles(database, agent_id)
            return Brain(
                agent_id,
                transcripts,
                summaries,
                attachments=attachments,
                profiles=profiles,
                workspace=RowWorkspace(database, agent_id),
                session_bytes=session_bytes,
            )

        async def erase_brain(agent_id: AgentId) -> None:
            await database.write(partial(erase_rows, agent_id=agent_id))

        super().__init__(open_brain, erase_brain, open_brains)


class MemoryBrains(BrainPool):
    """In memory; a brain that is closed and opened again holds what it held."""

    def __init__(self, open_brains: int = OPEN_BRAINS, *, session_bytes: int = SESSION_BYTES) -> None:
        self.transcripts: dict[AgentId, MemoryTranscripts] = {}
        self.attachments: dict[AgentId, MemoryAttachments] = {}
        self.profiles: dict[AgentId, MemoryProfiles] = {}
        self.workspaces: dict[AgentId, MemoryWorkspace] = {}

        async def open_brain(agent_id: AgentId) -> Brain:
            transcripts = self.transcripts.setdefault(agent_id, MemoryTranscripts())
            attachments = self.attachments.setdefault(agent_id, MemoryAttachments())
            profiles = self.profiles.setdefault(agent_id, MemoryProfiles())
            summaries = MemorySummaries(transcripts)
            return Brain(
                agent_id,
                transcripts,
                summaries,
                attachments=attachments,
                profiles=profiles,
                workspace=self.workspaces.setdefault(agent_id, MemoryWorkspace()),
                session_bytes=session_bytes,
            )

        async def erase_brain(agent_id: AgentId) -> None:
            for parts in (self.transcripts, self.attachments, self.profiles, self.workspaces):
                parts.pop(agent_id, None)

        super().__init__(open_brain, erase_brain, open_brains)


class _Slot:
    __slots__ = ("brain", "free", "opening", "pins")

    def __init__(self) -> None:
        self.brain: Brain | None = None
        self.opening = asyncio.Lock()
        self.free = asyncio.Event()
        self.pins = 0
