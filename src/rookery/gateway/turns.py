"""Accepted turns, from acceptance to their end. The rows are the truth; lanes only run what stands here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from rookery.gateway import routes, tables
from rookery.gateway.standing import Standing
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import Attachment, Route, Usage
from rookery.storage import as_agent
from rookery.storage.prepared import Prepared


class Kind(StrEnum):
    """What a row asks of its lane."""

    MESSAGE = "message"
    """Answer a person's message."""

    OPEN = "open"
    """Write the beginning of a session that a command opened; nobody is answered."""


class Status(StrEnum):
    """How a turn stands; `queued` covers running too, which only the process that runs it knows."""

    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was said, kept apart from the queue.

    `ephemeral`: the session is destroyed when the turn is done. `title` and `bound_to` belong to `Kind.OPEN`:
    the new session's title, and the further place it lives at.
    """

    text: str = ""
    sender_name: str | None = None
    attachments: tuple[Attachment, ...] = ()
    ephemeral: bool = False
    title: str | None = None
    bound_to: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One accepted message on its way. `seq` is its place in the order of acceptance.

    `opened_key` is the key in the session's header; `session_key` the place the message came to. `stopped`
    says that the person asked for it to be stopped; `recovered` that the row was found, not just written, so
    that its transcript may hold a beginning. `standing` is what the store said as the message was accepted: good
    for a turn that starts at once, and None for one that had to wait, whose rights are asked again.
    """

    seq: int
    turn_id: TurnId
    agent_id: AgentId
    session_id: SessionId
    session_key: str
    opened_key: str
    principal: str
    kind: Kind
    collectable: bool
    stopped: bool
    accepted_at: datetime
    route: Route
    body: Body
    recovered: bool = False
    standing: Standing | None = None


_t = tables.turns.c
_insert = Prepared(
    insert(tables.turns),
    *("turn_id", "agent_id", "session_id", "session_key", "opened_key", "principal", "kind", "status"),
    *("collectable", "stopped", "accepted_at"),
    *routes.COLUMNS,
)
_insert_body = Prepared(insert(tables.turn_bodies), "agent_id", "turn_id", "body")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Body).decode


def add(
    connection: Connection,
    *,
    turn_id: TurnId,
    agent_id: AgentId,
    session_id: SessionId,
    session_key: str,
    opened_key: str,
    principal: str,
    kind: Kind,
    collectable: bool,
    route: Route,
    body: Body,
    now: datetime,
    standing: Standing | None = None,
) -> Turn:
    """Queue a turn. It is accepted when the surrounding transaction commits."""
    seq = _insert.insert(
        connection,
        {
            "turn_id": turn_id,
            "agent_id": agent_id,
            "session_id": session_id,
            "session_key": session_key,
            "opened_key": opened_key,
            "principal": principal,
            "kind": kind.value,
            "status": Status.QUEUED.value,
            "collectable": collectable,
            "stopped": False,
            "accepted_at": now,
            **routes.to_columns(route),
        },
    )
    as_agent(connection, agent_id)
    _insert_body.run(connection, {"agent_id": agent_id, "turn_id": turn_id, "body": _encode(body).decode()})
    return Turn(
        seq=seq,
        turn_id=turn_id,
        agent_id=agent_id,
        session_id=session_id,
        session_key=session_key,
        opened_key=opened_key,
        principal=principal,
        kind=kind,
        collectable=collectable,
        stopped=False,
        accepted_at=now,
        route=route,
        body=body,
        standing=standing,
    )


_unfinished = select(tables.turns).where(_t.finished_at.is_(None)).order_by(_t.seq)


def unfinished(connection: Connection) -> list[Turn]:
    """All turns without an end, in the order of acceptance."""
    rows = connection.execute(_unfinished).all()
    bodies: dict[str, Body] = {}
    for agent_id in {row.agent_id for row in rows}:
        bodies |= _bodies(connection, AgentId(agent_id), [row.turn_id for row in rows if row.agent_id == agent_id])
    return [_from_row(row, bodies[row.turn_id]) for row in rows]


_finish = Prepared(
    update(tables.turns)
    .where(_t.turn_id == bindparam("of"), _t.finished_at.is_(None))
    .values(
        status=bindparam("status"),
        error=bindparam("error"),
        answered_by=bindparam("answered_by"),
        input_tokens=bindparam("input_tokens"),
        output_tokens=bindparam("output_tokens"),
        finished_at=bindparam("finished_at"),
    )
)


def finish(
    connection: Connection,
    batch: Sequence[Turn],
    status: Status,
    *,
    now: datetime,
    usage: Usage | None = None,
    error: str | None = None,
) -> None:
    """End all turns of a batch; the first stands for the batch and carries what it used.

    A turn that ended already stays as it ended.
    """
    leader = batch[0].turn_id
    for turn in batch:
        counted = usage if usage is not None and turn.turn_id == leader else Usage()
        _finish.run(
            connection,
            {
                "of": turn.turn_id,
                "status": status.value,
                "error": error,
                "answered_by": None if turn.turn_id == leader else leader,
                "input_tokens": counted.input_tokens,
                "output_tokens": counted.output_tokens,
                "finished_at": now,
            },
        )


