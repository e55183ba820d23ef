"""Who watches a session while it is answered. Deltas live in memory; what must last is in the transcript."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from msgspec import Struct

from rookery.ids import AgentId, SessionId, TurnId, UserId
from rookery.messages import StopReason, Usage
from rookery.models import ModelEvent

BACKLOG = 1000
"""Events a watcher may lag behind before it loses the oldest; it can read the whole from the transcript."""


_UNUSED = Usage()


class Where(Struct, frozen=True):
    """The session an event belongs to, and the one user who may see it on pages of theirs.

    `user_id` is None where no one person owns what is said (in a group, with guests), and for what is on no page.
    """

    agent_id: AgentId
    session_id: SessionId
    session_key: str
    user_id: UserId | None


class TurnStarted(Struct, frozen=True):
    """A turn began to be answered; `turn_ids` are all messages it answers."""

    turn_id: TurnId
    turn_ids: tuple[TurnId, ...]


class TurnJoined(Struct, frozen=True):
    """Messages joined a turn that is being answered; `turn_ids` are all it answers now."""

    turn_id: TurnId
    turn_ids: tuple[TurnId, ...]


class TurnWaiting(Struct, frozen=True):
    """A turn waits for a free model; `position` is its place in line, 1 for the next, None once it has one."""

    turn_id: TurnId
    position: int | None


class TurnDelta(Struct, frozen=True):
    """Something streamed by."""

    turn_id: TurnId
    event: ModelEvent


class TurnApproval(Struct, frozen=True):
    """A turn waits for its person's yes to a call, or does so no more; `state` is one of `agents.Verdict`.

    `words` say what the call would do, `arguments` are those of the tool; `n` is what it is answered by.
    """

    turn_id: TurnId
    n: int
    tool: str
    words: str
    arguments: Mapping[str, Any]
    state: str
    expires_at: datetime


class TurnFinished(Struct, frozen=True):
    """A turn ended; `text` is what the person is told, `status` how it ended.

    `stop_reason` is that of its last entry, None where it has none; `usage` what all its model calls used.
    """

    turn_id: TurnId
    turn_ids: tuple[TurnId, ...]
    status: str
    text: str
    error: str | None = None
    stop_reason: StopReason | None = None
    usage: Usage = _UNUSED


class SessionChanged(Struct, frozen=True):
    """A session was opened, or its title, status or the like changed; who shows it reads it again."""


class SessionRemoved(Struct, frozen=True):
    """A session is gone."""


TurnEvent = TurnStarted | TurnJoined | TurnWaiting | TurnDelta | TurnApproval | TurnFinished
Event = TurnEvent | SessionChanged | SessionRemoved

Follower = Callable[[TurnEvent], None]
"""Told of every event of one session's turns, in order. Never waits, never raises."""

Listener = Callable[[Where, Event], None]
"""Told of every event of every session; who may see it is `Where.user_id`. Never waits, never raises."""


class Watchers:
    """Hands each event of a session to those who watch that session of that agent, and to nobody else.

    Whoever keeps pages of many people up to date listens to all, and sorts by `Where.user_id`.
    """

    def __init__(self) -> None:
        self._queues: dict[tuple[AgentId, SessionId], set[asyncio.Queue[TurnEvent]]] = {}
        self._followers: dict[tuple[AgentId, SessionId], list[Follower]] = {}
        self._listeners: list[Listener] = []
        self._early: dict[tuple[AgentId, SessionId], list[tuple[Where, TurnEvent]]] = {}
        """What nobody listened to yet, of the turns that run."""

    @contextmanager
    def watch(self, agent_id: AgentId, session_id: SessionId) -> Generator[asyncio.Queue[TurnEvent]]:
        """A queue of the session's turns from now on. Whether the watcher may, was asked before."""
        queue: asyncio.Queue[TurnEvent] = asyncio.Queue(BACKLOG)
        watching = self._queues.setdefault((agent_id, session_id), set())
        watching.add(queue)
        try:
            yield queue
        finally:
            watching.discard(queue)
            if not watching:
                self._queues.pop((agent_id, session_id), None)

    def follow(self, agent_id: AgentId, session_id: SessionId, follower: Follower) -> Callable[[], None]:
        """Be told of the session's turns from now on, without loss, until what is returned is called.

        For who keeps what it is told itself, as long as one turn takes.
        """
        key = (agent_id, session_id)
        self._followers.setdefault(key, []).append(follower)

        def leave() -> None:
            following = self._followers[key]
            following.remove(follower)
            if not following:
                del self._followers[key]

        return leave

    @contextmanager
    def listen(self, listener: Listener) -> Generator[None]:
        """Be told of everything inside the block.

        The first who listens is told at once how the turns went that run already: those that a start goes on with
        begin before there is anybody to show them to.
        """
        self._listeners.append(listener)
        early, self._early = self._early, {}
        for events in early.values():
            for where, event in events:
                listener(where, event)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def tell(self, where: Where, event: Event) -> None:
        """Hand an event out. A watcher that is too slow loses its oldest; nobody waits for it."""
        for listener in self._listeners:
            listener(where, event)
        if isinstance(event, SessionChanged | SessionRemoved):
            return
        if not self._listeners:
            self._keep(where, event)
        for follower in tuple(self._followers.get((where.agent_id, where.session_id), ())):
            follower(event)
        for queue in self._queues.get((where.agent_id, where.session_id), ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def _keep(self, where: Where, event: TurnEvent) -> None:
        key = (where.agent_id, where.session_id)
        if isinstance(event, TurnFinished):
            self._early.pop(key, None)
        elif isinstance(event, TurnStarted):
            self._early[key] = [(where, event)]
        elif key in self._early:
            self._early[key].append((where, event))

    def watched(self, agent_id: AgentId, session_id: SessionId) -> bool:
        """Whether anybody watches this one session."""
        return (agent_id, session_id) in self._queues or (agent_id, session_id) in self._followers
