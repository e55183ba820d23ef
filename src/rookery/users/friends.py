"""Friends: the agents a person has beside `main`. Each has a brain of its own, and is nobody else's."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, delete, insert, select, update

from rookery.errors import Conflict, InvalidInput, QuotaReached
from rookery.ids import AgentId, UserId, fold
from rookery.users import agents, chosen, people, tables
from rookery.users.agents import LONGEST_PERSONA, Agent
from rookery.users.friend_ids import friend_agent_id, id_from_name
from rookery.users.who import who_as_text

MOST_FRIENDS = 20
"""Friends that one person may have."""

LONGEST_RELATION = 100
MOST_SKILLS = 100
LONGEST_SKILL = 100

MAIN = "main"
"""What a person's first agent can always be called, whatever its name."""

_a = tables.agents.c


def friends_of(connection: Connection, owner: UserId) -> list[Agent]:
    """A person's friends in the order in which they came; the main agent is none of them."""
    query = select(tables.agents).where(_a.owner == owner, _a.id != owner).order_by(_a.created_at, _a.id)
    return [agents.from_row(row) for row in connection.execute(query)]


def add_friend(
    connection: Connection,
    owner: UserId,
    id: str | None,
    *,
    name: str,
    relation: str | None = None,
    who: Mapping[str, object] | None = None,
    skills: Sequence[str] | None = None,
    model: str | None = None,
    persona: str = "",
    from_file: bool = False,
    now: datetime,
) -> Agent:
    """Add a friend of a person: `id` is the friend's part alone, `sabrina`; None takes it from the name.

    Raises `NotFound` for the person, `InvalidId` with a suggestion, `InvalidInput`, `Conflict` for an id or a name
    that is taken, `QuotaReached` when there are as many as there may be.
    """
    people.get_user(connection, owner)
    present = friends_of(_alone(connection, owner), owner)
    if id is None:
        check_friend_name(name)
        id = id_from_name(name, [friend_part(friend.id) for friend in present])
    checked = friend_agent_id(owner, id)
    taken = connection.execute(select(_a.id).where(_a.id_folded == fold(checked))).scalar()
    if taken is not None:
        raise Conflict(f"There is already an agent {taken!r}; choose another id.")
    if len(present) >= MOST_FRIENDS:
        raise QuotaReached(f"{owner!r} has {len(present)} friends; there is room for {MOST_FRIENDS}.")
    check_handles(connection, owner, checked, name)
    connection.execute(
        insert(tables.agents).values(
            id=checked,
            id_folded=fold(checked),
            name=name,
            owner=owner,
            sponsor=None,
            persona=_persona(persona),
            relation=relation_as_text(relation),
            who=who_as_text(who),
            skills=skills_as_text(skills),
            model=model,
            configured=False,
            from_file=from_file,
            enabled=True,
            created_at=now,
        )
    )
    return agents.get_agent(connection, checked)


def change_friend(
    connection: Connection,
    id: AgentId,
    *,
    name: str | UnsetType = UNSET,
    relation: str | UnsetType | None = UNSET,
    who: Mapping[str, object] | UnsetType | None = UNSET,
    skills: Sequence[str] | UnsetType | None = UNSET,
    model: str | UnsetType | None = UNSET,
    persona: str | UnsetType = UNSET,
    enabled: bool | UnsetType = UNSET,
    from_file: bool | UnsetType = UNSET,
) -> Agent:
    """Change what is said of an agent of somebody's own, `main` too; what is UNSET stays, and so does the id.

    Raises `NotFound`, `InvalidInput`, and `Conflict` for a name that is another's of the same person.
    """
    agent = agents.get_agent(connection, id)
    assert agent.owner is not None, f"{id} is nobody's own"
    if name is not UNSET and name != agent.name:
        check_handles(_alone(connection, agent.owner), agent.owner, id, name)
    changed: dict[str, object | UnsetType] = {
        "name": name,
        "relation": relation if relation is UNSET else relation_as_text(relation),
        "who": who if who is UNSET else who_as_text(who),
        "skills": skills if skills is UNSET else skills_as_text(skills),
        "model": model,
        "persona": persona if persona is UNSET else _persona(persona),
        "enabled": enabled,
        "from_file": from_file,
    }
    kept = {column: value for column, value in changed.items() if value is not UNSET}
    if kept:
        connection.execute(update(tables.agents).where(_a.id == id).values(**kept))
    return agents.get_agent(connection, id)


