"""Tells those who wait for a model where in the line they stand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

EVERY = 1.0
"""Seconds from one telling to the next."""

SHARE = 20
"""Where many wait it is told less often: working it out takes one part in so many of the time at most."""

Tell = Callable[[int | None], None]
"""Told a place in line, and None once a slot was given. Never waits, never raises."""

Wait = Callable[[float], Awaitable[None]]
"""Lets some seconds pass; `asyncio.sleep`, or a test's own clock."""


def in_words(position: int) -> str:
    """Where somebody stands: "next in line", "2nd in line"."""
    if position == 1:
        return "next in line"
    teen = position % 100 in (11, 12, 13)
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position}{ending} in line"


def once_done(task: asyncio.Task[None], tell: Tell) -> Tell:
    """Passes places on as soon as a task is done, the last one only; and none when it fails.

    For who may not hear of a turn before its beginning is kept.
    """
    held: list[int | None] = []

    def well_done() -> bool:
        return not task.cancelled() and task.exception() is None

    def release(_: asyncio.Task[None]) -> None:
        position = held.pop()
        if position is not None and well_done():
            tell(position)

    def told(position: int | None) -> None:
        if held:
            held[0] = position
        elif not task.done():
            held.append(position)
            task.add_done_callback(release)
        elif well_done():
            tell(position)

    return told


class Waiting(Protocol):
    """One who waits."""

    tell: Tell | None
    told: int | None
    """The place they were told last; None when they were told nothing yet."""


W = TypeVar("W", bound=Waiting)


class Teller(Generic[W]):
    """Tells as long as anybody waits, and does nothing otherwise."""

    def __init__(self, positions: Callable[[], Mapping[W, int]], clock: Callable[[], float], wait: Wait) -> None:
        self._positions = positions
        self._clock = clock
        self._wait = wait
        self._waiting: dict[W, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._soon: asyncio.Handle | None = None
        self._looked = 0.0
        self._cost = 0.0

    def add(self, one: W) -> None:
        """Somebody begins to wait: they are told in a moment, once for all who began in the same one."""
        self._waiting[one] = None
        if self._task is None:
            self._task = asyncio.create_task(self._tell_on(), name="positions")
        elif self._soon is None:
            rest = self._looked + SHARE * self._cost - self._clock()
            self._soon = asyncio.get_running_loop().call_later(max(0.0, rest), self._tell_newcomers)

    def drop(self, one: W) -> None:
        """Somebody waits no more. Harmless for who never did."""
        self._waiting.pop(one, None)

    async def close(self) -> None:
        """Tell nobody any more."""
        self._waiting.clear()
        if self._soon is not None:
            self._soon.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell_on(self) -> None:
        try:
            while self._waiting:
                self._look(list(self._waiting))
                await self._wait(max(EVERY, SHARE * self._cost))
        finally:
            self._task = None

    def _tell_newcomers(self) -> None:
        self._soon = None
        self._look([one for one in self._waiting if one.told is None])

    def _look(self, those: list[W]) -> None:
        began = self._clock()
        positions = self._positions()
        for one in those:
            place = positions.get(one)
            if place is not None and place != one.told and one.tell is not None:
                one.told = place
                one.tell(place)
        self._looked = self._clock()
        self._cost = self._looked - began
