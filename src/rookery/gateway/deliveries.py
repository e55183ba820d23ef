"""Replies kept until they are sent: the rows of the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from rookery.gateway import routes, tables
from rookery.ids import AgentId, DeliveryId, TurnId
from rookery.messages import OutboundMessage, Route, Speaker
from rookery.storage import as_agent
from rookery.storage.prepared import Prepared
from rookery.storage.statements import insert_new


class Status(StrEnum):
    """How a delivery stands."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One chunk of a reply, with the route it came in by and for whom it was made.

    `cleared`: the gate allowed it in the very transaction that made it, which is good for a send that begins
    at once; whatever had to wait is asked about again.
    """

    delivery_id: DeliveryId
    turn_id: TurnId
    agent_id: AgentId
    principal: str
    speaker: str
    route: Route
    text: str
    attempts: int
    due_at: datetime
    created_at: datetime
    cleared: bool = False

    @property
    def message(self) -> OutboundMessage:
        """The delivery as a channel sends it."""
        return OutboundMessage(self.delivery_id, self.route, Speaker(self.agent_id, self.speaker), self.text)


class DeadLetter(Struct, frozen=True):
    """A delivery that will not be tried again, without its words."""

    delivery_id: DeliveryId
    agent_id: AgentId
    channel: str
    account: str
    chat_id: str
    attempts: int
    problem: str
    ended_at: datetime


_o = tables.outbox.c
_add = Prepared(
    insert_new(tables.outbox),
    *("delivery_id", "turn_id", "agent_id", "principal", "speaker", "status", "attempts", "due_at", "created_at"),
    *routes.COLUMNS,
)
_add_body = Prepared(insert_new(tables.outbox_bodies), "agent_id", "delivery_id", "text")


def add(connection: Connection, delivery: Delivery) -> bool:
    """Keep a delivery to be sent; False, and no change, when that id is there already."""
    new = _add.run(
        connection,
        {
            "delivery_id": delivery.delivery_id,
            "turn_id": delivery.turn_id,
            "agent_id": delivery.agent_id,
            "principal": delivery.principal,
            "speaker": delivery.speaker,
            "status": Status.WAITING.value,
            "attempts": delivery.attempts,
            "due_at": delivery.due_at,
            "created_at": delivery.created_at,
            **routes.to_columns(delivery.route),
        },
    )
    if new == 0:
        return False
    as_agent(connection, delivery.agent_id)
    _add_body.run(
        connection,
        {"agent_id": delivery.agent_id, "delivery_id": delivery.delivery_id, "text": delivery.text},
    )
    return True


_waiting = select(tables.outbox).where(_o.ended_at.is_(None)).order_by(_o.seq)


def waiting(connection: Connection) -> list[Delivery]:
    """All deliveries without an end, in the order in which they were made."""
    rows = connection.execute(_waiting).all()
    texts = _texts(connection, rows)
    return [_from_row(row, texts[row.delivery_id]) for row in rows]


def texts_of(connection: Connection, agent_id: AgentId, turn_id: TurnId) -> list[str]:
    """What was made to be sent for one turn, in order; the words of old ones are forgotten."""
    as_agent(connection, agent_id)
    bodies = tables.outbox_bodies.c
    query = (
        select(bodies.text)
        .join(tables.outbox, (_o.delivery_id == bodies.delivery_id) & (_o.agent_id == bodies.agent_id))
        .where(bodies.agent_id == agent_id, _o.agent_id == agent_id, _o.turn_id == turn_id)
        .order_by(_o.seq)
    )
    return list(connection.execute(query).scalars())


def is_waiting(connection: Connection, delivery_id: DeliveryId) -> bool:
    """Whether a delivery is kept and has no end yet."""
    query = select(_o.seq).where(_o.delivery_id == delivery_id, _o.ended_at.is_(None))
    return connection.execute(query).first() is not None


_sent = Prepared(
    update(tables.outbox)
    .where(_o.delivery_id == bindparam("of"), _o.ended_at.is_(None))
    .values(
        status=Status.SENT.value,
        network_id=bindparam("network_id"),
        attempts=bindparam("attempts"),
        ended_at=bindparam("ended_at"),
    )
)


def mark_sent(
    connection: Connection, delivery_id: DeliveryId, network_id: str | None, attempts: int, now: datetime
) -> None:
    """The network took it."""
    _sent.run(connection, {"of": delivery_id, "network_id": network_id, "attempts": attempts, "ended_at": now})


def mark_delayed(
    connection: Connection, delivery_id: DeliveryId, attempts: int, due_at: datetime, problem: str
) -> None:
    """The network did not take it; it is tried again at `due_at`."""
    connection.execute(
        update(tables.outbox)
        .where(_o.delivery_id == delivery_id, _o.ended_at.is_(None))
        .values(attempts=attempts, due_at=due_at, problem=problem)
    )


def mark_dead(connection: Connection, delivery_id: DeliveryId, attempts: int, problem: str, now: datetime) -> None:
    """It will not be tried again; `rookery channel dead-letters` and `status` show it."""
    connection.execute(
        update(tables.outbox)
        .where(_o.delivery_id == delivery_id, _o.ended_at.is_(None))
        .values(status=Status.DEAD.value, attempts=attempts, problem=problem, ended_at=now)
    )


def forget_words(connection: Connection, delivery: Delivery) -> None:
    """Forget what a delivery says; that it was made, and what became of it, stays."""
    as_agent(connection, delivery.agent_id)
    bodies = tables.outbox_bodies
    connection.execute(
        delete(bodies).where(bodies.c.agent_id == delivery.agent_id, bodies.c.delivery_id == delivery.delivery_id)
    )


def dead_letters(connection: Connection, limit: int = 100, channel: str | None = None) -> list[DeadLetter]:
    """The newest deliveries that failed for good, of one channel or of all."""
    query = select(tables.outbox).where(_o.status == Status.DEAD.value)
    if channel is not None:
        query = query.where(_o.channel == channel)
    query = query.order_by(_o.ended_at.desc(), _o.seq.desc()).limit(limit)
    return [
        DeadLetter(
            DeliveryId(row.delivery_id),
            AgentId(row.agent_id),
            row.channel,
            row.account,
            row.chat_id,
            row.attempts,
            row.problem,
            row.ended_at,
        )
        for row in connection.execute(query)
    ]


def dead_ids(connection: Connection, only: DeliveryId | None, channel: str | None) -> list[DeliveryId]:
    """Which deliveries failed for good, in the order in which they were made: that one, a channel's, or all."""
    query = select(_o.delivery_id).where(_o.status == Status.DEAD.value).order_by(_o.seq)
    if only is not None:
        query = query.where(_o.delivery_id == only)
    if channel is not None:
        query = query.where(_o.channel == channel)
    return [DeliveryId(id) for id in connection.execute(query).scalars()]


