"""How long a turn may be at work. Waiting for others is no work: for a free model, or for a person's yes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeVar

from msgspec import Struct

from rookery.agents.calling import Capacity
from rookery.usage import Purpose

T = TypeVar("T")


class OutOfTime(Exception):
    """The turn has been at work for as long as it may."""


class Worktime:
    """The time that one run has left; what an earlier run of the same turn took is not counted."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._ends = 0.0
        self._bound: asyncio.Timeout | None = None

    async def spend(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something while there is time. Raises `OutOfTime`; what was begun is cancelled then."""
        now = asyncio.get_running_loop().time
        self._ends = now() + self._left
        bound = self._bound = asyncio.timeout_at(self._ends)
        try:
            async with bound:
                return await work()
        except TimeoutError:
            if bound.expired():
                raise OutOfTime from None
            raise
        finally:
            self._bound = None
            self._left = self._ends - now()

    def pause(self) -> float | None:
        """Time does not count from now on, until `go_on` is given what this returns."""
        if self._bound is None or self._bound.expired():
            return None
        self._bound.reschedule(None)
        return asyncio.get_running_loop().time()

    def go_on(self, since: float | None) -> None:
        """Time counts again."""
        if since is not None and self._bound is not None:
            self._ends += asyncio.get_running_loop().time() - since
            self._bound.reschedule(self._ends)


class Unhurried(Struct, frozen=True):
    """Capacity for which waiting costs the turn none of its time."""

    capacity: Capacity
    worktime: Worktime

    def slot(self, provider: str, key_name: str | None, purpose: Purpose) -> AbstractAsyncContextManager[None]:
        """See `Capacity.slot`."""
        return _Slot(self.capacity.slot(provider, key_name, purpose), self.worktime)


class _Slot(Struct, frozen=True):
    slot: AbstractAsyncContextManager[None]
    worktime: Worktime

    async def __aenter__(self) -> None:
        paused = self.worktime.pause()
        try:
            await self.slot.__aenter__()
        finally:
            self.worktime.go_on(paused)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self.slot.__aexit__(kind, error, trace)
