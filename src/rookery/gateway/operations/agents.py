"""Agents: who there is to talk to, and what they are like."""

from __future__ import annotations

from msgspec import UNSET
from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, Refused
from rookery.gateway import turn_facts
from rookery.gateway.operations.desk import Desk, known_user
from rookery.gateway.rights import facts
from rookery.gateway.shapes import Agent, AgentAdd, AgentChange, AgentNamed, AgentSet, Done, Nothing
from rookery.policy import HOUSE, Action, AgentResource, may


async def listed(desk: Desk, _: Nothing) -> list[Agent]:
    """The agents by id: all of them for who keeps the house, for others those they may know of."""
    return await desk.house.database.read(
        lambda connection: [
            _agent(connection, desk, agent) for agent in users.list_agents(connection) if _knows_of(desk, agent)
        ]
    )


async def shown(desk: Desk, ask: AgentNamed) -> Agent:
    """One agent. Raises `NotFound`."""
    return await desk.house.database.read(
        lambda connection: _agent(connection, desk, desk.agent(connection, ask.agent_id, Action.READ_AGENT))
    )


async def add(desk: Desk, ask: AgentAdd) -> Agent:
    """Add a shared agent.

    Raises `Refused`, `InvalidId`, `Conflict`, `NotFound` for its sponsor, `ConfigError` for its model.
    """
    desk.ask(Action.ADD_AGENT, HOUSE)
    _check_model(desk, ask.model)

    def work(connection: Connection) -> Agent:
        sponsor = known_user(connection, ask.sponsor)
        added = users.add_shared_agent(
            connection,
            ask.id,
            sponsor=sponsor.id,
            name=ask.name,
            persona=ask.persona,
            model=ask.model,
            now=desk.now(),
        )
        desk.record(connection, "agent.add", added.id, sponsor.id)
        return _agent(connection, desk, added)

    return await desk.write(work, lambda agent: agent.id)


async def change(desk: Desk, ask: AgentSet) -> Agent:
    """Choose an agent's model. Raises as `alter` does."""
    return await alter(desk, AgentChange(agent_id=ask.agent_id, model=ask.model))


async def alter(desk: Desk, ask: AgentChange) -> Agent:
    """Change an agent's name, persona or model, or switch it on or off; what it is answering then still ends.

    Raises `NotFound`, `Conflict` for one that `rookery.yaml` describes, `ConfigError` for no model, `Refused` for
    one not allowed.
    """
    model = ask.model
    if isinstance(model, str):
        _check_model(desk, model)

    def work(connection: Connection) -> Agent:
        agent = desk.agent(connection, ask.agent_id, Action.CHANGE_AGENT)
        if agent.configured:
            raise Conflict(f"Agent {agent.id!r} is described in rookery.yaml; change it under agents.list there.")
        if model is not UNSET:
            users.set_model(connection, agent.id, model)
        changed = users.change_agent(
            connection,
            agent.id,
            name=None if ask.name is UNSET else ask.name,
            persona=None if ask.persona is UNSET else ask.persona,
            enabled=None if ask.enabled is UNSET else ask.enabled,
        )
        desk.record(connection, "agent.change", agent.id, agent.owner or agent.sponsor)
        return _agent(connection, desk, changed)

    return await desk.house.database.write(work)


async def remove(desk: Desk, ask: AgentNamed) -> Done:
    """Take away a shared agent that nobody has talked to. Raises `NotFound`, `Refused`, and `Conflict` for any
    other: what was said to it is people's, and an agent that holds conversations is switched off instead."""

    def work(connection: Connection) -> None:
        agent = desk.agent(connection, ask.agent_id, Action.REMOVE_AGENT)
        if agent.configured:
            raise Conflict(f"Agent {agent.id!r} is described in rookery.yaml; take it out of agents.list there.")
        if not agent.shared or agent.of_a_group or turn_facts.any_of(connection, agent.id):
            raise Conflict(
                f"Agent {agent.id!r} holds people's conversations, or is somebody's own; switch it off instead "
                '({"enabled": false}).'
            )
        users.remove_agent(connection, agent.id)
        desk.record(connection, "agent.remove", agent.id, agent.sponsor)

    await desk.house.database.write(work)
    return Done(f"The agent {ask.agent_id} is gone.")


def _knows_of(desk: Desk, agent: users.Agent) -> bool:
    if may(desk.actor, Action.LIST_AGENTS, HOUSE):
        return True
    return bool(may(desk.actor, Action.READ_AGENT, AgentResource(facts(agent))))


def _check_model(desk: Desk, model: str | None) -> None:
    if model is None:
        return
    desk.house.gateway.providers.check(model)
    allowed = desk.config.models.allowed
    if allowed is not None and model not in allowed:
        raise Refused(f"models.allowed in rookery.yaml does not hold {model!r}; it holds {', '.join(allowed)}.")


def _agent(connection: Connection, desk: Desk, agent: users.Agent) -> Agent:
    """An agent as whoever is at the desk may see it: its persona and keys only where they could change it."""
    inside = bool(may(desk.actor, Action.CHANGE_AGENT, AgentResource(facts(agent))))
    return Agent(
        id=agent.id,
        name=agent.name,
        owner=agent.owner,
        sponsor=agent.sponsor,
        model=agent.model,
        persona=agent.persona if inside else "",
        configured=agent.configured,
        enabled=agent.enabled,
        created_at=agent.created_at,
        keys=tuple(users.granted_keys(connection, agent.id)) if inside else (),
    )
