"""Accepted turns, from acceptance to their end. The rows are the truth; lanes only run what stands here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from rookery.gateway import routes, tables
from rookery.gateway.overheard import Line
from rookery.gateway.standing import Standing
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import Attachment, Role, Route, Usage
from rookery.messages.transcript import ImagePart
from rookery.storage import as_agent
from rookery.storage.prepared import Prepared


class Kind(StrEnum):
    """What a row asks of its lane."""

    MESSAGE = "message"
    """Answer a person's message."""

    OPEN = "open"
    """Write the beginning of a session that somebody opened; nobody is answered."""

    OPEN_ONCE = "openOnce"
    """The same, for a session that is destroyed when its first message is answered."""

    COMMAND = "command"
    """A chat command, carried out as it was accepted: there is nothing left to do."""

    REMOVE = "remove"
    """Take a session off the shelf, or (`purge`) out of the world."""


class Status(StrEnum):
    """How a turn stands; `queued` covers running too, which only the process that runs it knows."""

    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was said, kept apart from the queue.

    `ephemeral`: the session is destroyed when the turn is done. `attended`: somebody holds a line open for the
    answer, and there is nobody to answer without it. `title`, `label`, `tags` and `bound_to` belong to
    `Kind.OPEN`: what the new session is called, and the further place it lives at. `purge` belongs to
    `Kind.REMOVE`: nothing of the session stays.
    """

    text: str = ""
    sender_name: str | None = None
    attachments: tuple[Attachment, ...] = ()
    ephemeral: bool = False
    attended: bool = False
    title: str | None = None
    label: str | None = None
    tags: tuple[str, ...] | None = None
    bound_to: str | None = None
    purge: bool = False


@dataclass(frozen=True, slots=True)
class Earlier:
    """Something that was said before, as a client tells it: by the person (`Role.USER`) or to them."""

    role: Role
    text: str
    images: tuple[ImagePart, ...] = ()


@dataclass(frozen=True, slots=True)
class Aside:
    """What came with a message for its one turn, and is kept nowhere.

    `instructions` stand below the persona; `earlier` is the part of the prompt before the session's own messages.
    """

    instructions: str = ""
    earlier: tuple[Earlier, ...] = ()


NO_ASIDE = Aside()


@dataclass(frozen=True, slots=True)
class Turn:
    """One accepted message on its way. `seq` is its place in the order of acceptance.

    `opened_key` is the key in the session's header; `session_key` the place the message came to. `stopped`
    says that the person asked for it to be stopped; `recovered` that the row was found, not just written, so
    that its transcript may hold a beginning. `standing` is what the store said as the message was accepted: good
    for a turn that starts at once, and None for one that had to wait, whose rights are asked again. `aside` is
    held in memory only: a turn that has one is attended, and one found again after a crash is ended and not run.
    `overheard`, in memory only too, is what was said in its group before it; one found again has none.
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
    aside: Aside = NO_ASIDE
    overheard: tuple[Line, ...] = ()

    def file_id(self, number: int) -> str:
        """The id under which its file of that number is kept, when that is fetched; the same in every run."""
        return f"{self.turn_id}-{number}"

    @property
    def forsaken(self) -> bool:
        """Whether it was bound to a request that is gone with the process that took it."""
        return self.body.attended and self.recovered


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
    aside: Aside = NO_ASIDE,
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
        aside=aside,
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


def stop(connection: Connection, session_id: SessionId | None, principals: Iterable[str] | None) -> list[TurnId]:
    """Mark unfinished turns as stopped: those of a session or of all sessions (None), and in it those of
    `principals` or of everybody (None).

    Returns the turns marked. The lane ends them; after a crash they are ended instead of run.
    """
    assert session_id is not None or principals is not None, "nobody stops everything"
    marked = select(_t.turn_id).where(_t.finished_at.is_(None), _t.kind == Kind.MESSAGE.value)
    if session_id is not None:
        marked = marked.where(_t.session_id == session_id)
    if principals is not None:
        marked = marked.where(_t.principal.in_(list(principals)))
    return _stop(connection, connection.execute(marked.order_by(_t.seq)).scalars())


def stop_on(connection: Connection, whose: str, closed: Callable[[str, str], bool]) -> list[TurnId]:
    """Mark a principal's unfinished turns as stopped that came by a way in that is closed, as `stop` does.

    `closed` says whether an account of a channel is.
    """
    unfinished = select(_t.turn_id, _t.channel, _t.account).where(
        _t.finished_at.is_(None), _t.kind == Kind.MESSAGE.value, _t.principal == whose
    )
    rows = connection.execute(unfinished.order_by(_t.seq)).all()
    return _stop(connection, (row.turn_id for row in rows if closed(row.channel, row.account)))


def _stop(connection: Connection, turn_ids: Iterable[str]) -> list[TurnId]:
    found = [TurnId(turn_id) for turn_id in turn_ids]
    for start in range(0, len(found), 500):
        some = found[start : start + 500]
        connection.execute(update(tables.turns).where(_t.turn_id.in_(some)).values(stopped=True))
    return found


def add_command(
    connection: Connection,
    *,
    turn_id: TurnId,
    agent_id: AgentId,
    session_id: SessionId,
    session_key: str,
    opened_key: str,
    principal: str,
    route: Route,
    now: datetime,
) -> None:
    """Keep that a command was carried out, so that whoever sent it can ask for its turn; it has ended already."""
    connection.execute(
        insert(tables.turns).values(
            turn_id=turn_id,
            agent_id=agent_id,
            session_id=session_id,
            session_key=session_key,
            opened_key=opened_key,
            principal=principal,
            kind=Kind.COMMAND.value,
            status=Status.DONE.value,
            collectable=False,
            stopped=False,
            accepted_at=now,
            finished_at=now,
            **routes.to_columns(route),
        )
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


def forget_words(connection: Connection, agent_id: AgentId, session_id: SessionId) -> None:
    """Forget what was said in a session's turns and what was answered to its commands; the rows stay."""
    as_agent(connection, agent_id)
    ended = select(_t.turn_id).where(
        _t.agent_id == agent_id, _t.session_id == session_id, _t.finished_at.is_not(None)
    )
    bodies, sent, sent_bodies = tables.turn_bodies, tables.outbox.c, tables.outbox_bodies
    connection.execute(delete(bodies).where(bodies.c.agent_id == agent_id, bodies.c.turn_id.in_(ended)))
    theirs = select(sent.delivery_id).where(
        sent.agent_id == agent_id, sent.turn_id.in_(ended), sent.ended_at.is_not(None)
    )
    connection.execute(
        delete(sent_bodies).where(sent_bodies.c.agent_id == agent_id, sent_bodies.c.delivery_id.in_(theirs))
    )


def files_of(connection: Connection, agent_id: AgentId, session_id: SessionId) -> set[str]:
    """The ids of the files that were sent with the turns of a session, as far as their words are still known."""
    query = select(tables.turns).where(
        _t.agent_id == agent_id, _t.session_id == session_id, _t.kind == Kind.MESSAGE.value
    )
    rows = connection.execute(query).all()
    bodies = _bodies(connection, agent_id, [row.turn_id for row in rows])
    found = [_from_row(row, bodies[row.turn_id]) for row in rows if row.turn_id in bodies]
    return {
        attachment.attachment_id or turn.file_id(number)
        for turn in found
        for number, attachment in enumerate(turn.body.attachments)
    }


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
