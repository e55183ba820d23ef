"""Who may call a model now: a bounded number of calls, handed out fairly, people before work nobody waits for.

A slot is held for one model call. A call waits only for what it needs: one that is held up by the limit of its
person, key or provider holds up nobody else, nor what else its person asks for. A slot that may be used is used.
Where a provider or a key has a limit, it is shared out by an order of its own: the order of all says that somebody
with a call for it is next, and its own says who. So it is shared fairly whatever goes on elsewhere.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from types import TracebackType
from typing import TypeVar

from rookery.gateway.fair_order import Charge, FairOrder, Share, Way
from rookery.gateway.positions import Tell, Teller, Wait
from rookery.usage import Purpose


@dataclass(frozen=True, slots=True)
class Limits:
    """Model calls at once: in all, of one person, on one key, of one provider; None for no such limit.

    `background`: how many of them work that nobody waits for may hold.
    """

    total: int = 16
    per_person: int | None = 3
    per_key: int | None = None
    background: int = 4
    per_provider: Mapping[str, int] = field(default_factory=dict[str, int])


class ModelCapacity:
    """All slots of this gateway. It belongs to the event loop."""

    def __init__(
        self, limits: Limits, *, clock: Callable[[], float] = time.monotonic, wait: Wait = asyncio.sleep
    ) -> None:
        """`clock` tells seconds and is never set back; `wait` lets some pass."""
        self._limits = limits
        self._people: FairOrder[_Call] = FairOrder(clock)
        self._background: FairOrder[_Call] = FairOrder(clock)
        # What has a limit of its own, by a provider's name or a whole way.
        self._narrower: dict[str | Way, FairOrder[_Call]] = {}
        self._clock = clock
        self._running = 0
        self._in_background = 0
        # How many run, by what may be limited.
        self._of_person: dict[str, int] = {}
        self._of_person_in_background: dict[str, int] = {}
        self._on_key: dict[Way, int] = {}
        self._on_provider: dict[str, int] = {}
        self._waiting = 0
        self._turns: dict[str, _Call] = {}
        self._number = 0
        self._change = 0
        self._known: tuple[int, dict[_Call, int]] = (0, {})
        self._teller: Teller[_Call] = Teller(self._positions, clock, wait)

    def of(
        self, person: str, *, weight: float = 1.0, turn: str | None = None, tell: Tell | None = None
    ) -> PersonCapacity:
        """The capacity as one person's runs see it; twice the `weight` is twice the model time.

        While a call waits, `position` knows its place by `turn`, and `tell` is told it: at once, when it has
        changed, about once a second at most, and with None when the waiting ended with a slot. Nothing is told
        of a call that finds a slot free.
        """
        return PersonCapacity(self, person, weight, turn, tell)

    def configure(self, limits: Limits) -> None:
        """Change the limits; calls that run keep their slots."""
        self._limits = limits
        self._change += 1
        self._hand_out()

    def position(self, turn: str) -> int | None:
        """The place of a turn's call among those who wait for the same thing; None if it does not wait."""
        call = self._turns.get(turn)
        return None if call is None else self._positions().get(call)

    def in_line(self) -> Mapping[str, int]:
        """The turns whose calls wait, each with its place; what is returned does not change."""
        return {call.turn: place for call, place in self._positions().items() if call.turn is not None}

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._waiting

    @property
    def running(self) -> int:
        """How many calls hold a slot."""
        return self._running

    async def close(self) -> None:
        """Tell nobody any more. Whoever still waits is to be cancelled by who began it."""
        await self._teller.close()

    # --- one call --------------------------------------------------------------------------------------------

    async def take(self, call: _Call) -> None:
        """Wait for a slot. A cancelled wait leaves nothing behind."""
        call.orders = self._orders(call)
        if (
            not self._waiting
            and self._running < self._limits.total
            and not self._has_enough(call.person, call.background)
            and self._shut(call.way, call.background) is None
        ):
            self._begin(call)
            return
        call.future = future = asyncio.get_running_loop().create_future()
        self._queue(call)
        self._hand_out()
        if not future.done() and call.tell is not None:
            self._teller.add(call)
        try:
            await future
        except asyncio.CancelledError:
            self._teller.drop(call)
            if future.cancelled():
                self._leave(call)
            else:
                self.give_back(call, ran=False)
            raise
        self._teller.drop(call)
        if call.told is not None and call.tell is not None:
            call.tell(None)

    def give_back(self, call: _Call, *, ran: bool = True) -> None:
        """End a call that has a slot."""
        charges, call.charges = call.charges, ()
        assert charges, "a slot is given back once"
        for order, charge in zip(call.orders, charges, strict=True):
            order.end(charge, ran=ran)
        self._count(call, -1)
        self._tidy(call)
        if self._waiting:
            self._hand_out()

    def _begin(self, call: _Call) -> None:
        call.charges = tuple([order.begin(order.share(call.person, call.weight)) for order in call.orders])
        self._count(call, 1)

    def _count(self, call: _Call, change: int) -> None:
        self._change += 1
        self._running += change
        _add(self._of_person, call.person, change)
        _add(self._on_provider, call.way[0], change)
        _add(self._on_key, call.way, change)
        if call.background:
            self._in_background += change
            _add(self._of_person_in_background, call.person, change)

    def _orders(self, call: _Call) -> tuple[FairOrder[_Call], ...]:
        """The orders a call has a place in, from the one of all to the narrowest."""
        if call.background:
            return (self._background,)
        limits, (provider, key_name) = self._limits, call.way
        orders = (self._people,)
        if provider in limits.per_provider:
            orders += (self._narrower_order(provider),)
        if limits.per_key is not None and key_name is not None:
            orders += (self._narrower_order(call.way),)
        return orders

    def _narrower_order(self, name: str | Way) -> FairOrder[_Call]:
        order = self._narrower.get(name)
        if order is None:
            order = self._narrower[name] = FairOrder(self._clock, self._people.expected)
        return order

    def _tidy(self, call: _Call) -> None:
        """Forget the orders of what nobody asks for now."""
        if len(call.orders) > 1:
            for name in (call.way[0], call.way):
                order = self._narrower.get(name)
                if order is not None and order.idle:
                    del self._narrower[name]

    # --- the line --------------------------------------------------------------------------------------------

    def _queue(self, call: _Call) -> None:
        self._number = call.number = self._number + 1
        for order in call.orders:
            order.add(order.share(call.person, call.weight), call.way, call.number, call)
        self._waiting += 1
        self._change += 1
        if call.turn is not None:
            self._turns[call.turn] = call

    def _leave(self, call: _Call) -> None:
        """A call waits no more, because it begins or was cancelled."""
        for order in call.orders:
            order.remove(order.share(call.person, call.weight), call.way, call.number)
        self._waiting -= 1
        self._change += 1
        if not self._waiting:
            self._known = (self._change, {})
        if call.turn is not None and self._turns.get(call.turn) is call:
            del self._turns[call.turn]
        self._tidy(call)

    def _hand_out(self) -> None:
        """Give free slots to whoever is next and may have one."""
        while self._running < self._limits.total:
            call = self._next(self._people) or self._next(self._background)
            if call is None:
                return
            depth = 1
            while depth < len(call.orders):
                narrowed = self._next(call.orders[depth])
                assert narrowed is not None, "the call that is next in a wider order may begin"
                call, depth = narrowed, depth + 1
            self._begin(call)
            self._leave(call)
            assert call.future is not None
            call.future.set_result(None)

    def _next(self, order: FairOrder[_Call]) -> _Call | None:
        """The call that is next in an order among those that may begin; None when none may."""
        background = order is self._background
        if not any(self._shut(way, background) is None for way in order.ways):
            return None  # which is what holds up a thousand who share a key
        order.catch_up()
        while True:
            before: list[Share[_Call]] = []
            for share in order:
                call = self._startable(share, background)
                if call is not None:
                    break
                before.append(share)
            else:
                return None
            for passed in before:
                order.pass_over(passed)
            if not (share.passed_over and order.move_up(share)):
                return call

    def _startable(self, share: Share[_Call], background: bool) -> _Call | None:
        """The oldest call of a person's that could begin if there is a slot."""
        if self._has_enough(share.person, background):
            return None
        found: _Call | None = None
        for way, calls in share.waiting.items():
            if self._shut(way, background) is None:
                # One that was cancelled a moment ago stands there until it notices.
                call = next((one for one in calls.values() if one.future and not one.future.done()), None)
                if call is not None and (found is None or call.number < found.number):
                    found = call
        return found

    # --- limits ----------------------------------------------------------------------------------------------

    def _has_enough(self, person: str, background: bool) -> bool:
        """Whether as many calls of a person's run as may."""
        most = self._limits.per_person
        if most is None:
            return False
        if self._of_person.get(person, 0) >= most:
            return True
        # Where a person has more slots than one, the last is kept for what they ask themselves.
        return background and self._of_person_in_background.get(person, 0) >= max(1, most - 1)

    def _shut(self, way: Way, background: bool) -> object:
        """The limit that is reached on a way; None for none. What waits for the same limit stands in one line."""
        limits = self._limits
        if background and self._in_background >= limits.background:
            return "background"
        if limits.per_provider and self._on_provider.get(way[0], 0) >= limits.per_provider.get(way[0], math.inf):
            return way[0]
        if limits.per_key is not None and way[1] is not None and self._on_key.get(way, 0) >= limits.per_key:
            return way
        return None

    # --- positions -------------------------------------------------------------------------------------------

    def _positions(self) -> Mapping[_Call, int]:
        """The place in line of each call that somebody waits for, as it is now."""
        change, known = self._known
        if change != self._change:
            known = self._lines()
            self._known = (self._change, known)
        return known

    def _lines(self) -> dict[_Call, int]:
        """Number the calls in the order in which they begin if each takes as long as is expected.

        While all slots are taken there is one line. Otherwise each limit that holds calls up has its own: what
        is full of its kind, and else each person.
        """
        if self._running >= self._limits.total:
            return {call: place for place, call in enumerate(_coming(self._people), 1)}
        found: dict[_Call, int] = {}
        for order in self._narrower.values():
            if any(self._shut(way, background=False) is not None for way in order.ways):
                for place, call in enumerate(_coming(order), 1):
                    found.setdefault(call, place)
        for share in self._people:
            own = (call for call in _calls_of(share) if call not in found)
            found.update({call: place for place, call in enumerate(own, 1)})
        return found


