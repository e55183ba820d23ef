"""What the store says of who asks and who answers: read in one go, and good for the moment it was read at."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from rookery import users
from rookery.gateway.rights import Right
from rookery.ids import UserId
from rookery.policy import Actor, Decision
from rookery.users import Agent, User
from rookery.users.grants import Grant, grants_of


@dataclass(frozen=True, slots=True)
class Standing:
    """The gate's answer, and the facts a turn is run with.

    `agent` is None when it is gone. `person` is whose own agent it is, None for a shared one; `timezone` is
    that of its owner or sponsor, who `pays`, None when the agent is gone; `grants` are the shared keys it may use.
    """

    decision: Decision
    actor: Actor
    agent: Agent | None
    person: str | None
    timezone: str
    grants: tuple[Grant, ...]
    pays: UserId | None = None


def stand(connection: Connection, right: Right, user: User | None = None) -> Standing:
    """Add to the gate's answer what a turn needs besides; `user` is the sender, when they were read already."""
    agent = right.agent
    if agent is None:
        return Standing(right.decision, right.actor, None, None, "UTC", ())
    pays = agent.owner or agent.sponsor
    assert pays is not None, "an agent has an owner or a sponsor"
    person = user if user is not None and user.id == pays else users.get_user(connection, pays)
    grants = grants_of(connection, agent.id)
    name = person.name if agent.owner else None
    return Standing(right.decision, right.actor, agent, name, person.timezone, grants, pays)
