"""The embedded database: SQLite, one writer thread with group commit, readers beside it.

Units of work that wait while a commit is being synced are committed together with one sync; none is spent on a
batch in which everything is relaxed. When one of a batch fails, the batch is undone and each is run alone, so that
nobody pays for another's mistake.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from rookery.errors import StorageCorrupt, StorageUnavailable
from rookery.storage.database import Work

T = TypeVar("T")

BATCH = 256
"""The most units of work one commit carries."""

PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;"
"""What a connection is told first: with less, a commit could be lost to a power cut. A batch of relaxed work alone
is committed with `synchronous=NORMAL`, which appends it to the log without waiting for the disk."""

Connect = Callable[[], Any]
"""Opens a DBAPI connection; an argument so that tests can put a faulty disk under SQLite."""


class SqliteDatabase:
    """One SQLite file, in WAL mode with `synchronous=FULL`; `path` None keeps it in memory, for tests."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, path: Path | None, *, readers: int = 2, connect: Connect | None = None) -> None:
        self._writer = _Worker(_engine(connect or _connector(path)), "rookery-db-writer", write=True)
        self._reader = self._writer
        if path is not None:
            engine = _engine(connect or _connector(path))
            self._reader = _Worker(engine, "rookery-db-reader", write=False, threads=readers)

    async def write(self, work: Work[T], *, then: Callable[[T], None] | None = None, relaxed: bool = False) -> T:
        return await self._writer.submit(work, then, relaxed=relaxed)

    async def read(self, work: Work[T]) -> T:
        return await self._reader.submit(work, None)

    async def scrub(self, *, whole: bool = True) -> None:
        await self._writer.alone(_rebuild if whole else _empty_log)

    async def close(self) -> None:
        for worker in {self._writer, self._reader}:
            await asyncio.to_thread(worker.close)


def _rebuild(connection: Connection) -> None:
    """Freed pages are zeroed as they are freed; what was left over inside pages goes with a file made anew."""
    connection.exec_driver_sql("VACUUM")
    _empty_log(connection)


def _empty_log(connection: Connection) -> None:
    """Put what the log holds into the database file and cut it to nothing. Raises `StorageUnavailable` while
    somebody reads what it held."""
    busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    if busy:
        raise StorageUnavailable("The database's log is being read; it is emptied later.")


def _connector(path: Path | None) -> Connect:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path if path is not None else ":memory:", isolation_level=None, check_same_thread=False, timeout=5
        )
        connection.executescript(PRAGMAS)
        return connection

    return connect


def _engine(connect: Connect) -> Engine:
    # AUTOCOMMIT leaves BEGIN and COMMIT to the worker, which needs BEGIN IMMEDIATE.
    # Parameters are what people said; an error's words go to logs.
    return create_engine(
        "sqlite://", creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
    )


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    then: Callable[[Any], None] | None
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    relaxed: bool
    alone: bool = False
    """Outside any transaction, and with nothing else."""
    result: Any = None
    error: BaseException | None = None
    ended: bool = False


