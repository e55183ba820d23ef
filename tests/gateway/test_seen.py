"""Which messages were seen before, and for how long that is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection

from rookery.channels.contract import Outcome
from rookery.gateway import seen
from rookery.gateway.seen import Seen
from rookery.ids import TurnId
from rookery.storage import Database
from tests.gateway.made import NOW, message
from tests.support.house import TestHouse


def claim(id: str, turn_id: str = "t1", **where: str) -> Callable[[Connection], Seen | None]:
    return partial(seen.claim, message=message(id, **where), turn_id=TurnId(turn_id), now=NOW)


async def test_a_message_is_new_once(database: Database) -> None:
    """The first claim stands; a second delivery learns what came of the first."""
    assert await database.write(claim("7", "t1")) is None
    assert await database.write(claim("7", "t2")) == Seen(Outcome.ACCEPTED, "t1")
    assert await database.read(seen.count) == 1


async def test_what_a_message_came_to_is_known_the_next_time(database: Database) -> None:
    """Refused or ignored, it has no turn."""
    await database.write(claim("7"))
    await database.write(claim("8", "t2"))
    await database.write(lambda c: seen.settle(c, message("7"), Outcome.REFUSED))
    assert await database.write(claim("7")) == Seen(Outcome.REFUSED, None)
    assert await database.write(claim("8")) == Seen(Outcome.ACCEPTED, "t2")


async def test_the_same_id_elsewhere_is_another_message(database: Database) -> None:
    """Ids are unique within one account of one channel, byte for byte."""
    await database.write(claim("A7"))
    for other in (claim("A7", account="second"), claim("A7", channel="email"), claim("a7"), claim("A7 ")):
        assert await database.write(other) is None


async def test_marks_are_kept_for_thirty_days(database: Database) -> None:
    """To the moment; what is younger stays."""
    month = timedelta(days=30)
    for id, at in (("old", NOW - month - timedelta(microseconds=1)), ("young", NOW - month)):
        await database.write(partial(seen.claim, message=message(id), turn_id=TurnId(id), now=at))
    assert await database.write(lambda c: seen.prune(c, NOW)) == 1
    assert await database.write(claim("young", "t2")) == Seen(Outcome.ACCEPTED, "young")
    assert await database.write(claim("old", "t2")) is None


@pytest.mark.parametrize("hours", [24, 7 * 24])
async def test_a_message_offered_again_days_later_is_a_duplicate(house: TestHouse, hours: int) -> None:
    """With maintenance running in between, every six hours."""
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "hello")
    await house.idle()
    for _ in range(0, hours, 6):
        await house.clock.passes(6 * 3600)
        await house.database.read(seen.count)
    assert (await house.telegram.offers(house.telegram.said[0])).outcome is Outcome.DUPLICATE
    await house.idle()
    assert len(house.telegram.heard_by("1")) == 1
