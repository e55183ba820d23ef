"""A desk at which calls ask for slots, on a clock of its own; what capacity promises is checked as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from rookery.gateway.capacity import Limits, ModelCapacity
from rookery.gateway.fair_order import Way
from rookery.usage import Purpose
from tests.support.clock import Clock

WAY: Way = ("test", None)


@dataclass(eq=False)
class Call:
    """One call that waits for a slot, holds it, or has ended."""

    person: str
    seconds: float
    way: Way
    background: bool
    number: int
    came: float
    task: asyncio.Task[None] | None = None
    end: asyncio.Event = field(default_factory=asyncio.Event)
    began: float | None = None
    running: bool = False
    over: bool = False
    cancelled: bool = False
    told: list[int | None] = field(default_factory=list[int | None])


class Desk:
    """Calls come, take their time, and go."""

    def __init__(self, limits: Limits) -> None:
        self.now = 0.0
        self.clock = Clock()
        self.limits = limits
        self.capacity = ModelCapacity(limits, clock=lambda: self.now, wait=self.clock.wait)
        self.calls: list[Call] = []
        self.begun: list[Call] = []
        """Those that got a slot, in that order."""
        self.running: list[Call] = []
        self._numbers = 0
        self._settled = 0

    def come(self, person: str, seconds: float = 1.0, way: Way = WAY, *, background: bool = False) -> Call:
        """A call comes; `settle` lets it get as far as it can."""
        self._numbers += 1
        call = Call(person, seconds, way, background, self._numbers, self.now)
        self.calls.append(call)
        call.task = asyncio.create_task(self._run(call))
        return call

    def flood(self, person: str, count: int, seconds: float = 1.0, way: Way = WAY) -> list[Call]:
        """Many calls of one person."""
        return [self.come(person, seconds, way) for _ in range(count)]

    async def _run(self, call: Call) -> None:
        mine = self.capacity.of(call.person, turn=str(call.number), tell=call.told.append)
        try:
            async with mine.slot(*call.way, Purpose.MEMORY if call.background else Purpose.CHAT):
                self._begins(call)
                try:
                    await call.end.wait()
                finally:
                    call.running = False
                    self.running.remove(call)
        finally:
            call.over = True
            self.calls.remove(call)

    def _begins(self, call: Call) -> None:
        older = [one for one in self.waiting if one.person == call.person and one.way == call.way]
        older = [one for one in older if one.background is call.background and one.number < call.number]
        assert not older, "a person's calls to one place begin in the order they came"
        call.running, call.began = True, self.now
        self.begun.append(call)
        self.running.append(call)

    @property
    def waiting(self) -> list[Call]:
        return [one for one in self.calls if not one.running and not one.cancelled]

    def configure(self, limits: Limits) -> None:
        """Change the limits. Whoever runs keeps their slot."""
        self.limits = limits
        self.capacity.configure(limits)

    async def settle(self, *, raced: bool = False) -> None:
        """Let everybody get as far as they can, and look whether all is as promised.

        `raced`: somebody may have left with a slot in hand, which held up another in the moment it was theirs.
        """
        for _ in range(6):
            await asyncio.sleep(0)
        running = sum(one.running for one in self.calls)
        assert (self.capacity.running, self.capacity.waiting) == (running, len(self.waiting))
        if len(self.running) < self.limits.total:
            idle = [one.person for one in self.waiting if self.may(one)]
            assert not idle, f"{idle} wait although there is a slot for them"
        if not raced and any(one.background for one in self.begun[self._settled :]):
            passed = [one.person for one in self.waiting if not one.background and self.may(one)]
            assert not passed, f"work that nobody waits for began before {passed}"
        self._settled = len(self.begun)

    def over_a_limit(self) -> str | None:
        """Which limit is exceeded; None when none is."""
        limits, running = self.limits, self.running
        if len(running) > limits.total:
            return "more calls than there are slots"
        if sum(one.background for one in running) > limits.background:
            return "more work nobody waits for than may be"
        for one in running:
            if _many(limits.per_person, (other.person == one.person for other in running)):
                return "more calls than one person may have"
            if one.way[1] is not None and _many(limits.per_key, (other.way == one.way for other in running)):
                return "more calls than one key may have"
            provider = one.way[0]
            if _many(limits.per_provider.get(provider), (other.way[0] == provider for other in running)):
                return "more calls than one provider may have"
        return None

    def may(self, call: Call) -> bool:
        """Whether nothing but the number of all calls can hold a call up."""
        limits, running = self.limits, self.running
        person, (provider, key) = call.person, call.way
        per_person, of_provider = limits.per_person, limits.per_provider.get(provider)
        of_person = [one for one in running if one.person == person]
        if per_person is not None and len(of_person) >= per_person:
            return False
        if of_provider is not None and sum(one.way[0] == provider for one in running) >= of_provider:
            return False
        on_key = sum(one.way == call.way for one in running)
        if limits.per_key is not None and key is not None and on_key >= limits.per_key:
            return False
        if call.background:
            own = sum(one.background for one in of_person)
            if per_person is not None and per_person > 1 and own >= per_person - 1:
                return False
            return sum(one.background for one in running) < limits.background
        return True

    # --- time ------------------------------------------------------------------------------------------------

    async def end(self, call: Call) -> None:
        """A call ends now."""
        call.end.set()
        await self.settle()

    async def next_end(self) -> Call | None:
        """Let time pass until the next call ends; None when none runs."""
        if not self.running:
            assert not self.waiting, "somebody waits and nobody runs"
            return None
        call = min(self.running, key=lambda one: (_end(one), one.number))
        self.now = max(self.now, _end(call))
        await self.end(call)
        return call

    async def until(self, moment: float) -> None:
        """Let time pass, and calls end as it does."""
        await self.settle()
        while self.running and min(map(_end, self.running)) <= moment:
            await self.next_end()
        self.now = moment

    async def close(self) -> None:
        """Everybody ends; then nothing of anybody is left."""
        while self.calls:
            await self.settle()
            await self.next_end()
        assert (self.capacity.running, self.capacity.waiting) == (0, 0)
        left = [name for name, kept in vars(self.capacity).items() if kept and type(kept) is dict]
        assert not left, f"something is left of them in {left}"
        await self.capacity.close()


def _end(call: Call) -> float:
    assert call.began is not None
    return call.began + call.seconds


def _many(limit: int | None, same: Iterable[bool]) -> bool:
    return limit is not None and sum(same) > limit
