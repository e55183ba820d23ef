"""A workspace as rows, on PostgreSQL: transactions say whose rows they may see, and each statement says it too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from rookery.ids import AgentId
from rookery.sessions.tables import workspace_files as table
from rookery.sessions.workspace import (
    ABSENT,
    MOST_FILES,
    WorkspaceFile,
    absent,
    check_count,
    check_size,
    check_version,
    clashes,
    in_the_way,
    parts_of,
    version_of,
)
from rookery.storage import Database, as_agent

# One at a time for each agent, from whichever gateway: else two paths that clash could both be written.
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended('workspace ' || :agent_id, 0))")


class RowWorkspace:
    """One agent's workspace in a PostgreSQL database."""

    def __init__(self, database: Database, agent_id: AgentId) -> None:
        assert database.dialect == "postgresql", "on SQLite a workspace is files"
        self._database = database
        self._agent_id = agent_id
        self._versions: object = None
        self._beginnings: Mapping[str, bytes] = {}

    async def read(self, path: str) -> bytes:
        parts_of(path)

        def work(connection: Connection) -> bytes | None:
            as_agent(connection, self._agent_id)
            return connection.scalar(select(table.c.data).where(self._mine(path)))

        found = await self._database.read(work)
        if found is None:
            raise absent(path)
        return found

    async def write(self, path: str, data: bytes, *, expected: str | None = None) -> WorkspaceFile:
        parts_of(path)
        check_size(data)
        version, changed_at = version_of(data), datetime.now(UTC)

        def work(connection: Connection) -> None:
            as_agent(connection, self._agent_id)
            connection.execute(_TAKE_TURNS, {"agent_id": self._agent_id})
            there = connection.scalar(select(table.c.sha256).where(self._mine(path))) or ABSENT
            paths = set(connection.scalars(select(table.c.path).where(table.c.agent_id == self._agent_id)))
            if clashes(path, paths):
                raise in_the_way(path, "another file or a directory")
            check_version(path, expected, there)
            if there == ABSENT:
                check_count(len(paths))
            values = {"data": data, "sha256": version, "changed_at": changed_at}
            statement = insert(table).values(agent_id=self._agent_id, path=path, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["agent_id", "path"], set_=values))

        await self._database.write(work)
        return WorkspaceFile(path, len(data), changed_at)

    async def remove(self, path: str, *, expected: str | None = None) -> None:
        parts_of(path)

        def work(connection: Connection) -> None:
            as_agent(connection, self._agent_id)
            connection.execute(_TAKE_TURNS, {"agent_id": self._agent_id})
            there = connection.scalar(select(table.c.sha256).where(self._mine(path)))
            if there is None:
                raise absent(path)
            check_version(path, expected, there)
            connection.execute(delete(table).where(self._mine(path)))

        await self._database.write(work)

    async def listed(self) -> Sequence[WorkspaceFile]:
        query = (
            select(table.c.path, func.octet_length(table.c.data).label("size"), table.c.changed_at)
            .where(table.c.agent_id == self._agent_id)
            .order_by(table.c.path)
            .limit(MOST_FILES)
        )

        def work(connection: Connection) -> list[WorkspaceFile]:
            as_agent(connection, self._agent_id)
            return [WorkspaceFile(**row) for row in connection.execute(query).mappings()]

        return await self._database.read(work)

    async def beginnings(self, names: Collection[str], limit: int) -> Mapping[str, bytes]:
        mine = and_(table.c.agent_id == self._agent_id, table.c.path.in_(list(names)))

        def work(connection: Connection) -> Mapping[str, bytes]:
            as_agent(connection, self._agent_id)
            rows = connection.execute(select(table.c.path, table.c.sha256).where(mine)).all()
            versions = (limit, {row.path: row.sha256 for row in rows})
            if versions != self._versions:
                query = select(table.c.path, func.substring(table.c.data, 1, limit).label("data")).where(mine)
                found = {row.path: bytes(row.data) for row in connection.execute(query)} if rows else {}
                self._beginnings = {name: found[name] for name in names if name in found}
                self._versions = versions
            return self._beginnings

        return await self._database.read(work)

    def _mine(self, path: str) -> ColumnElement[bool]:
        return and_(table.c.agent_id == self._agent_id, table.c.path == path)
