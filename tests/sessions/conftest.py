"""One brain's storage, three ways: files, rows on PostgreSQL, and the twin in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from rookery.sessions.brains import BrainPool, FileBrains, MemoryBrains, RowBrains
from rookery.sessions.tables import CONTENT_TABLES, content_metadata
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.threads import WriterThreads
from tests.support.postgres import APP, OWNER, Postgres, shared_server


@dataclass
class Storage:
    """Where brains are kept; each call of `brains` opens them as a process that has just started does."""

    kind: str
    brains: Callable[..., BrainPool]


@pytest.fixture(scope="session")
def content_database() -> Postgres:
    """A database with the content tables as the application finds them, to be copied."""
    server = shared_server()
    database = server.fresh()
    dialect = postgresql.dialect()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in content_metadata.sorted_tables]
    statements += [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in content_metadata.sorted_tables
        for index in table.indexes
    ]
    for table in CONTENT_TABLES:
        statements += [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY own_agent ON {table} USING (agent_id = current_setting('rookery.agent', true))",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP}",
        ]
    server.run(";\n".join(statements), database=database.name, role=OWNER)
    return database


@pytest.fixture
async def threads() -> AsyncGenerator[WriterThreads]:
    threads = WriterThreads(2)
    yield threads
    await threads.close()


@pytest.fixture
async def database(content_database: Postgres) -> AsyncGenerator[PostgresDatabase]:
    fresh = shared_server().fresh(content_database)
    database = PostgresDatabase(fresh.app_url, connections=4)
    yield database
    await database.close()
    shared_server().drop(fresh)


@pytest.fixture(params=["files", "rows", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Each test that takes this runs on every storage there is."""
    match request.param:
        case "files":
            threads = request.getfixturevalue("threads")

            def on_disk(**more: Any) -> FileBrains:
                return FileBrains(tmp_path / "agents", threads, **more)

            return Storage("files", on_disk)
        case "rows":
            database = request.getfixturevalue("database")

            def in_database(**more: Any) -> RowBrains:
                return RowBrains(database, **more)

            return Storage("rows", in_database)
        case _:
            first = MemoryBrains()

            def again(**more: Any) -> MemoryBrains:
                brains = MemoryBrains(**more)
                brains.transcripts = first.transcripts
                brains.attachments = first.attachments
                brains.profiles = first.profiles
                brains.workspaces = first.workspaces
                return brains

            return Storage("memory", again)
