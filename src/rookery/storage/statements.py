"""The two statements that SQLite and PostgreSQL spell alike and SQLAlchemy keeps per dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

ByDialect = Mapping[str, Insert]
"""A statement for each dialect; index it with `connection.dialect.name`."""


def insert_new(table: Table) -> ByDialect:
    """INSERT that leaves a row that is there alone; `rowcount` tells whether it was new."""
    return {
        "sqlite": sqlite.insert(table).on_conflict_do_nothing(),
        "postgresql": postgresql.insert(table).on_conflict_do_nothing(),
    }


def upsert(table: Table, keys: Sequence[str], changed: Sequence[str]) -> ByDialect:
    """INSERT that overwrites the columns `changed` of a row with the same `keys`."""
    lite = sqlite.insert(table)
    post = postgresql.insert(table)
    return {
        "sqlite": lite.on_conflict_do_update(
            index_elements=list(keys), set_={name: lite.excluded[name] for name in changed}
        ),
        "postgresql": post.on_conflict_do_update(
            index_elements=list(keys), set_={name: post.excluded[name] for name in changed}
        ),
    }
