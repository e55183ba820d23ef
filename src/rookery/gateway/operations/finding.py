"""Finding a session by what somebody calls it, among those they may see.

What is somebody else's and what is not there are told alike: every way to fail ends in the same words.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from msgspec import Struct
from sqlalchemy import Connection

from rookery import users
from rookery.errors import InvalidId, InvalidKey, NotFound
from rookery.gateway import places, turn_facts
from rookery.gateway.operations.desk import Desk
from rookery.gateway.rights import facts
from rookery.gateway.turns import Kind
from rookery.ids import AgentId, SessionId, UserId
from rookery.messages import ChatKind
from rookery.policy import Action, AgentResource, Member, Operator, principal
from rookery.sessions.key import SessionKey, SessionKind, read_place
from rookery.sessions.transcripts import is_session_id
from rookery.users import Agent, spaces

T = TypeVar("T")


class Found(Struct, frozen=True):
    """A session that was found, and what the gate is asked about it.

    `whose` is the one person whose session it is, None where several may have written. `removed`: somebody deleted
    it; it may still be in the bin.
    """

    agent: Agent
    session_id: SessionId
    opened_key: str
    resource: AgentResource
    whose: UserId | None
    removed: bool


def absent(session: str) -> str:
    """The words for a session that is not there, or not this person's."""
    return f"There is no session {session[:200]!r} here."


def find(
    connection: Connection,
    desk: Desk,
    person: UserId,
    session: str,
    action: Action,
    *,
    agent_id: str | None = None,
    words: str | None = None,
) -> Found:
    """The session that `person` calls so, for whoever is at the desk to do `action` to it.

    By its key, where the live session of that place is meant, by a short form of a place of the person's main
    agent, or by its `sessionId`. Raises `NotFound` with `words`, and nothing else.
    """
    words = words or absent(session)
    named = _named(connection, session, AgentId(agent_id or person), desk.house.gateway.settings.rules.main_key)
    if named is None:
        raise NotFound(words)
    found = describe(connection, person, *named)
    theirs = found is not None and (found.whose == person or not isinstance(desk.actor, Operator))
    if found is None or not theirs or (agent_id is not None and found.agent.id != agent_id):
        raise NotFound(words)
    # What may not be read is not there; what may be read and not be changed says so.
    desk.ask(Action.READ_SESSION, found.resource, words)
    if action is not Action.READ_SESSION:
        desk.ask(action, found.resource)
    return found


def describe(
    connection: Connection, person: UserId, agent_id: AgentId, session_id: SessionId, opened_key: str
) -> Found | None:
    """What the gate needs to know of a session when `person` asks; None when its agent is gone."""
    try:
        agent = users.get_agent(connection, agent_id)
    except NotFound:
        return None
    own = owns(agent, person, turn_facts.hands(connection, session_id) if agent.shared else set())
    agent = kept_by(connection, agent, session_id, opened_key)
    return Found(
        agent=agent,
        session_id=session_id,
        opened_key=opened_key,
        resource=resource_of(agent, opened_key, own=own),
        whose=person if own else None,
        removed=Kind.REMOVE in turn_facts.kinds(connection, session_id),
    )


def kept_by(connection: Connection, agent: Agent, session_id: SessionId, opened_key: str) -> Agent:
    """The agent as it stands in a session: in a group that was let in, its sponsor is the group's."""
    if SessionKey.parse(opened_key).kind not in _CHATS:
        return agent
    route = turn_facts.route_into(connection, session_id)
    space = None if route is None else spaces.find(connection, route.channel, route.account, route.chat)
    return agent if space is None else replace(agent, sponsor=space.sponsor)


def owns(agent: Agent, person: UserId, hands: set[tuple[str, str]]) -> bool:
    """Whether a session of this agent, in which those `hands` wrote, is `person`'s and nobody else's."""
    if not agent.shared:
        return agent.owner == person
    return hands == {(principal(Member(person)), ChatKind.DM.value)}


def resource_of(agent: Agent, opened_key: str, *, own: bool) -> AgentResource:
    """What the gate is asked about a session with that key in its header."""
    return AgentResource(facts(agent), _CHATS.get(SessionKey.parse(opened_key).kind, ChatKind.DM), own_session=own)


async def or_none(looked: Awaitable[T]) -> T | None:
    """What is there; None where nothing is."""
    try:
        return await looked
    except (NotFound, InvalidId):
        return None


_CHATS = {SessionKind.GROUP: ChatKind.GROUP, SessionKind.CHANNEL: ChatKind.CHANNEL}


def _named(
    connection: Connection, session: str, main_agent: AgentId, main_key: str
) -> tuple[AgentId, SessionId, str] | None:
    """The session of whatever agent that is called so: agent, id, and the key in its header."""
    if is_session_id(session):
        session_id = SessionId(session)
        known = places.whose(connection, session_id) or turn_facts.whose(connection, session_id)
        if known is not None:
            return known[0], session_id, known[1]
    try:
        key = str(read_place(session, main_agent, main_key))
    except InvalidKey:
        return None
    live = places.live(connection, key)
    return None if live is None else (live.agent_id, live.session_id, live.opened_key)
