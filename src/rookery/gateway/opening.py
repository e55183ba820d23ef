"""Opening sessions: the live one of a place, one that somebody named, or a new one."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection

from rookery import ids
from rookery.errors import InvalidKey, NotFound
from rookery.gateway import places, turn_facts, turns
from rookery.gateway.places import Place
from rookery.gateway.turns import Body, Kind, Turn
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import ChatKind, Route
from rookery.sessions.key import ByHand, SessionKey, read_place


class LiveSession(Struct, frozen=True):
    """The session a message is for. `key` is where it arrived, `opened_key` what the session's header says."""

    key: str
    session_id: SessionId
    opened_key: str
    ephemeral: bool = False


def named(connection: Connection, agent_id: AgentId, session: str, main_key: str, now: datetime) -> LiveSession:
    """The session that its agent's owner named by place or `sessionId`; an empty place opens one.

    Raises `InvalidKey` for what is neither, and `NotFound` for what is not this agent's.
    """
    known = _by_id(connection, agent_id, SessionId(session))
    if known is not None:
        return known
    try:
        key = read_place(session, agent_id, main_key)
    except InvalidKey:
        if ":" in session:
            raise
        raise NotFound(f"There is no session {session!r} here.") from None
    if key.agent_id != agent_id:
        raise NotFound(f"There is no session {session!r} here.")
    return live_in(connection, agent_id, str(key), now)


def own(connection: Connection, agent_id: AgentId, session: str, principal: str) -> LiveSession:
    """The session that one of several people named on a shared agent: one that nobody else ever wrote in.

    A group's session is the group's, also while they alone spoke there. Naming an empty place opens nothing,
    for it may be somebody else's. Raises `NotFound` for all that is not theirs, whether it exists or not.
    """
    place = places.live(connection, session)
    known = (
        LiveSession(place.session_key, place.session_id, place.opened_key)
        if place is not None and place.agent_id == agent_id
        else _by_id(connection, agent_id, SessionId(session))
    )
    if known is None or turn_facts.hands(connection, known.session_id) != {(principal, ChatKind.DM)}:
        raise NotFound(f"There is no session {session!r} here.")
    return known


def live_in(connection: Connection, agent_id: AgentId, key: str, now: datetime) -> LiveSession:
    """The session that lives in a place of this agent; an empty place opens one."""
    found = places.live(connection, key)
    if found is None:
        found = Place(key, agent_id, SessionId(ids.fresh(now)), key, now)
        places.move(connection, found)
    assert found.agent_id == agent_id, "a key names its agent, so a place is never another agent's"
    return LiveSession(key, found.session_id, found.opened_key)


def _by_id(connection: Connection, agent_id: AgentId, session_id: SessionId) -> LiveSession | None:
    """A session of this agent by its id, wherever it lives, or no longer does; None for one that was removed."""
    asked = turn_facts.kinds(connection, session_id)
    if Kind.REMOVE in asked:
        return None
    if Kind.OPEN_ONCE in asked:
        return None if Kind.MESSAGE in asked else _once(connection, agent_id, session_id)
    for key in places.of_session(connection, agent_id, session_id):
        place = places.live(connection, key)
        if place is not None and place.session_id == session_id:
            return LiveSession(key, session_id, place.opened_key)
    opened_key = turn_facts.opened_key(connection, agent_id, session_id)
    return None if opened_key is None else LiveSession(opened_key, session_id, opened_key)


def _once(connection: Connection, agent_id: AgentId, session_id: SessionId) -> LiveSession | None:
    """A session that was opened for one task, which it has not been given yet."""
    opened_key = turn_facts.opened_key(connection, agent_id, session_id)
    return None if opened_key is None else LiveSession(opened_key, session_id, opened_key, ephemeral=True)


def ephemeral(agent_id: AgentId, now: datetime) -> LiveSession:
    """A session for one task, in no place that a second message could find."""
    session_id = ids.fresh(now)
    key = str(SessionKey(agent_id, ByHand(session_id)))
    return LiveSession(key, SessionId(session_id), key, ephemeral=True)


def open_session(
    connection: Connection,
    *,
    agent_id: AgentId,
    session_id: SessionId,
    title: str | None,
    also_at: str | None,
    principal: str,
    route: Route,
    now: datetime,
    label: str | None = None,
    tags: tuple[str, ...] | None = None,
    once: bool = False,
) -> Turn:
    """Open a session at `chat:<sessionId>`, and let it live at `also_at` too. Its lane writes its first lines.

    `once`: it lives nowhere, is found by its id alone, and is destroyed when its first message is answered.
    """
    own_key = str(SessionKey(agent_id, ByHand(session_id)))
    for key in (own_key, also_at):
        if key is not None and not once:
            places.move(connection, Place(key, agent_id, session_id, own_key, now))
    return _write_first_lines(
        connection,
        LiveSession(own_key, session_id, own_key),
        agent_id=agent_id,
        kind=Kind.OPEN_ONCE if once else Kind.OPEN,
        principal=principal,
        route=route,
        body=Body(title=title, label=label, tags=tags, bound_to=also_at),
        now=now,
    )


def open_place(
    connection: Connection,
    key: SessionKey,
    *,
    principal: str,
    route: Route,
    title: str | None,
    label: str | None,
    tags: tuple[str, ...] | None,
    now: datetime,
) -> Turn:
    """Open a session in an empty place and have its first lines written, so that it is on the list at once."""
    live = live_in(connection, key.agent_id, str(key), now)
    body = Body(title=title, label=label, tags=tags)
    return _write_first_lines(
        connection,
        live,
        agent_id=key.agent_id,
        kind=Kind.OPEN,
        principal=principal,
        route=route,
        body=body,
        now=now,
    )


def _write_first_lines(
    connection: Connection,
    live: LiveSession,
    *,
    agent_id: AgentId,
    kind: Kind,
    principal: str,
    route: Route,
    body: Body,
    now: datetime,
) -> Turn:
    return turns.add(
        connection,
        turn_id=TurnId(ids.fresh(now)),
        agent_id=agent_id,
        session_id=live.session_id,
        session_key=live.key,
        opened_key=live.opened_key,
        principal=principal,
        kind=kind,
        collectable=False,
        route=route,
        body=body,
        now=now,
    )
