"""Time that passes only when a test says so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock to pass wherever `now` and `wait` are wanted."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._now = start
        self._waiting: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The moment it is."""
        return self._now

    async def wait(self, seconds: float) -> None:
        """Wait until that many seconds have been let pass."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._now + timedelta(seconds=seconds), future))
        await future

    @property
    def waited_for(self) -> list[float]:
        """For how many more seconds each waiter waits."""
        return sorted((due - self._now).total_seconds() for due, future in self._waiting if not future.done())

    async def passes(self, seconds: float) -> None:
        """Let time pass, and everybody whose time has come go on."""
        self._now += timedelta(seconds=seconds)
        due = [future for moment, future in self._waiting if moment <= self._now]
        self._waiting = [(moment, future) for moment, future in self._waiting if moment > self._now]
        for future in due:
            if not future.done():
                future.set_result(None)
        for _ in range(10):  # what was woken gets to its next real wait
            await asyncio.sleep(0)
