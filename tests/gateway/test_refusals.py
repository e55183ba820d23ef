"""Who is refused is on record, and however often they are, the trail does not grow without an end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import Refused, WrongLogin
from rookery.gateway.allotments import Allotment
from rookery.gateway.operations import setting_up
from rookery.gateway.refusals import ALL_PEOPLE, ALL_STRANGERS, EACH, WINDOW, Refusals
from rookery.gateway.shapes import Nothing, Setup
from tests.gateway.at_the_desk import HOME, AtTheDesk
from tests.support.house import TestHouse

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG, SHORT = timedelta(minutes=60), timedelta(minutes=20)


@dataclass
class Time:
    """A clock that is set."""

    now: datetime = START


TRIES = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-5, 40).map(lambda n: timedelta(minutes=n))))


@given(TRIES, st.integers(1, 4), st.none() | st.integers(1, 6))
def test_however_often_so_many_in_a_window_and_all_are_counted(
    tries: list[tuple[str, timedelta]], each: int, together: int | None
):
    """Of one, and of all; and with a line comes the number of those before it that had none."""
    time = Time()
    allotment = Allotment(lambda: time.now, each=each, window=LONG, together=together)
    lines: list[tuple[datetime, str]] = []
    asked, told = Counter[str](), Counter[str]()
    last: dict[str, bool] = {}
    for who, passes in tries:
        time.now += passes
        asked[who] += 1
        untold = allotment.take(who)
        last[who] = untold is not None
        if untold is not None:
            lines.append((time.now, who))
            told[who] += 1 + untold
        assert told[who] <= asked[who]
        if last[who]:
            assert told[who] == asked[who]
    if any(passes < timedelta(0) for _, passes in tries):
        return  # a clock that was set back begins a window of its own
    for since, _ in lines:
        inside = [who for at, who in lines if since <= at <= since + LONG]
        # A window begins with its first line, so that any stretch of its length meets two at most.
        assert all(count <= 2 * each for count in Counter(inside).values())
        assert together is None or len(inside) <= 2 * together


@given(st.lists(st.sampled_from("abcdef")), st.integers(1, 4))
def test_a_flood_of_others_takes_no_more_room_than_is_set(tries: list[str], remembered: int):
    """Whoever came longest ago is forgotten."""
    allotment = Allotment(lambda: START, each=1, window=LONG, remembered=remembered)
    for who in tries:
        allotment.take(who)
    assert len(allotment) == min(remembered, len(set(tries)))


def test_places_to_come_from_have_no_end_and_the_trail_has():
    """Thousands of addresses, over a day: the trail holds a few an hour; one /64 is one place."""
    time = Time()
    refusals = Refusals(lambda: time.now)
    kept = 0
    for number in range(24 * 500):
        time.now = START + number * timedelta(hours=24) / (24 * 500)
        kept += refusals.of_stranger(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") is not None
    assert ALL_STRANGERS <= kept <= 25 * ALL_STRANGERS
    refusals = Refusals(lambda: START)
    assert sum(refusals.of_stranger(f"2001:db8::{number:x}") is not None for number in range(50)) == EACH
    assert refusals.of_person("user:bob", "house") == "house", "what strangers do costs nobody of ours their rows"


def test_all_people_together():
    """A thousand of them, each with nine tries, are still no flood."""
    refusals = Refusals(lambda: START)
    kept = [refusals.of_person(f"user:{who}", "house") for _ in range(9) for who in range(900)]
    assert sum(one is not None for one in kept) == ALL_PEOPLE


@pytest.fixture
async def desk(house: TestHouse) -> AtTheDesk:
    await house.person("alice", admin=True)
    await house.person("bob")
    return AtTheDesk(house)


async def test_a_person_s_flood_is_counted(desk: AtTheDesk) -> None:
    """Bob tries a hundred times; ten rows say so, and the next one, when an hour is over, tells of the others."""
    for _ in range(100):
        with pytest.raises(Refused):
            await setting_up.make_setup_link(desk.by("bob"), Nothing())
    row = ("user:bob", None, "setup.link", "house", "denied")
    assert await desk.record() == [row] * EACH
    await desk.house.clock.passes(WINDOW.total_seconds() + 1)
    for _ in range(2):
        with pytest.raises(Refused):
            await setting_up.make_setup_link(desk.by("bob"), Nothing())
    counted = ("user:bob", None, "setup.link", f"house (+{100 - EACH})", "denied")
    assert (await desk.record())[EACH:] == [counted, row]


async def test_strangers_floods_are_counted_by_place(desk: AtTheDesk) -> None:
    """Wrong passwords and wrong set-up codes alike, under the address they came from."""
    for number in range(EACH + 4):
        if number == 8:
            await desk.house.clock.passes(SHORT.total_seconds())  # there is an end to guessing, too
        if number % 2:
            with pytest.raises(WrongLogin):
                await desk.login("alice", "a wrong one")
        else:
            ask = Setup(code="x", username="eve", password="three blue herons")
            with pytest.raises(Refused):
                await setting_up.setup(desk.operator, ask, source=HOME, device_name="browser")
    record = await desk.record()
    assert len(record) == EACH
    assert {row[3] for row in record} == {HOME}
    await desk.house.clock.passes(WINDOW.total_seconds() + 1)
    with pytest.raises(WrongLogin):
        await desk.login("alice", "a wrong one")
    assert (await desk.record())[-1] == ("anonymous", "alice", "login", f"{HOME} (+4)", "denied")
