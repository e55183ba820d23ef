"""Everybody as the store knows them, read at once: what a people file is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct
from sqlalchemy import Connection, select

from rookery.config import WrittenAddress
from rookery.ids import fold
from rookery.users import agents, identities, people, tables
from rookery.users.agents import Agent
from rookery.users.described import DescribedBudget
from rookery.users.identities import EVERY_ACCOUNT
from rookery.users.people import User


class Linked(Struct, frozen=True):
    """An address that is somebody's; `from_file` when the people file linked it."""

    address: WrittenAddress
    user_id: str
    from_file: bool


class Says(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the file said of a person last.

    `rights` are those it gave, of `role` and `permissions`; `password` is the hash of the password hash it held,
    and `copied` names the friends whose text was copied.
    """

    rights: tuple[str, ...] = ()
    password: str | None = None
    copied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """The store at one moment."""

    users: Mapping[str, User]
    agents: Mapping[str, Agent]
    with_password: frozenset[str]
    budgets: Mapping[str, DescribedBudget]
    says: Mapping[str, Says]
    linked: Mapping[tuple[str, str], list[Linked]]
    addresses: Mapping[str, list[Linked]]
    own: Mapping[str, list[Agent]]
    user_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    agent_ids: Mapping[str, str] = field(default_factory=dict[str, str])


def alone(connection: Connection) -> None:
    """Let nobody else change people, their agents or whose an address is until this transaction ends."""
    identities.alone(connection)
    ids = select(tables.users.c.id).order_by(tables.users.c.id)
    connection.execute(ids.with_for_update(key_share=True))


def read(connection: Connection) -> Stored:
    """Everybody, with what is theirs; nothing that anybody said is in it."""
    users: dict[str, User] = {user.id: user for user in people.list_users(connection)}
    everyone: dict[str, Agent] = {agent.id: agent for agent in agents.list_agents(connection)}
    own: dict[str, list[Agent]] = {}
    for agent in everyone.values():
        if agent.owner is not None:
            own.setdefault(agent.owner, []).append(agent)
    linked: dict[tuple[str, str], list[Linked]] = {}
    addresses: dict[str, list[Linked]] = {}
    for row in connection.execute(select(tables.identities)):
        account = None if row.account == EVERY_ACCOUNT else row.account
        one = Linked(WrittenAddress(row.channel, account, row.sender), row.user_id, row.from_file)
        linked.setdefault((row.channel, row.sender), []).append(one)
        addresses.setdefault(row.user_id, []).append(one)
    return Stored(
        users=users,
        agents=everyone,
        with_password=frozenset(connection.execute(select(tables.passwords.c.user_id)).scalars()),
        budgets={
            row.user_id: DescribedBudget(
                per_day_nano_usd=row.per_day_nano_usd,
                per_month_nano_usd=row.per_month_nano_usd,
                per_day_tokens=row.per_day_tokens,
            )
            for row in connection.execute(select(tables.budgets))
        },
        says={row.user_id: _says(row.says) for row in connection.execute(select(tables.described))},
        linked=linked,
        addresses=addresses,
        own=own,
        user_ids={fold(id): id for id in users},
        agent_ids={fold(id): id for id in everyone},
    )


def as_text(says: Says) -> str:
    """What is kept of `says`."""
    kept = {"rights": list(says.rights), "password": says.password, "copied": list(says.copied)}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def _says(text: str) -> Says:
    kept = json.loads(text)
    return Says(tuple(kept["rights"]), kept["password"], tuple(kept["copied"]))
