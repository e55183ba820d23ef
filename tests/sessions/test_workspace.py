"""A workspace, on every storage: paths that cannot lead out, files whole or not at all, apart by agent."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, chdir, suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    Outdated,
    QuotaReached,
    RookeryError,
    StorageCorrupt,
    StorageUnavailable,
    TooLarge,
)
from rookery.ids import AgentId
from rookery.sessions import disk, workspace_files
from rookery.sessions import workspace as rules
from rookery.sessions.twin import MemoryWorkspace
from rookery.sessions.workspace import ABSENT, LARGEST, Workspace, parts_of, version_of
from rookery.sessions.workspace_files import FileWorkspace
from rookery.storage.threads import WriterThreads
from tests.sessions.bad_disk import BadDisk
from tests.sessions.conftest import Storage

ALICE, BOB = AgentId("alice"), AgentId("bob")


@asynccontextmanager
async def workspace_of(storage: Storage, agent: AgentId = ALICE) -> AsyncGenerator[Workspace]:
    """One agent's workspace, as a process that has just started finds it."""
    brains = storage.brains()
    async with brains.use(agent) as brain:
        yield brain.workspace
    await brains.close()


async def paths(workspace: Workspace) -> list[str]:
    return [file.path for file in await workspace.listed()]


# --- the contract -------------------------------------------------------------------------------------------


async def test_what_was_written_is_there_after_a_restart(storage: Storage) -> None:
    """Its bytes, its size, and nothing else; written again, the last holds."""
    async with workspace_of(storage) as workspace:
        assert await workspace.listed() == []
        await workspace.write("AGENTS.md", b"first")
        written = await workspace.write("AGENTS.md", b"second one")
        await workspace.write("memory/2026-03-01.md", b"")
    async with workspace_of(storage) as workspace:
        assert await workspace.read("AGENTS.md") == b"second one"
        assert await workspace.read("memory/2026-03-01.md") == b""
        assert next(iter(await workspace.listed())) == written
        assert [(file.path, file.size) for file in await workspace.listed()] == [
            ("AGENTS.md", 10),
            ("memory/2026-03-01.md", 0),
        ]


async def test_what_was_removed_is_gone(storage: Storage) -> None:
    """Its directory does not stand in anybody's way, and what is not there cannot be removed."""
    async with workspace_of(storage) as workspace:
        await workspace.write("a/b/c.md", b"x")
        await workspace.write("a/d.md", b"y")
        await workspace.remove("a/b/c.md")
        for path in ("a/b/c.md", "a/b", "a", "never"):
            with pytest.raises(NotFound):
                await workspace.remove(path)
            with pytest.raises((NotFound, StorageCorrupt)):
                await workspace.read(path)
        await workspace.write("a/b", b"now a file")
        assert await paths(workspace) == ["a/b", "a/d.md"]


async def test_a_path_is_a_file_or_leads_to_files(storage: Storage) -> None:
    """Never both: what clashes with what is there is refused, and changes nothing."""
    async with workspace_of(storage) as workspace:
        await workspace.write("a/b", b"x")
        for path in ("a", "a/b/c", "a/b/c/d"):
            with pytest.raises(Conflict):
                await workspace.write(path, b"no")
        assert await paths(workspace) == ["a/b"]
        assert await workspace.read("a/b") == b"x"


async def test_paths_differ_when_their_bytes_do(storage: Storage) -> None:
    """By case, by how an accent is written, by a dot or a space at the end."""
    there = ["A.md", "a.md", "\u00e9.md", "e\u0301.md", "x", "x.", "x ", " x", "...", "ａ.md", "~", "a\\b"]
    async with workspace_of(storage) as workspace:
        for number, path in enumerate(there):
            await workspace.write(path, str(number).encode())
    async with workspace_of(storage) as workspace:
        assert await paths(workspace) == sorted(there, key=str.encode)
        for number, path in enumerate(there):
            assert await workspace.read(path) == str(number).encode()


BAD_PATHS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../bob/workspace/a",
    "a/../b",
    "a/./b",
    "a\0b",
    "a\nb",
    "\x7f",
    "\x85",
    "\ud800",
    "x" * 256,
    "\u00e9" * 128,
    "/".join("a" * 17),
    "/".join(["x" * 250] * 5),
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
async def test_what_is_no_path_is_refused(storage: Storage, path: str) -> None:
    """By every method, and alike on every storage."""
    async with workspace_of(storage) as workspace:
        for asked in (workspace.read(path), workspace.write(path, b"x"), workspace.remove(path)):
            with pytest.raises(InvalidInput):
                await asked
        assert await paths(workspace) == []


