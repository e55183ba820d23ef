"""The shared keys of the store: sealed, to be shared out by grant. Nobody here can open one."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from rookery.errors import NotFound
from rookery.users import tables


class StoredKey(Struct, frozen=True):
    """One shared key; `sealed` is opened with the master key, for its name and no agent."""

    name: str
    provider: str
    sealed: str
    last_four: str
    added_by: str
    added_at: datetime


_table = tables.shared_keys


def list_shared_keys(connection: Connection) -> list[StoredKey]:
    """Every shared key of the store, by name."""
    return [StoredKey(**row) for row in connection.execute(select(_table).order_by(_table.c.name)).mappings()]


def put_shared_key(
    connection: Connection, name: str, *, provider: str, sealed: str, last_four: str, added_by: str, now: datetime
) -> StoredKey:
    """Keep a shared key, in the place of one of that name; grants are by name, and stay."""
    connection.execute(delete(_table).where(_table.c.name == name))
    key = StoredKey(name, provider, sealed, last_four, added_by, now)
    connection.execute(
        insert(_table).values(
            name=name, provider=provider, sealed=sealed, last_four=last_four, added_by=added_by, added_at=now
        )
    )
    return key


def remove_shared_key(connection: Connection, name: str) -> None:
    """Forget a shared key. Raises `NotFound`."""
    if not connection.execute(delete(_table).where(_table.c.name == name)).rowcount:
        raise NotFound(f"There is no shared key {name!r} in the store.")


def reseal_shared_key(connection: Connection, name: str, before: str, sealed: str) -> bool:
    """Put what was sealed anew in the place of what was there `before`; False when that is there no more."""
    place = (_table.c.name == name) & (_table.c.sealed == before)
    return bool(connection.execute(update(_table).where(place).values(sealed=sealed)).rowcount)
