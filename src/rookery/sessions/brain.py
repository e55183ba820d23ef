"""A brain: everything private to one agent, opened together and closed together."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from weakref import WeakValueDictionary

from rookery.errors import NotFound, StorageCorrupt
from rookery.ids import AgentId, SessionId
from rookery.messages import Header
from rookery.messages.transcript import VERSION
from rookery.sessions.attachments import Attachments
from rookery.sessions.profiles import Profiles
from rookery.sessions.session import Session
from rookery.sessions.summary import SessionSummary
from rookery.sessions.transcripts import Problem, Rewrite, Summaries, Transcripts, check_session_id
from rookery.sessions.workspace import Workspace

SESSION_BYTES = 1 << 20
"""How many bytes of transcripts one brain keeps in memory beside the sessions that are in use."""

_SESSION_COST = 2048
"""What a cached session costs before it holds anything, in bytes."""


class Brain:
    """One agent's sessions and attachments. Used inside `Brains.use`, and not after it.

    `home` is the brain's directory, None where it has none.
    """

    def __init__(
        self,
        agent_id: AgentId,
        transcripts: Transcripts,
        summaries: Summaries,
        *,
        attachments: Attachments | None = None,
        profiles: Profiles | None = None,
        workspace: Workspace | None = None,
        home: Path | None = None,
        session_bytes: int = SESSION_BYTES,
    ) -> None:
        self.agent_id = agent_id
        self.home = home
        self._attachments = attachments
        self._profiles = profiles
        self._workspace = workspace
        self._transcripts = transcripts
        self._summaries = summaries
        self._session_bytes = session_bytes
        # A session that somebody holds is found here however long ago it was used: never two objects for one.
        self._open: WeakValueDictionary[SessionId, Session] = WeakValueDictionary()
        self._loading: WeakValueDictionary[SessionId, asyncio.Lock] = WeakValueDictionary()
        self._recent: OrderedDict[SessionId, Session] = OrderedDict()
        self._bytes = 0

    @property
    def attachments(self) -> Attachments:
        """The files that people sent to this agent."""
        assert self._attachments is not None, "this brain was made for its sessions alone"
        return self._attachments

    @property
    def profiles(self) -> Profiles:
        """The keys of this agent's own, sealed."""
        assert self._profiles is not None, "this brain was made for its sessions alone"
        return self._profiles

    @property
    def workspace(self) -> Workspace:
        """What this agent is told about itself, and what it writes."""
        assert self._workspace is not None, "this brain was made for its sessions alone"
        return self._workspace

    async def session(self, session_id: SessionId) -> Session:
        """The session, with everything in it. Raises `NotFound`, `StorageUnavailable`, or `StorageCorrupt`
        when its header cannot be read (`open_session` gives it a new one)."""
        session = await self._find(session_id, None)
        if session is None:
            raise NotFound(f"There is no session {session_id!r}.")
        return session

    async def open_session(self, session_id: SessionId, session_key: str, created_at: datetime) -> Session:
        """The session, which need not exist yet: then it begins, and is written with its first entry.

        Raises `InvalidId` for a session id that cannot be one, and `StorageUnavailable`.
        """
        check_session_id(session_id)
        header = Header(
            version=VERSION, id=session_id, session_key=session_key, agent_id=self.agent_id, created_at=created_at
        )
        session = await self._find(session_id, header)
        assert session is not None, "with a header there is always a session"
        return session

    async def sessions(self, limit: int, cursor: str | None = None) -> list[SessionSummary]:
        """The sessions, latest first, from behind the `cursor` of the last one seen.

        Raises `InvalidInput` for a cursor that is none, and `StorageUnavailable`.
        """
        return await self._summaries.page(limit, cursor)

    async def summary(self, session_id: SessionId) -> SessionSummary:
        """What the list says of one session. Raises `NotFound`."""
        session = self._open.get(session_id)
        if session is not None and not self._transcripts.shared:
            return session.summary
        summary = await self._summaries.find(session_id)
        if summary is None:
            raise NotFound(f"There is no session {session_id!r}.")
        return summary

    async def export(self, session_id: SessionId) -> bytes:
        """The session's transcript as JSON lines. Raises `NotFound`."""
        data = await self._transcripts.export(session_id)
        if data is None:
            raise NotFound(f"There is no session {session_id!r}.")
        return data

    async def remove(self, session_id: SessionId) -> None:
        """Delete a session with everything in it; one that is not there is gone already.

        Raises `StorageUnavailable`: then the same call again is the way to go on.
        """
        try:
            session = await self._find(session_id, None)
        except StorageCorrupt:
            session = None
        if session is None:
            await self._transcripts.remove(session_id)
        else:
            await session.remove()
            self._open.pop(session_id, None)
            if self._recent.pop(session_id, None) is not None:
                self._bytes -= session.size + _SESSION_COST
        self._summaries.changed(session_id)

    async def rewrite(self, session_id: SessionId, change: Rewrite) -> None:
        """Put what `change` makes of each entry of a session in its place, and its list entry anew with it.

        A session that is not there stays so. Raises `StorageUnavailable`: then the same call again is the way on.
        """
        session = await self._find(session_id, None)
        if session is not None:
            await session.rewrite(change)
            self._summaries.changed(session_id)

    async def catch_up(self) -> None:
        """Bring the list of sessions up to date now, so that the next listing need not."""
        await self._summaries.catch_up()

    async def reindex(self) -> None:
        """Make the list of sessions anew from the transcripts."""
        await self._summaries.rebuild()

    async def check(self) -> list[Problem]:
        """Look at everything stored and say what is wrong; changes nothing."""
        return await self._transcripts.problems()

    async def close(self) -> None:
        """Give back what is held open. Called by the pool when nobody uses the brain."""
        self._recent.clear()
        self._bytes = 0
        await self._summaries.close()

    async def _find(self, session_id: SessionId, header: Header | None) -> Session | None:
        session = self._open.get(session_id)
        if session is None:
            lock = self._loading.get(session_id)
            if lock is None:
                lock = self._loading[session_id] = asyncio.Lock()
            async with lock:
                session = self._open.get(session_id)
                if session is None:
                    return await self._load(session_id, header)
        await session.refresh()
        self._use(session)
        return session

    async def _load(self, session_id: SessionId, header: Header | None) -> Session | None:
        transcript = await self._transcripts.load(session_id)
        if transcript is not None and transcript.header is not None:
            header = transcript.header
        if header is None:
            if transcript is None:
                return None
            raise StorageCorrupt(
                f"The header of session {session_id!r} cannot be read; `rookery doctor` says more."
            )
        session = Session(self._transcripts, header, transcript, self._grown)
        self._open[session_id] = session
        self._use(session)
        return session

    def _use(self, session: Session) -> None:
        if session.id not in self._recent:
            self._recent[session.id] = session
            self._bytes += session.size + _SESSION_COST
        self._recent.move_to_end(session.id)
        self._drop()

    def _grown(self, session: Session, size: int) -> None:
        self._summaries.changed(session.id)
        if session.id in self._recent:
            self._bytes += size
            self._drop()

    def _drop(self) -> None:
        while self._bytes > self._session_bytes and len(self._recent) > 1:
            _, oldest = self._recent.popitem(last=False)
            self._bytes -= oldest.size + _SESSION_COST
