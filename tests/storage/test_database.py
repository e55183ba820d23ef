"""One contract, three databases: SQLite in a file, SQLite in memory, and PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from rookery.errors import Conflict, StorageCorrupt, StorageUnavailable
from rookery.storage import Database, Instant
from rookery.storage.postgres import PostgresDatabase, role_of
from rookery.storage.sqlite import SqliteDatabase
from rookery.storage.statements import insert_new, upsert
from tests.support.postgres import shared_server

_metadata = MetaData()
words = Table("words", _metadata, Column("word", Text, primary_key=True), Column("times", Integer, nullable=False))
moments = Table(
    "moments", _metadata, Column("id", Integer, primary_key=True), Column("at", Instant, nullable=True)
)


@pytest.fixture(params=["sqlite file", "sqlite memory", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """Each of the databases there are, with two tables of ours."""
    with ExitStack() as stack:
        opened: Database
        match request.param:
            case "sqlite file":
                opened = SqliteDatabase(tmp_path / "some.db")
            case "sqlite memory":
                opened = SqliteDatabase(None)
            case _:
                fresh = shared_server().fresh()
                stack.callback(shared_server().drop, fresh)
                opened = PostgresDatabase(fresh.owner_url, connections=4)
        await opened.write(_metadata.create_all)
        yield opened
        await opened.close()


def say(word: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(insert(words).values(word=word, times=1))
        return word

    return work


def said(connection: Connection) -> list[str]:
    return sorted(connection.execute(select(words.c.word)).scalars())


# --- what every database promises ---------------------------------------------------------------------------


async def test_what_is_written_is_read_afterwards(database: Database) -> None:
    """A write returns when it is committed; any read after that sees it."""
    assert await database.write(say("one")) == "one"
    assert await database.read(said) == ["one"]


async def test_a_read_sees_every_write_committed_before_it(database: Database) -> None:
    """Also when reads and writes of many callers are mixed."""

    async def write_and_read(number: int) -> bool:
        await database.write(say(f"w{number}"))
        return f"w{number}" in await database.read(said)

    assert all(await asyncio.gather(*(write_and_read(number) for number in range(40))))


async def test_a_work_that_raises_undoes_itself_alone(database: Database) -> None:
    """One of many that wait together fails: the others commit, and only its caller is told."""

    def half_done(connection: Connection) -> None:
        say("half")(connection)
        raise Conflict("This one does not fit.")

    outcomes = await asyncio.gather(
        *(database.write(say(f"w{number:02}")) for number in range(10)),
        database.write(half_done),
        *(database.write(say(f"w{number:02}")) for number in range(10, 20)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes if not isinstance(outcome, str)] == [Conflict]
    assert await database.read(said) == [f"w{number:02}" for number in range(20)]


async def test_the_caller_gets_the_very_error_its_work_raised(database: Database) -> None:
    """An error of ours passes through unchanged, and the next work finds nothing of the failed one."""
    problem = Conflict("'alice' is taken.")

    def work(connection: Connection) -> None:
        say("lost")(connection)
        raise problem

    with pytest.raises(Conflict) as caught:
        await database.write(work)
    assert caught.value is problem
    with pytest.raises(Conflict):
        await database.read(work)
    assert await database.read(said) == []


async def test_a_broken_constraint_is_the_caller_s_and_nobody_else_s(database: Database) -> None:
    """A row that is there already is no trouble of the storage."""
    await database.write(say("one"))
    first, second, third = await asyncio.gather(
        database.write(say("two")),
        database.write(say("one")),
        database.write(say("three")),
        return_exceptions=True,
    )
    assert (first, third) == ("two", "three")
    assert isinstance(second, IntegrityError)
    assert await database.read(said) == ["one", "three", "two"]


async def test_others_are_told_after_the_commit_in_order_in_the_loop(database: Database) -> None:
    """`then` runs in the event loop's thread, once each, in the order of submission."""
    told: list[tuple[str, int]] = []

    def tell(word: str) -> None:
        told.append((word, threading.get_ident()))

    wanted = [f"w{number:02}" for number in range(30)]
    await asyncio.gather(*(database.write(say(word), then=tell) for word in wanted))

    assert [word for word, _ in told] == wanted
    assert {thread for _, thread in told} == {threading.get_ident()}


