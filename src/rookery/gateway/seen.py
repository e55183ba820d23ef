"""Which messages were seen before, kept for 30 days by (channel, account, message id)."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, func, select, update

from rookery.channels.contract import Outcome
from rookery.gateway import tables
from rookery.ids import TurnId
from rookery.messages import InboundMessage
from rookery.storage.prepared import Prepared
from rookery.storage.statements import insert_new

KEPT = timedelta(days=30)

_claim = Prepared(insert_new(tables.seen), "channel", "account", "message_id", "outcome", "turn_id", "seen_at")
_c = tables.seen.c
_this = (
    _c.channel == bindparam("in_channel"),
    _c.account == bindparam("in_account"),
    _c.message_id == bindparam("in_message_id"),
)
_find = select(_c.outcome, _c.turn_id).where(*_this)
_settle = update(tables.seen).where(*_this).values(outcome=bindparam("outcome"), turn_id=None)


class Seen(Struct, frozen=True):
    """What came of a message when it was first seen; `turn_id` when it was accepted."""

    outcome: Outcome
    turn_id: str | None


def claim(connection: Connection, message: InboundMessage, turn_id: TurnId, now: datetime) -> Seen | None:
    """Mark a new message as accepted under `turn_id` and return None; or say what came of it before."""
    new = _claim.run(
        connection,
        {
            "channel": message.channel,
            "account": message.account,
            "message_id": message.message_id,
            "outcome": Outcome.ACCEPTED.value,
            "turn_id": turn_id,
            "seen_at": now,
        },
    )
    if new == 1:
        return None
    row = connection.execute(_find, _key(message)).one()
    return Seen(Outcome(row.outcome), row.turn_id)


def settle(connection: Connection, message: InboundMessage, outcome: Outcome) -> None:
    """Change the mark of a message that `claim` took as new: it came to nothing else than `outcome`."""
    connection.execute(_settle, {**_key(message), "outcome": outcome.value})


def prune(connection: Connection, now: datetime) -> int:
    """Forget marks older than 30 days; returns how many."""
    return connection.execute(delete(tables.seen).where(_c.seen_at < now - KEPT)).rowcount


def count(connection: Connection) -> int:
    """How many marks are kept."""
    return connection.execute(select(func.count()).select_from(tables.seen)).scalar_one()


def _key(message: InboundMessage) -> dict[str, str]:
    return {
        "in_channel": message.channel,
        "in_account": message.account,
        "in_message_id": message.message_id,
    }