async def test_two_editors_do_not_overwrite_each_other(storage: Storage) -> None:
    """Whoever changes what they did not see is told, and what is there stays."""
    async with workspace_of(storage) as workspace:
        await workspace.write("USER.md", b"one", expected=ABSENT)
        for expected in (ABSENT, version_of(b"two")):
            with pytest.raises(Outdated):
                await workspace.write("USER.md", b"mine", expected=expected)
        await workspace.write("USER.md", b"two", expected=version_of(b"one"))
        with pytest.raises(Outdated):
            await workspace.remove("USER.md", expected=version_of(b"one"))
        assert await workspace.read("USER.md") == b"two"
        await workspace.remove("USER.md", expected=version_of(b"two"))
        with pytest.raises(Outdated):
            await workspace.write("USER.md", b"mine", expected=version_of(b"two"))


async def test_a_file_too_large_and_one_too_many_are_refused(storage: Storage) -> None:
    """The last that fits is kept."""
    async with workspace_of(storage) as workspace:
        await workspace.write("large", b"x" * LARGEST)
        with pytest.raises(TooLarge):
            await workspace.write("large", b"x" * (LARGEST + 1))
        with patch.object(rules, "MOST_FILES", 3), patch.object(workspace_files, "MOST_FILES", 3):
            await workspace.write("a", b"")
            await workspace.write("b", b"")
            with pytest.raises(QuotaReached):
                await workspace.write("c", b"")
            await workspace.write("b", b"still")
        assert await paths(workspace) == ["a", "b", "large"]


async def test_no_agent_reaches_another_s(storage: Storage) -> None:
    """The same path is two files."""
    async with workspace_of(storage) as mine, workspace_of(storage, BOB) as theirs:
        await mine.write("USER.md", b"alice's")
        with pytest.raises(NotFound):
            await theirs.read("USER.md")
        with pytest.raises(NotFound):
            await theirs.remove("USER.md")
        assert await theirs.beginnings(["USER.md"], 9) == {}
        await theirs.write("USER.md", b"bob's")
        assert await mine.read("USER.md") == b"alice's"
        assert await mine.beginnings(["USER.md"], 9) == {"USER.md": b"alice's"}


async def test_beginnings_are_those_of_now(storage: Storage) -> None:
    """Of the files that are there, as many bytes as were asked for; a change shows at once, however small."""
    names = ["AGENTS.md", "SOUL.md"]
    async with workspace_of(storage) as workspace, workspace_of(storage) as other:
        assert await workspace.beginnings(names, 4) == {}
        for number in range(5):
            await (workspace, other)[number % 2].write("SOUL.md", b"%d2345" % number)
            assert await workspace.beginnings(names, 4) == {"SOUL.md": b"%d234" % number}
            assert await workspace.beginnings(names, 2) == {"SOUL.md": b"%d2" % number}
        await workspace.write("AGENTS.md", b"a")
        assert list(await workspace.beginnings(names, 4)) == names
        await other.remove("SOUL.md")
        assert await workspace.beginnings(names, 4) == {"AGENTS.md": b"a"}


_PART = st.sampled_from(["a", "A", "\u00e9", "e\u0301", "b", "a.", "a ", ".a", "..", "", "...", "ß", "SS", "a\0"])
_PATHS = st.lists(_PART, min_size=1, max_size=3).map("/".join)
_STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "remove", "read", "expect", "new"]), _PATHS, st.binary(max_size=3)),
    max_size=15,
)


@settings(deadline=None, max_examples=60)
@given(steps=_STEPS)
def test_files_do_what_the_twin_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, bytes]]
):
    """Whatever is done in whatever order, to paths that are easily taken for each other."""
    import asyncio

    async def play() -> None:
        home = tmp_path_factory.mktemp("brain")
        threads = WriterThreads(1)
        stores: list[Workspace] = [FileWorkspace(home, ALICE, threads), MemoryWorkspace()]
        for verb, path, data in steps:
            said = [await _outcome(store, verb, path, data) for store in stores]
            assert said[0] == said[1], (verb, path)
            listed = [[(file.path, file.size) for file in await store.listed()] for store in stores]
            assert listed[0] == listed[1]
        await threads.close()

    asyncio.run(play())


async def _outcome(store: Workspace, verb: str, path: str, data: bytes) -> object:
    try:
        match verb:
            case "write":
                return (await store.write(path, data)).size
            case "expect":
                return (await store.write(path, data, expected=version_of(b""))).size
            case "new":
                return (await store.write(path, data, expected=ABSENT)).size
            case "remove":
                return await store.remove(path)
            case _:
                return await store.read(path)
    except RookeryError as error:
        # A directory is nothing to the twin; on a disk something lies there that is no file.
        return NotFound if isinstance(error, StorageCorrupt) else type(error)


