"""Somebody is erased, and the gateway is killed, or its disk says no, at every single write of it."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from rookery import users
from rookery.errors import NotFound, StorageUnavailable
from rookery.gateway.operations import leaving
from rookery.gateway.shapes import UserErase
from tests.durability.lives import Blow, Lives
from tests.durability.sweeps import directory
from tests.gateway.a_life import Life, bytes_under, furnish, live, rows
from tests.gateway.at_the_desk import AtTheDesk
from tests.isolation import canaries
from tests.support.databases import fresh_database
from tests.support.house import TestHouse
from tests.support.postgres import Postgres


@pytest.mark.parametrize(("blow", "step"), [(Blow.KILLED_AFTER, 1), (Blow.REFUSED, 2), (Blow.UNKNOWN, 3)])
async def test_erased_whatever_happens_meanwhile(blow: Blow, step: int) -> None:
    """She is whole and can write, or she is gone, with every word of hers, after the next start or call."""
    assert await _sweep(blow, step) > 8, "an erasure without writes would prove nothing"


async def test_erased_whatever_happens_meanwhile_on_postgresql() -> None:
    """The same where everything is in one served database."""
    assert await _sweep(Blow.KILLED_AFTER, 4, postgres=True) > 6, "an erasure without writes would prove nothing"


async def _sweep(blow: Blow, step: int, *, postgres: bool = False) -> int:
    for number in itertools.count(1, step):
        lives = Lives({number: blow})
        with directory(in_memory=True) as home, ExitStack() as stack:
            served = stack.enter_context(fresh_database()) if postgres else None
            await _erase_once(home, lives, served)
        if not lives.met:
            return number - 1
    raise AssertionError("an erasure ends")


async def _erase_once(home: Path, lives: Lives, postgres: Postgres | None) -> None:
    house = TestHouse(home, postgres=postgres, wrap_database=lives.wrap_database, wrap_brains=lives.wrap_brains)
    async with house:
        await furnish(house)
        alice = await live(house, "alice", 1)
        lives.count()
        erasing = asyncio.create_task(_erase(house))
        dying = asyncio.create_task(lives.death.wait())
        await asyncio.wait({erasing, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if lives.death.is_set():
            lives.bury()
            await house.kill()
            with suppress(BaseException):
                await erasing
            await house.open()
            if "alice" in [user.id for user in await house.database.read(users.list_users)]:
                await _is_whole(house, alice)
                await _erase(house)
        else:
            try:
                await erasing
            except StorageUnavailable:
                with suppress(NotFound):  # when only the news of its end was lost
                    await _erase(house)
        await _is_gone(house, alice)


async def _erase(house: TestHouse) -> None:
    await leaving.erase(AtTheDesk(house).operator, UserErase(user_id="alice"))


async def _is_whole(house: TestHouse, alice: Life) -> None:
    await house.telegram.says(alice.sender, "still here")
    await house.idle()
    assert "still here" in house.telegram.heard_by(alice.sender)[-1]


async def _is_gone(house: TestHouse, alice: Life) -> None:
    left = str(await rows(house))
    assert "alice" not in left
    assert alice.words.isdisjoint(one.lower() for one in canaries.found_in(left))
    for name, data in bytes_under(house.home):
        assert b"alice" not in data, name
        assert alice.words.isdisjoint(one.lower() for one in canaries.found_in(data)), name
