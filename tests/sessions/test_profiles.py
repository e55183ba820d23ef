"""The keys of one agent, on every storage: in their order, changed whole or not at all, and apart by agent."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from rookery.errors import InvalidInput, StorageCorrupt, StorageUnavailable
from rookery.ids import AgentId
from rookery.sessions.disk import FileOps
from rookery.sessions.profile_files import FILE, FileProfiles
from rookery.sessions.profile_rows import RowProfiles
from rookery.sessions.profiles import Profile, Profiles
from rookery.storage import as_agent
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.threads import WriterThreads
from tests.sessions.bad_disk import BadDisk
from tests.sessions.conftest import Storage

ALICE, BOB = AgentId("alice"), AgentId("bob")
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def profile(name: str = "default", provider: str = "openai", sealed: str = "v1.k.x") -> Profile:
    """One key."""
    return Profile(provider, name, sealed, "wxyz", NOW)


def put(*profiles: Profile) -> Callable[[Sequence[Profile]], Sequence[Profile]]:
    """These, whatever was there."""
    return lambda _: profiles


@asynccontextmanager
async def profiles_of(storage: Storage, agent: AgentId = ALICE) -> AsyncGenerator[Profiles]:
    """One agent's profiles, as a process that has just started finds them."""
    brains = storage.brains()
    async with brains.use(agent) as brain:
        yield brain.profiles
    await brains.close()


async def test_what_is_put_there_is_there_after_a_restart(storage: Storage):
    """All of it, in its order."""
    kept = (profile("second"), profile(), profile("default", "anthropic", "v1.k.yü\n"))
    async with profiles_of(storage) as profiles:
        assert list(await profiles.all()) == []
        assert tuple(await profiles.change(put(*kept))) == kept
        assert tuple(await profiles.all()) == kept
    async with profiles_of(storage) as profiles:
        assert tuple(await profiles.all()) == kept


async def test_a_change_sees_what_is_there(storage: Storage):
    """The next change begins where the last one ended, also when nothing was read in between."""
    async with profiles_of(storage) as profiles:
        for name in ("one", "two", "three"):
            await profiles.change(lambda known, name=name: [profile(name), *known])
        await profiles.change(lambda known: [one for one in known if one.name != "two"])
        assert [one.name for one in await profiles.all()] == ["three", "one"]


async def test_the_last_one_can_be_taken_away(storage: Storage):
    """Then there is none, and a new one can be put there."""
    async with profiles_of(storage) as profiles:
        await profiles.change(put(profile()))
        await profiles.change(put())
        assert list(await profiles.all()) == []
    async with profiles_of(storage) as profiles:
        assert list(await profiles.all()) == []
        await profiles.change(put(profile("new")))
        assert [one.name for one in await profiles.all()] == ["new"]


@pytest.mark.parametrize(
    "wrong",
    [[profile(), profile(sealed="v1.k.z")], [profile("a/b")], [profile("", "openai")], [profile("x", "a/b")]],
)
async def test_a_change_that_cannot_be_changes_nothing(storage: Storage, wrong: list[Profile]):
    """Two of one name, or a name that would read like another's."""
    async with profiles_of(storage) as profiles:
        await profiles.change(put(profile("before")))
        with pytest.raises(InvalidInput):
            await profiles.change(put(*wrong))
        assert [one.name for one in await profiles.all()] == ["before"]


async def test_what_a_change_raises_is_raised(storage: Storage):
    """Nothing is different then."""

    def fails(_: Sequence[Profile]) -> Sequence[Profile]:
        raise LookupError("no")

    async with profiles_of(storage) as profiles:
        await profiles.change(put(profile()))
        with pytest.raises(LookupError):
            await profiles.change(fails)
        assert [one.name for one in await profiles.all()] == ["default"]


async def test_agents_have_their_own(storage: Storage):
    """What is put into one brain is in no other."""
    brains = storage.brains()
    async with brains.use(ALICE) as alice, brains.use(BOB) as bob, brains.use(AgentId("alice--sabrina")) as friend:
        await alice.profiles.change(put(profile()))
        assert list(await bob.profiles.all()) == []
        assert list(await friend.profiles.all()) == []
        await bob.profiles.change(put(profile("bobs")))
        await bob.profiles.change(put())
        assert [one.name for one in await alice.profiles.all()] == ["default"]
    await brains.close()


