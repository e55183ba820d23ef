"""A house for each test, on both databases."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rookery.gateway import schema
from rookery.storage import Database
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.sqlite import SqliteDatabase
from tests.support.databases import fresh_database
from tests.support.house import TestHouse
from tests.support.loop import nothing_blocks


@pytest.fixture(autouse=True)
def no_blocking_in_the_loop() -> Generator[None]:
    """Whatever of ours would hold up everybody else is an error here."""
    with nothing_blocks():
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[TestHouse]:
    """A gateway with loopback networks and an echoing model, on the embedded and on the served database."""
    with ExitStack() as stack:
        postgres = stack.enter_context(fresh_database()) if request.param == "postgresql" else None
        async with TestHouse(tmp_path, postgres=postgres) as opened:
            yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncGenerator[Database]:
    """The gateway's database alone, embedded and served, with nothing in it."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            opened: Database = SqliteDatabase(None)
            await opened.write(schema.prepare)
        else:
            opened = PostgresDatabase(stack.enter_context(fresh_database()).app_url, connections=2)
        yield opened
        await opened.close()
