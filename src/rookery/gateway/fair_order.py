"""Whose call is next: start-time fair queueing of model time across people.

Everybody has a mark on one scale of virtual time: up to where they have been charged. A call charges its person
the seconds it holds its slot, divided by their weight: what calls took lately as long as that is more than it
has taken, then what it takes, and in the end what it took. The smallest mark is next. Virtual time itself is the
highest mark from which a call was begun. Nobody saves up: a person who comes back is charged up to there, and so
is one who waited behind a limit of their own while others went on.

Who owes nothing when they come waits for nobody who does: the next slot is theirs, first come, first served. That
cannot go on at the cost of somebody else, as their next call finds them charged for this one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

LEAST = 0.001
"""Seconds a call is charged at least, so that many that fail at once count for something."""

_LATELY = 0.1
"""How much the last call changes what calls are expected to take."""

_TIDY = 64

Way = tuple[str, str | None]
"""Where a call goes: a provider, and the name of the key, None without one."""

W = TypeVar("W")


class Share(Generic[W]):
    """One person's part, and what waits of theirs: for each way the calls by their number, oldest first."""

    __slots__ = ("debtless", "mark", "passed_over", "person", "running", "since", "waiting", "weight")

    def __init__(self, person: str) -> None:
        self.person = person
        self.weight = 1.0
        self.mark = 0.0
        self.since = 0
        self.debtless = False
        """Whether it came without debt, and has had no slot since."""
        self.passed_over = False
        """Whether somebody with a higher mark began, because none of its calls could."""
        self.running = 0
        self.waiting: dict[Way, dict[int, W]] = {}


class Charge(Generic[W]):
    """What one running call is charged so far."""

    __slots__ = ("began", "charged", "share", "weight")

    def __init__(self, share: Share[W], began: float, charged: float) -> None:
        self.share = share
        self.weight = share.weight
        self.began = began
        self.charged = charged


