"""Agents: who there is to talk to, and what they are like."""

from __future__ import annotations

from msgspec import UNSET
from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, InvalidId, InvalidInput, NotFound, Refused
from rookery.gateway import turn_facts
from rookery.gateway.leaving import erase_agent
from rookery.gateway.operations.desk import Desk, known_user
from rookery.gateway.operations.permission import still
from rookery.gateway.rights import facts
from rookery.gateway.shapes import Agent, AgentAdd, AgentChange, AgentNamed, Done, Nothing
from rookery.ids import user_id
from rookery.policy import HOUSE, Action, AgentResource, Member, PersonResource, may
from rookery.users.who import spelled


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
    """Add a friend of a person's, or, with a sponsor, a shared agent.

    Raises `Refused`, `InvalidId` with a suggestion, `InvalidInput`, `Conflict`, `NotFound` for its person or
    sponsor, `QuotaReached`, `ConfigError` for its model.
    """
    if ask.sponsor is not None:
        return await _add_shared(desk, ask, ask.sponsor)
    owner, part = _whose(desk, ask)
    name = part if ask.name is None else ask.name
    if name is None:
        raise InvalidInput("A friend needs a name.")
    absent = f"There is no user {owner[:80]!r}."
    try:
        checked = user_id(owner)  # no other text is put to the database
    except InvalidId:
        raise NotFound(absent) from None
    desk.ask(Action.ADD_FRIEND, PersonResource(checked), absent)
    _check_model(desk, ask.model)

    def work(connection: Connection) -> Agent:
        still(connection, desk)
        person = known_user(connection, checked)
        added = users.add_friend(
            connection,
            person.id,
            part,
            name=name,
            relation=ask.relation,
            who=ask.who,
            skills=ask.skills,
            model=ask.model,
            persona=ask.persona,
            now=desk.now(),
        )
        desk.record(connection, "agent.add", added.id, person.id)
        return _agent(connection, desk, added)

    return await desk.write(work, lambda agent: agent.id)


def _whose(desk: Desk, ask: AgentAdd) -> tuple[str, str | None]:
    """Whose friend it is to be, and the friend's part of the id if one was said."""
    person, separator, part = (ask.id or "").partition("--")
    if separator:
        if ask.owner is not None and ask.owner != person:
            raise InvalidInput(f"{ask.id!r} would be a friend of {person!r}, and not of {ask.owner!r}.")
        return person, part
    if ask.owner is not None:
        return ask.owner, ask.id
    if isinstance(desk.actor, Member):
        return desk.person, ask.id
    example = ask.id or "sabrina"
    raise InvalidInput(
        f"Say whose agent it is to be: a friend of somebody's is called 'alice--{example}', and a shared agent "
        "needs a sponsor."
    )


async def _add_shared(desk: Desk, ask: AgentAdd, sponsor_id: str) -> Agent:
    desk.ask(Action.ADD_AGENT, HOUSE)
    if ask.owner is not None or ask.relation is not None or ask.who is not None or ask.skills is not None:
        raise InvalidInput(f"A shared agent is nobody's own: leave out {_OF_FRIENDS}, or the sponsor.")
    if ask.id is None:
        raise InvalidInput("A shared agent needs an id.")
    id = ask.id
    _check_model(desk, ask.model)

    def work(connection: Connection) -> Agent:
        still(connection, desk)
        sponsor = known_user(connection, sponsor_id)
        added = users.add_shared_agent(
            connection,
            id,
            sponsor=sponsor.id,
            name=ask.name,
            persona=ask.persona,
            model=ask.model,
            now=desk.now(),
        )
        desk.record(connection, "agent.add", added.id, sponsor.id)
        return _agent(connection, desk, added)

    return await desk.write(work, lambda agent: agent.id)


