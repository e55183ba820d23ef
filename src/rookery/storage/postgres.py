"""The served database: PostgreSQL through asyncpg.

The same units of work run here, in greenlets over the asynchronous driver. Imported only when configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from rookery.errors import Conflict, StorageUnavailable
from rookery.storage.database import Work

T = TypeVar("T")

_HELD = 0x726F6F6B657279  # "rookery" in ASCII: the advisory lock one gateway holds
_ATTEMPTS = 5
_RETRIED = {"40001", "40P01", "23505"}
"""Serialization failure, deadlock, and a row that somebody else added since it was looked for: the transaction is
to be run again, and sees then what is there."""


class PostgresDatabase:
    """One PostgreSQL database, as the role the URL names."""

    dialect: Literal["postgresql"] = "postgresql"

    def __init__(self, url: str, *, connections: int = 16) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,  # an error's words go to logs; what people said does not
            connect_args={"server_settings": {"synchronous_commit": "on", "application_name": "rookery"}},
        )
        self._turnstile = asyncio.Lock()
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()

    async def write(self, work: Work[T], *, then: Callable[[T], None] | None = None, relaxed: bool = False) -> T:
        if self._closed:
            raise StorageUnavailable("The database is closed.")
        # A caller that is cancelled in mid-commit must not leave others untold.
        return await self._to_its_end(self._write(_unsynced(work) if relaxed else work, then))

    async def _write(self, work: Work[T], then: Callable[[T], None] | None) -> T:
        if then is None:
            return await self._run(work)
        # Others are told in the order of the commits, so these commit one after another.
        async with self._turnstile:
            result = await self._run(work)
            then(result)
            return result

    async def read(self, work: Work[T]) -> T:
        if self._closed:
            raise StorageUnavailable("The database is closed.")
        # Cancelled while it connects, the driver would leave a connection open that nobody knows of.
        return await self._to_its_end(self._run(work))

    async def scrub(self, *, whole: bool = True) -> None:
        """See `Database.scrub`: the server clears up by itself, and only a table's owner may ask it to."""

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._engine.dispose()

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """Hold the database for this process: lanes and outbox of two gateways would run the same rows twice.

        Raises `Conflict` when another gateway holds it. The lock belongs to a connection of its own and ends
        with it, however the process ends.
        """
        async with self._engine.connect() as connection:
            taken = await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _HELD})
            if not taken:
                raise Conflict("The database is in use by another gateway; stop that one first.")
            await connection.commit()
            try:
                yield
            finally:
                await connection.invalidate()

    async def _to_its_end(self, running: Coroutine[Any, Any, T]) -> T:
        """Run in a task of its own, which goes on when the caller is cancelled; `close` waits for it."""
        task = asyncio.create_task(running)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _run(self, work: Work[T]) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            except DBAPIError as error:
                if _code(error) in _RETRIED and attempt < _ATTEMPTS:
                    continue
                if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
                    raise StorageUnavailable(f"The database does not answer: {_words(error)}.") from error
                raise
            except OSError as error:
                raise StorageUnavailable(f"The database cannot be reached: {error}.") from error
        raise AssertionError("the last attempt returns or raises")


def _unsynced(work: Work[T]) -> Work[T]:
    """The same unit of work, whose commit does not wait for the log to be synced; later ones take it along."""

    def relaxed(connection: Connection) -> T:
        connection.execute(_DO_NOT_WAIT)
        return work(connection)

    return relaxed


_DO_NOT_WAIT = text("SET LOCAL synchronous_commit = off")


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _words(error: DBAPIError) -> str:
    return str(error.orig).splitlines()[0]


def role_of(url: str) -> str:
    """The role a database URL connects as. Raises `ValueError` when it names none."""
    role = make_url(url).username
    if role is None:
        raise ValueError("The database URL names no role; write postgresql://role:password@host/database.")
    return role
