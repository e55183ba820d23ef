"""Which messages were seen before, kept for 30 days by (channel, account, message id)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, select

from rookery.channels.contract import Outcome
from rookery.gateway import tables
from rookery.messages import InboundMessage
from rookery.storage.statements import insert_new

KEPT = timedelta(days=30)

_mark = insert_new(tables.seen)
_c = tables.seen.c
_find = select(_c.outcome, _c.turn_id).where(
    _c.channel == bindparam("channel"),
    _c.account == bindparam("account"),
    _c.message_id == bindparam("message_id"),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a message when it was first seen."""

    outcome: Outcome
    turn_id: str | None


def find(connection: Connection, message: InboundMessage) -> Seen | None:
    """What came of this message before; None for a new one."""
    row = connection.execute(
        _find, {"channel": message.channel, "account": message.account, "message_id": message.message_id}
    ).one_or_none()
    return None if row is None else Seen(Outcome(row.outcome), row.turn_id)


def mark(
    connection: Connection, message: InboundMessage, outcome: Outcome, turn_id: str | None, now: datetime
) -> bool:
    """Keep what came of the message; False when another delivery of it came first."""
    done = connection.execute(
        _mark.on(connection),
        {
            "channel": message.channel,
            "account": message.account,
            "message_id": message.message_id,
            "outcome": outcome,
            "turn_id": turn_id,
            "seen_at": now,
        },
    )
    return done.rowcount == 1


def prune(connection: Connection, now: datetime) -> int:
    """Forget marks older than 30 days; returns how many."""
    return connection.execute(delete(tables.seen).where(_c.seen_at < now - KEPT)).rowcount


def count(connection: Connection) -> int:
    """How many marks are kept."""
    return connection.execute(select(func.count()).select_from(tables.seen)).scalar_one()
