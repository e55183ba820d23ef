"""Who may call a model now: never too many, nobody idle beside a slot, and model time shared out fairly."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.gateway import fair_order
from rookery.gateway.capacity import Limits, ModelCapacity
from rookery.gateway.fair_order import Charge, FairOrder, Share, Way
from rookery.gateway.positions import in_words, once_done
from rookery.usage import Purpose
from tests.gateway.desk import WAY, Call, Desk

Check = Callable[[Random], Awaitable[None]]

SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0, 11.0)
LONGEST = max(SECONDS)
ONE = Limits(total=1, per_person=None)


# --- what always holds --------------------------------------------------------------------------------------


async def comings_and_goings(random: Random) -> None:
    """Anybody comes, ends, is cancelled, and limits change, in any order."""
    desk = Desk(_some_limits(random))
    lowered = False
    for _ in range(random.randint(1, 30)):
        what = random.choice(("come", "come", "come", "time", "time", "end", "cancel", "both", "limits"))
        if what == "come":
            ways: list[Way] = [("a", "x"), ("a", "y"), ("b", "x"), ("b", None)]
            person, way = random.choice(("alice", "bob", "carol")), random.choice(ways)
            desk.come(person, random.choice(SECONDS), way, background=random.random() < 0.25)
        elif what == "time":
            await desk.until(desk.now + random.choice(SECONDS))
        elif what == "limits":
            desk.configure(_some_limits(random))
            lowered = True
        if what in ("end", "both") and desk.running:
            random.choice(desk.running).end.set()
        if what in ("cancel", "both") and desk.waiting:
            # With an end shortly before: the slot that comes free must not be lost with who left.
            for _ in range(random.randint(0, 3)):
                await asyncio.sleep(0)
            if desk.waiting:
                cancel(random.choice(desk.waiting))
        await desk.settle(raced=what == "both")
        if lowered:
            lowered = desk.over_a_limit() is not None  # who ran before may go on
        else:
            assert (wrong := desk.over_a_limit()) is None, wrong
    await desk.close()


def _some_limits(random: Random) -> Limits:
    return Limits(
        total=random.randint(1, 5),
        per_person=random.choice((None, 1, 2, 3)),
        per_key=random.choice((None, 1, 2)),
        background=random.randint(1, 3),
        per_provider={"a": random.randint(1, 3)} if random.random() < 0.5 else {},
    )


def cancel(call: Call) -> None:
    """Whoever waits with this call goes."""
    assert call.task is not None
    call.cancelled = True
    call.task.cancel()


# --- fair shares --------------------------------------------------------------------------------------------


async def two_who_always_wait(random: Random) -> None:
    """Over any interval two people who always have something waiting get the same model time, but for so much.

    With one slot the difference is at most two longest calls. With more, a person is at most what their running
    calls still take, and what they are expected to take, ahead of another, at either end of the interval.
    """
    total = random.randint(1, 4)
    desk = Desk(Limits(total=total, per_person=None))
    others = random.randint(0, 2)
    for person in ("carol", "dave")[:others]:
        desk.flood(person, random.randint(0, 20), random.choice(SECONDS))
    await desk.until(random.choice((0.0, 3.0, 40.0)))
    kinds = {person: random.choices(SECONDS, k=random.randint(1, 3)) for person in ("alice", "bob")}
    held: list[dict[str, float]] = []
    came: dict[str, bool] = {}
    late = random.randint(0, 30)
    for step in range(90):
        for person in ("alice", "bob"):
            if person == "alice" or step >= late:
                while sum(one.person == person for one in desk.waiting) < 5:
                    desk.come(person, random.choice(kinds[person]))
                came[person] = True
        await desk.settle()
        if len(came) == 2:
            held.append({person: _held(desk, person) for person in came})
        await desk.next_end()
    most = 2 * LONGEST if total == 1 else 4 * total * LONGEST
    for first in range(len(held)):
        for last in range(first, len(held)):
            alice, bob = (held[last][person] - held[first][person] for person in ("alice", "bob"))
            assert abs(alice - bob) <= most + 1e-6, f"alice had {alice} s, bob {bob} s; they may be {most} apart"
    await desk.close()


def _held(desk: Desk, person: str) -> float:
    """Seconds of model time a person has had."""
    total = 0.0
    for call in desk.begun:
        if call.person == person:
            assert call.began is not None
            total += desk.now - call.began if call.running else call.seconds
    return total


async def a_newcomer(random: Random) -> None:
    """Whoever owes nothing is next as soon as a slot comes free, whatever others have queued."""
    total = random.randint(1, 4)
    desk = Desk(Limits(total=total, per_person=None))
    for person in ("alice", "carol")[: random.randint(1, 2)]:
        for _ in range(20 + 80 // total):
            desk.come(person, random.choice(SECONDS))
    await desk.until(random.choice((0.0, 0.5, 7.0, 30.0)))
    served = {one.person for one in desk.begun}
    come = desk.come("bob")
    await desk.settle()
    before = len(desk.begun)
    while not come.running:
        await desk.next_end()
        assert served.isdisjoint(one.person for one in desk.begun[before:]), "a queue went before who came new"
        assert len(desk.begun) <= before + 2, "other new ones may go before, each once"
    for call in desk.waiting:
        cancel(call)
    await desk.close()


async def a_shared_key(random: Random) -> None:
    """Two who share a full key share it by time, and who comes new there is next, whatever others do elsewhere."""
    desk = Desk(Limits(total=4, per_person=None, per_key=1))
    key: Way = ("test", "shared")
    long, short = random.choice((4.0, 8.0)), random.choice((0.5, 1.0))
    while desk.now < 80.0:
        for person, seconds, way in (("alice", long, key), ("bob", short, key), ("dora", 2.0, ("other", None))):
            while sum(one.person == person for one in desk.waiting) < 3:
                desk.come(person, seconds, way)
            await desk.settle()
        await desk.next_end()
    alice, bob = _held(desk, "alice"), _held(desk, "bob")
    assert abs(alice - bob) <= 2 * long, f"one had {alice} s of the key, the other {bob} s"
    come = desk.come("erin", 1.0, key)
    await desk.settle()
    before = len(desk.begun)
    while not any(one.way == key for one in desk.begun[before:]):
        await desk.next_end()
    assert come.running, "somebody's queue for the key went before who came new"
    for call in desk.waiting:
        cancel(call)
    await desk.close()


async def nothing_saved_behind_a_limit(random: Random) -> None:
    """Who waited long for a full key is not ahead, afterwards, of those who went on elsewhere meanwhile."""
    desk = Desk(Limits(total=2, per_person=None, per_key=1))
    key: Way = ("test", "shared")
    lasts = random.choice((100.0, 200.0))
    desk.flood("alice", 6, 1.0, key)
    await desk.until(2.5)
    held_up = desk.come("bob", lasts, key)
    while not held_up.over:
        while sum(one.person == "dora" for one in desk.waiting) < 2:
            desk.come("dora", random.choice((1.0, 2.0)), ("other", None))
        await desk.settle()
        await desk.next_end()
    before = {person: _held(desk, person) for person in ("alice", "dora")}
    until = desk.now + 60.0
    while desk.now < until:
        for person in before:
            while sum(one.person == person and one.way[1] is None for one in desk.waiting) < 2:
                desk.come(person, random.choice((1.0, 2.0)), ("other", None))
        await desk.settle()
        await desk.next_end()
    alice, dora = (_held(desk, person) - had for person, had in before.items())
    assert abs(alice - dora) <= 8 * 2.0, f"one had {alice} s since, the other {dora} s"
    await desk.close()


async def nobody_starves(random: Random) -> None:
    """However much others go on asking for, a call begins after a bounded time."""
    desk = Desk(Limits(total=random.randint(1, 2), per_person=None, background=1))
    kinds = [random.choice(SECONDS[2:]) for _ in range(3)]
    desk.flood("erin", random.randint(0, 2), LONGEST)  # before, and these are charged to her
    await desk.settle()
    come = desk.come("erin")
    for _ in range(200):
        for number, seconds in enumerate(kinds):
            while sum(one.person == str(number) for one in desk.waiting) < 2:
                desk.come(str(number), seconds)
        await desk.settle()
        if come.began is not None:
            break
        await desk.next_end()
    assert come.began is not None, "she waits for ever"
    await desk.close()


async def positions_come_true(random: Random) -> None:
    """When nothing else changes, calls begin in the order of the places that were told."""
    desk = Desk(Limits(total=random.randint(1, 3), per_person=None))
    await desk.end(desk.come("nobody", 1.0))  # which takes no time, so that what is expected is known
    first = desk.come("nobody", 1.0)
    await desk.settle()
    await desk.next_end()
    assert first.over
    for _ in range(random.randint(1, 4)):
        for person in ("alice", "bob", "carol", "dave"):
            desk.flood(person, random.randint(0, 5))
        await desk.settle()
        await desk.until(desk.now + random.randint(0, 3))
    places = {one: desk.capacity.position(str(one.number)) for one in desk.waiting}
    assert sorted(place for place in places.values() if place) == list(range(1, len(places) + 1))
    before = len(desk.begun)
    while desk.running:
        await desk.next_end()
    begun = [places[one] for one in desk.begun[before:]]
    assert begun == sorted(places.values(), key=lambda place: place or 0), f"they began as {begun}"
    await desk.close()


CHECKS: tuple[Check, ...] = (
    comings_and_goings,
    two_who_always_wait,
    a_newcomer,
    a_shared_key,
    nothing_saved_behind_a_limit,
    nobody_starves,
    positions_come_true,
)
_EXAMPLES = {comings_and_goings: 150, a_newcomer: 40, positions_come_true: 60}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
async def test_by_any_schedule(check: Check, seed: int) -> None:
    """What each of these says of itself, for schedules that are made up."""
    await check(Random(seed))


# --- by name ------------------------------------------------------------------------------------------------


async def test_one_person_s_hundred_delay_another_s_next_by_one() -> None:
    """Bob comes last, behind a hundred of Alice's, and is served as soon as the shortest of hers ends."""
    desk = Desk(Limits(total=2, per_person=None))
    desk.come("alice", 60.0)
    desk.flood("alice", 100, 7.0)
    bobs = desk.come("bob")
    await desk.settle()
    assert desk.capacity.position(str(bobs.number)) == 1
    await desk.next_end()
    assert (bobs.began, desk.now) == (7.0, 7.0)
    await desk.close()


