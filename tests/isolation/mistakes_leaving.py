"""Mistakes about people who leave, made on purpose, as those in `mistakes` are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, delete, update

from rookery import users
from rookery.gateway import tables
from rookery.gateway.leaving import erasing, export, people
from rookery.gateway.leaving.people import Erasure, Who
from rookery.storage.sqlite import SqliteDatabase
from rookery.usage.ledger import ledger


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake; `apply` makes it for as long as its block lasts."""

    name: str
    apply: Callable[[], AbstractContextManager[object]]

    def __str__(self) -> str:
        return self.name


async def _nothing(*_: Any, **__: Any) -> None:
    pass


def _forgets(*names: str) -> Callable[[], AbstractContextManager[object]]:
    order = vars(erasing)["_ORDER"]
    return lambda: patch.object(erasing, "_ORDER", tuple(name for name in order if name not in names))


def _in_file(*names: str) -> AbstractContextManager[object]:
    """The archive is made of every agent there is."""
    del names
    of_person = people.of_person

    def everybody(connection: Connection, user: users.User, **more: Any) -> Who:
        who = of_person(connection, user, **more)
        owned = (agent.id for agent in users.list_agents(connection) if agent.owner is not None)
        return Who(who.user_id, tuple(sorted(owned)), who.addresses, who.names)

    return patch.object(export.people, "of_person", everybody)


def _ledger_deleted(connection: Connection, erasure: Erasure) -> None:
    connection.execute(delete(ledger).where(ledger.c.user_id == erasure.who.user_id))


def _trail_renamed(connection: Connection, erasure: Erasure, _now: object) -> int:
    """Names are taken out of the trail, and nothing vouches for it."""
    c = tables.audit.c
    gone = {"actor": "erased", "on_behalf_of": None, "object": "erased"}
    return connection.execute(
        update(tables.audit).where(c.on_behalf_of == erasure.who.user_id).values(gone)
    ).rowcount


ERASING = (
    Mistake("erase forgets the outbox", _forgets("outbox_bodies", "outbox")),
    Mistake("erase forgets the words of turns", _forgets("turn_bodies")),
    Mistake("erase forgets an address", _forgets("identities", "chat_agents", "idempotency")),
    Mistake("erase leaves the WAL", lambda: patch.object(SqliteDatabase, "scrub", _nothing)),
    Mistake("erase leaves the log", lambda: patch.object(erasing, "_clear_log", _nothing)),
    Mistake("erase leaves what was said to others", lambda: patch.object(erasing, "take_out", _nothing)),
    Mistake("ledger rows deleted", lambda: patch.object(erasing, "bury_in_ledger", _ledger_deleted)),
    Mistake("audit rows rewritten", lambda: patch.object(erasing, "redact_audit", _trail_renamed)),
)

EXPORTING = (Mistake("export holds another's file", _in_file),)
