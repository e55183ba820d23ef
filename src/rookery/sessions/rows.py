"""Transcripts as rows: on PostgreSQL a line is a row of `entries`, and the list is the table `sessions`.

Every transaction begins with whose rows it may see, and every statement has the condition besides. The
session's row is locked while entries are added, so that their positions follow the order of the commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from rookery.errors import StorageCorrupt
from rookery.ids import AgentId, SessionId
from rookery.messages import AnyEntry, Header, decode_entry, encode_line
from rookery.sessions.summary import SessionSummary, begin, fold
from rookery.sessions.tables import CONTENT_TABLES, content_metadata, page_of, sessions, summary_of, values_of
from rookery.sessions.tables import entries as entries_table
from rookery.sessions.transcripts import (
    Problem,
    ProblemKind,
    Rewrite,
    Transcript,
    check_session_id,
    is_session_id,
    read_lines,
)
from rookery.storage import Database, Work, as_agent


class RowTranscripts:
    """One agent's transcripts in a PostgreSQL database."""

    shared = True

    def __init__(self, database: Database, agent_id: AgentId) -> None:
        assert database.dialect == "postgresql", "on SQLite transcripts are files"
        self._database = database
        self._agent_id = agent_id

    async def append(self, session_id: SessionId, header: Header, entries: Sequence[AnyEntry]) -> int:
        check_session_id(session_id)
        lines: dict[str, tuple[AnyEntry, bytes]] = {}
        for entry in entries:
            lines.setdefault(entry.id, (entry, encode_line(entry)))
        header_line = encode_line(header)

        def work(connection: Connection) -> int:
            as_agent(connection, self._agent_id)
            summary, size = self._lock(connection, session_id), 0
            if summary is None:
                summary, size = self._begin(connection, session_id, header, header_line)
            if not lines:
                return size
            written = self._insert(connection, session_id, lines)
            fresh = [line for entry_id, line in lines.items() if entry_id in written]
            if fresh:
                values = values_of(fold(summary, (entry for entry, _ in fresh)))
                connection.execute(update(sessions).where(self._mine(sessions, session_id)).values(values))
            return size + sum(len(line) for _, line in fresh)

        return await self._database.write(work)

    async def load(self, session_id: SessionId) -> Transcript | None:
        if not is_session_id(session_id):
            return None

        def work(connection: Connection) -> Transcript | None:
            as_agent(connection, self._agent_id)
            header = connection.scalar(select(sessions.c.header).where(self._mine(sessions, session_id)))
            return None if header is None else self._read(connection, session_id, 0, header)

        return await self._database.read(work)

    async def news(self, session_id: SessionId, after: int) -> Transcript:
        def work(connection: Connection) -> Transcript:
            as_agent(connection, self._agent_id)
            return self._read(connection, session_id, after, None)

        return await self._database.read(work)

    async def list_ids(self) -> list[SessionId]:
        query = select(sessions.c.session_id).where(sessions.c.agent_id == self._agent_id)

        def work(connection: Connection) -> list[SessionId]:
            as_agent(connection, self._agent_id)
            return [
                SessionId(session_id) for session_id in connection.scalars(query.order_by(sessions.c.session_id))
            ]

        return await self._database.read(work)

    async def export(self, session_id: SessionId) -> bytes | None:
        if not is_session_id(session_id):
            return None

        def work(connection: Connection) -> bytes | None:
            as_agent(connection, self._agent_id)
            header = connection.scalar(select(sessions.c.header).where(self._mine(sessions, session_id)))
            if header is None:
                return None
            lines = (line for _, line in self._lines(connection, session_id, 0))
            return "".join(f"{line}\n" for line in (header, *lines)).encode()

        return await self._database.read(work)

    async def rewrite(self, session_id: SessionId, change: Rewrite) -> Transcript | None:
        def work(connection: Connection) -> Transcript | None:
            as_agent(connection, self._agent_id)
            if self._lock(connection, session_id) is None:
                return None
            header = connection.scalar(select(sessions.c.header).where(self._mine(sessions, session_id)))
            mine = self._mine(entries_table, session_id)
            for position, line in list(self._lines(connection, session_id, 0)):
                here = and_(mine, entries_table.c.position == position)
                try:
                    entry = decode_entry(line.encode())
                except StorageCorrupt:
                    connection.execute(delete(entries_table).where(here))
                    continue
                changed = _text(encode_line(change(entry)))
                if changed != line:
                    connection.execute(update(entries_table).where(here).values(line=changed))
            return self._read(connection, session_id, 0, header)

        return await self._database.write(work)

    async def remove(self, session_id: SessionId) -> None:
        def work(connection: Connection) -> None:
            as_agent(connection, self._agent_id)
            self._lock(connection, session_id)  # no append may slip in between the two
            connection.execute(delete(entries_table).where(self._mine(entries_table, session_id)))
            connection.execute(delete(sessions).where(self._mine(sessions, session_id)))

        await self._database.write(work)

    async def problems(self) -> list[Problem]:
        problems: list[Problem] = []
        for session_id in await self.list_ids():
            transcript = await self.load(session_id)
            if transcript is None:
                continue
            if transcript.header is None:
                detail = "its header cannot be read"
                problems.append(Problem(ProblemKind.NO_HEADER, session_id, detail))
            if transcript.unreadable:
                detail = f"{transcript.unreadable} rows cannot be read and are left out"
                problems.append(Problem(ProblemKind.UNREADABLE, session_id, detail))
        return problems

    def _lock(self, connection: Connection, session_id: SessionId) -> SessionSummary | None:
        query = select(sessions).where(self._mine(sessions, session_id)).with_for_update()
        row = connection.execute(query).mappings().one_or_none()
        return None if row is None else summary_of(row)

    def _begin(
        self, connection: Connection, session_id: SessionId, header: Header, line: bytes
    ) -> tuple[SessionSummary, int]:
        summary = begin(header)
        values = values_of(summary) | {
            "agent_id": self._agent_id,
            "session_id": session_id,
            "header": _text(line),
        }
        made = connection.execute(insert(sessions).values(values).on_conflict_do_nothing()).rowcount
        if made:
            return summary, len(line)
        # Another gateway was quicker, and has committed by now.
        theirs = self._lock(connection, session_id)
        assert theirs is not None, "a row that was in the way is there"
        return theirs, 0

    def _insert(
        self, connection: Connection, session_id: SessionId, lines: dict[str, tuple[AnyEntry, bytes]]
    ) -> set[str]:
        mine = {"agent_id": self._agent_id, "session_id": session_id}
        rows = [mine | {"entry_id": entry_id, "line": _text(line)} for entry_id, (_, line) in lines.items()]
        statement = insert(entries_table).values(rows).on_conflict_do_nothing()
        return set(connection.scalars(statement.returning(entries_table.c.entry_id)))

    def _read(self, connection: Connection, session_id: SessionId, after: int, header: str | None) -> Transcript:
        rows = list(self._lines(connection, session_id, after))
        lines = [line.encode() for line in (*([] if header is None else [header]), *(line for _, line in rows))]
        end = rows[-1][0] if rows else after
        return read_lines(lines, end=end, size=sum(map(len, lines)) + len(lines))

    def _lines(self, connection: Connection, session_id: SessionId, after: int) -> Iterable[tuple[int, str]]:
        position = entries_table.c.position
        query = (
            select(position, entries_table.c.line)
            .where(self._mine(entries_table, session_id), position > after)
            .order_by(position)
        )
        return ((row.position, row.line) for row in connection.execute(query))

    def _mine(self, table: Any, session_id: SessionId) -> ColumnElement[bool]:
        return and_(table.c.agent_id == self._agent_id, table.c.session_id == session_id)


