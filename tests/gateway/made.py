"""Turns, deliveries and what goes wrong with a database, made for tests of one part alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from rookery.errors import StorageUnavailable
from rookery.gateway.deliveries import Delivery
from rookery.gateway.turns import Body, Kind, Turn
from rookery.ids import AgentId, DeliveryId, SessionId, TurnId
from rookery.messages import Chat, ChatKind, InboundMessage, Route
from rookery.storage import Database, Work

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

T = TypeVar("T")


def route(sender: str = "1", *, channel: str = "telegram", chat: str | None = None, message: str = "m") -> Route:
    """A direct message's route back."""
    return Route(channel, "default", Chat(ChatKind.DM, chat or sender), None, sender, message)


def message(id: str, *, sender: str = "1", channel: str = "telegram", account: str = "default") -> InboundMessage:
    """A direct message."""
    return InboundMessage(channel, account, id, sender, Chat(ChatKind.DM, sender), "hello")


def turn(seq: int, session: str = "s1", *, person: str = "alice", **fields: Any) -> Turn:
    """A queued turn; `seq` makes its id."""
    made = Turn(
        seq=seq,
        turn_id=TurnId(f"t{seq}"),
        agent_id=AgentId(person),
        session_id=SessionId(session),
        session_key=f"agent:{person}:main",
        opened_key=f"agent:{person}:main",
        principal=f"user:{person}",
        kind=Kind.MESSAGE,
        collectable=True,
        stopped=False,
        accepted_at=NOW,
        route=route(),
        body=Body(text=f"message {seq}"),
    )
    return replace(made, **fields)


def delivery(
    id: str, sender: str = "1", *, channel: str = "telegram", person: str = "alice", **fields: Any
) -> Delivery:
    """A reply to a person on its way out."""
    made = Delivery(
        delivery_id=DeliveryId(id),
        turn_id=TurnId("t1"),
        agent_id=AgentId(person),
        principal=f"user:{person}",
        speaker="Rookery",
        route=route(sender, channel=channel),
        text=f"text of {id}",
        attempts=0,
        due_at=NOW,
        created_at=NOW,
    )
    return replace(made, **fields)


class ShakyDatabase:
    """A database that is unavailable as often as it is told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.failing_writes = 0
        self.failing_reads = 0
        self.failed = 0

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self.database.dialect

    async def write(self, work: Work[T], *, then: Callable[[T], None] | None = None, relaxed: bool = False) -> T:
        if self.failing_writes:
            self.failing_writes -= 1
            self.failed += 1
            raise StorageUnavailable("The disk is full.")
        return await self.database.write(work, then=then, relaxed=relaxed)

    async def read(self, work: Work[T]) -> T:
        if self.failing_reads:
            self.failing_reads -= 1
            self.failed += 1
            raise StorageUnavailable("The disk does not answer.")
        return await self.database.read(work)

    async def scrub(self, *, whole: bool = True) -> None:
        await self.database.scrub(whole=whole)

    async def close(self) -> None:
        await self.database.close()
