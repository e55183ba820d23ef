"""A new master key: everything is sealed anew, and wherever it is interrupted, nothing is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from sqlalchemy import Connection

from rookery import users
from rookery.errors import StorageCorrupt, StorageUnavailable
from rookery.gateway import schema, sealed
from rookery.gateway.keyring import profile_binding, shared_binding
from rookery.gateway.master_key import FILE, EnvironmentKey, FileKey
from rookery.gateway.vault import Vault
from rookery.ids import AgentId
from rookery.sessions import Brains, FileBrains, RowBrains
from rookery.sessions.disk import FileOps
from rookery.sessions.profile_files import FILE as PROFILES
from rookery.sessions.profiles import Profile
from rookery.storage import Database, Work
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.sealing import MasterKeys
from rookery.storage.sqlite import SqliteDatabase
from rookery.storage.threads import WriterThreads
from rookery.users import shared_keys
from tests.support.databases import fresh_database
from tests.support.postgres import Postgres

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PEOPLE = ("alice", "bob", "carl")
SECRETS = {
    "alice": {"openai/default": "sk-alice-1-0123456789", "openai/second": "sk-alice-2-0123456789"},
    "bob": {"anthropic/default": "sk-bob-1-0123456789"},
}
SHARED = {"house": "sk-house-0123456789", "team": "sk-team-0123456789"}


class Killed(BaseException):
    """The process is gone."""


class Moment:
    """Everything that reaches a disk or a database is one step; after `left` of them the process is gone."""

    def __init__(self, left: int = 1 << 30) -> None:
        self.left = left

    def step(self) -> None:
        """Raises `Killed` from the moment on, whatever is tried."""
        self.left -= 1
        if self.left < 0:
            raise Killed

    @property
    def ops(self) -> FileOps:
        return FileOps(write=self._write, sync=self._sync)

    def _write(self, descriptor: int, data: bytes) -> int:
        self.step()
        return os.write(descriptor, data)

    def _sync(self, descriptor: int) -> None:
        self.step()
        os.fsync(descriptor)


class DyingDatabase:
    """A database whose caller may be gone before a commit, and right after it."""

    def __init__(self, real: Database, moment: Moment) -> None:
        self._real = real
        self._moment = moment

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._real.dialect

    async def write(self, work: Work[T], *, then: Callable[[T], None] | None = None, relaxed: bool = False) -> T:
        self._moment.step()
        result = await self._real.write(work, then=then, relaxed=relaxed)
        self._moment.step()
        return result

    async def read(self, work: Work[T]) -> T:
        return await self._real.read(work)

    async def scrub(self, *, whole: bool = True) -> None:
        await self._real.scrub(whole=whole)

    async def close(self) -> None:
        await self._real.close()


class State:
    """What is open of a home."""

    def __init__(self, home: Path, database: Database, brains: Brains, vault: Vault) -> None:
        self.home = home
        self.database = database
        self.brains = brains
        self.vault = vault

    async def give_keys(self) -> None:
        """Everybody's keys, sealed where they lie."""
        for person, keys in SECRETS.items():
            made: list[Profile] = []
            for name, secret in keys.items():
                provider, _, profile = name.partition("/")
                text = await self.vault.seal(secret, profile_binding(AgentId(person), provider, profile))
                made.append(Profile(provider, profile, text, secret[-4:], NOW))
            async with self.brains.use(AgentId(person)) as brain:
                await brain.profiles.change(lambda _, made=made: made)
        for name, secret in SHARED.items():
            text = await self.vault.seal(secret, shared_binding("openai", name))
            await self.database.write(
                lambda c, name=name, text=text: shared_keys.put_shared_key(
                    c, name, provider="openai", sealed=text, last_four="6789", added_by="operator", now=NOW
                )
            )

    async def revealed(self) -> set[str]:
        """Every secret there is. Raises for one that cannot be opened."""
        return {
            (await self.vault.reveal(one.sealed, one.binding)).secret
            async for one in sealed.everything(self.database, self.brains)
        }

    async def rotate(self) -> sealed.Rotated | None:
        return await sealed.rotate(self.vault, self.database, self.brains)


EVERY_SECRET = {*SHARED.values(), *(secret for keys in SECRETS.values() for secret in keys.values())}


@asynccontextmanager
async def opened(
    home: Path, postgres: Postgres | None, moment: Moment | None = None, key: EnvironmentKey | None = None
) -> AsyncGenerator[State]:
    """A home, as a process that has just started finds it."""
    moment = moment or Moment()
    threads = WriterThreads(2)
    real: Database
    if postgres is None:
        real = SqliteDatabase(home / "gateway.db")
        await real.write(schema.prepare)
    else:
        real = PostgresDatabase(postgres.app_url, connections=2)
    database = DyingDatabase(real, moment)
    brains: Brains = (
        FileBrains(home / "agents", threads, ops=moment.ops) if postgres is None else RowBrains(database)
    )
    vault = Vault(
        key or FileKey(home, ops=moment.ops),
        hide=lambda _: None,
        anything_sealed=lambda: sealed.anything(database, brains),
    )
    try:
        yield State(home, database, brains, vault)
    finally:
        moment.left = 1 << 30
        await brains.close()
        await database.close()
        await threads.close()


def _people(connection: Connection) -> None:
    for person in PEOPLE:
        users.add_user(connection, person, name=None, role="member", now=NOW)


@contextmanager
def on(kind: str) -> Generator[Postgres | None]:
    """The database of that kind, if it needs one."""
    with ExitStack() as stack:
        yield stack.enter_context(fresh_database()) if kind == "postgresql" else None


