"""So many lines for each in a while, and what is more is counted: how nobody floods what is kept of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

REMEMBERED = 1000
"""How many are remembered; whoever came longest ago is forgotten first, with what was not told of them."""


class Allotment:
    """`each` lines in a `window`, which begins with the first; `together` bounds those of all (None: nothing)."""

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        each: int,
        window: timedelta,
        together: int | None = None,
        remembered: int = REMEMBERED,
    ) -> None:
        self._now = now
        self._each = each
        self._window = window
        self._together = together
        self._remembered = remembered
        self._all = _Taken(now())
        self._of: OrderedDict[str, _Taken] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._of)

    def take(self, who: str) -> int | None:
        """One more line: how many of theirs were not told since the last that was; None when it is not told."""
        now = self._now()
        theirs = self._of.pop(who, None) or _Taken(now)
        self._of[who] = theirs
        if len(self._of) > self._remembered:
            self._of.popitem(last=False)
        for taken in (theirs, self._all):
            if abs(now - taken.since) > self._window:  # also when the clock was set back
                taken.since, taken.lines = now, 0
        if theirs.lines == self._each or self._all.lines == self._together:
            theirs.untold += 1
            return None
        theirs.lines += 1
        self._all.lines += 1
        untold, theirs.untold = theirs.untold, 0
        return untold


@dataclass(slots=True)
class _Taken:
    since: datetime
    lines: int = 0
    untold: int = 0