class Step(NamedTuple):
    """One change of what an agent has."""

    word: Literal["first", "last", "remove"]
    provider: str
    name: str
    number: int

    def __call__(self, known: Sequence[Profile]) -> Sequence[Profile]:
        rest = [one for one in known if (one.provider, one.name) != (self.provider, self.name)]
        new = profile(self.name, self.provider, f"v1.k.{self.number}")
        match self.word:
            case "first":
                return [new, *rest]
            case "last":
                return [*rest, new]
            case "remove":
                return rest


steps = st.builds(
    Step,
    st.sampled_from(["first", "last", "remove"]),
    st.sampled_from(["openai", "anthropic"]),
    st.sampled_from(["default", "two", "three"]),
    st.integers(0, 9),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=12))
async def test_any_sequence_of_changes(storage: Storage, changes: list[Step]):
    """What is stored is what a list in memory would hold, after each change and after a restart in between."""
    async with profiles_of(storage) as profiles:
        await profiles.change(put())
    model: tuple[Profile, ...] = ()
    for change in changes:
        model = tuple(change(model))
        async with profiles_of(storage) as profiles:
            assert tuple(await profiles.change(change)) == model
            assert tuple(await profiles.all()) == model


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=12), st.sets(st.integers(0, 60)))
async def test_whatever_fails_it_is_before_or_after(
    tmp_path: Path, threads: WriterThreads, changes: list[Step], failing: set[int]
):
    """With a disk that fails here and there the file holds what it held, or what the change made of it, and never
    anything else; what is told is what is there."""
    disk = BadDisk(dict.fromkeys(failing, errno.EIO))
    home = tmp_path / "alice"
    for left in home.glob("*"):
        left.unlink()
    model: tuple[Profile, ...] = ()
    profiles = FileProfiles(home, ALICE, threads, ops=disk.ops)
    for change in changes:
        after = tuple(change(model))
        try:
            assert tuple(await profiles.change(change)) == after
        except StorageUnavailable:
            assert tuple(await profiles.all()) in (model, after)
        found = tuple(await FileProfiles(home, ALICE, threads).all())
        assert tuple(await profiles.all()) == found
        assert found in (model, after)
        model = found
    assert {path.name for path in home.glob("*")} <= {FILE}


class Killed(BaseException):
    """The process is gone."""


async def test_killed_at_any_write_it_is_before_or_after(tmp_path: Path, threads: WriterThreads):
    """Whatever was left lying about, the next process finds one or the other, and goes on."""
    deaths = 0
    for moment in itertools.count():
        home = tmp_path / str(moment) / "alice"
        home.parent.mkdir()
        await FileProfiles(home, ALICE, threads).change(put(profile("before")))
        disk = DyingDisk(moment)
        try:
            await FileProfiles(home, ALICE, threads, ops=disk.ops).change(put(profile("after")))
        except Killed:
            deaths += 1
        again = FileProfiles(home, ALICE, threads)
        assert [one.name for one in await again.all()] in (["before"], ["after"])
        await again.change(put(profile("later")))
        assert [path.name for path in home.iterdir()] == [FILE]
        if disk.left >= 0:
            break
    assert deaths >= 3


class DyingDisk:
    """Does `left` more things, then the process is gone, whatever it was about to do."""

    def __init__(self, left: int) -> None:
        self.left = left

    @property
    def ops(self) -> FileOps:
        return FileOps(write=self._write, sync=self._sync)

    def _write(self, descriptor: int, data: bytes) -> int:
        self._count()
        return os.write(descriptor, data)

    def _sync(self, descriptor: int) -> None:
        self._count()
        os.fsync(descriptor)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


# --- the file ------------------------------------------------------------------------------------------------


@pytest.fixture
async def path(tmp_path: Path, threads: WriterThreads) -> Path:
    """Alice's file, with one key in it."""
    await FileProfiles(tmp_path / "alice", ALICE, threads).change(put(profile()))
    return tmp_path / "alice" / FILE


async def test_the_file_is_readable_and_private(path: Path):
    """Anybody who may read it sees what there is, as JSON; that is its owner alone."""
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_bytes()) == {
        "version": 1,
        "profiles": [
            {
                "provider": "openai",
                "name": "default",
                "sealed": "v1.k.x",
                "lastFour": "wxyz",
                "addedAt": "2026-03-01T12:00:00.123456Z",
            }
        ],
    }