def _coming(order: FairOrder[_Call]) -> list[_Call]:
    """Who waits in an order, in the order in which they will begin."""
    coming: list[tuple[float, int, int, _Call]] = []
    for place, share in enumerate(order):
        start, step = order.start(share), order.expected / share.weight
        for ahead, call in enumerate(_calls_of(share)):
            first = -1.0 if share.debtless and not ahead else start + ahead * step
            coming.append((first, ahead, place, call))
    coming.sort(key=itemgetter(0, 1, 2))
    return [call for _, _, _, call in coming]


def _calls_of(share: Share[_Call]) -> list[_Call]:
    calls = [call for waiting in share.waiting.values() for call in waiting.values()]
    return calls if len(share.waiting) < 2 else sorted(calls, key=attrgetter("number"))


class PersonCapacity:
    """One person's way to the model."""

    def __init__(
        self, capacity: ModelCapacity, person: str, weight: float, turn: str | None, tell: Tell | None
    ) -> None:
        self._capacity = capacity
        self._person = person
        self._weight = weight
        self._turn = turn
        self._tell = tell

    def slot(
        self, provider: str, key_name: str | None, purpose: Purpose = Purpose.CHAT
    ) -> AbstractAsyncContextManager[None]:
        """A slot for one model call, given back at the end of the block."""
        call = _Call(self._person, self._weight, (provider, key_name), purpose is not Purpose.CHAT)
        if not call.background:
            call.turn, call.tell = self._turn, self._tell
        return _Slot(self._capacity, call)


@dataclass(slots=True, eq=False)
class _Call:
    """One model call that waits for a slot or holds one."""

    person: str
    weight: float
    way: Way
    background: bool
    turn: str | None = None
    tell: Tell | None = None
    told: int | None = None
    number: int = 0
    orders: tuple[FairOrder[_Call], ...] = ()
    future: asyncio.Future[None] | None = None
    charges: tuple[Charge[_Call], ...] = ()


class _Slot(AbstractAsyncContextManager[None]):
    def __init__(self, capacity: ModelCapacity, call: _Call) -> None:
        self._capacity = capacity
        self._call = call

    async def __aenter__(self) -> None:
        await self._capacity.take(self._call)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capacity.give_back(self._call)


_K = TypeVar("_K")


def _add(counts: dict[_K, int], key: _K, change: int) -> None:
    """Count, and keep no zeros."""
    count = counts.get(key, 0) + change
    assert count >= 0, "no slot is given back twice"
    if count:
        counts[key] = count
    else:
        del counts[key]
