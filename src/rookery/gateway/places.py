"""Which session lives where: each place holds at most one live session."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, select

from rookery.gateway import tables
from rookery.ids import AgentId, SessionId
from rookery.storage.prepared import Prepared
from rookery.storage.statements import upsert

_p = tables.places.c
_find = select(_p.session_id, _p.agent_id, _p.opened_key, _p.moved_at).where(
    _p.session_key == bindparam("session_key")
)
_find_locked = Prepared(_find.with_for_update())
_move = upsert(tables.places, ["session_key"], ["session_id", "opened_key", "moved_at"])


class Place(Struct, frozen=True):
    """A place and the session that lives there; `opened_key` is the key in that session's transcript header."""

    session_key: str
    agent_id: AgentId
    session_id: SessionId
    opened_key: str
    moved_at: datetime


def live(connection: Connection, session_key: str) -> Place | None:
    """The place with its live session; None while it is empty. Held against others to the transaction's end."""
    row = _find_locked.first(connection, {"session_key": session_key})
    if row is None:
        return None
    return Place(session_key, AgentId(row.agent_id), SessionId(row.session_id), row.opened_key, row.moved_at)


def move(connection: Connection, place: Place) -> None:
    """Let `place.session_id` be the session that lives there from now on."""
    connection.execute(
        _move.on(connection),
        {
            "session_key": place.session_key,
            "agent_id": place.agent_id,
            "session_id": place.session_id,
            "opened_key": place.opened_key,
            "moved_at": place.moved_at,
        },
    )


def vacate(connection: Connection, agent_id: AgentId, session_id: SessionId) -> None:
    """Leave every place of this session empty; the next message there opens another."""
    connection.execute(delete(tables.places).where(_p.agent_id == agent_id, _p.session_id == session_id))


def whose(connection: Connection, session_id: SessionId) -> tuple[AgentId, str] | None:
    """The agent of a session that lives somewhere, and the key in its header; None for one that does not."""
    query = select(_p.agent_id, _p.opened_key).where(_p.session_id == session_id).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (AgentId(row.agent_id), row.opened_key)


def of_session(connection: Connection, agent_id: AgentId, session_id: SessionId) -> list[str]:
    """The keys of the places in which a session of this agent lives."""
    query = select(_p.session_key).where(_p.agent_id == agent_id, _p.session_id == session_id)
    return list(connection.execute(query.order_by(_p.session_key)).scalars())


def of_agent(connection: Connection, agent_id: AgentId) -> list[Place]:
    """All places of an agent."""
    query = select(tables.places).where(_p.agent_id == agent_id).order_by(_p.session_key)
    return [
        Place(row.session_key, AgentId(row.agent_id), SessionId(row.session_id), row.opened_key, row.moved_at)
        for row in connection.execute(query)
    ]