async def test_a_file_that_was_replaced_is_read_anew(path: Path, threads: WriterThreads):
    """Restored from a backup while the brain is open, it is what counts."""
    profiles = FileProfiles(path.parent, ALICE, threads)
    assert [one.name for one in await profiles.all()] == ["default"]
    other = path.with_name("other")
    other.write_text(path.read_text().replace("default", "restored"))
    other.replace(path)
    assert [one.name for one in await profiles.all()] == ["restored"]
    path.unlink()
    assert list(await profiles.all()) == []


async def test_a_link_is_not_followed(path: Path, threads: WriterThreads, tmp_path: Path):
    """Neither in the place of the file, nor of the brain: what it leads to is somebody else's."""
    await FileProfiles(tmp_path / "bob", BOB, threads).change(put(profile("bobs")))
    path.unlink()
    path.symlink_to(tmp_path / "bob" / FILE)
    with pytest.raises(StorageCorrupt, match="link"):
        await FileProfiles(path.parent, ALICE, threads).all()
    with pytest.raises(StorageCorrupt, match="link"):
        await FileProfiles(path.parent, ALICE, threads).change(put())
    (tmp_path / "carl").symlink_to(tmp_path / "bob")
    with pytest.raises(StorageUnavailable):
        await FileProfiles(tmp_path / "carl", AgentId("carl"), threads).all()
    assert [one.name for one in await FileProfiles(tmp_path / "bob", BOB, threads).all()] == ["bobs"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "profiles": []}',
        b'{"version": 1}',
        b'{"version": 1, "profiles": [], "more": 1}',
        b'{"version": 1, "profiles": [{"provider": "openai", "name": "x", "key": "sk-in-the-clear-0123"}]}',
        b"sk-in-the-clear-0123",
    ],
)
async def test_a_file_that_cannot_be_read_is_said_so_and_left(path: Path, threads: WriterThreads, content: bytes):
    """It is never taken for empty, never overwritten, and never quoted."""
    path.write_bytes(content)
    profiles = FileProfiles(path.parent, ALICE, threads)
    for ask in (profiles.all(), profiles.change(put(profile("new")))):
        with pytest.raises(StorageCorrupt, match=FILE) as refused:
            await ask
        assert "sk-in-the-clear" not in refused.value.detail
    assert path.read_bytes() == content


async def test_something_else_in_its_place_does_not_hold_us_up(path: Path, threads: WriterThreads):
    """Neither a directory nor a pipe that nobody writes to."""
    for make in (os.mkfifo, os.mkdir):
        path.unlink()
        make(path)
        with pytest.raises(StorageUnavailable):
            await FileProfiles(path.parent, ALICE, threads).all()
        if make is os.mkdir:
            path.rmdir()
            path.touch()


async def test_asking_again_opens_nothing(path: Path, threads: WriterThreads):
    """As long as the file is as it was, it is not read once more."""
    profiles = FileProfiles(path.parent, ALICE, threads)
    first = await profiles.all()
    with patch.object(os, "open", side_effect=AssertionError("it was opened")):
        assert await profiles.all() is first


# --- rows ----------------------------------------------------------------------------------------------------


async def test_rows_are_behind_row_level_security(database: PostgresDatabase):
    """A statement without a condition sees the rows of the agent it speaks for, and without one none."""
    await RowProfiles(database, ALICE).change(put(profile("hers")))
    await RowProfiles(database, BOB).change(put(profile("his")))
    query = text("SELECT name FROM auth_profiles")

    def of_bob(connection: Connection) -> list[str]:
        as_agent(connection, BOB)
        return list(connection.execute(query).scalars())

    assert await database.read(lambda connection: list(connection.execute(query).scalars())) == []
    assert await database.read(of_bob) == ["his"]


async def test_a_change_whose_caller_has_gone_is_seen_all_the_same(database: PostgresDatabase):
    """What was read while it was under way is not what is told after it."""
    profiles = RowProfiles(database, ALICE)
    change = asyncio.create_task(profiles.change(put(profile())))
    await asyncio.sleep(0)
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    await profiles.all()
    await database.write(lambda _: None)
    await profiles.change(lambda known: known)  # after the one that nobody waits for
    assert [one.name for one in await profiles.all()] == ["default"]
