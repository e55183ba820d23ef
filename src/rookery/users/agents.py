"""Agents: who answers. A person's own, or a shared one that somebody sponsors."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.ids import AgentId, UserId, agent_id, fold
from rookery.storage.prepared import Prepared
from rookery.users import people, tables
from rookery.users.who import who_from_text

LONGEST_NAME = 100
LONGEST_PERSONA = 20_000


@dataclass(frozen=True, slots=True)
class Agent:
    """One brain's settings. Exactly one of `owner` and `sponsor` is set; `model` None means the default.

    `relation`, `who` and `skills` are what a person says of an agent of their own: `relation` in a word or two,
    `who` as JSON, and `skills` None for whatever everybody has.
    """

    id: AgentId
    name: str
    owner: UserId | None
    sponsor: UserId | None
    persona: str
    model: str | None
    configured: bool
    enabled: bool
    created_at: datetime
    relation: str | None = None
    who_text: str | None = None
    skills: tuple[str, ...] | None = None
    from_file: bool = False

    @property
    def who(self) -> Mapping[str, object] | None:
        """What it is like, in the words of `users/who.py`; None when nothing was said."""
        return who_from_text(self.who_text)

    @property
    def is_friend(self) -> bool:
        """Whether it is a person's own, beside their main agent."""
        return self.owner is not None and self.id != self.owner

    @property
    def shared(self) -> bool:
        """Whether several people may talk to it."""
        return self.owner is None

    @property
    def of_a_group(self) -> bool:
        """Whether it was made for one group, and answers nowhere else."""
        return self.id.startswith(SPACE)


SPACE = "space--"
"""What the id of a group's own agent begins with; nobody else's does."""


class ConfiguredAgent(Struct, frozen=True):
    """A shared agent as `rookery.yaml` describes it."""

    id: AgentId
    name: str | None
    sponsor: UserId
    persona: str
    model: str | None


_by_id = Prepared(select(tables.agents).where(tables.agents.c.id == bindparam("id")))
_a = tables.agents.c


def get_agent(connection: Connection, id: AgentId) -> Agent:
    """One agent by the exact id. Raises `NotFound`."""
    row = _by_id.first(connection, {"id": id})
    if row is None:
        raise NotFound(f"There is no agent {id!r}.")
    return from_row(row)


def list_agents(connection: Connection, owner: UserId | None = None) -> list[Agent]:
    """All agents, or one person's, by id."""
    query = select(tables.agents).order_by(_a.id)
    if owner is not None:
        query = query.where(_a.owner == owner)
    return [from_row(row) for row in connection.execute(query)]


def add_shared_agent(
    connection: Connection,
    id: str,
    *,
    sponsor: UserId,
    name: str | None,
    now: datetime,
    persona: str = "",
    model: str | None = None,
    configured: bool = False,
) -> Agent:
    """Add an agent that several people may be let in to. Raises `InvalidId`, `NotFound` or `Conflict`."""
    checked = agent_id(id)
    if "--" in checked:
        raise InvalidInput(f"{id!r} cannot be a shared agent's id: '--' is for friends and spaces.")
    people.get_user(connection, sponsor)
    taken = connection.execute(select(_a.id).where(_a.id_folded == fold(checked))).scalar()
    if taken is not None:
        raise Conflict(f"There is already an agent {taken!r}; choose another id.")
    return _insert(
        connection,
        checked,
        sponsor=sponsor,
        name=name or checked,
        persona=persona,
        model=model,
        configured=configured,
        now=now,
    )


def add_space_agent(connection: Connection, *, sponsor: UserId, name: str, now: datetime) -> Agent:
    """Add an agent of one group's own, `space--<12 hex>`. Raises `NotFound` for the sponsor."""
    people.get_user(connection, sponsor)
    return _insert(
        connection,
        AgentId(f"{SPACE}{secrets.token_hex(6)}"),
        sponsor=sponsor,
        name=name,
        persona="",
        model=None,
        configured=False,
        now=now,
    )


def keep_space_agent(
    connection: Connection, id: AgentId, *, enabled: bool, sponsor: UserId | None = None, name: str | None = None
) -> None:
    """Switch a group's own agent on or off, and change who sponsors it and what it is called; None leaves that."""
    changed = {"enabled": enabled, "sponsor": sponsor, "name": name}
    kept = {column: value for column, value in changed.items() if value is not None}
    connection.execute(update(tables.agents).where(_a.id == id).values(**kept))


def _insert(
    connection: Connection,
    id: AgentId,
    *,
    sponsor: UserId,
    name: str,
    persona: str,
    model: str | None,
    configured: bool,
    now: datetime,
) -> Agent:
    connection.execute(
        insert(tables.agents).values(
            id=id,
            id_folded=fold(id),
            name=name,
            owner=None,
            sponsor=sponsor,
            persona=persona,
            model=model,
            configured=configured,
            enabled=True,
            created_at=now,
        )
    )
    return get_agent(connection, id)