def revive(connection: Connection, dead: Iterable[DeliveryId], now: datetime) -> list[Delivery]:
    """Let dead letters wait again, as if they were made now; those whose words are forgotten stay dead."""
    wanted = list(dead)
    for delivery_id in wanted:
        connection.execute(
            update(tables.outbox)
            .where(_o.delivery_id == delivery_id, _o.status == Status.DEAD.value)
            .values(status=Status.WAITING.value, attempts=0, due_at=now, created_at=now, ended_at=None)
        )
    rows = [row for row in connection.execute(_waiting).all() if row.delivery_id in wanted]
    texts = _texts(connection, rows)
    for row in rows:
        if row.delivery_id not in texts:
            mark_dead(connection, DeliveryId(row.delivery_id), row.attempts, row.problem, now)
    return [_from_row(row, texts[row.delivery_id]) for row in rows if row.delivery_id in texts]


def tally(connection: Connection, status: Status) -> dict[str, int]:
    """How many deliveries stand so, by channel."""
    query = select(_o.channel, func.count().label("deliveries")).where(_o.status == status.value)
    return {row.channel: row.deliveries for row in connection.execute(query.group_by(_o.channel))}


def count(connection: Connection, status: Status) -> int:
    """How many deliveries stand so."""
    return connection.execute(select(func.count()).where(_o.status == status.value)).scalar_one()


def count_waiting(connection: Connection, channel: str, account: str, chat_id: str) -> int:
    """How many deliveries wait for one chat."""
    query = select(func.count()).where(
        _o.ended_at.is_(None), _o.channel == channel, _o.account == account, _o.chat_id == chat_id
    )
    return connection.execute(query).scalar_one()


def prune(connection: Connection, agent_ids: Iterable[AgentId], before: datetime) -> int:
    """Forget the words of deliveries that ended before a moment; returns how many."""
    gone = 0
    bodies = tables.outbox_bodies
    for agent_id in agent_ids:
        as_agent(connection, agent_id)
        ended = select(_o.delivery_id).where(_o.agent_id == agent_id, _o.ended_at < before)
        gone += connection.execute(
            delete(bodies).where(bodies.c.agent_id == agent_id, bodies.c.delivery_id.in_(ended))
        ).rowcount
    return gone


def _texts(connection: Connection, rows: Sequence[Row[Any]]) -> dict[str, str]:
    """What deliveries say, by their ids; one whose words were forgotten is not among them."""
    texts: dict[str, str] = {}
    bodies = tables.outbox_bodies.c
    for agent_id in {row.agent_id for row in rows}:
        as_agent(connection, AgentId(agent_id))
        ids = [row.delivery_id for row in rows if row.agent_id == agent_id]
        for start in range(0, len(ids), 500):
            query = select(bodies.delivery_id, bodies.text).where(
                bodies.agent_id == agent_id, bodies.delivery_id.in_(ids[start : start + 500])
            )
            texts |= {row.delivery_id: row.text for row in connection.execute(query)}
    return texts


def _from_row(row: Row[Any], text: str) -> Delivery:
    return Delivery(
        delivery_id=DeliveryId(row.delivery_id),
        turn_id=TurnId(row.turn_id),
        agent_id=AgentId(row.agent_id),
        principal=row.principal,
        speaker=row.speaker,
        route=routes.from_row(row),
        text=text,
        attempts=row.attempts,
        due_at=row.due_at,
        created_at=row.created_at,
    )
