"""Agents, and the shared keys they may use."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, NotFound, Refused
from rookery.gateway.operations.desk import Desk, known_agent, known_user
from rookery.gateway.shapes import Agent, AgentAdd, AgentSet, Done, KeyGrant, Nothing, SharedKey
from rookery.ids import AgentId


async def listed(desk: Desk, _: Nothing) -> list[Agent]:
    """All agents, by id."""
    return await desk.house.database.read(
        lambda connection: [_agent(connection, agent) for agent in users.list_agents(connection)]
    )


async def add(desk: Desk, ask: AgentAdd) -> Agent:
    """Add a shared agent.

    Raises `InvalidId`, `Conflict`, `NotFound` for its sponsor, `ConfigError` for its model.
    """
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
        return _agent(connection, added)

    return await desk.house.database.write(work)


async def change(desk: Desk, ask: AgentSet) -> Agent:
    """Choose an agent's model. Raises `NotFound`, `ConfigError` for no model, `Refused` for one not allowed."""
    _check_model(desk, ask.model)

    def work(connection: Connection) -> Agent:
        agent = known_agent(connection, ask.agent_id)
        if agent.configured:
            raise Conflict(f"Agent {agent.id!r} is described in rookery.yaml; change it under agents.list there.")
        return _agent(connection, users.set_model(connection, agent.id, ask.model))

    return await desk.house.database.write(work)


async def grant(desk: Desk, ask: KeyGrant) -> Done:
    """Let an agent use a shared key, from its next call on. Raises `NotFound` for either."""
    known = desk.house.gateway.providers.shared_keys
    if ask.shared_key not in known:
        names = ", ".join(sorted(known))
        remedy = f"there is {names}." if names else "rookery.yaml has none under models.sharedKeys."
        raise NotFound(f"There is no shared key {ask.shared_key!r}; {remedy}")

    def work(connection: Connection) -> None:
        agent = known_agent(connection, ask.agent_id)
        users.grant_key(connection, agent.id, ask.shared_key, now=desk.now())

    await desk.house.database.write(work)
    return Done(f"{ask.agent_id} may use the shared key {ask.shared_key} from its next call on.")


async def ungrant(desk: Desk, ask: KeyGrant) -> Done:
    """Take a shared key back, from the next call on. Raises `NotFound` when it was not granted."""

    def work(connection: Connection) -> None:
        users.ungrant_key(connection, known_agent(connection, ask.agent_id).id, ask.shared_key)

    await desk.house.database.write(work)
    return Done(f"{ask.agent_id} may no longer use the shared key {ask.shared_key}.")


async def keys(desk: Desk, _: Nothing) -> list[SharedKey]:
    """The shared keys by name, with who may use them; those that are granted but gone come last."""

    def look(connection: Connection) -> dict[str, list[AgentId]]:
        granted: dict[str, list[AgentId]] = {}
        for agent in users.list_agents(connection):
            for name in users.granted_keys(connection, agent.id):
                granted.setdefault(name, []).append(agent.id)
        return granted

    granted = await desk.house.database.read(look)
    known = desk.house.gateway.providers.shared_keys
    return [
        SharedKey(
            name=name,
            provider=known[name].provider if name in known else None,
            agents=tuple(granted.get(name, ())),
        )
        for name in [*sorted(known), *sorted(set(granted) - set(known))]
    ]


def _check_model(desk: Desk, model: str | None) -> None:
    if model is None:
        return
    desk.house.gateway.providers.check(model)
    allowed = desk.config.models.allowed
    if allowed is not None and model not in allowed:
        raise Refused(f"models.allowed in rookery.yaml does not hold {model!r}; it holds {', '.join(allowed)}.")


def _agent(connection: Connection, agent: users.Agent) -> Agent:
    return Agent(
        id=agent.id,
        name=agent.name,
        owner=agent.owner,
        sponsor=agent.sponsor,
        model=agent.model,
        persona=agent.persona,
        configured=agent.configured,
        enabled=agent.enabled,
        created_at=agent.created_at,
        keys=tuple(users.granted_keys(connection, agent.id)),
    )