@given(text=st.text(alphabet=st.characters(codec=None), max_size=20))
def test_a_path_that_is_taken_leads_down_and_nowhere_else(text: str) -> None:
    """Any text is refused, or is some names, none of which goes up, is hidden from sight, or ends the path."""
    try:
        parts = parts_of(text)
    except InvalidInput:
        return
    assert "/".join(parts) == text
    assert not {"", ".", ".."} & set(parts)
    assert "\0" not in text
    text.encode()


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "alice"
    home.mkdir(0o700)
    return home


@pytest.fixture
def workspace(home: Path, threads: WriterThreads) -> FileWorkspace:
    return FileWorkspace(home, ALICE, threads)


async def test_files_are_private_and_plain(home: Path, workspace: FileWorkspace) -> None:
    """As they were written, for their owner alone; nothing else lies about."""
    await workspace.write("memory/a.md", b"text")
    assert (home / "workspace/memory/a.md").read_bytes() == b"text"
    assert oct((home / "workspace/memory/a.md").stat().st_mode & 0o777) == "0o600"
    for directory in ("workspace", "workspace/memory"):
        assert oct((home / directory).stat().st_mode & 0o777) == "0o700"
    assert [path.name for path in home.iterdir()] == ["workspace"]


async def test_what_an_editor_changed_is_read_anew(home: Path, workspace: FileWorkspace) -> None:
    """A person may write to the directory while the gateway runs, also in place and to the same length."""
    await workspace.write("SOUL.md", b"calm")
    for number in range(20):
        (home / "workspace/SOUL.md").write_bytes(b"%04d" % number)
        assert await workspace.beginnings(["SOUL.md"], 10) == {"SOUL.md": b"%04d" % number}


async def test_what_did_not_change_is_not_read_again(home: Path, workspace: FileWorkspace) -> None:
    """Four names are looked at, and the bytes are those of before."""
    await workspace.write("SOUL.md", b"calm")
    with patch.object(workspace_files, "_SETTLED", -(1 << 62)):
        first = await workspace.beginnings(["SOUL.md"], 10)
        with patch.object(workspace_files, "read_from", side_effect=AssertionError("read again")):
            assert await workspace.beginnings(["SOUL.md"], 10) is first


@pytest.mark.parametrize("planted", ["link", "dangling", "fifo", "directory", "socket"])
async def test_what_is_no_plain_file_is_not_read(home: Path, workspace: FileWorkspace, planted: str) -> None:
    """Nothing behind it is shown, nobody waits for it, and nothing is written through it."""
    secret = home.parent / "secret"
    secret.write_bytes(b"secret")
    await workspace.write("other.md", b"x")
    path = home / "workspace" / "AGENTS.md"
    match planted:
        case "link":
            path.symlink_to(secret)
        case "dangling":
            path.symlink_to(home.parent / "new")
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made, chdir(path.parent):  # a socket's path may not be long
                made.bind(path.name)
        case _:
            (path / "inner").mkdir(parents=True)
    assert await workspace.beginnings(["AGENTS.md"], 10) == {}
    assert await paths(workspace) == ["other.md"]
    with pytest.raises(StorageCorrupt, match="no plain file"):
        await workspace.read("AGENTS.md")
    with pytest.raises(Conflict):
        await workspace.write("AGENTS.md", b"mine")
    assert secret.read_bytes() == b"secret"
    assert not (home.parent / "new").exists()