async def alter(desk: Desk, ask: AgentChange) -> Agent:
    """Change what is said of an agent, or switch it on or off; what it is answering then still ends.

    Raises `NotFound`, `InvalidInput`, `Conflict` for one that `rookery.yaml` describes and for a name that is
    another's of theirs, `ConfigError` for no model, `Refused` for one not allowed.
    """
    model = ask.model
    if isinstance(model, str):
        _check_model(desk, model)

    def work(connection: Connection) -> Agent:
        still(connection, desk)
        agent = desk.agent(connection, ask.agent_id, Action.CHANGE_AGENT)
        if agent.configured:
            raise Conflict(f"Agent {agent.id!r} is described in rookery.yaml; change it under agents.list there.")
        changed = _change_shared(connection, agent, ask) if agent.shared else _change_own(connection, agent, ask)
        desk.record(connection, "agent.change", agent.id, agent.owner or agent.sponsor)
        return _agent(connection, desk, changed)

    return await desk.house.database.write(work)


def _change_own(connection: Connection, agent: users.Agent, ask: AgentChange) -> users.Agent:
    who = ask.who
    if isinstance(who, dict):
        who = {**(agent.who or {}), **{spelled(word): value for word, value in who.items()}}
    return users.change_friend(
        connection,
        agent.id,
        name=ask.name,
        relation=ask.relation,
        who=who,
        skills=ask.skills,
        model=ask.model,
        persona=ask.persona,
        enabled=ask.enabled,
    )


def _change_shared(connection: Connection, agent: users.Agent, ask: AgentChange) -> users.Agent:
    if not (ask.relation is UNSET and ask.who is UNSET and ask.skills is UNSET):
        raise InvalidInput(f"{agent.id!r} is shared, and nobody's own: it has no {_OF_FRIENDS}.")
    if ask.model is not UNSET:
        users.set_model(connection, agent.id, ask.model)
    return users.change_agent(
        connection,
        agent.id,
        name=None if ask.name is UNSET else ask.name,
        persona=None if ask.persona is UNSET else ask.persona,
        enabled=None if ask.enabled is UNSET else ask.enabled,
    )


_OF_FRIENDS = "relation, who and skills"


async def remove(desk: Desk, ask: AgentNamed) -> Done:
    """Erase a friend for good, with everything in its brain, or take away a shared agent nobody has talked to.

    Raises `NotFound`, `Refused`, and `Conflict` for any other: somebody's main agent goes with them, and what was
    said to a shared one is people's, so that it is switched off instead.
    """

    def work(connection: Connection) -> users.Agent:
        still(connection, desk)
        agent = desk.agent(connection, ask.agent_id, Action.REMOVE_AGENT)
        if agent.configured:
            raise Conflict(f"Agent {agent.id!r} is described in rookery.yaml; take it out of agents.list there.")
        if agent.is_friend:
            # From here on nobody is answered by it. What is there besides is erased next, and can be again.
            users.change_friend(connection, agent.id, enabled=False)
        elif not agent.shared:
            raise Conflict(
                f"Agent {agent.id!r} is the main assistant of {agent.owner!r}, and goes only with them."
            )
        elif agent.of_a_group or turn_facts.any_of(connection, agent.id):
            raise Conflict(
                f"Agent {agent.id!r} holds people's conversations; switch it off instead: "
                f"rookery agent set {agent.id} enabled=false"
            )
        else:
            users.remove_agent(connection, agent.id)
        desk.record(connection, "agent.remove", agent.id, agent.owner or agent.sponsor)
        return agent

    agent = await desk.house.database.write(work)
    if not agent.is_friend:
        return Done(f"The agent {agent.id} is gone.")
    await erase_agent(desk.house, agent.id)
    return Done(f"{agent.name} ({agent.id}) is gone, with everything that was said to it.")


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
    """An agent as whoever is at the desk may see it: what it is like, and its keys, if they could change it."""
    inside = bool(may(desk.actor, Action.CHANGE_AGENT, AgentResource(facts(agent))))
    return Agent(
        id=agent.id,
        name=agent.name,
        owner=agent.owner,
        sponsor=agent.sponsor,
        model=agent.model,
        persona=agent.persona if inside else "",
        relation=agent.relation if inside else None,
        who=dict(agent.who) if inside and agent.who is not None else None,
        skills=agent.skills if inside else None,
        configured=agent.configured,
        described=agent.from_file,
        enabled=agent.enabled,
        created_at=agent.created_at,
        keys=tuple(users.granted_keys(connection, agent.id)) if inside else (),
    )
