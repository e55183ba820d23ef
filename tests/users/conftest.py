"""The gateway's database, embedded and served, with two people in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection

from rookery import users
from rookery.gateway import schema
from rookery.storage import Database
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.sqlite import SqliteDatabase
from tests.support.databases import fresh_database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncGenerator[Database]:
    """Alice, an admin, and Bob are known; nobody has an address yet."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            opened: Database = SqliteDatabase(None)
            await opened.write(schema.prepare)
        else:
            opened = PostgresDatabase(stack.enter_context(fresh_database()).app_url, connections=2)
        await opened.write(_people)
        yield opened
        await opened.close()


def _people(connection: Connection) -> None:
    users.add_user(
        connection, "alice", name="Alice", role="admin", now=NOW, timezone="Europe/Madrid", language="es"
    )
    users.add_user(connection, "bob", name=None, role="member", now=NOW)
