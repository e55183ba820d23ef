"""Attachments as rows: on PostgreSQL each is one row of `attachments`, behind row-level security."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, text

from rookery.errors import StorageCorrupt
from rookery.ids import AgentId
from rookery.sessions.attachments import (
    ROW_LIMITS,
    Limits,
    Stored,
    absent,
    is_attachment_id,
    look_at,
    require_room,
)
from rookery.sessions.tables import attachments as table
from rookery.storage import Database, as_agent

# One at a time for each agent, from whichever gateway: else two that fit one by one would be kept together.
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended('attachments ' || :agent_id, 0))")

_KNOWN = tuple(
    table.c[name] for name in ("id", "name", "content_type", "size", "sha256", "added_by", "created_at")
)


class RowAttachments:
    """One agent's attachments in a PostgreSQL database."""

    def __init__(self, database: Database, agent_id: AgentId, *, limits: Limits = ROW_LIMITS) -> None:
        assert database.dialect == "postgresql", "on SQLite attachments are files"
        self.limits = limits
        self._database = database
        self._agent_id = agent_id

    async def add(
        self,
        name: str,
        content_type: str | None,
        data: bytes | AsyncIterable[bytes],
        *,
        added_by: str,
        created_at: datetime,
        attachment_id: str | None = None,
    ) -> Stored:
        incoming = await look_at(
            name,
            content_type,
            data,
            added_by=added_by,
            created_at=created_at,
            attachment_id=attachment_id,
            limit=self.limits.each,
        )
        stored = incoming.stored
        values = {column.name: getattr(stored, column.name) for column in _KNOWN}
        values |= {"agent_id": self._agent_id, "data": incoming.data}

        def work(connection: Connection) -> Stored:
            as_agent(connection, self._agent_id)
            connection.execute(_TAKE_TURNS, {"agent_id": self._agent_id})
            found = self._find(connection, stored.id)
            if found is not None:
                return found
            require_room(self.limits, stored.size, self._sum(connection))
            connection.execute(insert(table).values(values))
            return stored

        return await self._database.write(work)

    async def get(self, attachment_id: str) -> Stored:
        def work(connection: Connection) -> Stored | None:
            as_agent(connection, self._agent_id)
            return self._find(connection, attachment_id)

        found = await self._database.read(work) if is_attachment_id(attachment_id) else None
        if found is None:
            raise absent(attachment_id)
        return found

    async def read(self, attachment_id: str) -> bytes:
        def work(connection: Connection) -> tuple[bytes, str] | None:
            as_agent(connection, self._agent_id)
            query = select(table.c.data, table.c.sha256).where(self._mine(attachment_id))
            row = connection.execute(query).one_or_none()
            return None if row is None else (row.data, row.sha256)

        found = await self._database.read(work) if is_attachment_id(attachment_id) else None
        if found is None:
            raise absent(attachment_id)
        data, digest = found
        if (await asyncio.to_thread(hashlib.sha256, data)).hexdigest() != digest:
            raise StorageCorrupt(f"Attachment {attachment_id!r} is not as it was kept; restore it from a backup.")
        return data

    async def listed(self) -> list[Stored]:
        query = select(*_KNOWN).where(table.c.agent_id == self._agent_id).order_by(table.c.id)

        def work(connection: Connection) -> list[Stored]:
            as_agent(connection, self._agent_id)
            return [Stored(**row) for row in connection.execute(query).mappings()]

        return await self._database.read(work)

    async def remove(self, attachment_id: str) -> None:
        def work(connection: Connection) -> None:
            as_agent(connection, self._agent_id)
            connection.execute(delete(table).where(self._mine(attachment_id)))

        if is_attachment_id(attachment_id):
            await self._database.write(work)

    async def size(self) -> int:
        def work(connection: Connection) -> int:
            as_agent(connection, self._agent_id)
            return self._sum(connection)

        return await self._database.read(work)

    def _find(self, connection: Connection, attachment_id: str) -> Stored | None:
        row = connection.execute(select(*_KNOWN).where(self._mine(attachment_id))).mappings().one_or_none()
        return None if row is None else Stored(**row)

    def _sum(self, connection: Connection) -> int:
        query = select(func.coalesce(func.sum(table.c.size), 0)).where(table.c.agent_id == self._agent_id)
        return int(connection.execute(query).scalar_one())

    def _mine(self, attachment_id: str) -> ColumnElement[bool]:
        return and_(table.c.agent_id == self._agent_id, table.c.id == attachment_id)
