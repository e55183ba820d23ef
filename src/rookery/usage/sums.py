"""Sums over the ledger: by who pays, agent, model, day, session or purpose, for a span of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, Connection, Text, case, func, literal_column, select, type_coerce

from rookery.ids import UserId
from rookery.usage.ledger import GUESSED, Status, ledger


class By(StrEnum):
    """What calls are summed by."""

    USER = "user"
    """Who pays."""

    AGENT = "agent"
    MODEL = "model"
    """As `provider/model`."""

    DAY = "day"
    SESSION = "session"
    PURPOSE = "purpose"


class Total(Struct, frozen=True):
    """What some calls used together.

    `cached_tokens` and `cache_write_tokens` are part of `input_tokens`. `estimated_calls` are those whose numbers
    are a guess, for their end was not seen or not counted; `unpriced_calls` those whose cost nobody knows, and
    `nano_usd` is that of the others.
    """

    calls: int = 0
    estimated_calls: int = 0
    failed_calls: int = 0
    unpriced_calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0

    def __add__(self, other: Total) -> Total:
        return Total(*(getattr(self, name) + getattr(other, name) for name in _FIELDS))


_FIELDS = Total.__struct_fields__


class Sum(Struct, frozen=True):
    """What the calls with one key used."""

    key: str
    total: Total


_l = ledger.c
_KEYS: dict[By, ColumnElement[str]] = {
    By.USER: _l.user_id,
    By.AGENT: _l.agent_id,
    By.MODEL: _l.provider + literal_column("'/'", Text) + _l.model,
    By.SESSION: _l.session_id,
    By.PURPOSE: _l.purpose,
}


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


_TOTALS = (
    func.count(),
    _count(_l.status.in_([status.value for status in GUESSED])),
    _count(_l.status == Status.FAILED.value),
    _count(_l.unpriced),
    _sum(_l.input_tokens),
    _sum(_l.cached_tokens),
    _sum(_l.cache_write_tokens),
    _sum(_l.output_tokens),
    _sum(_l.nano_usd),
)

_QUARTER = 15 * 60 * 1_000_000
"""Microseconds in a quarter of an hour, which every time zone's days begin at a multiple of."""


def summed(
    connection: Connection,
    by: By,
    zone: ZoneInfo,
    *,
    user_id: UserId | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Sum]:
    """The sums of the calls that began from `since` on and before `until`; None is no bound.

    `user_id`: only what they pay for. Days are those of `zone`, in their order; other keys come with the dearest
    first.
    """
    conditions = _conditions(user_id, since, until)
    if by is By.DAY:
        return _days(connection, zone, conditions)
    key = _KEYS[by]
    rows = connection.execute(select(key, *_TOTALS).where(*conditions).group_by(key))
    found = [Sum(row[0], _total(row[1:])) for row in rows]
    return sorted(found, key=lambda one: (-one.total.nano_usd, -one.total.calls, one.key))


def total(
    connection: Connection, user_id: UserId, since: datetime | None = None, until: datetime | None = None
) -> Total:
    """What one person pays for, together."""
    return _total(connection.execute(select(*_TOTALS).where(*_conditions(user_id, since, until))).one())


def _days(connection: Connection, zone: ZoneInfo, conditions: list[ColumnElement[bool]]) -> list[Sum]:
    # The database knows no time zones; it sums quarters of an hour, and days are made of those.
    quarter = type_coerce(_l.started_at, BigInteger) // literal_column(str(_QUARTER), BigInteger)
    found: dict[str, Total] = {}
    for row in connection.execute(select(quarter, *_TOTALS).where(*conditions).group_by(quarter)):
        moment = _EPOCH + timedelta(microseconds=int(row[0]) * _QUARTER)
        day = moment.astimezone(zone).date().isoformat()
        found[day] = found.get(day, Total()) + _total(row[1:])
    return [Sum(day, found[day]) for day in sorted(found)]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _conditions(
    user_id: UserId | None, since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if user_id is not None:
        found.append(_l.user_id == user_id)
    if since is not None:
        found.append(_l.started_at >= since)
    if until is not None:
        found.append(_l.started_at < until)
    return found


def _total(row: Iterable[Any]) -> Total:
    # PostgreSQL sums into a decimal type.
    return Total(*map(int, row))