async def test_what_is_told_is_true_already(database: Database) -> None:
    """Whoever is told can read what was written."""
    reads: list[asyncio.Task[list[str]]] = []

    def tell(word: str) -> None:
        del word
        reads.append(asyncio.create_task(database.read(said)))

    await database.write(say("one"), then=tell)
    assert await reads[0] == ["one"]


async def test_nobody_is_told_of_what_failed(database: Database) -> None:
    """No commit, no `then`."""

    def fails(connection: Connection) -> str:
        say("lost")(connection)
        raise Conflict

    told: list[str] = []
    with pytest.raises(Conflict):
        await database.write(fails, then=told.append)
    assert told == []


async def test_others_are_told_although_the_caller_was_cancelled(database: Database) -> None:
    """What was submitted is committed and told, whoever stopped waiting for it."""
    told: list[str] = []
    waiting = [asyncio.create_task(database.write(say(word), then=told.append)) for word in ("one", "two")]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await database.write(say("three"), then=told.append)

    assert told == ["one", "two", "three"]
    assert await database.read(said) == ["one", "three", "two"]


async def test_a_work_run_again_has_its_effect_once(database: Database) -> None:
    """A batch that failed is run again; counting in the database still counts each work once."""

    def count(connection: Connection) -> None:
        connection.execute(words.update().where(words.c.word == "all").values(times=words.c.times + 1))

    def fails(connection: Connection) -> None:
        count(connection)
        raise Conflict

    await database.write(lambda c: c.execute(insert(words).values(word="all", times=0)))
    await asyncio.gather(
        *(database.write(fails if number % 5 == 0 else count) for number in range(25)), return_exceptions=True
    )
    assert await database.read(lambda c: c.execute(select(words.c.times)).scalar()) == 20


async def test_a_closed_database_is_unavailable(database: Database) -> None:
    """After `close`, and not before, writes and reads are refused; closing again is harmless."""
    pending = asyncio.create_task(database.write(say("one")))
    await asyncio.sleep(0)
    await database.close()
    assert await pending == "one"
    with pytest.raises(StorageUnavailable):
        await database.write(say("two"))
    with pytest.raises(StorageUnavailable):
        await database.read(said)
    await database.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-62_135_510_400_000_000, 253_402_214_400_000_000), st.integers(-14 * 60, 14 * 60))
async def test_an_instant_comes_back_as_it_went(database: Database, microseconds: int, offset: int) -> None:
    """To the microsecond, in UTC, whatever zone it was given in."""
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    at = utc.astimezone(timezone(timedelta(minutes=offset)))

    def there_and_back(connection: Connection) -> datetime | None:
        connection.execute(moments.delete())
        connection.execute(insert(moments).values(id=1, at=at))
        return connection.execute(select(moments.c.at)).scalar_one()

    found = await database.write(there_and_back)
    assert found == at
    assert found is not None
    assert found.utcoffset() == timedelta(0)