def stop(connection: Connection, session_id: SessionId, principals: Iterable[str] | None) -> list[TurnId]:
    """Mark the unfinished turns of a session as stopped, those of `principals` or of everybody (None).

    Returns the turns marked. The lane ends them; after a crash they are ended instead of run.
    """
    marked = select(_t.turn_id).where(
        _t.session_id == session_id, _t.finished_at.is_(None), _t.kind == Kind.MESSAGE.value
    )
    if principals is not None:
        marked = marked.where(_t.principal.in_(list(principals)))
    found = [TurnId(turn_id) for turn_id in connection.execute(marked.order_by(_t.seq)).scalars()]
    if found:
        connection.execute(update(tables.turns).where(_t.turn_id.in_(found)).values(stopped=True))
    return found


def opened_key(connection: Connection, agent_id: AgentId, session_id: SessionId) -> str | None:
    """The key in the header of a session of this agent that had a turn; None when it had none."""
    query = select(_t.opened_key).where(_t.session_id == session_id, _t.agent_id == agent_id).limit(1)
    return connection.execute(query).scalar()


def hands(connection: Connection, session_id: SessionId) -> set[tuple[str, str]]:
    """The principals who ever caused a turn in a session, each with the kind of chat it was in."""
    query = select(_t.principal, _t.chat_kind).where(_t.session_id == session_id).distinct()
    return {(row.principal, row.chat_kind) for row in connection.execute(query)}


def waiting(connection: Connection, session_id: SessionId) -> int:
    """How many turns of a session have no end yet."""
    query = select(func.count()).where(_t.session_id == session_id, _t.finished_at.is_(None))
    return connection.execute(query).scalar_one()


def count_unfinished(connection: Connection) -> int:
    """How many turns of all sessions have no end yet."""
    return connection.execute(select(func.count()).where(_t.finished_at.is_(None))).scalar_one()


@dataclass(frozen=True, slots=True)
class TurnState:
    """A turn as its owner may ask about it."""

    turn_id: TurnId
    agent_id: AgentId
    session_id: SessionId
    session_key: str
    principal: str
    status: Status
    error: str | None
    answered_by: TurnId
    usage: Usage
    created_at: datetime
    finished_at: datetime | None


def state(connection: Connection, turn_id: TurnId) -> TurnState | None:
    """How a turn stands; None when there is no such turn."""
    row = connection.execute(select(tables.turns).where(_t.turn_id == turn_id)).one_or_none()
    if row is None:
        return None
    return TurnState(
        turn_id=TurnId(row.turn_id),
        agent_id=AgentId(row.agent_id),
        session_id=SessionId(row.session_id),
        session_key=row.session_key,
        principal=row.principal,
        status=Status(row.status),
        error=row.error,
        answered_by=TurnId(row.answered_by or row.turn_id),
        usage=Usage(row.input_tokens, row.output_tokens),
        created_at=row.accepted_at,
        finished_at=row.finished_at,
    )


def prune(connection: Connection, agent_ids: Iterable[AgentId], before: datetime) -> int:
    """Forget the words of turns that ended before a moment; what was said stands in the transcripts."""
    gone = 0
    for agent_id in agent_ids:
        as_agent(connection, agent_id)
        ended = select(_t.turn_id).where(_t.agent_id == agent_id, _t.finished_at < before)
        bodies = tables.turn_bodies
        gone += connection.execute(
            delete(bodies).where(bodies.c.agent_id == agent_id, bodies.c.turn_id.in_(ended))
        ).rowcount
    return gone


def _bodies(connection: Connection, agent_id: AgentId, turn_ids: Sequence[str]) -> dict[str, Body]:
    as_agent(connection, agent_id)
    bodies = tables.turn_bodies.c
    found: dict[str, Body] = {}
    for start in range(0, len(turn_ids), 500):
        query = select(bodies.turn_id, bodies.body).where(
            bodies.agent_id == agent_id, bodies.turn_id.in_(turn_ids[start : start + 500])
        )
        found |= {row.turn_id: _decode(row.body) for row in connection.execute(query)}
    return found


def _from_row(row: Row[Any], body: Body) -> Turn:
    return Turn(
        seq=row.seq,
        turn_id=TurnId(row.turn_id),
        agent_id=AgentId(row.agent_id),
        session_id=SessionId(row.session_id),
        session_key=row.session_key,
        opened_key=row.opened_key,
        principal=row.principal,
        kind=Kind(row.kind),
        collectable=row.collectable,
        stopped=row.stopped,
        accepted_at=row.accepted_at,
        route=routes.from_row(row),
        body=body,
        recovered=True,
    )
