"""A PostgreSQL database with the gateway's schema in it, copied for each test that asks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

from rookery.gateway import schema
from rookery.storage.postgres import PostgresDatabase, role_of
from tests.support.postgres import Postgres, shared_server


@contextmanager
def fresh_database() -> Generator[Postgres]:
    """A database of one's own, its schema current, gone at the end of the block."""
    database = shared_server().fresh(like=_prepared())
    try:
        yield database
    finally:
        shared_server().drop(database)


@cache
def _prepared() -> Postgres:
    database = shared_server().fresh()

    async def prepare() -> None:
        owner = PostgresDatabase(database.owner_url, connections=1)
        await owner.write(schema.prepare)
        await owner.write(lambda connection: schema.grant(connection, role_of(database.app_url)))
        await owner.close()

    # A loop of its own, in a thread of its own: the test that asks has one already.

    thread = threading.Thread(target=lambda: asyncio.run(prepare()))
    thread.start()
    thread.join()
    return database
