"""Notes: words of the gateway's own to an address, in no conversation and by no agent.

A note belongs to nobody's agent and to no principal, so the rights of an agent's reply are not its own. What it is
about says whether it may still go: `note_rights` asks that at every send.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import Connection

from rookery.channels.chunks import chunks
from rookery.gateway import deliveries
from rookery.gateway.deliveries import Delivery
from rookery.ids import AgentId, DeliveryId, TurnId
from rookery.messages import Route

NOBODYS = AgentId("system")
"""The agent a note is kept under: no agent can have this id."""

SPEAKER = "Rookery"

CHUNK = 500
"""Characters of a note that are sent at once: it can go by another network than the one that brought it about."""

_MARK = "note"


class Kind(StrEnum):
    """What a note is about."""

    LINK = "link"
    UNLINK = "unlink"
    PAIRING = "pairing"


class Topic(Struct, frozen=True):
    """What a note is about: its kind, the id of the thing, and how that thing stood when the note was made.

    `step` holds no ':'.
    """

    kind: Kind
    step: str
    id: str = ""

    def __str__(self) -> str:
        return f"{_MARK}:{self.kind.value}:{self.step}:{self.id}"


def add(
    connection: Connection,
    topic: Topic,
    route: Route,
    text: str,
    *,
    turn_id: TurnId,
    number: int = 0,
    now: datetime,
) -> tuple[Delivery, ...]:
    """Keep a note to be sent by a route. Give what it returns to the outbox, after the commit.

    `turn_id` is the id of the message that it comes of, and `number` tells several of one message apart.
    """
    made = tuple(
        Delivery(
            delivery_id=DeliveryId(f"{turn_id}.{_MARK}{number}.{part}"),
            turn_id=turn_id,
            agent_id=NOBODYS,
            principal=str(topic),
            speaker=SPEAKER,
            route=route,
            text=chunk,
            attempts=0,
            due_at=now,
            created_at=now,
        )
        for part, chunk in enumerate(chunks(text, CHUNK))
    )
    return tuple(one for one in made if deliveries.add(connection, one))


def forget(connection: Connection, delivery: Delivery) -> None:
    """Forget the words of a note that ended, sent or not: they may hold a code, or a name. Others keep theirs."""
    if delivery.agent_id == NOBODYS:
        deliveries.forget_words(connection, delivery)


def topic_of(delivery: Delivery) -> Topic | None:
    """What a delivery is a note about; None when an agent speaks it."""
    if delivery.agent_id != NOBODYS:
        return None
    mark, kind, step, id = delivery.principal.split(":", 3)
    assert mark == _MARK, "what nobody's agent speaks is a note"
    return Topic(Kind(kind), step, id)
