"""The ledger: a row for each call of a provider, written before it is made and settled after it ended.

It holds ids, tokens and money, and nothing that anybody said; so it stays when a session is purged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    bindparam,
    select,
    update,
)

from rookery.ids import AgentId, EntryId, SessionId, TurnId, UserId
from rookery.storage import Instant, metadata
from rookery.storage.prepared import Prepared
from rookery.storage.statements import upsert
from rookery.usage.calls import Purpose

ledger = Table(
    "ledger",
    metadata,
    Column("call_id", Text, primary_key=True),
    # Ids as they were then, and no keys into other tables: what was spent stays true when somebody is gone.
    Column("user_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("turn_id", Text, nullable=False, index=True),
    Column("entry_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("key_name", Text, nullable=True),
    Column("status", Text, nullable=False),
    Column("error", Text, nullable=True),
    Column("projected_input", BigInteger, nullable=False),
    Column("projected_output", BigInteger, nullable=False),
    Column("projected_nano_usd", BigInteger, nullable=False),
    # What it used; until its end is known, what is projected.
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("nano_usd", BigInteger, nullable=False),
    Column("unpriced", Boolean, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
    Column("waited_ms", Integer, nullable=False),
    Column("first_token_ms", Integer, nullable=True),
    Column("ms", Integer, nullable=True),
)
Index("ix_ledger_user_id_started_at", ledger.c.user_id, ledger.c.started_at)


class Status(StrEnum):
    """How far what a row says can be relied on."""

    PROJECTED = "projected"
    """The call was about to be made; its end is not known yet."""

    SETTLED = "settled"
    """It ended, and the provider said what it used."""

    ESTIMATED = "estimated"
    """What it used is a guess: the provider did not count it, or nobody heard the end."""

    FAILED = "failed"
    """It failed before anything was heard, and used what the provider said, which is mostly nothing."""


GUESSED = frozenset({Status.PROJECTED, Status.ESTIMATED})
"""Rows whose numbers nobody counted."""


class Bill(Struct, frozen=True):
    """Whose bill calls go on, and what they are made for.

    `user_id` pays: the agent's owner or sponsor. `principal` caused them.
    """

    user_id: UserId
    principal: str
    agent_id: AgentId
    session_id: SessionId
    turn_id: TurnId


class LedgerRow(Struct, frozen=True):
    """One row; its fields are the columns. `nano_usd` is that of what is priced; 0 where `unpriced`."""

    call_id: str
    user_id: UserId
    principal: str
    agent_id: AgentId
    session_id: SessionId
    turn_id: TurnId
    entry_id: EntryId
    purpose: Purpose
    provider: str
    model: str
    key_name: str | None
    status: Status
    error: str | None
    projected_input: int
    projected_output: int
    projected_nano_usd: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    nano_usd: int
    unpriced: bool
    price_version: str
    started_at: datetime
    ended_at: datetime | None
    waited_ms: int
    first_token_ms: int | None
    ms: int | None


_l = ledger.c
_COLUMNS = tuple(column.name for column in _l)
_CHANGED = (
    *("status", "error", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens"),
    *("nano_usd", "unpriced", "price_version", "ended_at", "first_token_ms", "ms"),
)
_put = Prepared(upsert(ledger, ["call_id"], _CHANGED), *_COLUMNS)
_end = Prepared(
    update(ledger).where(_l.call_id == bindparam("of")).values({name: bindparam(name) for name in _CHANGED})
)
_open = Prepared(
    select(_l.call_id).where(_l.turn_id == bindparam("turn"), _l.status == bindparam("status")).limit(1)
)
_of_turn = Prepared(select(ledger).where(_l.turn_id == bindparam("turn")).order_by(_l.started_at, _l.call_id))


def put(connection: Connection, rows: Iterable[LedgerRow]) -> None:
    """Write rows, or what is known by now of those that are there. Doing it again changes nothing."""
    for row in rows:
        if row.status is not Status.PROJECTED:
            values = {name: getattr(row, name) for name in _CHANGED}
            if _end.run(connection, values | {"of": row.call_id}):
                continue
        # One whose beginning was undone by a disk that failed is there no more, and is written whole.
        _put.run(connection, asdict(row))


def has_open(connection: Connection, turn_id: TurnId) -> bool:
    """Whether a turn has a call whose end is not kept yet."""
    return _open.first(connection, {"turn": turn_id, "status": Status.PROJECTED.value}) is not None


def of_turn(connection: Connection, turn_id: TurnId) -> Sequence[LedgerRow]:
    """The calls of one turn, in the order in which they were made."""
    return [_from_row(row) for row in _of_turn.all(connection, {"turn": turn_id})]


def _from_row(row: Any) -> LedgerRow:
    values: dict[str, Any] = {name: getattr(row, name) for name in _COLUMNS}
    values |= {"purpose": Purpose(row.purpose), "status": Status(row.status)}
    return LedgerRow(**values)
