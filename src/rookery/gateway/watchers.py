"""Who watches a session while it is answered. Deltas live in memory; what must last is in the transcript."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from rookery.ids import AgentId, SessionId, TurnId
from rookery.models import ModelEvent

BACKLOG = 1000
"""Events a watcher may lag behind before it loses the oldest; it can read the whole from the transcript."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn began to be answered; `turn_ids` are all messages it answers."""

    turn_id: TurnId
    turn_ids: tuple[TurnId, ...]


@dataclass(frozen=True, slots=True)
class TurnDelta:
    """Something streamed by."""

    turn_id: TurnId
    event: ModelEvent


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """A turn ended; `text` is what the person is told, `status` how it ended."""

    turn_id: TurnId
    turn_ids: tuple[TurnId, ...]
    status: str
    text: str


TurnEvent = TurnStarted | TurnDelta | TurnFinished


class Watchers:
    """Hands each event of a session to those who watch that session of that agent, and to nobody else."""

    def __init__(self) -> None:
        self._queues: dict[tuple[AgentId, SessionId], set[asyncio.Queue[TurnEvent]]] = {}

    @contextmanager
    def watch(self, agent_id: AgentId, session_id: SessionId) -> Generator[asyncio.Queue[TurnEvent]]:
        """A queue of the session's events from now on. Whether the watcher may, was asked before."""
        queue: asyncio.Queue[TurnEvent] = asyncio.Queue(BACKLOG)
        watching = self._queues.setdefault((agent_id, session_id), set())
        watching.add(queue)
        try:
            yield queue
        finally:
            watching.discard(queue)
            if not watching:
                self._queues.pop((agent_id, session_id), None)

    def tell(self, agent_id: AgentId, session_id: SessionId, event: TurnEvent) -> None:
        """Hand an event out. A watcher that is too slow loses its oldest; nobody waits for it."""
        for queue in self._queues.get((agent_id, session_id), ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def watched(self, agent_id: AgentId, session_id: SessionId) -> bool:
        """Whether anybody watches."""
        return (agent_id, session_id) in self._queues
