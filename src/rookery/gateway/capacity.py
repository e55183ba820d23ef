"""Who may call a model now: a bounded number of calls, handed out person by person.

A slot is held for one model call. When all are taken, the next free one goes to the person who has waited
through the most turns of others, not to the longest queue: one person's hundred messages delay another's
next call by at most the shortest call that runs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager


class ModelCapacity:
    """At most `total` calls at once, and at most `per_person` of one person; None for no such limit."""

    def __init__(self, total: int, per_person: int | None) -> None:
        self._total = total
        self._per_person = per_person
        self._running: dict[str, int] = {}
        # Insertion order is the round: a person served goes to its end.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def of(self, person: str) -> PersonCapacity:
        """The capacity as one person's runs see it."""
        return PersonCapacity(self, person)

    def configure(self, total: int, per_person: int | None) -> None:
        """Change the limits; calls that run keep their slots."""
        self._total, self._per_person = total, per_person
        self._hand_out()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return sum(len(queue) for queue in self._waiting.values())

    async def take(self, person: str) -> None:
        """Wait for a slot. A cancelled wait leaves nothing behind."""
        if person not in self._waiting and self._free(person):
            self._count(person, 1)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(person, deque()).append(future)
        self._hand_out()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back(person)
            else:
                self._forget(person, future)
            raise

    def give_back(self, person: str) -> None:
        """End one call of a person's."""
        self._count(person, -1)
        self._hand_out()

    def _free(self, person: str) -> bool:
        if sum(self._running.values()) >= self._total:
            return False
        return self._per_person is None or self._running.get(person, 0) < self._per_person

    def _hand_out(self) -> None:
        while (person := self._next()) is not None:
            queue = self._waiting.pop(person)
            future = queue.popleft()
            if queue:
                self._waiting[person] = queue
            self._count(person, 1)
            future.set_result(None)

    def _next(self) -> str | None:
        """Whose call is next, None when nobody may begin one. Cancelled calls are dropped on the way."""
        for person, queue in list(self._waiting.items()):
            while queue and queue[0].done():
                queue.popleft()
            if not queue:
                del self._waiting[person]
            elif self._free(person):
                return person
        return None

    def _count(self, person: str, change: int) -> None:
        running = self._running.get(person, 0) + change
        assert running >= 0, "a slot is given back once"
        if running:
            self._running[person] = running
        else:
            self._running.pop(person, None)

    def _forget(self, person: str, future: asyncio.Future[None]) -> None:
        queue = self._waiting.get(person)
        if queue is not None and future in queue:
            queue.remove(future)
            if not queue:
                del self._waiting[person]


class PersonCapacity:
    """One person's way to the model."""

    def __init__(self, capacity: ModelCapacity, person: str) -> None:
        self._capacity = capacity
        self._person = person

    def slot(self, provider: str, key_name: str | None) -> AbstractAsyncContextManager[None]:
        """A slot for one model call, given back at the end of the block."""
        del provider, key_name
        return self._slot()

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        await self._capacity.take(self._person)
        try:
            yield
        finally:
            self._capacity.give_back(self._person)