class RowSummaries:
    """The list of one agent's sessions: the table itself, which each append keeps right."""

    def __init__(self, database: Database, agent_id: AgentId, transcripts: RowTranscripts) -> None:
        self._database = database
        self._agent_id = agent_id
        self._transcripts = transcripts

    def changed(self, session_id: SessionId) -> None: ...

    async def page(self, limit: int, cursor: str | None) -> list[SessionSummary]:
        query = page_of(sessions, limit, cursor, sessions.c.agent_id == self._agent_id)

        def work(connection: Connection) -> list[SessionSummary]:
            as_agent(connection, self._agent_id)
            return [summary_of(row) for row in connection.execute(query).mappings()]

        return await self._database.read(work)

    async def find(self, session_id: SessionId) -> SessionSummary | None:
        mine = and_(sessions.c.agent_id == self._agent_id, sessions.c.session_id == session_id)

        def work(connection: Connection) -> SessionSummary | None:
            as_agent(connection, self._agent_id)
            row = connection.execute(select(sessions).where(mine)).mappings().one_or_none()
            return None if row is None else summary_of(row)

        return await self._database.read(work)

    async def catch_up(self) -> None: ...

    async def rebuild(self) -> None:
        for session_id in await self._transcripts.list_ids():
            await self._database.write(self._fold_anew(session_id))

    async def close(self) -> None: ...

    def _fold_anew(self, session_id: SessionId) -> Work[None]:
        mine = and_(sessions.c.agent_id == self._agent_id, sessions.c.session_id == session_id)
        theirs = and_(entries_table.c.agent_id == self._agent_id, entries_table.c.session_id == session_id)
        lines = select(entries_table.c.line).where(theirs).order_by(entries_table.c.position)

        def work(connection: Connection) -> None:
            as_agent(connection, self._agent_id)
            # Locked first: no append may slip in between reading the entries and writing their sum.
            header = connection.scalar(select(sessions.c.header).where(mine).with_for_update())
            if header is None:
                return
            rows = [header.encode(), *(line.encode() for line in connection.scalars(lines))]
            transcript = read_lines(rows, end=0, size=0)
            if transcript.header is not None:
                values = values_of(fold(begin(transcript.header), transcript.entries))
                connection.execute(update(sessions).where(mine).values(values))

        return work


def erase_rows(connection: Connection, agent_id: AgentId) -> None:
    """Delete everything that is an agent's own."""
    as_agent(connection, agent_id)
    for name in CONTENT_TABLES:
        table = content_metadata.tables[name]
        connection.execute(delete(table).where(table.c.agent_id == agent_id))


def _text(line: bytes) -> str:
    return line[:-1].decode()
