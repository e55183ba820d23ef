"""What cools of keys, kept over a restart: a gateway that comes back does not begin with a spent key again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select

from rookery.errors import ModelErrorKind, StorageUnavailable
from rookery.gateway import tables
from rookery.gateway.log import Logger
from rookery.models.cooldown import Cooldowns, Cooling, KeyCooling, KeyName, Scope
from rookery.storage import Database

KEPT = timedelta(hours=1)
"""How long after its end a cooldown is kept: as long as it makes the next one longer."""


class KeyStates:
    """Writes what changes at keys, and reads it again after a start. No secret is ever in it.

    Writes are relaxed: a power cut may undo the last ones, which costs one more call that fails.
    """

    def __init__(self, database: Database, cooldowns: Cooldowns, now: Callable[[], datetime], log: Logger) -> None:
        self._database = database
        self._cooldowns = cooldowns
        self._now = now
        self._log = log
        self._unkept: dict[KeyName, KeyCooling | None] = {}
        self._writing: asyncio.Task[None] | None = None
        self._loaded = False
        cooldowns.keep = self._changed

    async def load(self) -> None:
        """Take up what was kept, once. Raises `StorageUnavailable`."""
        if self._loaded:
            return
        since = self._now() - KEPT
        self._cooldowns.restore(await self._database.read(lambda connection: _read(connection, since)))
        self._loaded = True

    async def close(self) -> None:
        """Write what is not written yet, as far as the storage lets us."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await self._write()

    def _changed(self, key: KeyName, kept: KeyCooling | None) -> None:
        self._unkept[key] = kept
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_and_rest(), name="maintenance of key states")

    async def _write_and_rest(self) -> None:
        try:
            await self._write()
        finally:
            self._writing = None  # in the same step in which nothing was left to write

    async def _write(self) -> None:
        while self._unkept:
            changed, self._unkept = self._unkept, {}
            try:
                await self._database.write(lambda connection, c=changed: _keep(connection, c), relaxed=True)
            except StorageUnavailable as error:
                self._unkept = changed | self._unkept  # with the next change they are tried again
                self._log.warning("key.state_not_kept", error=error.detail)
                return


def prune(connection: Connection, now: datetime) -> None:
    """Forget what no longer says anything of a key."""
    connection.execute(delete(tables.key_states).where(_k.until < now - KEPT))


_k = tables.key_states.c
_REASONS = frozenset(kind.value for kind in ModelErrorKind)
"""What this version knows; another one may have written more."""


def _read(connection: Connection, since: datetime) -> list[KeyCooling]:
    rows = connection.execute(select(tables.key_states).where(_k.until >= since))
    return [
        KeyCooling(
            Cooling(
                provider=row.provider,
                scope=Scope.KEY,
                name=row.name,
                kind=ModelErrorKind(row.reason),
                since=row.since,
                until=row.until,
                hinted=row.hinted,
                times=row.times,
                owner=row.agent_id,
            ),
            row.mark,
        )
        for row in rows
        if row.reason in _REASONS
    ]


def _keep(connection: Connection, changed: dict[KeyName, KeyCooling | None]) -> None:
    connection.execute(delete(tables.key_states).where(or_(*(_is(key) for key in changed))))
    rows = [
        {
            "agent_id": owner,
            "provider": provider,
            "name": name,
            "reason": kept.cooling.kind.value,
            "times": kept.cooling.times,
            "since": kept.cooling.since,
            "until": kept.cooling.until,
            "hinted": kept.cooling.hinted,
            "mark": kept.mark,
        }
        for (owner, provider, name), kept in changed.items()
        if kept is not None
    ]
    if rows:
        connection.execute(insert(tables.key_states), rows)


def _is(key: KeyName) -> ColumnElement[bool]:
    owner, provider, name = key
    return and_(_k.agent_id == owner, _k.provider == provider, _k.name == name)