async def test_who_weighs_twice_gets_twice() -> None:
    """Model time is shared out by weight."""
    now = [0.0]
    capacity = ModelCapacity(ONE, clock=lambda: now[0])
    held = {"alice": 0.0, "bob": 0.0}

    async def ask(person: str, weight: float) -> None:
        for _ in range(30):
            async with capacity.of(person, weight=weight).slot(*WAY):
                now[0] += 1.0
                held[person] += 1.0
                await asyncio.sleep(0)

    # Two lines of each, so that everybody always has one who waits.
    asked = [asyncio.create_task(ask(*who)) for who in (("alice", 2.0), ("bob", 1.0)) * 2]
    while held["alice"] + held["bob"] < 60:
        await asyncio.sleep(0)
    assert held["alice"] == pytest.approx(2 * held["bob"], abs=3)
    await asyncio.gather(*asked)


async def test_a_long_call_counts_while_it_runs() -> None:
    """Alice holds a slot for minutes: meanwhile Bob's short calls get the other one before hers."""
    desk = Desk(Limits(total=2, per_person=None))
    desk.come("alice", 300.0)
    await desk.settle()
    desk.flood("alice", 50)
    desk.flood("bob", 80)
    await desk.until(60.0)
    assert _held(desk, "alice") - 60.0 <= 2.0
    assert _held(desk, "bob") >= 58.0
    await desk.close()


