"""What a client calls things: `rookery` and `rookery/<agentId>` for agents, any words for a session."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection

from rookery import users
from rookery.errors import InvalidId, InvalidKey, NotFound, Refused
from rookery.gateway.operations import Desk
from rookery.gateway.rights import facts
from rookery.ids import AgentId
from rookery.ids import agent_id as check_agent_id
from rookery.policy import Action, AgentResource, may
from rookery.sessions.key import Api, Place, SessionKey
from rookery.sessions.scope import Ephemeral
from rookery.users import Agent, User
from rookery.web.v1.problems import Unanswerable, from_error, invalid, no_model, no_session

MAIN = "rookery"
"""The model that is the caller's main agent."""

_FULL_KEY = "agent:"


def with_id(agent_id: AgentId) -> str:
    """The model that is this agent; the main one is listed by its short name, and answers to this one too."""
    return f"{MAIN}/{agent_id}"


def models_of(connection: Connection, desk: Desk, user: User) -> dict[str, Agent]:
    """The models a person can name, the main one first, and the agents they are."""
    agents = [agent for agent in users.list_agents(connection) if _can_be_met(agent, user)]
    agents = [agent for agent in agents if may(desk.actor, Action.TALK, AgentResource(facts(agent)))]
    agents.sort(key=lambda agent: agent.id != user.main_agent)
    return {MAIN if agent.id == user.main_agent else with_id(agent.id): agent for agent in agents}


def agent_called(connection: Connection, desk: Desk, user: User, model: str) -> Agent:
    """The agent that answers as this model.

    Raises `Unanswerable`: 404 for what is not there or not theirs, in the same words; 403 with the reason for one
    of theirs that may not be talked to.
    """
    if model == MAIN:
        return _talked_to(connection, desk, user, user.main_agent, no_model(model))
    try:
        agent_id = check_agent_id(model.removeprefix(f"{MAIN}/"))
    except InvalidId:
        raise no_model(model) from None
    if model != with_id(agent_id):
        raise no_model(model)
    return _talked_to(connection, desk, user, agent_id, no_model(model))


class Destination(Struct, frozen=True):
    """Where a question goes: to an agent, and there to a place of the door's own or a session that was there."""

    agent_id: AgentId
    place: Place | Ephemeral | None = None
    session: str | None = None


def destination(connection: Connection, desk: Desk, user: User, model: str, session: str | None) -> Destination:
    """Where a question to this model goes on, in the session of this name. Raises `Unanswerable`."""
    agent = agent_called(connection, desk, user, model)
    if session is None:
        return Destination(agent.id, Ephemeral())
    if not session.startswith(_FULL_KEY):
        # On a shared agent the person is part of the name, and no user id holds a '/': no two people can meet.
        return Destination(agent.id, Api(f"{user.id}/{session}" if agent.shared else session))
    try:
        key = SessionKey.parse(session)
    except InvalidKey as error:
        raise invalid(error.detail, "user", error.code) from None
    if key.agent_id != agent.id:
        if model != MAIN:
            raise no_session(session)
        agent = _talked_to(connection, desk, user, key.agent_id, no_session(session))
    return Destination(agent.id, session=session)


def needs_no_look(user: User, model: str, session: str | None) -> Destination | None:
    """The destination where it stands in the request alone, as it mostly does; the gate is asked on accepting."""
    if model != MAIN:
        return None
    if session is None or not session.startswith(_FULL_KEY):
        return Destination(user.main_agent, Ephemeral() if session is None else Api(session))
    try:
        own = SessionKey.parse(session).agent_id == user.main_agent
    except InvalidKey:
        return None  # told by who looks
    return Destination(user.main_agent, session=session) if own else None


def _talked_to(connection: Connection, desk: Desk, user: User, agent_id: AgentId, absent: Unanswerable) -> Agent:
    try:
        agent = users.get_agent(connection, agent_id)
    except NotFound:
        raise absent from None
    if not _can_be_met(agent, user):
        desk.house.gateway.denials.tell(desk.actor, Action.TALK, AgentResource(facts(agent)), desk.surface)
        raise absent
    try:
        desk.ask(Action.TALK, AgentResource(facts(agent)))
    except Refused as error:
        problem = from_error(error)
        assert problem is not None, "a refusal is told to whoever is refused"
        raise Unanswerable(problem) from None
    return agent


def _can_be_met(agent: Agent, user: User) -> bool:
    """Whether it is theirs, or anybody's; a group's own agent is met in its group."""
    return agent.owner == user.id or (agent.shared and not agent.of_a_group)
