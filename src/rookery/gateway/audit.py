"""Who did what on whose behalf: one row for what a person should be able to find out. Never any content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, select, text

from rookery.gateway import tables
from rookery.ids import UserId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOCK = 0x726F6F6B_61756474  # any number that nothing else locks


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One thing done; `on_behalf_of` is the user it concerns, who may see the row."""

    at: datetime
    actor: str
    on_behalf_of: UserId | None
    action: str
    object: str
    decision: str


def keep(connection: Connection, row: AuditRow) -> None:
    """Add a row, chained to the one before it."""
    if connection.dialect.name == "postgresql":
        # Whoever adds at the same time waits: a row's hash covers the one before it.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(
        insert(tables.audit).values(
            at=row.at,
            actor=row.actor,
            on_behalf_of=row.on_behalf_of,
            action=row.action,
            object=row.object,
            decision=row.decision,
            hash=chained(head(connection), row),
        )
    )


def head(connection: Connection) -> str:
    """The hash of the newest row; empty while there is none."""
    columns = tables.audit.c
    return connection.execute(select(columns.hash).order_by(columns.seq.desc()).limit(1)).scalar() or ""


def chained(before: str, row: AuditRow) -> str:
    """The hash of a row that follows the one with the hash `before`, as 64 hexadecimal digits."""
    microseconds = (row.at - _EPOCH) // _MICROSECOND
    fields = [before, microseconds, row.actor, row.on_behalf_of, row.action, row.object, row.decision]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def on_behalf_of(connection: Connection, user_id: UserId, limit: int) -> list[AuditRow]:
    """The newest rows that concern a user."""
    columns = tables.audit.c
    query = select(tables.audit).where(columns.on_behalf_of == user_id).order_by(columns.seq.desc()).limit(limit)
    return [
        AuditRow(row.at, row.actor, UserId(row.on_behalf_of), row.action, row.object, row.decision)
        for row in connection.execute(query)
    ]
