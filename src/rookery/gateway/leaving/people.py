"""Somebody who leaves, or a friend who goes alone: all by which what is theirs can be told from the rest."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, insert, select, update

from rookery import users
from rookery.gateway import tables
from rookery.ids import AgentId, UserId
from rookery.policy import Member, Schedule, principal
from rookery.users import spaces
from rookery.users import tables as user_tables
from rookery.users.people import MAIN_NAME


class Who(Struct, frozen=True):
    """A person with the agents and addresses that are theirs; `user_id` None is a friend that goes alone.

    An address is a channel, an account ('' for all of them) and a sender. `names` are what people call them.
    """

    user_id: UserId | None
    agents: tuple[AgentId, ...]
    addresses: tuple[tuple[str, str, str], ...] = ()
    names: tuple[str, ...] = ()

    @property
    def principals(self) -> tuple[str, ...]:
        """As whom they act."""
        if self.user_id is None:
            return ()
        return (principal(Member(self.user_id)), principal(Schedule(self.user_id)))

    @property
    def words(self) -> re.Pattern[str]:
        """Finds where a line names them: each name, id and sender as a word of its own, friends of before too."""
        said = {*self.agents, *self.names, *(sender for _, _, sender in self.addresses)}
        if self.user_id is not None:
            said.add(self.user_id)
        friends = f"|{re.escape(self.user_id)}--[A-Za-z0-9_-]+" if self.user_id is not None else ""
        spelled = "|".join(re.escape(word) for word in sorted(said, key=len, reverse=True))
        return re.compile(rf"(?<![A-Za-z0-9_-])(?:{spelled}{friends})(?![A-Za-z0-9_-])")


class Erasure(Struct, frozen=True):
    """An erasure that was begun; `swept` once only the files are left to be cleared."""

    tombstone: str
    who: Who
    actor: str
    begun_at: datetime
    swept: bool


def of_person(connection: Connection, user: users.User, *, groups: bool = False) -> Who:
    """All that is theirs. With `groups` also what goes with them: the own agents of groups that were removed, and
    that nobody but they sponsored."""
    own = [agent.id for agent in users.list_agents(connection, user.id)]
    identities = users.list_identities(connection, user.id)
    names = [user.name, *(agent.name for agent in users.list_agents(connection, user.id))]
    return Who(
        user_id=user.id,
        agents=(*sorted(own), *(sorted(_of_removed_groups(connection, user.id)) if groups else ())),
        addresses=tuple((one.channel, one.account or "", one.sender) for one in identities),
        # What everybody's assistant is called names nobody.
        names=tuple(sorted({name for name in names if len(name) > 1} - {MAIN_NAME})),
    )


def _of_removed_groups(connection: Connection, user_id: UserId) -> list[AgentId]:
    groups = user_tables.spaces.c
    removed = select(groups.own_agent).where(groups.sponsor == user_id, groups.removed_at.is_not(None))
    live = select(groups.own_agent).where(groups.removed_at.is_(None), groups.own_agent.is_not(None))
    found = connection.execute(removed.where(groups.own_agent.is_not(None), groups.own_agent.not_in(live)))
    return [AgentId(agent_id) for agent_id in found.scalars()]


class Sponsored(Struct, frozen=True):
    """What somebody answers and pays for: somebody else has to take it over before they can go."""

    groups: tuple[str, ...]
    agents: tuple[AgentId, ...]
    configured: tuple[AgentId, ...]
    """Of the agents, those whose sponsor only rookery.yaml can change."""

    def __bool__(self) -> bool:
        return bool(self.groups or self.agents)

    def __str__(self) -> str:
        groups = [f"the group {group}" for group in self.groups]
        return ", ".join([*groups, *(f"the shared agent {agent}" for agent in self.agents)])


def sponsored(connection: Connection, user_id: UserId) -> Sponsored:
    """The groups and the shared agents they sponsor; a group's own agent goes with its group."""
    groups = [str(space) for space in spaces.list_spaces(connection) if space.sponsor == user_id]
    shared = [agent for agent in users.list_agents(connection) if agent.sponsor == user_id]
    agents = [agent for agent in shared if not agent.of_a_group]
    return Sponsored(
        tuple(groups),
        tuple(agent.id for agent in agents),
        tuple(agent.id for agent in agents if agent.configured),
    )


def hand_over(connection: Connection, user_id: UserId, other: UserId) -> None:
    """Let somebody else sponsor all of it, groups that were removed included."""
    for table in (user_tables.agents, user_tables.spaces):
        connection.execute(update(table).where(table.c.sponsor == user_id).values(sponsor=other))


# --- kept while it goes on ----------------------------------------------------------------------------------

_e = tables.erasures.c


def begin(connection: Connection, who: Who, actor: str, now: datetime) -> Erasure:
    """Keep that an erasure was begun; one of the same person that goes on is returned as it is."""
    there = next((one for one in going_on(connection) if one.who == who or _same(one.who, who)), None)
    if there is not None:
        return there
    tombstone = f"~erased-{secrets.token_hex(8)}"
    connection.execute(
        insert(tables.erasures).values(
            tombstone=tombstone,
            user_id=who.user_id,
            agents=json.dumps(who.agents),
            addresses=json.dumps(who.addresses),
            names=json.dumps(who.names),
            actor=actor,
            begun_at=now,
            swept=False,
        )
    )
    return Erasure(tombstone, who, actor, now, swept=False)


def _same(one: Who, other: Who) -> bool:
    return one.user_id is not None and one.user_id == other.user_id


def going_on(connection: Connection) -> list[Erasure]:
    """The erasures that were begun and are not done, in the order in which they were begun."""
    query = select(tables.erasures).order_by(_e.begun_at, _e.tombstone)
    return [_erasure(row) for row in connection.execute(query)]


def find(connection: Connection, user_id: UserId) -> Erasure | None:
    """The erasure of a person that goes on; None when none does."""
    return next((one for one in going_on(connection) if one.who.user_id == user_id), None)


def is_erased(connection: Connection, user_id: UserId) -> bool:
    """Whether somebody is being erased."""
    query = select(_e.tombstone).where(_e.user_id == user_id)
    return connection.execute(query).first() is not None


def swept(connection: Connection, tombstone: str) -> None:
    """Keep that the rows are gone."""
    connection.execute(update(tables.erasures).where(_e.tombstone == tombstone).values(swept=True))


def done(connection: Connection, tombstone: str) -> None:
    """Forget the erasure, and with it the last that was known of them."""
    connection.execute(delete(tables.erasures).where(_e.tombstone == tombstone))


def _erasure(row: Row[Any]) -> Erasure:
    addresses = cast("Iterable[tuple[str, str, str]]", json.loads(row.addresses))  # as `begin` wrote them
    who = Who(
        user_id=None if row.user_id is None else UserId(row.user_id),
        agents=tuple(AgentId(agent) for agent in json.loads(row.agents)),
        addresses=tuple((channel, account, sender) for channel, account, sender in addresses),
        names=tuple(json.loads(row.names)),
    )
    return Erasure(row.tombstone, who, row.actor, row.begun_at, row.swept)
