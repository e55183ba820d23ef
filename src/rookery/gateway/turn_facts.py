"""What the rows of turns tell, without the words: of a turn, of a session, and of what has no end yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, func, select

from rookery.gateway import routes, tables
from rookery.gateway.turns import Kind, Status
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import Chat, Route, Usage

_t = tables.turns.c
_SAID_NOTHING = (Kind.COMMAND.value, Kind.REMOVE.value)


class TurnState(Struct, frozen=True):
    """A turn as its owner may ask about it."""

    turn_id: TurnId
    agent_id: AgentId
    session_id: SessionId
    session_key: str
    opened_key: str
    principal: str
    kind: Kind
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
        opened_key=row.opened_key,
        principal=row.principal,
        kind=Kind(row.kind),
        status=Status(row.status),
        error=row.error,
        answered_by=TurnId(row.answered_by or row.turn_id),
        usage=Usage(row.input_tokens, row.output_tokens),
        created_at=row.accepted_at,
        finished_at=row.finished_at,
    )


def whose(connection: Connection, session_id: SessionId) -> tuple[AgentId, str] | None:
    """The agent of a session that had a turn, and the key in its header; None for one that no row names."""
    query = select(_t.agent_id, _t.opened_key).where(_t.session_id == session_id).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (AgentId(row.agent_id), row.opened_key)


def opened_key(connection: Connection, agent_id: AgentId, session_id: SessionId) -> str | None:
    """The key in the header of a session of this agent that had a turn; None when it had none."""
    query = select(_t.opened_key).where(_t.session_id == session_id, _t.agent_id == agent_id).limit(1)
    return connection.execute(query).scalar()


def kinds(connection: Connection, session_id: SessionId) -> set[Kind]:
    """What was ever asked of the lane of a session; nothing for one that no row names."""
    query = select(_t.kind).where(_t.session_id == session_id).distinct()
    return {Kind(kind) for kind in connection.execute(query).scalars()}


def hands(connection: Connection, session_id: SessionId) -> set[tuple[str, str]]:
    """The principals who ever caused a turn in a session, each with the kind of chat it was in."""
    return hands_of(connection, [session_id]).get(session_id, set())


def hands_of(connection: Connection, session_ids: Sequence[SessionId]) -> dict[SessionId, set[tuple[str, str]]]:
    """The `hands` of several sessions; one without any is left out."""
    query = (
        select(_t.session_id, _t.principal, _t.chat_kind)
        .where(_t.session_id.in_(session_ids), _t.kind.notin_(_SAID_NOTHING))
        .distinct()
    )
    found: dict[SessionId, set[tuple[str, str]]] = {}
    for row in connection.execute(query):
        found.setdefault(SessionId(row.session_id), set()).add((row.principal, row.chat_kind))
    return found


def route_into(connection: Connection, session_id: SessionId) -> Route | None:
    """A route by which messages came to a session; None for one that no message came to."""
    query = select(tables.turns).where(_t.session_id == session_id, _t.kind == Kind.MESSAGE.value).limit(1)
    row = connection.execute(query).first()
    return None if row is None else routes.from_row(row)


def busy_in(connection: Connection, channel: str, account: str | None, chat: Chat) -> list[SessionId]:
    """The sessions with unfinished turns that came from a chat; `account` None is every account of the channel."""
    query = select(_t.session_id).where(
        _t.finished_at.is_(None), _t.channel == channel, _t.chat_kind == chat.kind.value, _t.chat_id == chat.id
    )
    if account is not None:
        query = query.where(_t.account == account)
    return [SessionId(session_id) for session_id in connection.execute(query.distinct()).scalars()]


def any_of(connection: Connection, agent_id: AgentId) -> bool:
    """Whether anything was ever said to an agent."""
    return connection.execute(select(_t.seq).where(_t.agent_id == agent_id).limit(1)).first() is not None


def waiting(connection: Connection, session_id: SessionId) -> int:
    """How many turns of a session have no end yet."""
    query = select(func.count()).where(_t.session_id == session_id, _t.finished_at.is_(None))
    return connection.execute(query).scalar_one()


def unfinished(connection: Connection, session_id: SessionId, principal: str) -> list[TurnId]:
    """What one principal said in a session that has no end yet, in the order of acceptance."""
    query = select(_t.turn_id).where(
        _t.session_id == session_id, _t.principal == principal, _t.finished_at.is_(None)
    )
    return [TurnId(turn_id) for turn_id in connection.execute(query.order_by(_t.seq)).scalars()]


def count_unfinished(connection: Connection) -> int:
    """How many turns of all sessions have no end yet."""
    return connection.execute(select(func.count()).where(_t.finished_at.is_(None))).scalar_one()
