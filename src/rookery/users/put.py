"""Writing many people at once: what a people file changes, a few statements for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from rookery.config import WrittenAddress
from rookery.ids import AgentId, UserId
from rookery.users import credentials, tables
from rookery.users.credentials import CredentialKind
from rookery.users.described import DescribedBudget
from rookery.users.identities import EVERY_ACCOUNT
from rookery.users.passwords import keep_password
from rookery.users.stored import Says, as_text


def people(connection: Connection, added: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Add users, by the columns of their table."""
    if added:
        connection.execute(insert(tables.users), [{**row, "created_at": now} for row in added])


def agents(connection: Connection, added: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Add agents, by the columns of their table; their owners are there."""
    if added:
        connection.execute(insert(tables.agents), [{**row, "created_at": now} for row in added])


def change_people(connection: Connection, changed: Mapping[UserId, Mapping[str, Any]]) -> None:
    """Change what is said of users."""
    for id, values in changed.items():
        connection.execute(update(tables.users).where(tables.users.c.id == id).values(**values))


def change_agents(connection: Connection, changed: Mapping[AgentId, Mapping[str, Any]]) -> None:
    """Change what is said of agents."""
    for id, values in changed.items():
        connection.execute(update(tables.agents).where(tables.agents.c.id == id).values(**values))


def unlink(connection: Connection, gone: Iterable[tuple[UserId, WrittenAddress]]) -> None:
    """Take addresses from their users."""
    c = tables.identities.c
    rows = [{"u": id, "c": one.channel, "a": _account(one), "s": one.sender} for id, one in gone]
    if rows:
        connection.execute(
            delete(tables.identities).where(
                c.user_id == bindparam("u"),
                c.channel == bindparam("c"),
                c.account == bindparam("a"),
                c.sender == bindparam("s"),
            ),
            rows,
        )


def link(connection: Connection, added: Iterable[tuple[UserId, WrittenAddress]], now: datetime) -> None:
    """Make addresses their users', as a file says. Whoever calls this has looked that none is anybody's."""
    rows = [
        {
            "channel": one.channel,
            "account": _account(one),
            "sender": one.sender,
            "user_id": id,
            "linked_at": now,
            "from_file": True,
        }
        for id, one in added
    ]
    if rows:
        connection.execute(insert(tables.identities), rows)


def budgets(connection: Connection, wanted: Mapping[UserId, DescribedBudget]) -> None:
    """Keep what people may spend, in place of what was kept before."""
    rows = [
        {
            "user_id": id,
            "per_day_nano_usd": one.per_day_nano_usd,
            "per_month_nano_usd": one.per_month_nano_usd,
            "per_day_tokens": one.per_day_tokens,
        }
        for id, one in wanted.items()
    ]
    if rows:
        _forget(connection, tables.budgets, wanted)
        connection.execute(insert(tables.budgets), rows)


def says(connection: Connection, said: Mapping[UserId, Says]) -> None:
    """Keep what the file said of people, in place of what was kept before."""
    if said:
        _forget(connection, tables.described, said)
        rows = [{"user_id": id, "says": as_text(one)} for id, one in said.items()]
        connection.execute(insert(tables.described), rows)


def passwords(
    connection: Connection, hashes: Mapping[UserId, str], first: Iterable[UserId], now: datetime
) -> list[tuple[UserId, str]]:
    """Keep passwords; those of `first` are to be changed by their owner. Returned are the devices that end."""
    chosen_by_others = frozenset(first)
    ended: list[tuple[UserId, str]] = []
    for id, hash in hashes.items():
        ended += [(id, one.id) for one in credentials.list_credentials(connection, id, CredentialKind.DEVICE)]
        credentials.end_all(connection, id, CredentialKind.DEVICE, now=now)
        keep_password(connection, id, hash, must_change=id in chosen_by_others, now=now)
    return ended


def file_digest(connection: Connection, path: str) -> str | None:
    """What stood in the people file at `path` when it was applied, if it was the last one that was."""
    files = tables.people_files
    return connection.execute(select(files.c.digest).where(files.c.path == path)).scalar()


def keep_file(connection: Connection, path: str, digest: str | None, now: datetime) -> None:
    """Remember the people file that is in force; with None, nothing is remembered of any."""
    connection.execute(delete(tables.people_files))
    if digest is not None:
        connection.execute(insert(tables.people_files).values(path=path, digest=digest, applied_at=now))


def _forget(connection: Connection, table: Any, ids: Iterable[str]) -> None:
    connection.execute(delete(table).where(table.c.user_id == bindparam("u")), [{"u": id} for id in ids])


def _account(address: WrittenAddress) -> str:
    return EVERY_ACCOUNT if address.account is None else address.account
