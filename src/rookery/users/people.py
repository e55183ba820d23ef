"""Users: the people this gateway knows."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, cast
from zoneinfo import available_timezones

from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.ids import AgentId, UserId, fold, user_id
from rookery.policy import Permission, let_in, read_permissions
from rookery.storage.prepared import Prepared
from rookery.users import tables

UserRole = Literal["member", "admin"]

MAIN_NAME = "Rookery"
"""What a person's main agent is called at first."""

LONGEST_NAME = 100
LONGEST_LANGUAGE = 35
"""Characters that the longest tag in sensible use has (RFC 5646, 4.4.1)."""

MOST_PREFERENCES = 100
LONGEST_PREFERENCES = 8192

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_PREFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class User(Struct, frozen=True):
    """One person; `timezone` is an IANA name, `language` a BCP 47 tag, `preferences` a JSON object of the page.

    `permissions`: the kinds of channel they may use, words of `policy.Permission`; None is all, and empty is none.
    """

    id: UserId
    name: str
    role: UserRole
    enabled: bool
    timezone: str
    language: str
    created_at: datetime
    preferences: str = "{}"
    permissions: tuple[str, ...] | None = None
    from_file: bool = False
    """Whether the people file describes them."""

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
    if name is not None:
        check_name(name)
    check_timezone(timezone)
    check_language(language)
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
            name=MAIN_NAME,
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


def change_user(
    connection: Connection,
    id: UserId,
    *,
    name: str | None = None,
    role: UserRole | None = None,
    enabled: bool | None = None,
    timezone: str | None = None,
    language: str | None = None,
) -> User:
    """Change what is said of a person; None leaves it as it is.

    Raises `NotFound`, `InvalidInput`, and `Conflict` when nobody would be left who is an admin.
    """
    before = get_user(connection, id)
    if name is not None:
        check_name(name)
    if timezone is not None:
        check_timezone(timezone)
    if language is not None:
        check_language(language)
    if role == "member" or enabled is False:
        _check_not_last(connection, before)
    said = {"name": name, "role": role, "enabled": enabled, "timezone": timezone, "language": language}
    changes = {column: value for column, value in said.items() if value is not None}
    if changes:
        connection.execute(update(tables.users).where(tables.users.c.id == id).values(**changes))
    return get_user(connection, id)


def set_permissions(connection: Connection, id: UserId, words: Iterable[str] | None) -> User:
    """Say by which kinds of channel a person may come in: words of `policy.Permission`, or None for all.

    Raises `NotFound`, `InvalidInput` for another word, and `Conflict` when it would take the page, from where the
    house is kept, away from the last admin who may use it.
    """
    before = get_user(connection, id)
    wanted = None if words is None else read_permissions(words)
    if not let_in(wanted, Permission.WEB):
        _check_not_last(connection, before)
    kept = None if wanted is None else json.dumps(wanted)
    if wanted != before.permissions:
        connection.execute(update(tables.users).where(tables.users.c.id == id).values(permissions=kept))
    return get_user(connection, id)


def _check_not_last(connection: Connection, leaving: User) -> None:
    """Raises `Conflict` when nobody but `leaving` is an admin who may use the page."""
    if leaving.role != "admin" or not leaving.enabled or not let_in(leaving.permissions, Permission.WEB):
        return
    left = [get_user(connection, id) for id in admins(connection, alone=True) if id != leaving.id]
    if not any(let_in(one.permissions, Permission.WEB) for one in left):
        raise Conflict(
            f"{leaving.id!r} is the last admin who may use the page; make somebody else an admin first."
        )


def admins(connection: Connection, *, alone: bool = False) -> list[UserId]:
    """The admins who may come in, by id. With `alone` nobody else changes them until the transaction ends."""
    columns = tables.users.c
    query = select(columns.id).where(columns.role == "admin", columns.enabled).order_by(columns.id)
    if alone:
        query = query.with_for_update()
    return [UserId(id) for id in connection.execute(query).scalars()]


def prefer(connection: Connection, id: UserId, changes: Mapping[str, Any]) -> User:
    """Change a person's preferences, one by one; None takes one out. Raises `NotFound`, `InvalidInput`."""
    kept: dict[str, Any] = json.loads(get_user(connection, id).preferences)
    for name, value in changes.items():
        if not _PREFERENCE.fullmatch(name):
            raise InvalidInput(f"{name[:80]!r} is no name of a preference: letters and digits, at most 64.")
        kept[name] = value
    kept = {name: value for name, value in kept.items() if value is not None}
    try:
        text = json.dumps(kept, ensure_ascii=True, separators=(",", ":"))
    except RecursionError:
        raise InvalidInput("A preference holds too much inside one another.") from None
    if len(kept) > MOST_PREFERENCES or len(text) > LONGEST_PREFERENCES:
        raise InvalidInput(
            f"There is room for {MOST_PREFERENCES} preferences, and {LONGEST_PREFERENCES} bytes of them as JSON."
        )
    connection.execute(update(tables.users).where(tables.users.c.id == id).values(preferences=text))
    return get_user(connection, id)


def check_name(name: str) -> None:
    """Raises `InvalidInput` for a name that is no line of 1 to 100 characters."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(
            f"A user's name cannot be empty, nor longer than a line of {LONGEST_NAME} characters; "
            "without one the id is used."
        )


def check_timezone(timezone: str) -> None:
    """Raises `InvalidInput` for what is no name of a time zone.

    The first call reads a directory, unless it is for UTC.
    """
    if timezone != "UTC" and timezone not in _zones():
        raise InvalidInput(f"{timezone[:80]!r} is not a time zone; use a name such as 'Europe/Madrid'.")


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})  # which some systems list, and is another each time


def check_language(language: str) -> None:
    """Raises `InvalidInput` for what does not have the shape of a BCP 47 language tag."""
    if len(language) > LONGEST_LANGUAGE or not _LANGUAGE.fullmatch(language):
        raise InvalidInput(f"{language[:80]!r} is not a language; use a BCP 47 tag such as 'es' or 'pt-BR'.")


def from_row(row: Row[Any]) -> User:
    """A user from a row that holds the columns of `users`."""
    return User(
        id=UserId(row.id),
        name=row.name,
        role=cast("UserRole", row.role),  # written by add_user and change_user alone
        enabled=row.enabled,
        timezone=row.timezone,
        language=row.language,
        created_at=row.created_at,
        preferences=row.preferences,
        permissions=None if row.permissions is None else tuple(json.loads(row.permissions)),
        from_file=row.from_file,
    )