class _Worker:
    """Threads that run units of work, each on a connection of its own; one thread when they write."""

    def __init__(self, engine: Engine, name: str, *, write: bool, threads: int = 1) -> None:
        self._engine = engine
        self._writes = write
        self._begin = "BEGIN IMMEDIATE" if write else "BEGIN"
        self._batch = BATCH if write else 1
        self._synced = True
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def submit(self, work: Work[T], then: Callable[[T], None] | None, *, relaxed: bool = False) -> T:
        if self._closed:
            raise StorageUnavailable("The database is closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Job(work, then, loop, future, relaxed))
        return await future

    async def alone(self, work: Work[None]) -> None:
        """Run `work` between two transactions, in none."""
        if self._closed:
            raise StorageUnavailable("The database is closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._queue.put(_Job(work, None, loop, future, relaxed=True, alone=True))
        await future

    def close(self) -> None:
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _serve(self) -> None:
        connection: Connection | None = None
        while (jobs := self._next()) is not None:
            try:
                if connection is None:
                    connection = self._open()
                for together in _apart(jobs):
                    self._run(connection, together)
            except Exception as error:
                # No connection, or a commit whose end is unknown. After a failed sync nothing this connection
                # remembers can be relied on: the file is opened and read anew.
                _drop(connection)
                connection = None
                for job in jobs:
                    if not job.ended:
                        job.error = _translate(error)
            _answer(jobs)
            del jobs
        _drop(connection)

    def _open(self) -> Connection:
        connection = self._engine.connect()
        self._synced = True
        if self._writes:
            # What a killed process, or a failed sync, left in the log is read by everybody and may still not be
            # on the disk. Writing it into the database file puts it there before anything is built on it.
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        return connection

    def _next(self) -> list[_Job] | None:
        first = self._queue.get()
        if first is None:
            return None
        jobs = [first]
        while len(jobs) < self._batch:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            jobs.append(job)
        return jobs

    def _run(self, connection: Connection, jobs: list[_Job]) -> None:
        """Commit all jobs together, or each alone when one of them fails. Raises when the storage does."""
        if jobs[0].alone:
            self._run_alone(connection, jobs[0])
            return
        # Straight to the driver: these two run with every unit of work, and Core doubles what they cost.
        driver = _driver(connection)
        self._sync(driver, not all(job.relaxed for job in jobs))
        driver.cursor().execute(self._begin)
        for job in jobs:
            try:
                job.result = job.work(connection)
            except BaseException as error:
                if _is_storage_failure(error):
                    raise
                if driver.in_transaction:
                    driver.cursor().execute("ROLLBACK")
                if len(jobs) > 1:
                    for single in jobs:
                        self._run(connection, [single])
                else:
                    job.error, job.ended = error, True
                return
        driver.cursor().execute("COMMIT")
        for job in jobs:
            job.ended = True

    def _run_alone(self, connection: Connection, job: _Job) -> None:
        try:
            job.result = job.work(connection)
        except Exception as error:
            # Nothing was begun, so nothing is in doubt: only this one is told.
            job.error = _translate(error)
        job.ended = True

    def _sync(self, driver: Any, synced: bool) -> None:
        """Say whether the next commit waits for the disk. One that does syncs the whole log: what was committed
        before it without waiting, too."""
        if self._writes and synced is not self._synced:
            driver.cursor().execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._synced = synced


def _apart(jobs: list[_Job]) -> list[list[_Job]]:
    """The same jobs in their order, those that are to be alone by themselves."""
    if not any(job.alone for job in jobs):
        return [jobs]
    parts: list[list[_Job]] = []
    for job in jobs:
        if job.alone or not parts or parts[-1][0].alone:
            parts.append([job])
        else:
            parts[-1].append(job)
    return parts


def _driver(connection: Connection) -> Any:
    driver = connection.connection.driver_connection
    assert driver is not None, "a connection is given up as soon as it is invalid"
    return driver


def _drop(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(DBAPIError, sqlite3.Error):
            connection.invalidate()
            connection.close()


_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PASSING = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
}


def _is_storage_failure(error: BaseException) -> bool:
    """Whether the disk failed under a unit of work, as Core says it, or the driver under a prepared statement."""
    driver = isinstance(error, DBAPIError) or hasattr(error, "sqlite_errorcode")
    return driver and isinstance(_translate(error), StorageUnavailable)


def _translate(error: BaseException) -> BaseException:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # The lower byte is the primary result code (sqlite.org/rescode.html).
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        return StorageCorrupt(f"The database cannot be read: {cause}. Restore it from a backup.")
    if code in _PASSING or isinstance(cause, OSError):
        return StorageUnavailable(f"The database cannot be used at the moment: {cause}.")
    return error


def _answer(jobs: list[_Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, answered in by_loop.items():
        # A loop that is gone belonged to a gateway torn down; what was committed is found at the next start.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, answered)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.error is not None:
            if not job.future.done():
                job.future.set_exception(job.error)
            continue
        if job.then is not None:
            job.then(job.result)
        if not job.future.done():
            job.future.set_result(job.result)
