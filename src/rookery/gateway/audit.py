"""Who did what on whose behalf: one row for what a person should be able to find out. Never any content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from rookery.gateway import tables
from rookery.ids import UserId


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
    """Add a row."""
    connection.execute(
        insert(tables.audit).values(
            at=row.at,
            actor=row.actor,
            on_behalf_of=row.on_behalf_of,
            action=row.action,
            object=row.object,
            decision=row.decision,
        )
    )


def on_behalf_of(connection: Connection, user_id: UserId, limit: int) -> list[AuditRow]:
    """The newest rows that concern a user."""
    columns = tables.audit.c
    query = select(tables.audit).where(columns.on_behalf_of == user_id).order_by(columns.seq.desc()).limit(limit)
    return [
        AuditRow(row.at, row.actor, UserId(row.on_behalf_of), row.action, row.object, row.decision)
        for row in connection.execute(query)
    ]