def remove_friend(connection: Connection, id: AgentId) -> None:
    """Take a friend off the list, with the keys granted to it; chats it answered learn that it is gone.

    What it holds in its brain and in the queues is erased by whoever calls this. Raises `NotFound`, and `Conflict`
    for an agent that is no friend.
    """
    agent = agents.get_agent(connection, id)
    if not agent.is_friend:
        raise Conflict(f"Agent {id!r} is no friend; somebody's main agent goes only with them.")
    chosen.left(connection, id)
    connection.execute(delete(tables.key_grants).where(tables.key_grants.c.agent_id == id))
    connection.execute(delete(tables.agents).where(_a.id == id))


def friend_part(id: AgentId) -> str:
    """What a friend is called in its id: `sabrina` of `alice--sabrina`; `main` for a main agent."""
    return id.partition("--")[2] or MAIN


def called(words: str, own: Sequence[Agent]) -> Agent | None:
    """Which of a person's own agents these words mean: a number of the list, a name, the part of an id, or `main`.

    `own` begins with the main agent. None when they mean none of them.
    """
    if words.isascii() and words.isdecimal():
        number = int(words) if len(words) < 4 else 0
        return own[number - 1] if 1 <= number <= len(own) else None
    wanted = as_called(words)
    return next((agent for agent in own if wanted in handles(agent.id, agent.name)), None)


def own_agents(connection: Connection, owner: UserId) -> list[Agent]:
    """A person's agents in the order in which they are numbered: the main one, then the friends as they came."""
    return [agents.get_agent(connection, AgentId(owner)), *friends_of(connection, owner)]


def as_called(name: str) -> str:
    """The form in which two names sound the same to `/talk`."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def check_handles(connection: Connection, owner: UserId, id: AgentId, name: str) -> None:
    """Whether the agent `id` of this person may be called so, beside their others.

    Raises `InvalidInput` for what is no name, and `Conflict` for one that `/talk` could not tell from another's.
    """
    check_friend_name(name)
    if id != owner and as_called(name) == MAIN:
        raise Conflict(f"{name!r} is what everybody's first assistant is called; choose another name.")
    mine = handles(id, name)
    for other in own_agents(connection, owner):
        if other.id != id and mine & handles(other.id, other.name):
            raise Conflict(
                f"{name!r} cannot be told from {other.name!r} ({other.id}), which {owner!r} has already; choose "
                "another name or id."
            )


def handles(id: AgentId, name: str) -> frozenset[str]:
    """Everything that `/talk` takes for this agent, as it sounds; no two of a person's may share any."""
    part = friend_part(id)
    return frozenset({as_called(name)} if part.isdecimal() else {as_called(name), as_called(part)})


def check_friend_name(name: str) -> None:
    """Raises `InvalidInput` for what no agent of a person's own can be called."""
    agents.check_name(name)
    if as_called(name).isdecimal():
        raise InvalidInput(f"{name!r} is a number; /talk would take it for a place in the list. Choose a name.")


def relation_as_text(relation: str | None) -> str | None:
    """What is kept of a relation. Raises `InvalidInput`."""
    if relation is None or not relation.strip():
        return None
    if len(relation) > LONGEST_RELATION or not relation.isprintable():
        raise InvalidInput(f"A relation is a word or two on one line, at most {LONGEST_RELATION} characters.")
    return relation.strip()


def _persona(persona: str) -> str:
    if "\x00" in persona:
        raise InvalidInput("A persona is text, without NUL characters.")
    if len(persona) > LONGEST_PERSONA:
        raise InvalidInput(f"A persona has at most {LONGEST_PERSONA} characters; this has {len(persona)}.")
    return persona


def skills_as_text(skills: Sequence[str] | None) -> str | None:
    """What is kept of the names of skills. Raises `InvalidInput`."""
    if skills is None:
        return None
    for skill in skills:
        if not skill.strip() or len(skill) > LONGEST_SKILL or not skill.isprintable():
            raise InvalidInput(f"{skill[:40]!r} is no name of a skill.")
    if len(skills) > MOST_SKILLS:
        raise InvalidInput(f"There are {len(skills)} skills; there is room for {MOST_SKILLS}.")
    return json.dumps(list(skills), ensure_ascii=False, separators=(",", ":"))


def _alone(connection: Connection, owner: UserId) -> Connection:
    """Keep others from changing this person's agents until the transaction ends."""
    connection.execute(select(tables.users.c.id).where(tables.users.c.id == owner).with_for_update())
    return connection
