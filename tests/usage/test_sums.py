"""Sums over the ledger, on both databases: by every key, in every time zone, of one person or of all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from random import Random
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from rookery.gateway import schema
from rookery.ids import UserId
from rookery.storage import Database
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.sqlite import SqliteDatabase
from rookery.usage import By, LedgerRow, Purpose, Status, Total, ledger, sums
from tests.support.postgres import shared_server
from tests.usage.made import row_of

ALICE = UserId("alice")
MADRID = ZoneInfo("Europe/Madrid")
UTC_ZONE = ZoneInfo("UTC")
CHATHAM = ZoneInfo("Pacific/Chatham")


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncGenerator[Database]:
    """Each database, with our schema."""
    with ExitStack() as stack:
        opened: Database = SqliteDatabase(None)
        if request.param == "postgresql":
            await opened.close()
            fresh = shared_server().fresh()
            stack.callback(shared_server().drop, fresh)
            opened = PostgresDatabase(fresh.owner_url, connections=2)
        await opened.write(schema.prepare)
        yield opened
        await opened.close()


def _made(count: int) -> list[LedgerRow]:
    """Calls of three people over four days around a change of the clocks."""
    chance = Random(4)
    rows: list[LedgerRow] = []
    for number in range(count):
        begun = datetime(2026, 3, 27, tzinfo=UTC) + timedelta(seconds=chance.randrange(4 * 86_400))
        unpriced = chance.random() < 0.2
        rows.append(
            row_of(
                f"t{number}",
                person=chance.choice(("alice", "bob", "carol")),
                provider=chance.choice(("house", "other")),
                model=chance.choice(("small", "large")),
                purpose=chance.choice(list(Purpose)),
                status=chance.choice(list(Status)),
                input_tokens=chance.randrange(10**9),
                cached_tokens=chance.randrange(10**6),
                cache_write_tokens=chance.randrange(10**6),
                output_tokens=chance.randrange(10**9),
                nano_usd=0 if unpriced else chance.randrange(10**15),
                unpriced=unpriced,
                started_at=begun,
            )
        )
    return rows


def _counted(row: LedgerRow) -> Total:
    """One row, as it is to be counted."""
    return Total(
        1,
        int(row.status in (Status.PROJECTED, Status.ESTIMATED)),
        int(row.status is Status.FAILED),
        int(row.unpriced),
        row.input_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.output_tokens,
        row.nano_usd,
    )


KEYS: dict[By, Callable[[LedgerRow, ZoneInfo], str]] = {
    By.USER: lambda row, _: row.user_id,
    By.AGENT: lambda row, _: row.agent_id,
    By.MODEL: lambda row, _: f"{row.provider}/{row.model}",
    By.DAY: lambda row, zone: f"{row.started_at.astimezone(zone):%Y-%m-%d}",
    By.SESSION: lambda row, _: row.session_id,
    By.PURPOSE: lambda row, _: row.purpose.value,
}


async def test_every_sum_is_that_of_its_rows(database: Database) -> None:
    """By each key, of one person and of all, in a span and without one: to the token and the nano-dollar."""
    rows = _made(150)
    await database.write(lambda connection: ledger.put(connection, rows))
    spans = ((None, None), (datetime(2026, 3, 28, 7, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)))
    for by, zone, user_id, (since, until) in product(By, (UTC_ZONE, MADRID, CHATHAM), (None, ALICE), spans):
        wanted: dict[str, Total] = {}
        for row in rows:
            early, late = (
                since is not None and row.started_at < since,
                until is not None and until <= row.started_at,
            )
            if user_id in (None, row.user_id) and not early and not late:
                key = KEYS[by](row, zone)
                wanted[key] = wanted.get(key, Total()) + _counted(row)
        found = await database.read(
            partial(sums.summed, by=by, zone=zone, user_id=user_id, since=since, until=until)
        )
        assert {one.key: one.total for one in found} == wanted
        assert len(found) == len(wanted)


async def test_days_come_in_order_and_the_dearest_first_otherwise(database: Database) -> None:
    """A list of days reads as a calendar; any other tells first where the money went."""
    rows = _made(60)
    await database.write(lambda connection: ledger.put(connection, rows))
    days = await database.read(lambda connection: sums.summed(connection, By.DAY, MADRID))
    people = await database.read(lambda connection: sums.summed(connection, By.USER, MADRID))
    assert [one.key for one in days] == sorted(one.key for one in days)
    assert [one.total.nano_usd for one in people] == sorted((one.total.nano_usd for one in people), reverse=True)
    alone = await database.read(lambda connection: sums.total(connection, UserId("bob")))
    assert alone == next(one.total for one in people if one.key == "bob")
    assert await database.read(lambda connection: sums.total(connection, UserId("nobody"))) == Total()


async def test_a_row_is_written_once_and_then_says_more(database: Database) -> None:
    """Writing it again changes how it ended, and neither what it was for nor what was projected."""
    row = row_of("t1")
    ended = replace(
        row, status=Status.SETTLED, input_tokens=5, nano_usd=9, projected_input=1, user_id=UserId("bob")
    )
    for _ in range(2):
        await database.write(lambda connection: ledger.put(connection, [row, ended]))
    [found] = await database.read(lambda connection: ledger.of_turn(connection, row.turn_id))
    assert found == replace(row, status=Status.SETTLED, input_tokens=5, nano_usd=9)