async def test_what_a_key_holds_up_holds_up_nobody_else() -> None:
    """Alice's key is full: her call to another provider begins, and so do Bob's, though hers are first."""
    desk = Desk(Limits(total=4, per_person=None, per_key=1))
    keyed = desk.flood("alice", 3, 10.0, ("cloud", "alice's"))
    elsewhere, bobs = desk.come("alice", way=("local", None)), desk.come("bob", way=("cloud", "bob's"))
    await desk.settle()
    assert [one.running for one in (*keyed, elsewhere, bobs)] == [True, False, False, True, True]
    assert [desk.capacity.position(str(one.number)) for one in keyed] == [None, 1, 2]
    await desk.close()


async def test_a_provider_has_its_own_limit() -> None:
    """At most so many at once of one provider, whatever keys they use."""
    desk = Desk(Limits(total=9, per_person=None, per_provider={"local": 2}))
    for key in ("a", "b", None):
        desk.come("alice", way=("local", key))
        desk.come("bob", way=("cloud", key))
    await desk.settle()
    assert [one.way[0] for one in desk.running].count("local") == 2
    assert len(desk.running) == 5
    await desk.close()


async def test_work_nobody_waits_for_comes_last() -> None:
    """It begins when no person's call could, takes only so many slots, and leaves each person one of theirs."""
    desk = Desk(Limits(total=4, per_person=2, background=3))
    for person in ("alice", "bob", "carol", "dora"):
        desk.come(person, 10.0, background=True)
        desk.come(person, 10.0, background=True)
    await desk.settle()
    assert [one.person for one in desk.running] == ["alice", "bob", "carol"]
    asked = desk.come("alice", 1.0)
    await desk.settle()
    assert asked.running
    people = desk.flood("erin", 3, 4.0)
    await desk.until(20.0)
    begun = [one for one in desk.begun[4:] if one in people or one.background]
    assert begun[0] is people[0], "the first slot that came free was a person's"
    await desk.close()