@pytest.mark.parametrize("planted", ["a", "workspace", "home"])
async def test_no_directory_is_reached_through_a_link(
    home: Path, workspace: FileWorkspace, planted: str, tmp_path: Path
) -> None:
    """Not to read, list, write or remove."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "workspace/a").mkdir(parents=True)
    for name in ("workspace/a/SOUL.md", "workspace/SOUL.md"):
        (elsewhere / name).write_bytes(b"secret")
    await workspace.write("a/x.md", b"mine")
    moved = {"a": home / "workspace/a", "workspace": home / "workspace", "home": home}[planted]
    behind = {"a": elsewhere / "workspace/a", "workspace": elsewhere / "workspace", "home": elsewhere}[planted]
    moved.rename(tmp_path / "moved")
    moved.symlink_to(behind)

    before = sorted(elsewhere.rglob("*"))
    for asked in (
        workspace.read("a/SOUL.md"),
        workspace.write("a/new.md", b"mine"),
        workspace.remove("a/SOUL.md"),
    ):
        with pytest.raises(RookeryError):
            await asked
    if planted != "a":
        assert await workspace.beginnings(["SOUL.md"], 10) == {}
    try:
        assert await paths(workspace) == []
    except StorageUnavailable:
        assert planted != "a"
    assert sorted(elsewhere.rglob("*")) == before


async def test_a_component_that_becomes_a_link_meanwhile_leads_nowhere(
    home: Path, workspace: FileWorkspace, tmp_path: Path
) -> None:
    """Something swaps a directory for a link as fast as it can, while it is read, written and listed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f.md").write_bytes(b"the secret of somebody")
    await workspace.write("a/f.md", b"mine")
    real, stop = home / "workspace/a", threading.Event()

    def race() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            aside = home / f"aside-{number}"
            with suppress(OSError):
                real.rename(aside)
            with suppress(OSError):
                real.symlink_to(elsewhere)
            with suppress(OSError):
                real.unlink()
            with suppress(OSError):
                aside.rename(real)

    racer = threading.Thread(target=race)
    racer.start()
    seen: set[bytes] = set()
    try:
        for number in range(300):
            for asked in (workspace.read("a/f.md"), workspace.write("a/f.md", b"mine %d" % number)):
                try:
                    found = await asked
                except RookeryError:
                    continue
                if isinstance(found, bytes):
                    seen.add(found)
            with suppress(StorageUnavailable):
                assert all(file.size < 20 for file in await workspace.listed())
    finally:
        stop.set()
        racer.join()
    assert seen
    assert not any(b"secret" in data for data in seen)
    assert (elsewhere / "f.md").read_bytes() == b"the secret of somebody"
    assert sorted(path.name for path in elsewhere.iterdir()) == ["f.md"]


async def test_a_workspace_that_follows_links_would_be_seen(home: Path, workspace: FileWorkspace) -> None:
    """The seeded mistake: without the one flag, what lies behind a link is read, and the tests above fail."""
    (home.parent / "secret").write_bytes(b"secret")
    await workspace.write("a.md", b"x")
    (home / "workspace/link.md").symlink_to(home.parent / "secret")
    with patch.object(disk, "_SAFE", os.O_CLOEXEC):
        assert await workspace.read("link.md") == b"secret"
    with pytest.raises(StorageCorrupt):
        await workspace.read("link.md")


async def test_a_failure_at_any_step_keeps_the_old_or_the_new(home: Path, threads: WriterThreads) -> None:
    """Each write and sync fails once: the file is whole, and what was acknowledged is there."""
    disk = BadDisk()
    workspace = FileWorkspace(home, ALICE, threads, ops=disk.ops)
    await workspace.write("a/b.md", b"old")
    for step in range(12):
        disk.failing = {len(disk.calls) + step: errno.ENOSPC if step % 2 else None}
        try:
            await workspace.write("a/b.md", b"new")
            wanted = {b"new"}
        except StorageUnavailable:
            wanted = {b"old", b"new"}
        disk.failing = {}
        again = FileWorkspace(home, ALICE, threads)
        assert await again.read("a/b.md") in wanted
        assert await paths(again) == ["a/b.md"]
        await again.write("a/b.md", b"old")
        assert [path.name for path in home.iterdir()] == ["workspace"]


async def test_what_a_killed_write_left_behind_is_no_file(home: Path, workspace: FileWorkspace) -> None:
    """It lies beside the workspace, is never listed, and the next write takes its place, whatever it became."""
    await workspace.write("a.md", b"old")
    for planted in ("file", "link"):
        left = home / "workspace.unfinished"
        if planted == "file":
            left.write_bytes(b"half")
        else:
            left.symlink_to(home.parent / "elsewhere")
        assert await paths(workspace) == ["a.md"]
        assert await workspace.read("a.md") == b"old"
        await workspace.write("a.md", b"old")
        assert [path.name for path in home.iterdir()] == ["workspace"]
    assert not (home.parent / "elsewhere").exists()


async def test_an_empty_directory_gives_way(home: Path, workspace: FileWorkspace) -> None:
    """A crash between making it and its file leaves one; it is not seen, and stands in nobody's way."""
    (home / "workspace/a/b").mkdir(parents=True)
    assert await paths(workspace) == []
    await workspace.write("a/b", b"x")
    assert await workspace.read("a/b") == b"x"


async def test_names_that_are_no_paths_are_left_out_of_the_list(home: Path, workspace: FileWorkspace) -> None:
    """A tool may have written them; whoever lists is not stopped by it, nor by endlessly many."""
    await workspace.write("a.md", b"x")
    root = home / "workspace"
    (root / "bell\a").write_bytes(b"x")
    os.close(os.open(bytes(root) + b"/\xff", os.O_CREAT | os.O_WRONLY, 0o600))
    (root / "link").symlink_to("/etc/passwd")
    assert await paths(workspace) == ["a.md"]
    with patch.object(workspace_files, "MOST_FILES", 50):
        for number in range(60):
            (root / f"n{number}").write_bytes(b"")
        assert len(await paths(workspace)) == 50
