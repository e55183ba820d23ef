"""Guessing made slow: so many wrong passwords from one place in a while, and so many from all places together.

It is the place that is slowed, never the account: whoever guesses at somebody's password keeps them out of
nothing, for they come from elsewhere. When all places together guess too much, those from which somebody came in
lately still may. What is counted here is in memory, and bounded: only so many can have guessed wrong.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rookery.errors import Busy, StorageUnavailable, TooManyRequests

WINDOW = timedelta(minutes=15)
FROM_ONE = 10
"""Wrong guesses from one source in a window (bar: at most 10 in 15 minutes)."""

FROM_ALL = 1000
"""Wrong guesses from all sources together in a window."""

KNOWN = 1000
"""How many sources are remembered as ones somebody came in from."""

KNOWN_FOR = timedelta(days=30)

_SOON = 1.0
"""Seconds after which to try again when what is in the way is a guess that is just being looked at."""


class Guesses:
    """Counts the guesses of one gateway."""

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        window: timedelta = WINDOW,
        from_one: int = FROM_ONE,
        from_all: int = FROM_ALL,
        known: int = KNOWN,
    ) -> None:
        self._clock = _Steady(now)
        self._window = window
        self._from_one = from_one
        self._from_all = from_all
        self._most_known = known
        self._wrong: deque[tuple[datetime, str]] = deque()
        self._wrong_from: dict[str, deque[datetime]] = {}
        self._open_from: dict[str, int] = {}
        self._open = 0
        self._known: OrderedDict[str, datetime] = OrderedDict()

    @contextmanager
    def guess(self, source: str) -> Generator[Guess]:
        """One guess from an IP address, or from a source by another name.

        It counts as wrong unless it is said to be right, also when it was not waited for; but not when it was
        never looked at for want of time or storage. Raises `TooManyRequests` with the seconds to wait.
        """
        place = place_of(source)
        self._forget_old()
        self._check(place)
        self._open_from[place] = self._open_from.get(place, 0) + 1
        self._open += 1
        guess = Guess()
        try:
            yield guess
        except (Busy, StorageUnavailable):
            guess.counts = False
            raise
        finally:
            self._close(place)
            if guess.was_right:
                self._remember(place)
            elif guess.counts:
                self._count(place)

    def _check(self, place: str) -> None:
        wrong = self._wrong_from.get(place, deque[datetime]())
        if len(wrong) + self._open_from.get(place, 0) >= self._from_one:
            raise TooManyRequests(
                "Too many wrong passwords came from here; wait a while.",
                retry_after=self._wait(wrong[0]) if len(wrong) >= self._from_one else _SOON,
            )
        if len(self._wrong) + self._open >= self._from_all and not self._knows(place):
            raise TooManyRequests(
                "Too many wrong passwords are being tried at the moment; wait a while.",
                retry_after=self._wait(self._wrong[0][0]) if len(self._wrong) >= self._from_all else _SOON,
            )

    def _wait(self, oldest: datetime) -> float:
        return max(_SOON, (oldest + self._window - self._clock.now()).total_seconds())

    def _close(self, place: str) -> None:
        self._open -= 1
        self._open_from[place] -= 1
        if not self._open_from[place]:
            del self._open_from[place]

    def _count(self, place: str) -> None:
        now = self._clock.now()
        self._wrong.append((now, place))
        self._wrong_from.setdefault(place, deque()).append(now)

    def _forget_old(self) -> None:
        before = self._clock.now() - self._window
        while self._wrong and self._wrong[0][0] <= before:
            _, place = self._wrong.popleft()
            theirs = self._wrong_from[place]
            theirs.popleft()
            if not theirs:
                del self._wrong_from[place]

    def _remember(self, place: str) -> None:
        self._known[place] = self._clock.now()
        self._known.move_to_end(place)
        if len(self._known) > self._most_known:
            self._known.popitem(last=False)

    def _knows(self, place: str) -> bool:
        seen = self._known.get(place)
        return seen is not None and self._clock.now() - seen <= KNOWN_FOR


class Guess:
    """One guess being looked at."""

    def __init__(self) -> None:
        self.was_right = False
        self.counts = True

    def right(self) -> None:
        """It was no guess: they knew."""
        self.was_right = True


def place_of(source: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 that somebody has of IPv6 at the least."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class _Steady:
    """A clock that never goes back: set back by an hour, it goes on from where it was."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last = now()
        self._lag = timedelta(0)

    def now(self) -> datetime:
        moment = self._now()
        if moment < self._last:
            self._lag += self._last - moment
        self._last = moment
        return moment + self._lag
