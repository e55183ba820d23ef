"""Users: the people this gateway knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, Row, bindparam, insert, select

from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.ids import AgentId, UserId, fold, user_id
from rookery.storage.prepared import Prepared
from rookery.users import tables

UserRole = Literal["member", "admin"]


@dataclass(frozen=True, slots=True)
class User:
    """One person; `timezone` is an IANA name, `language` a BCP 47 tag, `preferences` a JSON object of the page."""

    id: UserId
    name: str
    role: UserRole
    enabled: bool
    timezone: str
    language: str
    created_at: datetime
    preferences: str = "{}"

    @property
    def main_agent(self) -> AgentId:
        """The agent a direct message of this person goes to when nothing else is chosen."""
        return AgentId(self.id)


_by_id = Prepared(select(tables.users).where(tables.users.c.id == bindparam("id")))


def get_user(connection: Connection, id: UserId) -> User:
    """One user by the exact id. Raises `NotFound`."""
    row = _by_id.first(connection, {"id": id})
    if row is None:
        raise NotFound(f"There is no user {id!r}.")
    return from_row(row)


def list_users(connection: Connection) -> list[User]:
    """All users, by id."""
    return [from_row(row) for row in connection.execute(select(tables.users).order_by(tables.users.c.id))]


def is_taken(connection: Connection, id: str) -> bool:
    """Whether some user has this id, in whatever case it is written."""
    query = select(tables.users.c.id).where(tables.users.c.id_folded == fold(id))
    return connection.execute(query).scalar() is not None


def add_user(
    connection: Connection,
    id: str,
    *,
    name: str | None,
    role: UserRole,
    now: datetime,
    timezone: str = "UTC",
    language: str = "en",
) -> User:
    """Add a person and their `main` agent. Raises `InvalidId`, `InvalidInput` or `Conflict`."""
    checked = user_id(id)
    if name is not None and not name.strip():
        raise InvalidInput("A user's name cannot be empty; leave it out to use the id.")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: "Europe" is a directory
        raise InvalidInput(f"{timezone!r} is not a time zone; use a name such as 'Europe/Madrid'.") from error
    for table, what in ((tables.users, "user"), (tables.agents, "agent")):
        taken = connection.execute(select(table.c.id).where(table.c.id_folded == fold(checked))).scalar()
        if taken is not None:
            raise Conflict(
                f"There is already {'an' if what == 'agent' else 'a'} {what} {taken!r}; choose another id."
            )
    connection.execute(
        insert(tables.users).values(
            id=checked,
            id_folded=fold(checked),
            name=name or checked,
            role=role,
            enabled=True,
            timezone=timezone,
            language=language,
            created_at=now,
        )
    )
    connection.execute(
        insert(tables.agents).values(
            id=checked,
            id_folded=fold(checked),
            name="Rookery",
            owner=checked,
            sponsor=None,
            persona="",
            model=None,
            configured=False,
            enabled=True,
            created_at=now,
        )
    )
    return get_user(connection, checked)


def from_row(row: Row[Any]) -> User:
    """A user from a row that holds the columns of `users`."""
    return User(
        id=UserId(row.id),
        name=row.name,
        role=cast("UserRole", row.role),  # written by add_user alone
        enabled=row.enabled,
        timezone=row.timezone,
        language=row.language,
        created_at=row.created_at,
        preferences=row.preferences,
    )
