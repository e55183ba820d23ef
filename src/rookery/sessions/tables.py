"""The tables of one brain: on PostgreSQL the content itself, in `agent.db` an index of the files.

On PostgreSQL each row names its agent, forced row-level security compares that with the transaction's
(`storage.scope.as_agent`), and every statement has the condition besides. `agent.db` belongs to one agent.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    Select,
    Table,
    Text,
    UniqueConstraint,
    literal,
    select,
    tuple_,
)
from sqlalchemy.types import TypeDecorator

from rookery.sessions.summary import SessionSummary, read_cursor
from rookery.storage import Instant

CONTENT_TABLES = ("entries", "sessions", "attachments", "auth_profiles", "workspace_files")
"""The PostgreSQL tables that hold what people said; each needs forced row-level security on `agent_id`."""

_NAMES = {"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}

content_metadata = MetaData(naming_convention=_NAMES)
"""The content tables, for PostgreSQL's schema; the embedded default has files instead."""

agent_metadata = MetaData(naming_convention=_NAMES)
"""`agent.db` as its last migration leaves it; the SQL files make it, a test compares."""

# Ids compare byte by byte on every database, so that lists have one order.
_Id = Text().with_variant(Text(collation="C"), "postgresql")


class Tags(TypeDecorator[tuple[str, ...]]):
    """A list of words, kept as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str:  # noqa: ARG002
        return msgspec.json.encode(value or ()).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:  # noqa: ARG002
        return msgspec.json.decode(value, type=tuple[str, ...]) if value else ()


def _summary_columns() -> list[Column[Any]]:
    return [
        Column("session_key", Text, nullable=False),
        Column("title", Text),
        Column("label", Text),
        Column("tags", Tags, nullable=False),
        Column("status", Text, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("updated_at", Instant, nullable=False),
        Column("archived_at", Instant),
        Column("archived_reason", Text),
        Column("channel_binding", Text),
        Column("entry_count", Integer, nullable=False),
        Column("input_tokens", BigInteger, nullable=False),
        Column("output_tokens", BigInteger, nullable=False),
    ]


entries = Table(
    "entries",
    content_metadata,
    Column("agent_id", _Id, primary_key=True),
    Column("session_id", _Id, primary_key=True),
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("entry_id", _Id, nullable=False),
    Column("line", Text, nullable=False),
    UniqueConstraint("agent_id", "session_id", "entry_id"),
)

sessions = Table(
    "sessions",
    content_metadata,
    Column("agent_id", _Id, primary_key=True),
    Column("session_id", _Id, primary_key=True),
    Column("header", Text, nullable=False),
    *_summary_columns(),
    Column("cost_nano_usd", BigInteger),
)
Index("ix_sessions_latest", sessions.c.agent_id, sessions.c.updated_at, sessions.c.session_id)

attachments = Table(
    "attachments",
    content_metadata,
    Column("agent_id", _Id, primary_key=True),
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# An agent's own keys, in the order in which they are used, sealed; with the embedded default `auth-profiles.json`.
auth_profiles = Table(
    "auth_profiles",
    content_metadata,
    Column("agent_id", _Id, primary_key=True),
    Column("provider", _Id, primary_key=True),
    Column("name", _Id, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("added_at", Instant, nullable=False),
)

workspace_files = Table(
    "workspace_files",
    content_metadata,
    Column("agent_id", _Id, primary_key=True),
    Column("path", _Id, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

indexed = Table(
    "sessions",
    agent_metadata,
    Column("session_id", Text, primary_key=True),
    *_summary_columns(),
    Column("indexed_bytes", Integer, nullable=False),
    Column("cost_nano_usd", BigInteger),
)
Index("ix_sessions_latest", indexed.c.updated_at, indexed.c.session_id)


def summary_of(row: RowMapping) -> SessionSummary:
    """The summary that a row of either sessions table holds."""
    return SessionSummary(**{name: row[name] for name in SessionSummary.__struct_fields__})


def values_of(summary: SessionSummary) -> dict[str, Any]:
    """The summary as the columns of either sessions table."""
    return msgspec.structs.asdict(summary)


def page_of(table: Table, limit: int, cursor: str | None, *conditions: ColumnElement[bool]) -> Select[Any]:
    """One page of the list, latest first. Raises `InvalidInput` for a cursor that is none."""
    query = select(table).where(*conditions)
    if cursor is not None:
        moment, session_id = read_cursor(cursor)
        behind = tuple_(literal(moment, Instant), literal(session_id, Text))
        query = query.where(tuple_(table.c.updated_at, table.c.session_id) < behind)
    return query.order_by(table.c.updated_at.desc(), table.c.session_id.desc()).limit(limit)