@pytest.fixture(params=["sqlite", "postgresql"])
def postgres(request: pytest.FixtureRequest) -> Generator[Postgres | None]:
    """Each database there is."""
    with on(request.param) as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    (tmp_path / "agents").mkdir()
    return tmp_path


async def test_everything_is_sealed_anew(home: Path, postgres: Postgres | None):
    """With the new key everything opens, with the old one nothing; the old one is gone from the disk."""
    async with opened(home, postgres) as state:
        await state.database.write(_people)
        await state.give_keys()
        old = (home / FILE).read_bytes()
        before = [one.sealed async for one in sealed.everything(state.database, state.brains)]
        done = await state.rotate()
        assert done == sealed.Rotated(5, (), "")
        assert await state.revealed() == EVERY_SECRET
    assert (home / FILE).read_bytes() != old
    assert old not in [path.read_bytes() for path in home.iterdir() if path.is_file()]
    async with opened(home, postgres) as state:
        assert await state.revealed() == EVERY_SECRET
        after = [one async for one in sealed.everything(state.database, state.brains)]
        assert not {one.sealed for one in after} & set(before)
        keys = MasterKeys(old)
        assert not any(sealed.is_opened(keys, one) for one in after)


async def test_killed_at_every_step_nothing_is_lost(home: Path, postgres: Postgres | None):
    """Wherever a rotation dies, the next process opens everything, gives new keys, and ends what was begun."""
    async with opened(home, postgres) as state:
        await state.database.write(_people)
        await state.give_keys()
    deaths = 0
    for at in range(200):
        before = (home / FILE).read_bytes()
        moment = Moment()
        async with opened(home, postgres, moment) as state:
            moment.left = at
            died = False
            try:
                await state.rotate()
            except (Killed, StorageUnavailable):
                died = True
        deaths += died
        async with opened(home, postgres) as state:
            assert await state.revealed() == EVERY_SECRET
            if at % 3 == 0:
                await state.give_keys()  # also with what is sealed in between
            done = await state.rotate()
            assert done is not None
            assert not done.unopened
            assert not (home / f"{FILE}.next").exists()
            assert (home / FILE).read_bytes() != before
        if not died:
            break
    assert deaths > 8
    assert {path.name for path in home.iterdir() if path.name.startswith(FILE)} == {FILE}


async def test_a_key_that_is_given_meanwhile_is_not_lost(home: Path, postgres: Postgres | None):
    """Whoever seals something while everything is sealed anew waits, and is sealed with the new key."""
    async with opened(home, postgres) as state:
        await state.database.write(_people)
        await state.give_keys()

        async def give(number: int) -> None:
            async with state.vault.changing, state.brains.use(AgentId("carl")) as brain:
                name = f"number{number}"
                text = await state.vault.seal(
                    f"sk-carl-{number}", profile_binding(AgentId("carl"), "openai", name)
                )
                new = Profile("openai", name, text, "", NOW)
                await brain.profiles.change(lambda known: [*known, new])

        await asyncio.gather(*(give(n) for n in range(5)), state.rotate(), *(give(n) for n in range(5, 10)))
    async with opened(home, postgres) as state:
        assert await state.revealed() == EVERY_SECRET | {f"sk-carl-{number}" for number in range(10)}


async def test_without_anything_sealed_there_is_nothing_to_do(home: Path):
    """And no master key is made by it."""
    async with opened(home, None) as state:
        await state.database.write(_people)
        assert await state.rotate() is None
    assert not (home / FILE).exists()


async def test_what_cannot_be_opened_stays_as_it_is(home: Path, postgres: Postgres | None):
    """It is named, and holds up nothing else."""
    async with opened(home, postgres) as state:
        await state.database.write(_people)
        await state.give_keys()
        async with state.brains.use(AgentId("carl")) as brain:
            async with state.brains.use(AgentId("alice")) as alice:
                stolen = (await alice.profiles.all())[0]
            await brain.profiles.change(lambda _: [stolen])
        done = await state.rotate()
        assert done is not None
        assert done.sealed == 5
        assert done.unopened == ("profile 'openai/default' of 'carl'",)
        async with state.brains.use(AgentId("carl")) as brain:
            assert list(await brain.profiles.all()) == [stolen]


async def test_a_place_that_cannot_be_read_keeps_the_old_key(home: Path):
    """Once it can be read again, what is in it is opened with the old key, and the next rotation ends it."""
    async with opened(home, None) as state:
        await state.database.write(_people)
        await state.give_keys()
        path = home / "agents" / "alice" / PROFILES
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        with pytest.raises(StorageCorrupt, match="kept"):
            await state.rotate()
        path.write_bytes(whole)
    async with opened(home, None) as state:
        assert await state.revealed() == EVERY_SECRET
        assert await state.rotate() == sealed.Rotated(2, (), "")
    assert not (home / f"{FILE}.next").exists()


async def test_with_a_key_from_the_environment_both_are_given(home: Path):
    """The process is started with the new and the old one; after it, with the new one alone."""
    one, two = "A" * 43 + "=", "B" * 42 + "A="
    async with opened(home, None, key=EnvironmentKey(one)) as state:
        await state.database.write(_people)
        await state.give_keys()
    async with opened(home, None, key=EnvironmentKey(two, one)) as state:
        assert await state.revealed() == EVERY_SECRET
        done = await state.rotate()
        assert done is not None
        assert done.sealed == 5
        assert "ROOKERY_MASTER_KEY_OLD" in done.left_to_do
    async with opened(home, None, key=EnvironmentKey(two)) as state:
        assert await state.revealed() == EVERY_SECRET
    assert not (home / FILE).exists()
