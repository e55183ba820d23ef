"""The list of a brain's sessions in `agent.db`, folded from the transcripts and never the only place of anything.

It catches up by itself: a transcript that is longer than its row says is read on from there, one that is
shorter is read anew, one that is gone loses its row. So `agent.db` may be old, damaged, or deleted.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from rookery.errors import StorageCorrupt, StorageUnavailable
from rookery.ids import AgentId, SessionId
from rookery.sessions.disk import PRIVATE_FILE, set_aside
from rookery.sessions.jsonl import JsonlTranscripts
from rookery.sessions.summary import SessionSummary, begin, fold
from rookery.sessions.tables import indexed, page_of, summary_of, values_of
from rookery.storage.threads import WriterThreads

T = TypeVar("T")

FILE = "agent.db"
MIGRATIONS = tuple(path.read_text() for path in sorted((Path(__file__).parent / "sql" / "agent").glob("*.sql")))
"""The steps from an empty file to the present schema; `user_version` counts those that were taken."""

_BATCH = 64
"""How many sessions are read before their rows are written."""


class IndexedSummaries:
    """The list of one brain's sessions, in `agent.db` beside their directory. Opened when first needed."""

    def __init__(
        self, home: Path, agent_id: AgentId, threads: WriterThreads, transcripts: JsonlTranscripts
    ) -> None:
        self._key = f"{agent_id}/{FILE}"
        self._db = AgentDb(home / FILE)
        self._threads = threads
        self._transcripts = transcripts
        self._changed: set[SessionId] = set()
        self._compared = False  # whether the rows have been held against the directory since it was opened
        self._lock = asyncio.Lock()

    def changed(self, session_id: SessionId) -> None:
        self._changed.add(session_id)

    async def page(self, limit: int, cursor: str | None) -> list[SessionSummary]:
        query = page_of(indexed, limit, cursor)
        return await self._up_to_date(
            lambda connection: [summary_of(row) for row in connection.execute(query).mappings()]
        )

    async def find(self, session_id: SessionId) -> SessionSummary | None:
        query = select(indexed).where(indexed.c.session_id == session_id)

        def work(connection: Connection) -> SessionSummary | None:
            row = connection.execute(query).mappings().one_or_none()
            return None if row is None else summary_of(row)

        return await self._up_to_date(work)

    async def catch_up(self) -> None:
        await self._up_to_date(lambda _: None)

    async def rebuild(self) -> None:
        async with self._lock:
            await self._run(self._db.discard)
            self._compared = False
            await self._catch_up()

    async def close(self) -> None:
        async with self._lock:
            if self._db.is_open:
                await self._run(self._db.close)

    async def _up_to_date(self, work: Callable[[Connection], T]) -> T:
        """Catch up, then run `work`. An `agent.db` that cannot be read is put aside and made anew, once."""
        async with self._lock:
            try:
                await self._catch_up()
                return await self._in_db(work)
            except StorageCorrupt:
                await self._run(self._db.put_aside)
                self._compared = False
                await self._catch_up()
                return await self._in_db(work)

    async def _catch_up(self) -> None:
        if not self._compared:
            self._changed |= await self._differences()
            self._compared = True
        while self._changed:
            batch = list(self._changed)[:_BATCH]
            self._changed.difference_update(batch)  # what changes from now on is noted again
            try:
                known = await self._in_db(lambda connection, batch=batch: _rows(connection, batch))
                rows = {session_id: await self._read_on(session_id, known.get(session_id)) for session_id in batch}
                await self._in_db(lambda connection, rows=rows: _put(connection, rows))
            except BaseException:
                self._changed.update(batch)
                raise

    async def _differences(self) -> set[SessionId]:
        sizes = await self._transcripts.sizes()
        lengths = await self._in_db(_lengths)
        return {
            session_id for session_id in sizes.keys() | lengths if sizes.get(session_id) != lengths.get(session_id)
        }

    async def _read_on(self, session_id: SessionId, known: _Row | None) -> _Row | None:
        """The session's row as its transcript has it now; None when it has no header to be listed under."""
        offset = 0 if known is None else known[1]
        tail = await self._transcripts.tail(session_id, offset)
        if known is None or tail.end - tail.size != offset:
            if tail.header is None:
                return None
            known = begin(tail.header), 0
        return fold(known[0], tail.entries), tail.end

    async def _in_db(self, work: Callable[[Connection], T]) -> T:
        return await self._run(lambda: self._db.transaction(work))

    async def _run(self, work: Callable[[], T]) -> T:
        return await self._threads.run(self._key, work)


