"""What was used, and what it cost, by whoever may know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from rookery import users
from rookery.errors import InvalidInput
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.permission import check_timezone, on_house, on_person, someone
from rookery.gateway.shapes import UsageAsk, UsageRow, usd
from rookery.ids import UserId
from rookery.policy import Action, Member
from rookery.usage import By, Sum, sums


async def summed(desk: Desk, ask: UsageAsk) -> list[UsageRow]:
    """The sums by one key: days in their order, the other keys with the dearest first.

    Of one person it is what they pay for, whoever caused it; without one everybody's. Raises `Refused`, `NotFound`
    for somebody who is not theirs to see, and `InvalidInput` for no time, for one that ends before it begins,
    or no time zone.
    """
    if ask.user_id is None:
        await on_house(desk, Action.READ_ALL_USAGE)
    else:
        await on_person(desk, Action.READ_USAGE, ask.user_id)
    await check_timezone(ask.timezone)
    zone = await _zone(desk, ask.timezone)
    since, until = _bound(ask.since, zone, _beginning), _bound(ask.until, zone, _end)
    if since is not None and until is not None and since >= until:
        raise InvalidInput(f"There is no time between: it ends ({ask.until}) before it begins ({ask.since}).")

    def look(connection: Connection) -> list[Sum]:
        whose = None if ask.user_id is None else someone(connection, desk, ask.user_id).id
        return sums.summed(connection, By(ask.by), zone, user_id=whose, since=since, until=until)

    return [_shown(one) for one in await desk.house.database.read(look)]


async def _zone(desk: Desk, named: str | None) -> ZoneInfo:
    """Whose days are meant."""
    if named is None and isinstance(desk.actor, Member):
        named = await desk.house.database.read(lambda connection: _timezone(connection, desk.person))
    return await asyncio.to_thread(ZoneInfo, named or "UTC")  # which reads a file


def _timezone(connection: Connection, user_id: UserId) -> str:
    return users.get_user(connection, user_id).timezone


def _bound(text: str | None, zone: ZoneInfo, of_day: Callable[[date, ZoneInfo], datetime]) -> datetime | None:
    if text is None:
        return None
    try:
        if _looks_like_a_day(text):
            return of_day(date.fromisoformat(text), zone)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(
            f"{text[:80]!r} is no time; write a day such as 2026-03-01, or a moment with its zone such as "
            "2026-03-01T18:30:00Z."
        )
    return moment


def _looks_like_a_day(text: str) -> bool:
    return len(text) == len("2026-03-01") and "T" not in text


def _beginning(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _end(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone)


def _shown(one: Sum) -> UsageRow:
    total = one.total
    cost = total.nano_usd if total.unpriced_calls < total.calls else None
    return UsageRow(
        key=one.key,
        calls=total.calls,
        input_tokens=total.input_tokens,
        cached_tokens=total.cached_tokens,
        output_tokens=total.output_tokens,
        cost_usd=usd(cost),
        cost_nano_usd=cost,
        cache_write_tokens=total.cache_write_tokens,
        estimated_calls=total.estimated_calls,
        failed_calls=total.failed_calls,
        unpriced_calls=total.unpriced_calls,
    )