async def test_more_slots_are_used_at_once() -> None:
    """One person waits with five calls, and the limit is raised: all five run.

    Only one of them did, and each that ended let one more in, so that the new slots stayed empty.
    """
    desk = Desk(ONE)
    calls = desk.flood("alice", 6)
    await desk.settle()
    desk.configure(Limits(total=10, per_person=None))
    await desk.settle()
    assert all(call.running for call in calls)
    await desk.close()


async def test_a_slot_is_not_lost_with_the_one_it_was_meant_for() -> None:
    """A waiting call is cancelled in the moment in which the slot comes free: the next one gets it.

    It was handed to the cancelled call and to nobody else; with nothing running, whoever waited hung for ever.
    """
    desk = Desk(ONE)
    holds, first, second = desk.flood("alice", 3)
    await desk.settle()
    cancel(first)
    holds.end.set()
    await desk.settle()
    assert second.running
    await desk.close()


async def test_who_is_cancelled_with_the_slot_in_hand_passes_it_on() -> None:
    """The slot was given, and the one it was given to is cancelled before noticing."""
    desk = Desk(ONE)
    holds, first, second = desk.flood("alice", 3)
    await desk.settle()
    holds.end.set()
    while not desk.capacity.running or first.task is None or desk.capacity.waiting == 2:
        await asyncio.sleep(0)
    cancel(first)
    await desk.settle()
    assert second.running
    await desk.close()


async def test_fewer_slots_take_nothing_from_who_has_one() -> None:
    """Calls that run keep theirs; nobody new begins until there are few enough."""
    desk = Desk(Limits(total=2, per_person=None))
    one, two, three = [desk.come(person) for person in ("alice", "bob", "carol")]
    await desk.settle()
    desk.configure(ONE)
    await desk.end(one)
    assert (two.running, three.running) == (True, False)
    await desk.end(two)
    assert three.running
    await desk.close()


async def test_a_slot_is_given_back_whatever_happened_in_it() -> None:
    """An error inside the block passes through, and the slot is free again."""
    capacity = ModelCapacity(Limits(total=1, per_person=1))
    with pytest.raises(KeyError):
        async with capacity.of("alice").slot(*WAY):
            raise KeyError
    async with asyncio.timeout(5), capacity.of("bob").slot(*WAY, Purpose.CHAT):
        assert capacity.running == 1
    assert capacity.running == 0


# --- being told ---------------------------------------------------------------------------------------------


async def test_who_waits_is_told_where_they_stand() -> None:
    """At once, when it has changed, once a second at most, and that they wait no more; others hear nothing."""
    desk = Desk(ONE)
    calls = desk.flood("alice", 4)
    await desk.settle()
    assert [one.told for one in calls] == [[], [1], [2], [3]]
    bobs = desk.come("bob")
    await desk.settle()
    assert (bobs.told, calls[1].told) == ([1], [1])
    await desk.clock.passes(1.0)
    assert [one.told for one in calls] == [[], [1, 2], [2, 3], [3, 4]]
    await desk.next_end()
    await desk.next_end()
    assert (bobs.told, calls[1].told) == ([1, None], [1, 2, None]), "the last word comes with the slot"
    assert calls[2].told == [2, 3], "and the others wait for their second"
    await desk.clock.passes(1.0)
    assert [one.told for one in calls[2:]] == [[2, 3, 1], [3, 4, 2]]
    await desk.close()


async def test_nobody_is_looked_after_while_nobody_waits() -> None:
    """The clock is asked for one more second after the last wait, and for none after that."""
    desk = Desk(ONE)
    desk.flood("alice", 2)
    await desk.settle()
    await desk.next_end()
    await desk.next_end()
    assert desk.clock.waited_for == [1.0]
    await desk.clock.passes(1.0)
    assert desk.clock.waited_for == []
    await desk.close()


async def test_who_left_hears_nothing_more() -> None:
    """A cancelled call is told no place, and whoever stood behind it moves up."""
    desk = Desk(ONE)
    _, first, second = desk.flood("alice", 3)
    await desk.settle()
    cancel(first)
    await desk.settle()
    assert desk.capacity.position(str(second.number)) == 1
    assert desk.capacity.position(str(first.number)) is None
    await desk.clock.passes(1.0)
    assert (first.told, second.told) == ([1], [2, 1])
    await desk.close()


