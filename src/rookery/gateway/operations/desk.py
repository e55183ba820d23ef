"""What every operation is given: the open house, its configuration, and who asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from rookery import ids, users
from rookery.errors import InvalidId, NotFound, Refused
from rookery.gateway import audit, idempotency
from rookery.gateway.audit import AuditRow
from rookery.gateway.house import House
from rookery.gateway.idempotency import Once, Repeated
from rookery.gateway.rights import facts
from rookery.ids import AgentId, UserId
from rookery.policy import HOUSE, Action, Actor, AgentResource, Member, Operator, Resource, may, principal
from rookery.storage import Work

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rookery.config import Config
    from rookery.gateway.reload import Reloader

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where operations are done, and who is at it: the operator, or a person through the web.

    `reloader` and `address` are there when a gateway runs. `surface` is the word for the way they came in, as the
    log has it; `by_token` whether a token stands for them. `once`: what is done now is to be done once, however
    often it is asked for under the same key.
    """

    house: House
    started_config: Config
    reloader: Reloader | None
    address: str | None
    started_at: datetime
    actor: Actor = field(default_factory=Operator)
    surface: str = "command"
    once: Once | None = None
    by_token: bool = False
    pid: int = field(default_factory=os.getpid)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.started_config if self.reloader is None else self.reloader.config

    def of(self, actor: Actor, surface: str = "web", *, by_token: bool = False) -> Desk:
        """The same desk with somebody else at it, who came in another way."""
        return replace(self, actor=actor, surface=surface, by_token=by_token)

    @property
    def principal(self) -> str:
        """Whoever is at the desk, as one word."""
        return principal(self.actor)

    def ask(self, action: Action, resource: Resource, absent: str | None = None) -> None:
        """Ask the gate for whoever is at the desk.

        Raises `Refused` with its reason, or, when `absent` is given, `NotFound` with that: the words in which it
        is said that there is no such thing, for to somebody else it looks as if there were none.
        """
        decision = may(self.actor, action, resource)
        if not decision:
            self.house.gateway.denials.tell(self.actor, action, resource, self.surface)
            raise Refused(decision.reason) if absent is None else NotFound(absent)

    def agent(self, connection: Connection, agent_id: str, action: Action) -> users.Agent:
        """The agent, for whoever is at the desk to do `action` to it.

        Raises `NotFound` when there is none or it is not theirs to: both read alike. Only who may see every agent
        is told which there are.
        """
        absent = f"There is no agent {agent_id[:80]!r}."
        try:
            checked = ids.agent_id(agent_id)  # no other text is put to the database
        except InvalidId:
            raise NotFound(absent) from None
        if may(self.actor, Action.LIST_AGENTS, HOUSE):
            agent = known_agent(connection, checked)
            self.ask(action, AgentResource(facts(agent)))
            return agent
        try:
            agent = users.get_agent(connection, checked)
        except NotFound:
            raise NotFound(absent) from None
        self.ask(action, AgentResource(facts(agent)), absent)
        return agent

    def record(self, connection: Connection, action: str, object: str, on_behalf_of: UserId | None = None) -> None:
        """Put on record what is done by whoever is at the desk, in the transaction that does it.

        `object` is ids and names, never anything that somebody said; `on_behalf_of` the user it concerns, who may
        see that it was done.
        """
        row = AuditRow(self.now(), principal(self.actor), on_behalf_of, action, object, "allowed")
        audit.keep(connection, row)

    @property
    def person(self) -> UserId:
        """The user at the desk. Raises `Refused` when it is nobody who could own anything."""
        match self.actor:
            case Member(user_id=user_id):
                return user_id
            case _:
                raise Refused("Only a person can do that; say which one.")

    async def write(
        self, work: Work[T], made: Callable[[T], str], *, then: Callable[[T], None] | None = None
    ) -> T:
        """Run `work` in one transaction, as `Database.write` does, and only once when it is to be done once.

        `made` gives the id of what it made. Raises `idempotency.Repeated` with that id when the same was done
        before, and `IdempotencyKeyReused` when it was something else.
        """
        once = self.once
        if once is None:
            return await self.house.database.write(work, then=then)

        def claimed(connection: Connection) -> T:
            before = idempotency.claim(connection, once, "", self.now())
            if before is not None:
                raise Repeated(before)
            result = work(connection)
            idempotency.made(connection, once, made(result))
            return result

        return await self.house.database.write(claimed, then=then)

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
