"""What is asked for twice under one key is done once, whatever breaks in between."""

from __future__ import annotations

import asyncio
import pkgutil
import re
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from rookery.errors import IdempotencyKeyReused, StorageUnavailable
from rookery.gateway import idempotency, schema, shapes, tables
from rookery.gateway.idempotency import KEPT, Once, Repeated
from rookery.gateway.shapes import UserAdd
from rookery.ids import UserId
from rookery.storage import Database
from rookery.storage.sqlite import SqliteDatabase
from tests.gateway.made import NOW

ALICE = UserId("alice")
NO_SECRETS = {"Device.current", "Me.mustChangePassword", "UsageRow.key"}
"""Fields that only sound like secrets."""

ONCE = Once.of(ALICE, "POST /api/tokens", "k", b"one")
HOUR = timedelta(hours=1)


async def test_a_key_is_claimed_once(database: Database):
    """The first claim is new; every further one is told what the first one made."""
    assert await database.write(lambda c: idempotency.claim(c, ONCE, "made", NOW)) is None
    for later in (NOW, NOW + KEPT, NOW - HOUR):
        assert await database.write(lambda c, later=later: idempotency.claim(c, ONCE, "x", later)) == "made"


async def test_a_key_is_ones_own_and_of_one_route(database: Database):
    """Somebody else, or another route, has the same key for something else."""
    await database.write(lambda c: idempotency.claim(c, ONCE, "made", NOW))
    for other in (
        replace(ONCE, user_id=UserId("bob")),
        replace(ONCE, route="POST /api/agents"),
        replace(ONCE, key="K"),
    ):
        assert await database.write(lambda c, other=other: idempotency.claim(c, other, "theirs", NOW)) is None


async def test_another_request_under_the_key_is_refused(database: Database):
    """Within 24 hours; after that the key is free."""
    await database.write(lambda c: idempotency.claim(c, ONCE, "made", NOW))
    other = Once.of(ALICE, ONCE.route, ONCE.key, b"two")
    with pytest.raises(IdempotencyKeyReused):
        await database.write(lambda c: idempotency.claim(c, other, "x", NOW + KEPT))
    later = NOW + KEPT + timedelta(microseconds=1)
    assert await database.write(lambda c: idempotency.claim(c, other, "again", later)) is None
    assert await database.write(lambda c: idempotency.claim(c, other, "x", later)) == "again"


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_secret_is_no_part_of_what_is_kept(password: str, another: str):
    """Nobody finds a password out by hashing guesses: it is left out, and all that is no secret is not."""
    first, second = (UserAdd(id="dana", password=one) for one in (password, another))
    claims = {Once.asking(ALICE, "POST /api/users", "k", ask).request_hash for ask in (first, second)}
    assert len(claims) == 1
    other = Once.asking(ALICE, "POST /api/users", "k", UserAdd(id="dan", password=password))
    assert other.request_hash not in claims


def test_whatever_is_secret_is_declared_so():
    """By the names such things have: what is added later under one of them has to be declared too."""
    modules = [import_module(f"{shapes.__name__}.{one.name}") for one in pkgutil.iter_modules(shapes.__path__)]
    named = [
        one
        for module in modules
        for one in vars(module).values()
        # What is of another module only travels inside of one of these, and never under such a key.
        if isinstance(one, type) and one.__module__ == module.__name__
    ]
    shown = [one for one in named if issubclass(one, msgspec.Struct)]
    undeclared = {
        f"{shape.__name__}.{name}"
        for shape in shown
        for name in shape.__struct_encode_fields__
        if re.search("password|current|secret|token$|^code$|^key$", name, re.IGNORECASE)
        and name not in idempotency.secret_fields(shape)
    }
    assert undeclared == NO_SECRETS


async def test_a_key_that_came_to_nothing_is_free(database: Database):
    """What is released can be claimed for anything."""
    await database.write(lambda c: idempotency.claim(c, ONCE, "made", NOW))
    await database.write(lambda c: idempotency.release(c, ONCE))
    other = Once.of(ALICE, ONCE.route, ONCE.key, b"two")
    assert await database.write(lambda c: idempotency.claim(c, other, "made", NOW)) is None


async def test_old_keys_are_forgotten(database: Database):
    """No key is forgotten while it counts."""
    await database.write(lambda c: idempotency.claim(c, ONCE, "made", NOW))
    assert await database.write(lambda c: idempotency.prune(c, NOW + KEPT)) == 0
    assert await database.write(lambda c: idempotency.prune(c, NOW + KEPT + 2 * HOUR)) == 1


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["before", "after", "unseen", None]),  # where it breaks, if it does
            st.sampled_from(["k1", "k2"]),
            st.sampled_from([b"one", b"two"]),
            st.sampled_from([timedelta(0), HOUR, KEPT + HOUR]),
        ),
        max_size=12,
    )
)
def test_however_it_breaks_a_request_is_done_once(
    steps: list[tuple[str | None, str, bytes, timedelta]], tmp_path_factory: pytest.TempPathFactory
):
    """A crash before the commit leaves nothing, one after it all: repeated, it is done exactly once a day."""
    asyncio.run(_lives(steps, tmp_path_factory.mktemp("life")))


async def _lives(steps: list[tuple[str | None, str, bytes, timedelta]], home: Path) -> None:
    database = SqliteDatabase(home / "gateway.db")
    await database.write(schema.prepare)
    now, done = NOW, 0
    kept: dict[str, tuple[bytes, datetime, str]] = {}  # what a key stands for, in the simplest words
    for number, (breaks, key, request, passes) in enumerate(steps):
        now += passes
        once = Once.of(ALICE, "r", key, request)
        made = f"m{number}"

        work = partial(_work, once=once, made=made, breaks=breaks, now=now)
        known = kept.get(key)
        counts = known is not None and now - known[1] <= KEPT
        try:
            await database.write(work)
        except Repeated as repeated:
            found = (request, repeated.object_id)
            assert counts
            assert known is not None
            assert found == (known[0], known[2])
        except IdempotencyKeyReused:
            assert counts
            assert known is not None
            assert known[0] != request
        except StorageUnavailable:
            assert not counts
        else:
            assert not counts
            kept[key] = (request, now, made)
            done += 1
        if breaks == "unseen":  # the process ends, and another one begins
            await database.close()
            database = SqliteDatabase(home / "gateway.db")
            await database.write(schema.prepare)
    assert await database.read(_count) == done
    await database.close()


def _work(connection: Connection, *, once: Once, made: str, breaks: str | None, now: datetime) -> str:
    before = idempotency.claim(connection, once, "", now)
    if before is not None:
        raise Repeated(before)
    if breaks == "before":
        raise StorageUnavailable
    _do(connection, made, now)
    idempotency.made(connection, once, made)
    if breaks == "after":
        raise StorageUnavailable
    return made


def _do(connection: Connection, name: str, now: datetime) -> None:
    values = {"channel": "t", "account": "t", "message_id": name, "outcome": "accepted", "seen_at": now}
    connection.execute(tables.seen.insert().values(**values))


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(tables.seen)).scalar_one()
