"""Applying described people to a store, and what the store holds then, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from rookery.config import Config
from rookery.gateway import tables as gateway_tables
from rookery.gateway.people_file import Applied, Ended, Parts, apply
from rookery.sessions import Brains
from rookery.storage import Database
from rookery.users import tables
from rookery.users.described import DescribedPerson
from rookery.users.hashing import Hasher
from tests.gateway.made import NOW
from tests.support.house import CHEAP


@dataclass
class Applying:
    """Applies people to one store, by the operator."""

    database: Database
    brains: Brains
    config: Config = field(default_factory=Config)
    now: datetime = NOW
    still: Callable[[Connection], None] = lambda _: None
    ended: list[Ended] = field(default_factory=list[Ended])

    async def __call__(
        self, people: Sequence[DescribedPerson], texts: Mapping[str, str] | None = None, *, rehearsal: bool = False
    ) -> Applied:
        parts = Parts(
            database=self.database,
            brains=self.brains,
            hasher=Hasher(CHEAP),
            now=lambda: self.now,
            config=self.config,
            actor="operator",
            still=lambda connection: self.still(connection),
            tell=self.ended.append,
        )
        last: Applied | None = None
        async for event in apply(parts, people, texts or {}, rehearsal=rehearsal):
            if isinstance(event, Applied):
                last = event
        assert last is not None, "the last event says what came of it"
        return last

    async def state(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row about people, and the audit trail."""

        def look(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
            kept = (
                tables.users,
                tables.agents,
                tables.identities,
                tables.passwords,
                tables.budgets,
                tables.described,
                gateway_tables.audit,
            )
            return {table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in kept}

        return await self.database.read(look)
