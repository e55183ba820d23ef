"""An agent's keys as rows: on PostgreSQL each is one row of `auth_profiles`, behind row-level security."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, text

from rookery.ids import AgentId
from rookery.sessions.profiles import Change, Profile, checked
from rookery.sessions.tables import auth_profiles as table
from rookery.storage import Database, as_agent

# One at a time for each agent: else of two changes one would be lost.
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended('auth profiles ' || :agent_id, 0))")

_COLUMNS = tuple(table.c[name] for name in Profile.__struct_fields__)


class RowProfiles:
    """One agent's profiles in a PostgreSQL database.

    What was read is kept while the brain is open: one gateway holds the database, and all changes pass here.
    """

    def __init__(self, database: Database, agent_id: AgentId) -> None:
        assert database.dialect == "postgresql", "on SQLite profiles are a file"
        self._database = database
        self._agent_id = agent_id
        self._known: tuple[Profile, ...] | None = None
        self._changes = 0

    async def all(self) -> Sequence[Profile]:
        """See `Profiles.all`."""
        if self._known is not None:
            return self._known
        changes = self._changes
        found = await self._database.read(self._read)
        if changes == self._changes:  # else it may be what was there before
            self._known = found
        return found

    async def change(self, change: Change) -> Sequence[Profile]:
        """See `Profiles.change`."""

        def work(connection: Connection) -> tuple[Profile, ...]:
            as_agent(connection, self._agent_id)
            connection.execute(_TAKE_TURNS, {"agent_id": self._agent_id})
            before = self._read(connection)
            after = checked(change(before))
            if after != before:
                connection.execute(delete(table).where(table.c.agent_id == self._agent_id))
            if after and after != before:
                connection.execute(insert(table), [self._row(place, one) for place, one in enumerate(after)])
            return after

        self._forget()
        try:
            # Also when whoever called is gone by then: what was read meanwhile may be what was there before.
            return await self._database.write(work, then=lambda _: self._forget())
        finally:
            self._forget()

    def _forget(self) -> None:
        self._changes += 1
        self._known = None

    def _read(self, connection: Connection) -> tuple[Profile, ...]:
        as_agent(connection, self._agent_id)
        query = select(*_COLUMNS).where(table.c.agent_id == self._agent_id).order_by(table.c.position)
        return tuple(Profile(*row) for row in connection.execute(query))

    def _row(self, place: int, profile: Profile) -> dict[str, object]:
        fields = {name: getattr(profile, name) for name in Profile.__struct_fields__}
        return {"agent_id": self._agent_id, "position": place, **fields}
