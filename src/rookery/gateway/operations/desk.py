"""What every operation is given: the open house, its configuration, and who asks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from rookery import users
from rookery.errors import NotFound, Refused
from rookery.gateway.house import House
from rookery.ids import AgentId, UserId
from rookery.policy import Action, Actor, Operator, Resource, may

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rookery.config import Config
    from rookery.gateway.reload import Reloader


@dataclass(frozen=True, slots=True)
class Desk:
    """Where operations are done, and who is at it: the operator, or a person through the web.

    `reloader` and `address` are there when a gateway runs.
    """

    house: House
    started_config: Config
    reloader: Reloader | None
    address: str | None
    started_at: datetime
    actor: Actor = field(default_factory=Operator)
    pid: int = field(default_factory=os.getpid)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.started_config if self.reloader is None else self.reloader.config

    def of(self, actor: Actor) -> Desk:
        """The same desk with somebody else at it."""
        return replace(self, actor=actor)

    def ask(self, action: Action, resource: Resource, absent: str | None = None) -> None:
        """Ask the gate for whoever is at the desk.

        Raises `Refused` with its reason, or, when `absent` is given, `NotFound` with that: the words in which it
        is said that there is no such thing, for to somebody else it looks as if there were none.
        """
        decision = may(self.actor, action, resource)
        if not decision:
            raise Refused(decision.reason) if absent is None else NotFound(absent)

    def now(self) -> datetime:
        return self.house.gateway.now()


def known_user(connection: Connection, user_id: str) -> users.User:
    """The user. Raises `NotFound` that says who there is, or how to add somebody."""
    try:
        return users.get_user(connection, UserId(user_id))
    except NotFound:
        known = [user.id for user in users.list_users(connection)]
        raise NotFound(f"There is no user {user_id!r}; {_choice(known, 'rookery user add ID')}") from None


def known_agent(connection: Connection, agent_id: str) -> users.Agent:
    """The agent. Raises `NotFound` that says which there are."""
    try:
        return users.get_agent(connection, AgentId(agent_id))
    except NotFound:
        known = [agent.id for agent in users.list_agents(connection)]
        raise NotFound(f"There is no agent {agent_id!r}; {_choice(known, 'rookery user add ID')}") from None


def own_agents(connection: Connection, user_id: str, agent_id: str | None) -> list[users.Agent]:
    """A user's own agents, the main one first, or the one named. Raises `NotFound` for what is not theirs."""
    user = known_user(connection, user_id)
    own = users.list_agents(connection, user.id)
    own.sort(key=lambda agent: (agent.id != user.main_agent, agent.id))
    if agent_id is None:
        return own
    named = [agent for agent in own if agent.id == agent_id]
    if not named:
        theirs = ", ".join(agent.id for agent in own)
        raise NotFound(f"{user.id!r} has no agent {agent_id!r} of their own; there is {theirs}.")
    return named


_SHOWN = 12


def _choice(known: Sequence[str], add: str) -> str:
    if not known:
        return f"there is none yet. Add the first person: {add}"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"there is {', '.join(known[:_SHOWN])}{more}."