async def test_instants_sort_by_time_and_may_be_absent(database: Database) -> None:
    """Also around 1970, where the stored number changes its sign."""
    times = [datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    times.append(times[1] + timedelta(microseconds=1))

    def work(connection: Connection) -> list[datetime | None]:
        for number, at in enumerate([*reversed(times), None]):
            connection.execute(insert(moments).values(id=number, at=at))
        query = select(moments.c.at).where(moments.c.at.is_not(None)).order_by(moments.c.at)
        assert connection.execute(select(func.count()).where(moments.c.at.is_(None))).scalar() == 1
        return list(connection.execute(query).scalars())

    assert await database.write(work) == times


_new_word = insert_new(words)
_upsert_word = upsert(words, ["word"], ["times"])


async def test_insert_new_leaves_what_is_there(database: Database) -> None:
    """The first row stays, and `rowcount` says which insert was new."""

    def work(connection: Connection) -> tuple[list[int], int | None]:
        statement = _new_word.on(connection)
        counts = [connection.execute(statement, {"word": "one", "times": number}).rowcount for number in (1, 2)]
        return counts, connection.execute(select(words.c.times)).scalar()

    assert await database.write(work) == ([1, 0], 1)


async def test_upsert_overwrites_what_it_names(database: Database) -> None:
    """The row is there once, with the new value; other rows stay."""

    def work(connection: Connection) -> list[tuple[str, int]]:
        statement = _upsert_word.on(connection)
        for word, times in (("one", 1), ("two", 2), ("one", 3)):
            connection.execute(statement, {"word": word, "times": times})
        return [(row.word, row.times) for row in connection.execute(select(words).order_by(words.c.word))]

    assert await database.write(work) == [("one", 3), ("two", 2)]


async def test_a_relaxed_write_is_a_write(database: Database) -> None:
    """It is read afterwards, its errors are its caller's, and whoever is told is told in order with the others."""
    told: list[str] = []
    writes = [
        database.write(say(f"w{number:02}"), then=told.append, relaxed=bool(number % 3)) for number in range(20)
    ]
    await asyncio.gather(*writes)

    assert told == [f"w{number:02}" for number in range(20)]
    assert await database.read(said) == told
    with pytest.raises(IntegrityError):
        await database.write(say("w00"), relaxed=True)


# --- SQLite --------------------------------------------------------------------------------------------------


async def test_sqlite_waits_for_the_disk_unless_all_of_a_batch_is_relaxed(tmp_path: Path) -> None:
    """One unit of work that is to last makes the commit it shares a synced one; the next is decided anew."""
    database = SqliteDatabase(tmp_path / "some.db")
    entered, gate = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        del connection
        entered.set()
        gate.wait(10)

    def level(connection: Connection) -> int:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

    assert await database.write(level, relaxed=True) == 1
    assert await database.write(level) == 2
    held = asyncio.create_task(database.write(hold, relaxed=True))
    await asyncio.to_thread(entered.wait)
    shared = [asyncio.create_task(database.write(level, relaxed=relaxed)) for relaxed in (True, False, True)]
    await asyncio.sleep(0)
    gate.set()
    await held
    assert await asyncio.gather(*shared) == [2, 2, 2]
    assert await database.write(level, relaxed=True) == 1
    await database.close()


async def test_a_batch_that_fails_is_run_again_as_each_of_it_wants(tmp_path: Path) -> None:
    """What is to last is synced also when it shared a commit with a mistake; the rest waits for no disk."""
    database = SqliteDatabase(tmp_path / "some.db")
    entered, gate = threading.Event(), threading.Event()
    levels: dict[str, int] = {}

    def hold(connection: Connection) -> None:
        del connection
        entered.set()
        gate.wait(10)

    def note(name: str) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            levels[name] = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

        return work

    def broken(connection: Connection) -> None:
        del connection
        raise Conflict("A mistake.")

    held = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(entered.wait)
    both = asyncio.gather(
        database.write(note("relaxed"), relaxed=True),
        database.write(broken),
        database.write(note("synced")),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    gate.set()
    await held
    await both
    assert levels == {"relaxed": 1, "synced": 2}
    await database.close()


async def test_sqlite_syncs_every_commit_to_a_write_ahead_log(tmp_path: Path) -> None:
    """WAL, synchronous FULL (2), foreign keys and secure delete hold on the connections really used."""
    database = SqliteDatabase(tmp_path / "some.db")

    def pragmas(connection: Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1, 1]
    assert await database.read(pragmas) == ["wal", 2, 1, 1]
    await database.close()


async def test_writes_that_wait_share_one_commit(tmp_path: Path) -> None:
    """A hundred writes at once cost a few commits, not a hundred."""
    disk = Disk(tmp_path / "some.db")
    database = SqliteDatabase(None, connect=disk.connect)
    await database.write(_metadata.create_all)
    disk.commits = 0
    entered, gate = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        del connection
        entered.set()
        gate.wait(10)

    held = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(entered.wait)
    many = [asyncio.create_task(database.write(say(f"w{number}"))) for number in range(100)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(held, *many)

    assert disk.commits <= 3
    assert len(await database.read(said)) == 100
    await database.close()


@pytest.mark.parametrize("where", ["COMMIT", "INSERT", "BEGIN"])
@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC])
async def test_a_disk_error_is_unavailable_and_passes(tmp_path: Path, where: str, code: int) -> None:
    """Nothing of a failed commit is there, everybody in the batch is told, and a new connection goes on."""
    disk = Disk(tmp_path / "some.db")
    database = SqliteDatabase(None, connect=disk.connect)
    await database.write(_metadata.create_all)
    before = disk.connections
    told: list[str] = []
    disk.fail(where, code)
    outcomes = await asyncio.gather(
        *(database.write(say(word), then=told.append) for word in ("one", "two")), return_exceptions=True
    )

    lost = [outcome for outcome in outcomes if isinstance(outcome, StorageUnavailable)]
    kept = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert lost, "the error reached nobody"
    assert len(lost) + len(kept) == 2
    assert told == kept == await database.read(said)
    assert disk.connections == before + 1
    assert await database.write(say("three")) == "three"
    await database.close()


async def test_a_file_that_cannot_be_opened_is_unavailable_until_it_can(tmp_path: Path) -> None:
    """A directory that is missing: refused, and taken up as soon as it is there."""
    database = SqliteDatabase(tmp_path / "later" / "some.db")
    with pytest.raises(StorageUnavailable):
        await database.write(_metadata.create_all)
    (tmp_path / "later").mkdir()
    await database.write(_metadata.create_all)
    assert await database.read(said) == []
    await database.close()


async def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    """It is said so, with the remedy, and the file is left as it is."""
    path = tmp_path / "some.db"
    path.write_bytes(b"this is no database, and never was one\n" * 100)
    before = path.read_bytes()
    database = SqliteDatabase(path)
    with pytest.raises(StorageCorrupt, match="backup"):
        await database.write(_metadata.create_all)
    await database.close()
    assert path.read_bytes() == before


class Disk:
    """Opens SQLite through a thin wrapper that counts commits, and fails one statement when told to."""

    def __init__(self, path: Path) -> None:
        self.connections = 0
        self.commits = 0
        self._path = path
        self._fault: tuple[str, int] | None = None

    def fail(self, where: str, code: int) -> None:
        """Let the next statement that begins with `where` fail with this SQLite error."""
        self._fault = (where, code)

    def connect(self) -> Wrapped:
        self.connections += 1
        return Wrapped(self, self._path)

    def passes(self, statement: str) -> None:
        if self._fault is not None and statement.startswith(self._fault[0]):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._fault[1]
            self._fault = None
            raise error
        self.commits += statement == "COMMIT"


class Wrapped(sqlite3.Connection):
    """A DBAPI connection whose cursors ask the disk first."""

    def __init__(self, disk: Disk, path: Path) -> None:
        super().__init__(path, isolation_level=None, check_same_thread=False)
        self.disk = disk
        self.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        connection = self.connection
        assert isinstance(connection, Wrapped)
        connection.disk.passes(sql)
        return super().execute(sql, parameters)


# --- PostgreSQL ----------------------------------------------------------------------------------------------


@pytest.fixture
async def served() -> AsyncGenerator[PostgresDatabase]:
    fresh = shared_server().fresh()
    opened = PostgresDatabase(fresh.owner_url, connections=4)
    await opened.write(_metadata.create_all)
    yield opened
    await opened.close()
    shared_server().drop(fresh)


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_transaction_that_lost_a_race_is_run_again(served: PostgresDatabase, code: str) -> None:
    """A serialization failure or deadlock repeats the work; its effect is there once."""
    runs = 0

    def work(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        say("one")(connection)
        if runs < 3:
            connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{code}'; END $$"))

    await served.write(work)
    assert runs == 3
    assert await served.read(said) == ["one"]


async def test_postgresql_does_not_wait_for_a_relaxed_commit_alone(served: PostgresDatabase) -> None:
    """What is said of one transaction holds for no other on the same connection."""

    def level(connection: Connection) -> str:
        return connection.execute(text("SHOW synchronous_commit")).scalar_one()

    assert await served.write(level, relaxed=True) == "off"
    assert [await served.write(level) for _ in range(6)] == ["on"] * 6


async def test_a_server_that_hangs_up_is_unavailable_and_passes(served: PostgresDatabase) -> None:
    """A connection that is cut in mid-transaction: nothing is there, and the next write goes on."""

    def cut(connection: Connection) -> None:
        say("lost")(connection)
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StorageUnavailable):
        await served.write(cut)
    await served.write(say("one"))
    assert await served.read(said) == ["one"]


async def test_nobody_at_the_address_is_unavailable(tmp_path: Path) -> None:
    """No server there: a clear word, not a driver's exception."""
    database = PostgresDatabase(f"postgresql://somebody@/nothing?host={tmp_path}")
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        await database.read(said)
    await database.close()


async def test_one_gateway_holds_a_database(served: PostgresDatabase) -> None:
    """A second one is refused until the first lets go."""
    async with served.held():
        with pytest.raises(Conflict, match="another gateway"):
            async with served.held():
                pass
    async with served.held():
        pass


def test_a_url_names_its_role() -> None:
    """The role comes from the URL, and one without is refused with the remedy."""
    assert role_of("postgresql://app:secret@host/db") == "app"
    with pytest.raises(ValueError, match="names no role"):
        role_of("postgresql:///db")
