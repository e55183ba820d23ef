"""The two statements that SQLite and PostgreSQL spell alike and SQLAlchemy keeps per dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.sql.dml import Insert


class ByDialect:
    """A statement for each dialect, made at its first use: PostgreSQL's is not even imported without one."""

    def __init__(self, make: Callable[[Any], Insert]) -> None:
        self._make = make
        self._made: dict[str, Insert] = {}

    def on(self, connection: Connection) -> Insert:
        """The statement in the connection's dialect."""
        name = connection.dialect.name
        statement = self._made.get(name)
        if statement is None:
            statement = self._made[name] = self._make(_insert(name))
        return statement


def insert_new(table: Table) -> ByDialect:
    """INSERT that leaves a row that is there alone; `rowcount` tells whether it was new."""
    return ByDialect(lambda insert: insert(table).on_conflict_do_nothing())


def upsert(table: Table, keys: Sequence[str], changed: Sequence[str]) -> ByDialect:
    """INSERT that overwrites the columns `changed` of a row with the same `keys`."""

    def make(insert: Any) -> Insert:
        statement = insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(keys), set_={name: statement.excluded[name] for name in changed}
        )

    return ByDialect(make)


def _insert(dialect: str) -> Any:
    """The dialect's own `insert`, whose two classes share no base that has `on_conflict_…`."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert
