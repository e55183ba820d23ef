"""The schema: made whole, migrated from the oldest, refused when newer, and the same either way."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, text

from rookery.errors import ConfigError
from rookery.gateway import schema
from rookery.sessions.tables import content_metadata
from rookery.storage import Database, metadata
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.sqlite import SqliteDatabase
from tests.support.postgres import shared_server


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """An empty database, opened by the role that owns it."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            database: Database = SqliteDatabase(tmp_path / "gateway.db")
        else:
            fresh = shared_server().fresh()
            stack.callback(shared_server().drop, fresh)
            database = PostgresDatabase(fresh.owner_url, connections=1)
        yield database
        await database.close()


async def test_a_new_database_has_the_current_schema(empty: Database) -> None:
    """What `prepare` makes in an empty database is what the code declares."""
    await empty.write(schema.prepare)
    assert await empty.read(schema.version) == schema.HEAD
    assert await empty.read(_differences) == []


async def test_migrating_from_the_oldest_schema_gives_the_same(empty: Database) -> None:
    """All migrations, one after another, end where a new database begins, security included."""
    await empty.write(lambda connection: schema.migrate(connection, "base"))
    assert await empty.read(schema.version) == schema.HEAD
    assert await empty.read(_differences) == []
    assert await empty.read(_unsecured) == []


async def test_preparing_twice_changes_nothing(empty: Database) -> None:
    """A database that is current is left alone."""
    await empty.write(schema.prepare)
    await empty.write(lambda connection: connection.execute(text("DELETE FROM seen")))
    await empty.write(schema.prepare)
    assert await empty.read(schema.version) == schema.HEAD


async def test_a_newer_schema_is_refused_and_left_alone(empty: Database) -> None:
    """A database that a newer Rookery made stops the start with a clear word."""
    await empty.write(schema.prepare)
    await empty.write(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    )
    with pytest.raises(ConfigError, match="newer Rookery"):
        await empty.write(schema.prepare)
    assert await empty.read(schema.version) == "9999"


async def test_the_head_is_the_last_migration() -> None:
    """`HEAD` names the newest file in `migrations/versions`."""
    newest = max(path.stem.partition("_")[0] for path in (schema.MIGRATIONS / "versions").glob("0*.py"))
    assert newest == schema.HEAD


def _differences(connection: Connection) -> list[object]:
    found: list[object] = []
    parts = [metadata] if connection.dialect.name == "sqlite" else [metadata, content_metadata]
    known = {"alembic_version", *(name for part in parts for name in part.tables)}
    for part in parts:

        def is_ours(name: str | None, kind: str, _parents: object, part: MetaData = part) -> bool:
            return kind != "table" or name in part.tables

        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        found += compare_metadata(context, part)
    return found + [name for name in inspect(connection).get_table_names() if name not in known]


def _unsecured(connection: Connection) -> list[str]:
    if connection.dialect.name == "sqlite":
        return []
    rows = connection.execute(
        text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
    ).scalars()
    return sorted({table.name for table in schema.content_tables()} - set(rows))


async def test_what_waits_is_found_by_a_partial_index(empty: Database) -> None:
    """Both databases look for unfinished turns and unsent deliveries in indexes that hold nothing else."""
    await empty.write(schema.prepare)

    def partial(connection: Connection) -> set[str]:
        query = {
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'",
            "postgresql": "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '% WHERE %'",
        }[connection.dialect.name]
        return set(connection.execute(text(query)).scalars())

    assert await empty.read(partial) >= {"ix_turns_unfinished", "ix_outbox_waiting"}