def sync_configured_agents(connection: Connection, wanted: Iterable[ConfiguredAgent], *, now: datetime) -> None:
    """Make the shared agents of the configuration those of the store; one that left the file is disabled.

    Raises `NotFound` when a sponsor is not a user, `Conflict` when an id is a person's agent.
    """
    present = {row.id: from_row(row) for row in connection.execute(select(tables.agents))}
    listed = list(wanted)
    for item in listed:
        known = present.get(item.id)
        if known is None:
            add_shared_agent(
                connection,
                item.id,
                sponsor=item.sponsor,
                name=item.name,
                persona=item.persona,
                model=item.model,
                configured=True,
                now=now,
            )
        elif known.of_a_group:
            raise Conflict(f"agents.list names {item.id!r}, which is a group's own agent; choose another id.")
        elif not known.shared:
            raise Conflict(
                f"agents.list names {item.id!r}, which is {known.owner!r}'s own agent; choose another id."
            )
        else:
            people.get_user(connection, item.sponsor)
            connection.execute(
                update(tables.agents)
                .where(_a.id == item.id)
                .values(
                    name=item.name or item.id,
                    sponsor=item.sponsor,
                    persona=item.persona,
                    model=item.model,
                    configured=True,
                    enabled=True,
                )
            )
    gone = {id for id, known in present.items() if known.configured} - {item.id for item in listed}
    for id in gone:
        connection.execute(update(tables.agents).where(_a.id == id).values(enabled=False))


def set_model(connection: Connection, id: AgentId, model: str | None) -> Agent:
    """Choose the agent's model, None for the default. Raises `NotFound`."""
    get_agent(connection, id)
    connection.execute(update(tables.agents).where(_a.id == id).values(model=model))
    return get_agent(connection, id)


def change_agent(
    connection: Connection, id: AgentId, *, name: str | None, persona: str | None, enabled: bool | None
) -> Agent:
    """Change what a shared agent is called and like, or switch it on or off; None leaves that as it is.

    Raises `NotFound`, and `InvalidInput` for a name that is no line.
    """
    get_agent(connection, id)
    if name is not None:
        check_name(name)
    changed = {"name": name, "persona": persona, "enabled": enabled}
    kept = {column: value for column, value in changed.items() if value is not None}
    if kept:
        connection.execute(update(tables.agents).where(_a.id == id).values(**kept))
    return get_agent(connection, id)


def check_name(name: str) -> None:
    """Raises `InvalidInput` for a name that is no line of 1 to 100 characters."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"An agent's name is some words on one line, at most {LONGEST_NAME} characters.")


def remove_agent(connection: Connection, id: AgentId) -> None:
    """Forget an agent that nobody has talked to; the spaces bound to it must be gone. Raises `Conflict`."""
    bound = select(tables.spaces.c.chat_id).where(tables.spaces.c.agent_id == id).limit(1)
    if connection.execute(bound).first() is not None:
        raise Conflict(f"Agent {id!r} answers a group; remove that first: rookery space remove.")
    connection.execute(delete(tables.key_grants).where(tables.key_grants.c.agent_id == id))
    connection.execute(delete(tables.agents).where(_a.id == id))


_g = tables.key_grants.c
_granted = Prepared(
    select(_g.shared_key).where(_g.agent_id == bindparam("id")).order_by(_g.granted_at, _g.shared_key)
)


def grant_key(connection: Connection, id: AgentId, shared_key: str, *, now: datetime) -> None:
    """Let the agent use a shared key, from its next call on. Raises `NotFound` for an unknown agent."""
    get_agent(connection, id)
    if shared_key not in granted_keys(connection, id):
        connection.execute(insert(tables.key_grants).values(agent_id=id, shared_key=shared_key, granted_at=now))


def ungrant_key(connection: Connection, id: AgentId, shared_key: str) -> None:
    """Take a shared key back, from the next call on. Raises `NotFound` when it was not granted."""
    if (
        connection.execute(
            delete(tables.key_grants).where(_g.agent_id == id, _g.shared_key == shared_key)
        ).rowcount
        == 0
    ):
        raise NotFound(f"The shared key {shared_key!r} is not granted to {id!r}.")


def granted_keys(connection: Connection, id: AgentId) -> list[str]:
    """The shared keys an agent may use, in the order in which they were granted."""
    return [row.shared_key for row in _granted.all(connection, {"id": id})]


def from_row(row: Row[Any]) -> Agent:
    """An agent from a row that holds the columns of `agents`."""
    return Agent(
        id=AgentId(row.id),
        name=row.name,
        owner=None if row.owner is None else UserId(row.owner),
        sponsor=None if row.sponsor is None else UserId(row.sponsor),
        persona=row.persona,
        model=row.model,
        configured=row.configured,
        enabled=row.enabled,
        created_at=row.created_at,
        relation=row.relation,
        who_text=row.who,
        skills=None if row.skills is None else tuple(json.loads(row.skills)),
        from_file=row.from_file,
    )