async def test_nothing_is_told_before_a_turn_has_begun() -> None:
    """The last place is passed on when what it waits for is done, and none when that went wrong."""
    for fails in (False, True):
        heard: list[int | None] = []
        begun = asyncio.Event()

        async def begin(begun: asyncio.Event = begun, fails: bool = fails) -> None:
            await begun.wait()
            if fails:
                raise OSError

        task = asyncio.create_task(begin())
        tell = once_done(task, heard.append)
        tell(2)
        tell(1)
        begun.set()
        await asyncio.wait({task})
        await asyncio.sleep(0)
        tell(None)
        assert heard == ([] if fails else [1, None])


@pytest.mark.parametrize(
    ("position", "words"),
    [(1, "next"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (113, "113th")],
)
def test_a_place_in_words(position: int, words: str) -> None:
    """As people say it."""
    assert in_words(position) == f"{words} in line"


# --- mistakes that have to be seen --------------------------------------------------------------------------


def _no_limit_of_a_person(self: ModelCapacity, person: str, background: bool) -> bool:
    return False


def _no_limit_of_a_key(self: ModelCapacity, way: Way, background: bool) -> object:
    return None


def _charge_by_calls(self: FairOrder[Call], charge: Charge[Call], *, ran: bool = True) -> None:
    """What a call took is forgotten: everybody gets as many calls, however long."""
    charge.began = self._clock() - 1.0  # pyright: ignore[reportPrivateUsage]
    _END(self, charge, ran=ran)


def _in_order_of_arrival(self: FairOrder[Call], share: Share[Call]) -> None:
    """Whoever came first is first for as long as they have anything."""
    share.debtless = True
    if not share.since or not share.running:
        self._count += 1  # pyright: ignore[reportPrivateUsage]
        share.since = self._count  # pyright: ignore[reportPrivateUsage]
    insort(self._line, fair_order._key(share))  # pyright: ignore[reportPrivateUsage]


def _saves_up(self: FairOrder[Call]) -> float:
    """Who was away comes back with all the time they did not use."""
    return 0.0


def _saves_up_behind_a_limit(self: FairOrder[Call], share: Share[Call]) -> None:
    """Who waits for a key is not charged for what others do meanwhile."""


def _one_order_for_all(self: ModelCapacity, call: object) -> object:
    return _ORDERS(self, call)[:1]  # pyright: ignore[reportArgumentType]


def _loses_a_slot(self: ModelCapacity, call: object, *, ran: bool = True) -> None:
    if ran:
        _GIVE_BACK(self, call, ran=ran)  # pyright: ignore[reportArgumentType]


def _background_first(self: ModelCapacity, order: FairOrder[Call]) -> object:
    here, background = self._people, self._background  # pyright: ignore[reportPrivateUsage]
    return _NEXT(self, background if order is here else here)  # pyright: ignore[reportArgumentType]


def _by_number(self: ModelCapacity) -> object:
    waiting = sorted(_LINES(self), key=lambda call: call.number)
    return {call: place for place, call in enumerate(waiting, 1)}


_END, _ORDERS = FairOrder[Call].end, ModelCapacity._orders  # pyright: ignore[reportPrivateUsage]
_GIVE_BACK, _NEXT = ModelCapacity.give_back, ModelCapacity._next  # pyright: ignore[reportPrivateUsage]
_LINES = ModelCapacity._lines  # pyright: ignore[reportPrivateUsage]

MISTAKES: dict[str, tuple[Check, type, str, object]] = {
    "no limit of a person": (comings_and_goings, ModelCapacity, "_has_enough", _no_limit_of_a_person),
    "no limit of a key or provider": (comings_and_goings, ModelCapacity, "_shut", _no_limit_of_a_key),
    "loses a slot": (comings_and_goings, ModelCapacity, "give_back", _loses_a_slot),
    "background first": (comings_and_goings, ModelCapacity, "_next", _background_first),
    "charged by calls": (two_who_always_wait, FairOrder, "end", _charge_by_calls),
    "saves up": (two_who_always_wait, FairOrder, "_floor", _saves_up),
    "first come, first served": (a_newcomer, FairOrder, "_enter", _in_order_of_arrival),
    "one order for all": (a_shared_key, ModelCapacity, "_orders", _one_order_for_all),
    "saves up behind a limit": (
        nothing_saved_behind_a_limit,
        FairOrder,
        "pass_over",
        _saves_up_behind_a_limit,
    ),
    "places by arrival": (positions_come_true, ModelCapacity, "_lines", _by_number),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_is_seen(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these breaks a promise, and the check of that promise says so within a few schedules."""
    check, where, name, wrong = MISTAKES[mistake]
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(AssertionError):
        await _again_and_again(check)


async def _again_and_again(check: Check) -> None:
    for seed in range(100):
        await check(Random(seed))
