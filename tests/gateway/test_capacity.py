"""Who may call a model now: never too many, and nobody waits for one person's hundred messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.gateway.capacity import ModelCapacity


@dataclass(eq=False)
class Call:
    """One call that waits for a slot, holds it, or has ended."""

    person: str
    task: asyncio.Task[None] | None = None
    end: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = False
    over: bool = False
    passed: Counter[str] = field(default_factory=Counter[str])
    """How often each other person was served while this call was first in its person's line and could run."""


class Desk:
    """Calls come and go; everything the capacity promises is checked as it happens."""

    def __init__(self, total: int, per_person: int | None) -> None:
        self.capacity = ModelCapacity(total, per_person)
        self.total, self.per_person = total, per_person
        self.calls: list[Call] = []

    async def come(self, person: str) -> Call:
        call = Call(person)
        self.calls.append(call)
        call.task = asyncio.create_task(self._run(call))
        await self.settle()
        return call

    async def _run(self, call: Call) -> None:
        try:
            async with self.capacity.of(call.person).slot("test", None):
                self._served(call)
                try:
                    await call.end.wait()
                finally:
                    call.running = False
        finally:
            call.over = True

    def _served(self, call: Call) -> None:
        assert len(self.running) < self.total, "more calls than there are slots"
        if self.per_person is not None:
            mine = [one for one in self.running if one.person == call.person]
            assert len(mine) < self.per_person, "more calls than one person may have"
        assert self.first(call.person) is call, "a person's own calls are out of order"
        call.running = True
        for person in {one.person for one in self.waiting} - {call.person}:
            first = self.first(person)
            if self._may(person):
                first.passed[call.person] += 1
                assert first.passed[call.person] <= 1, f"{call.person} was served twice before {person}"
            else:
                first.passed.clear()

    def configure(self, total: int, per_person: int | None) -> None:
        self.total, self.per_person = total, per_person
        for one in self.waiting:
            one.passed.clear()
        self.capacity.configure(total, per_person)

    def _may(self, person: str) -> bool:
        count = sum(one.person == person for one in self.running)
        return self.per_person is None or count < self.per_person

    def first(self, person: str) -> Call:
        return next(one for one in self.waiting if one.person == person)

    @property
    def running(self) -> list[Call]:
        return [one for one in self.calls if one.running]

    @property
    def waiting(self) -> list[Call]:
        return [one for one in self.calls if not one.running and not one.over]

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)
        assert self.capacity.waiting == len(self.waiting)
        if len(self.running) < self.total:
            idle = [one.person for one in self.waiting if self._may(one.person)]
            assert not idle, f"{idle} wait although there is a free slot"

    async def close(self) -> None:
        """Everybody ends; then nothing of anybody is left."""
        while any(not one.over for one in self.calls):
            for call in self.running:
                call.end.set()
            await self.settle()
        assert vars(self.capacity)["_running"] == {}
        assert self.capacity.waiting == 0


_people = st.sampled_from(["alice", "bob", "carol"])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), _people),
        st.tuples(st.just("come"), _people),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("cancel and end"), st.integers(0, 9)),
        st.tuples(st.just("configure"), st.integers(0, 11)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 3), st.sampled_from([None, 1, 2]), _steps)
async def test_whoever_comes_and_goes_slots_are_few_used_and_fair(
    total: int, per_person: int | None, steps: list[tuple[str, object]]
) -> None:
    """Never above a limit, never a free slot beside somebody who may have it, nobody served twice before you."""
    desk = Desk(total, per_person)
    for what, of in steps:
        match what, of:
            case "come", str() as person:
                await desk.come(person)
            case "end", int() as number if desk.running:
                desk.running[number % len(desk.running)].end.set()
            case "cancel", int() as number if desk.waiting:
                _cancel(desk.waiting[number % len(desk.waiting)])
            case "cancel and end", int() as number if desk.waiting and desk.running:
                # In one turn of the loop: the slot that comes free must not be lost with the one who left.
                desk.running[number % len(desk.running)].end.set()
                _cancel(desk.waiting[number % len(desk.waiting)])
            case "configure", int() as number:
                desk.configure(1 + number % 4, (None, 1, 2)[number % 3])
            case _:
                pass
        await desk.settle()
    await desk.close()


def _cancel(call: Call) -> None:
    assert call.task is not None
    call.task.cancel()


async def test_one_person_s_hundred_delay_another_s_next_by_one() -> None:
    """Bob comes last, behind a hundred of Alice's, and is served as soon as one of hers ends."""
    desk = Desk(1, None)
    alices = [await desk.come("alice") for _ in range(100)]
    bobs = await desk.come("bob")
    alices[0].end.set()
    await desk.settle()
    assert alices[1].running or bobs.running
    alices[1].end.set()
    await desk.settle()
    assert bobs.running
    await desk.close()


async def test_more_slots_are_used_at_once() -> None:
    """One person waits with five calls, and the limit is raised: all five run.

    Only one of them did, and each that ended let one more in, so that the new slots stayed empty.
    """
    desk = Desk(1, None)
    calls = [await desk.come("alice") for _ in range(6)]
    desk.configure(10, None)
    await desk.settle()
    assert all(call.running for call in calls)
    await desk.close()


async def test_a_slot_is_not_lost_with_the_one_it_was_meant_for() -> None:
    """A waiting call is cancelled in the moment in which the slot comes free: the next one gets it.

    It was handed to the cancelled call and to nobody else; with nothing running, whoever waited hung for ever.
    """
    capacity = ModelCapacity(1, None)
    await capacity.take("alice")
    first, second = (asyncio.create_task(capacity.take("alice")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    capacity.give_back("alice")
    await asyncio.wait_for(second, 2)


async def test_fewer_slots_take_nothing_from_who_has_one() -> None:
    """Calls that run keep theirs; nobody new begins until there are few enough."""
    desk = Desk(2, None)
    one, two, three = [await desk.come(person) for person in ("alice", "bob", "carol")]
    desk.configure(1, None)
    one.end.set()
    await desk.settle()
    assert (two.running, three.running) == (True, False)
    two.end.set()
    await desk.settle()
    assert three.running
    await desk.close()


async def test_a_slot_is_given_back_whatever_happened_in_it() -> None:
    """An error inside the block passes through, and the slot is free again."""
    capacity = ModelCapacity(1, 1)
    with pytest.raises(KeyError):
        async with capacity.of("alice").slot("test", None):
            raise KeyError
    await asyncio.wait_for(capacity.take("bob"), 5)
