"""How many turns of one person may be beginning at once: a thousand messages at a time take their turn like ten.

To begin is to read the session and to write the user entry. What waits for a free model afterwards costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque

AT_ONCE = 8
"""How many; a disk that is slow to write still has enough to write together."""


class Starts:
    """The beginnings of all people's turns, each person's counted alone."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, person: str) -> Start:
        """Wait until one more of this person's turns may begin. A cancelled wait leaves nothing behind."""
        running = self._running.get(person, 0)
        if running < self._at_once:
            self._running[person] = running + 1
            return Start(self, person)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(person, deque())
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(person)
            elif turn in waiting:
                waiting.remove(turn)
                if not waiting:
                    del self._waiting[person]
            raise
        return Start(self, person)

    def give_back(self, person: str) -> None:
        """One has begun: the next of the same person may."""
        waiting = self._waiting.get(person)
        while waiting:
            turn = waiting.popleft()
            if not waiting:
                del self._waiting[person]
            if not turn.done():
                turn.set_result(None)
                return
        left = self._running[person] - 1
        if left:
            self._running[person] = left
        else:
            del self._running[person]


class Start:
    """One turn that is beginning."""

    __slots__ = ("_person", "_starts")

    def __init__(self, starts: Starts, person: str) -> None:
        self._starts: Starts | None = starts
        self._person = person

    def over(self) -> None:
        """It has begun, or never will. Saying so again does nothing."""
        starts, self._starts = self._starts, None
        if starts is not None:
            starts.give_back(self._person)
