"""Guessing is slowed by where it comes from, and nobody is kept out by it."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import Busy, StorageUnavailable, TooManyRequests
from rookery.gateway.guessing import FROM_ONE, WINDOW, Guesses, place_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Time:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


def wrong(guesses: Guesses, source: str, times: int = 1) -> None:
    for _ in range(times):
        with guesses.guess(source):
            pass


def right(guesses: Guesses, source: str) -> None:
    with guesses.guess(source) as guess:
        guess.right()


def refused(guesses: Guesses, source: str) -> float:
    """After how many seconds it may be tried again."""
    with pytest.raises(TooManyRequests) as error, guesses.guess(source):
        pass
    return error.value.retry_after


def test_ten_wrong_ones_and_no_more(time: Time) -> None:
    """From one source ten in a quarter of an hour are looked at; then it says how long to wait, and means it."""
    guesses = Guesses(time)
    wrong(guesses, "192.0.2.1", 4)
    time.passes(60)
    wrong(guesses, "192.0.2.1", 6)
    assert refused(guesses, "192.0.2.1") == 14 * 60

    time.passes(14 * 60 - 1)
    assert refused(guesses, "192.0.2.1") == 1
    time.passes(1)
    wrong(guesses, "192.0.2.1", 4)
    refused(guesses, "192.0.2.1")


def test_elsewhere_nothing_is_slowed(time: Time) -> None:
    """Whoever is right comes in from another place while somebody guesses."""
    guesses = Guesses(time)
    wrong(guesses, "192.0.2.1", FROM_ONE)
    refused(guesses, "192.0.2.1")
    right(guesses, "192.0.2.2")


def test_being_right_counts_for_nothing(time: Time) -> None:
    """People are not slowed by their own logins, and an account of one's own is no way to guess on."""
    guesses = Guesses(time)
    for _ in range(3 * FROM_ONE):
        right(guesses, "192.0.2.1")
    for _ in range(FROM_ONE):
        wrong(guesses, "192.0.2.1")
        with suppress(TooManyRequests):
            right(guesses, "192.0.2.1")
    refused(guesses, "192.0.2.1")


def test_many_at_once_are_not_more(time: Time) -> None:
    """A guess counts from when it begins: a hundred at once do not all slip in before the first is known wrong."""
    guesses = Guesses(time)
    open_ones = [guesses.guess("192.0.2.1") for _ in range(FROM_ONE)]
    for one in open_ones:
        one.__enter__()
    assert refused(guesses, "192.0.2.1") == 1
    for one in open_ones:
        one.__exit__(None, None, None)
    assert refused(guesses, "192.0.2.1") == WINDOW.total_seconds()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "password of alice", False),
    ],
)
def test_what_is_one_place(one: str, other: str, same: bool) -> None:
    """Of IPv6 everybody has a /64 at the least, so that is one place; IPv4 is the same however it is written."""
    assert (place_of(one) == place_of(other)) is same


def test_all_places_together(time: Time) -> None:
    """A thousand places that guess a little each are slowed together; where somebody came in lately still may."""
    guesses = Guesses(time, from_all=20)
    right(guesses, "192.0.2.250")
    for number in range(20):
        wrong(guesses, f"198.51.100.{number}")
    assert refused(guesses, "203.0.113.1") == WINDOW.total_seconds()
    right(guesses, "192.0.2.250")
    wrong(guesses, "192.0.2.250", FROM_ONE)
    refused(guesses, "192.0.2.250")

    time.passes(WINDOW.total_seconds())
    wrong(guesses, "203.0.113.1")


def test_known_places_are_forgotten_in_the_end(time: Time) -> None:
    """Only so many are remembered, and only so long."""
    guesses = Guesses(time, from_all=1, known=2)
    for place in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        right(guesses, place)
    wrong(guesses, "192.0.2.9")
    refused(guesses, "192.0.2.1")
    right(guesses, "192.0.2.2")

    time.passes(timedelta(days=31).total_seconds())
    wrong(guesses, "192.0.2.9")
    refused(guesses, "192.0.2.3")


@pytest.mark.parametrize("error", [Busy(retry_after=3), StorageUnavailable()])
def test_what_was_not_looked_at_does_not_count(time: Time, error: Exception) -> None:
    """Who is sent away because everybody is has not guessed."""
    guesses = Guesses(time)
    for _ in range(3 * FROM_ONE):
        with pytest.raises(type(error)), guesses.guess("192.0.2.1"):
            raise error
    wrong(guesses, "192.0.2.1", FROM_ONE)


def test_who_hangs_up_has_guessed(time: Time) -> None:
    """Whatever else ends a guess: it counts."""
    guesses = Guesses(time)
    for _ in range(FROM_ONE):
        with pytest.raises(KeyError), guesses.guess("192.0.2.1"):
            raise KeyError
    refused(guesses, "192.0.2.1")


def test_a_clock_that_is_set_back(time: Time) -> None:
    """Nobody waits longer for it, and nobody gets more guesses."""
    guesses = Guesses(time)
    wrong(guesses, "192.0.2.1", FROM_ONE)
    time.passes(-86_400)
    assert refused(guesses, "192.0.2.1") == WINDOW.total_seconds()
    time.passes(WINDOW.total_seconds())
    wrong(guesses, "192.0.2.1")


_STEP = st.tuples(
    st.sampled_from(["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.2", "2001:db8::1", "2001:db8::2"]),
    st.sampled_from(["wrong", "right", "busy"]),
    st.sampled_from([0, 0, 0, 1, 60, 200, 899, 900, -3600]),
)


@given(st.lists(_STEP, max_size=80))
def test_whatever_is_tried(steps: list[tuple[str, str, int]]) -> None:
    """In no quarter of an hour are more than ten wrong ones looked at from one place, nor thirty from all unknown
    ones; nobody is refused without cause, nor told to wait for longer than that."""
    time = Time()
    guesses = Guesses(time, from_all=30)
    passed = 0.0
    looked_at: dict[str, list[float]] = defaultdict(list)
    unknown: list[float] = []
    known: set[str] = set()
    for source, how, seconds in steps:
        time.passes(seconds)
        passed += max(0, seconds)
        place = place_of(source)
        try:
            with guesses.guess(source) as guess:
                if how == "busy":
                    raise Busy(retry_after=1)
                if how == "right":
                    guess.right()
                    known.add(place)
        except Busy:
            continue
        except TooManyRequests as error:
            recent = [moment for moment in looked_at[place] if moment > passed - 900]
            everybody = [moment for moments in looked_at.values() for moment in moments if moment > passed - 900]
            if len(recent) < FROM_ONE:
                assert len(everybody) >= 30
                assert place not in known
            assert 0 < error.retry_after <= 900  # noqa: PT017
            continue
        if how == "wrong":
            looked_at[place].append(passed)
            if place not in known:
                unknown.append(passed)
            assert sum(moment > passed - 900 for moment in looked_at[place]) <= FROM_ONE
            assert sum(moment > passed - 900 for moment in unknown) <= 30