_Row = tuple[SessionSummary, int]
"""A summary, and how many bytes of the transcript are folded into it."""


class AgentDb:
    """The file `agent.db`. Its methods block, and are called one at a time in a writer thread.

    WAL with `synchronous=NORMAL`: a power cut can cost the last rows, which are made again, but not the file.
    """

    def __init__(self, path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> None:
        """Touches nothing; the file is opened, made and migrated when it is first needed."""
        self._path = path
        self._migrations = migrations
        self._engine: Engine | None = None

    @property
    def is_open(self) -> bool:
        return self._engine is not None

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction.

        Raises `StorageUnavailable` when the disk does not let us, `StorageCorrupt` when this is no `agent.db`
        of ours, or a newer Rookery's.
        """
        try:
            if self._engine is None:
                self._engine = self._open()
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    result = work(connection)
                except BaseException:
                    with suppress(DBAPIError):
                        connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")
                return result
        except (DBAPIError, sqlite3.Error, OSError) as error:
            self.close()
            raise self._translate(error) from error

    def close(self) -> None:
        """Close the file; the next transaction opens it again."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def put_aside(self) -> None:
        """Rename the file, for somebody to look at; the next transaction makes a new one."""
        self.close()
        aside = set_aside(self._path, "corrupt")
        self._each(lambda path, suffix: path.rename(f"{aside}{suffix}"))

    def discard(self) -> None:
        """Delete the file; the next transaction makes a new one."""
        self.close()
        self._each(lambda path, _: path.unlink())

    def _each(self, work: Callable[[Path, str], object]) -> None:
        """Do it to the file, and to its log, which left behind would be taken for the next file's."""
        for suffix in ("-wal", "-shm", ""):
            try:
                work(Path(f"{self._path}{suffix}"), suffix)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._translate(error) from error

    def _open(self) -> Engine:
        # SQLite would make the file readable for others; the files beside it take their mode from it.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE))
        raw = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            raw.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;")
            self._migrate(raw)
        except BaseException:
            raw.close()
            raise
        # AUTOCOMMIT leaves BEGIN and COMMIT to `transaction`.
        return create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, isolation_level="AUTOCOMMIT")

    def _migrate(self, raw: sqlite3.Connection) -> None:
        (version,) = raw.execute("PRAGMA user_version").fetchone()
        if version > len(self._migrations):
            raise sqlite3.DatabaseError(f"schema version {version} is newer than {len(self._migrations)}")
        for number, script in enumerate(self._migrations[version:], version + 1):
            raw.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")

    def _translate(self, error: Exception) -> StorageUnavailable:
        cause = error.orig if isinstance(error, DBAPIError) else error
        # The lower byte is the primary result code (sqlite.org/rescode.html).
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if isinstance(cause, OSError) or code in _PASSING:
            return StorageUnavailable(f"The index {str(self._path)!r} cannot be used: {cause}.")
        return StorageCorrupt(f"The index {str(self._path)!r} cannot be read: {cause}.")


_PASSING = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)


def _lengths(connection: Connection) -> dict[SessionId, int]:
    query = select(indexed.c.session_id, indexed.c.indexed_bytes)
    return {SessionId(session_id): length for session_id, length in connection.execute(query)}


def _rows(connection: Connection, session_ids: Iterable[SessionId]) -> dict[SessionId, _Row]:
    query = select(indexed).where(indexed.c.session_id.in_(session_ids))
    return {
        SessionId(row["session_id"]): (summary_of(row), row["indexed_bytes"])
        for row in connection.execute(query).mappings()
    }


def _put(connection: Connection, rows: dict[SessionId, _Row | None]) -> None:
    gone = [session_id for session_id, row in rows.items() if row is None]
    if gone:
        connection.execute(delete(indexed).where(indexed.c.session_id.in_(gone)))
    values = [values_of(row[0]) | {"indexed_bytes": row[1]} for row in rows.values() if row is not None]
    if values:
        statement = insert(indexed)
        replaced = {column.name: statement.excluded[column.name] for column in indexed.c if not column.primary_key}
        connection.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=replaced), values)