class FairOrder(Generic[W]):
    """The order among people who want the same. Pure bookkeeping: it starts nothing and knows no limit."""

    def __init__(self, clock: Callable[[], float], expected: float = 0.0) -> None:
        """`clock` tells seconds and is never set back."""
        self.expected = expected
        """Seconds a call takes, by those that ended lately."""
        self.ways: dict[Way, int] = {}
        """How many calls wait for each way."""
        self._clock = clock
        self._time = 0.0
        self._shares: dict[str, Share[W]] = {}
        self._line: list[tuple[float, int, Share[W]]] = []
        self._running: set[Charge[W]] = set()
        self._count = 0
        self._tidy_at = _TIDY

    def share(self, person: str, weight: float) -> Share[W]:
        """The part of a person, whose next calls weigh that much."""
        share = self._shares.get(person)
        if share is None:
            share = self._shares[person] = Share(person)
        share.weight = weight
        return share

    @property
    def idle(self) -> bool:
        """Whether nobody waits here and nothing runs."""
        return not self._line and not self._running

    # --- the line --------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Share[W]]:
        """Those who wait, who is first first. Not to be changed meanwhile."""
        return (share for _, _, share in self._line)

    def add(self, share: Share[W], way: Way, number: int, call: W) -> None:
        """A call begins to wait, behind its person's others."""
        waits = bool(share.waiting)
        share.waiting.setdefault(way, {})[number] = call
        self.ways[way] = self.ways.get(way, 0) + 1
        if not waits:
            share.debtless = share.mark <= self._floor()
            share.passed_over = False
            self._enter(share)

    def remove(self, share: Share[W], way: Way, number: int) -> None:
        """A call waits no more."""
        calls = share.waiting[way]
        del calls[number]
        self.ways[way] -= 1
        if not calls:
            del share.waiting[way]
        if not self.ways[way]:
            del self.ways[way]
        if not share.waiting:
            self._take_out(share)
            self._forget_if_done(share)

    def pass_over(self, share: Share[W]) -> None:
        """Somebody behind this one in line begins, because it cannot."""
        share.passed_over = True

    def move_up(self, share: Share[W]) -> bool:
        """One who may begin was passed over before: whether they are charged more now than they were."""
        share.passed_over = False
        if share.debtless or share.mark >= self._time:
            return False
        self._take_out(share)
        share.mark = self._time
        insort(self._line, _key(share))
        return True

    def start(self, share: Share[W]) -> float:
        """The mark from which the next call of somebody who waits would be charged."""
        if share.debtless:
            return max(share.mark, self._floor())
        return max(share.mark, self._time) if share.passed_over else share.mark

    # --- charging --------------------------------------------------------------------------------------------

    def begin(self, share: Share[W]) -> Charge[W]:
        """A call of a person begins. Theirs that wait stay in line, behind what it is charged."""
        waits = bool(share.waiting)
        start = self.start(share) if waits else max(share.mark, self._time)
        self._time = max(self._time, start)
        charge = Charge(share, self._clock(), max(self.expected, LEAST))
        self._running.add(charge)
        share.running += 1
        if waits:
            self._take_out(share)
        share.mark = start + charge.charged / share.weight
        share.debtless = share.passed_over = False
        if waits:
            self._enter(share)
        return charge

    def end(self, charge: Charge[W], *, ran: bool = True) -> None:
        """A call has ended: what it was charged becomes what it took; next to nothing if it never `ran`."""
        took = max(self._clock() - charge.began, 0.0) if ran else 0.0
        self._correct(charge, max(took, LEAST))
        if ran:
            self.expected += (took - self.expected) * (_LATELY if self.expected else 1.0)
        self._running.discard(charge)
        charge.share.running -= 1
        self._forget_if_done(charge.share)

    def catch_up(self) -> None:
        """Charge the calls that already run for longer than was expected."""
        now = self._clock()
        for charge in self._running:
            took = now - charge.began
            if took > charge.charged:
                self._correct(charge, took)

    def _correct(self, charge: Charge[W], seconds: float) -> None:
        share = charge.share
        change = (seconds - charge.charged) / charge.weight
        charge.charged = seconds
        if share.waiting and not share.debtless:
            self._take_out(share)
            share.mark += change
            insort(self._line, _key(share))
        else:
            share.mark += change

    # --- marks -----------------------------------------------------------------------------------------------

    def _floor(self) -> float:
        """The mark of somebody who comes now and owes nothing: at most that of whoever they compete with."""
        for place in range(bisect_left(self._line, _AFTER_THE_DEBTLESS), len(self._line)):
            mark, _, share = self._line[place]
            if mark >= self._time:
                break
            if not share.passed_over:
                return mark
        return self._time

    def _enter(self, share: Share[W]) -> None:
        self._count += 1
        share.since = self._count
        insort(self._line, _key(share))

    def _take_out(self, share: Share[W]) -> None:
        place = bisect_left(self._line, _key(share))
        assert self._line[place][2] is share, "who leaves the line stood in it"
        del self._line[place]

    def _forget_if_done(self, share: Share[W]) -> None:
        """Forget who has nothing here and owes nothing; and everything, as soon as nobody has anything here."""
        if self.idle:
            self._shares.clear()
            self._time = 0.0
        elif not share.running and not share.waiting and share.mark <= self._time:
            self._shares.pop(share.person, None)
        elif len(self._shares) > self._tidy_at:
            self._shares = {
                person: one
                for person, one in self._shares.items()
                if one.running or one.waiting or one.mark > self._time
            }
            self._tidy_at = 2 * len(self._shares) + _TIDY


_DEBTLESS = -1.0
_AFTER_THE_DEBTLESS: Any = (0.0,)
"""A tuple that sorts behind the debtless and before everybody else."""


def _key(share: Share[W]) -> tuple[float, int, Share[W]]:
    """Where in the line: numbers are unique, so shares are never compared."""
    return (_DEBTLESS if share.debtless else share.mark, share.since, share)
