"""Attachments, on every storage: whole or not at all, known by their content, within limits, apart by agent."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from rookery.errors import InvalidId, NotFound, QuotaReached, StorageCorrupt, StorageUnavailable, TooLarge
from rookery.ids import AgentId
from rookery.sessions.attachment_files import FileAttachments
from rookery.sessions.attachments import (
    FILE_LIMITS,
    LONGEST_NAME,
    MEGABYTE,
    ROW_LIMITS,
    Attachments,
    Limits,
    Stored,
    harmless_name,
    type_of,
)
from rookery.storage import as_agent
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.threads import WriterThreads
from tests.sessions.bad_disk import BadDisk
from tests.sessions.conftest import Storage

ALICE, BOB = AgentId("alice"), AgentId("bob")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WHO = "user:alice"

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)


@asynccontextmanager
async def attachments_of(storage: Storage, agent: AgentId = ALICE) -> AsyncGenerator[Attachments]:
    """One agent's attachments, as a process that has just started finds them."""
    brains = storage.brains()
    async with brains.use(agent) as brain:
        yield brain.attachments
    await brains.close()


async def add(attachments: Attachments, data: bytes, name: str = "a.bin", **more: Any) -> Stored:
    return await attachments.add(name, more.pop("content_type", None), data, added_by=WHO, created_at=NOW, **more)


async def pieces(data: Sequence[bytes], read: list[bytes] | None = None) -> AsyncIterator[bytes]:
    for piece in data:
        if read is not None:
            read.append(piece)
        yield piece


# --- the contract -------------------------------------------------------------------------------------------


async def test_what_was_added_is_there_after_a_restart(storage: Storage) -> None:
    """Its bytes, and everything that is known of it."""
    async with attachments_of(storage) as attachments:
        added = await add(attachments, PNG, "cat.png")
    async with attachments_of(storage) as attachments:
        assert await attachments.get(added.id) == added
        assert await attachments.read(added.id) == PNG
        assert await attachments.size() == len(PNG)

    assert added == Stored(
        id=added.id,
        name="cat.png",
        content_type="image/png",
        size=len(PNG),
        sha256=hashlib.sha256(PNG).hexdigest(),
        added_by=WHO,
        created_at=NOW,
    )


@pytest.mark.parametrize("data", [b"", b"\0", b"x" * (3 * MEGABYTE + 1)], ids=["empty", "zero", "large"])
async def test_any_bytes_come_back_as_they_were(storage: Storage, data: bytes) -> None:
    """Whole or in pieces."""
    async with attachments_of(storage) as attachments:
        whole = await add(attachments, data)
        in_pieces = await attachments.add("b", None, pieces([data[:7], data[7:]]), added_by=WHO, created_at=NOW)
        assert await attachments.read(whole.id) == data
        assert await attachments.read(in_pieces.id) == data
        assert whole.id != in_pieces.id


async def test_the_same_id_again_changes_nothing(storage: Storage) -> None:
    """Whoever does it twice after a crash gets what was kept the first time."""
    async with attachments_of(storage) as attachments:
        first = await add(attachments, b"first", "1.txt", attachment_id="turn1-0")
        assert await add(attachments, b"second", "2.txt", attachment_id="turn1-0") == first
        assert await attachments.read("turn1-0") == b"first"
        assert await attachments.size() == 5


async def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    """Also under names that could lead out of the store."""
    async with attachments_of(storage) as attachments:
        kept = await add(attachments, b"x")
        for name in ("absent", "", "..", "../../bob/attachments/x", "a/b", f"{kept.id}.json", "a\0b", "x" * 129):
            with pytest.raises(NotFound):
                await attachments.get(name)
            with pytest.raises(NotFound):
                await attachments.read(name)
            await attachments.remove(name)
        assert await attachments.read(kept.id) == b"x"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a.json", "-a", "ä", "x" * 129, "a\n"])
async def test_an_id_that_is_none_is_refused(storage: Storage, name: str) -> None:
    """It would become part of a path."""
    async with attachments_of(storage) as attachments:
        with pytest.raises(InvalidId):
            await add(attachments, b"x", attachment_id=name)
        assert await attachments.size() == 0


async def test_what_was_removed_is_gone(storage: Storage) -> None:
    """Twice is as good as once, and its room is free again."""
    async with attachments_of(storage) as attachments:
        kept = await add(attachments, b"keep")
        gone = await add(attachments, b"gone")
        await attachments.remove(gone.id)
        await attachments.remove(gone.id)
        with pytest.raises(NotFound):
            await attachments.read(gone.id)
        assert await attachments.size() == 4
    async with attachments_of(storage) as attachments:
        assert await attachments.read(kept.id) == b"keep"
        assert (await add(attachments, b"anew", attachment_id=gone.id)).size == 4


async def test_no_agent_reaches_another_s(storage: Storage) -> None:
    """Whatever id it knows."""
    async with attachments_of(storage) as mine, attachments_of(storage, BOB) as theirs:
        kept = await add(mine, b"alice's", attachment_id="same")
        with pytest.raises(NotFound):
            await theirs.read(kept.id)
        await theirs.remove(kept.id)
        assert (await add(theirs, b"bob's", attachment_id="same")).size == 5
        assert await mine.read("same") == b"alice's"
        assert (await mine.size(), await theirs.size()) == (7, 5)


async def test_one_too_large_is_refused_as_soon_as_that_shows(storage: Storage) -> None:
    """Nothing of it is kept, and the rest is not even read."""
    async with attachments_of(storage) as attachments:
        with limited(attachments, each=10):
            await add(attachments, b"x" * 10)
            with pytest.raises(TooLarge, match="larger than 10 bytes"):
                await add(attachments, b"x" * 11)
            read: list[bytes] = []
            with pytest.raises(TooLarge):
                await attachments.add("x", None, pieces([b"x" * 6] * 9, read), added_by=WHO, created_at=NOW)
            assert len(read) == 2
        assert await attachments.size() == 10


async def test_all_together_stay_within_the_agent_s_limit(storage: Storage) -> None:
    """The last one that fits is kept, the next is refused, and one that goes makes room."""
    async with attachments_of(storage) as attachments, attachments_of(storage, BOB) as others:
        with limited(attachments, together=30), limited(others, together=30):
            first = await add(attachments, b"x" * 20)
            await add(attachments, b"x" * 10)
            with pytest.raises(QuotaReached, match="delete some"):
                await add(attachments, b"x")
            assert (await add(attachments, b"again", attachment_id=first.id)) == first
            await attachments.remove(first.id)
            await add(attachments, b"x" * 20)
            await add(others, b"x" * 30)


def test_the_limits_are_those_that_are_promised() -> None:
    """25 MB each, 10 MB on PostgreSQL, 1 GB for each agent."""
    assert Limits(25 << 20, 1 << 30) == FILE_LIMITS
    assert Limits(10 << 20, 1 << 30) == ROW_LIMITS


async def test_what_changed_by_itself_is_not_handed_out(storage: Storage, request: pytest.FixtureRequest) -> None:
    """A bit that fell over on the disk is told, not passed on."""
    async with attachments_of(storage) as attachments:
        kept = await add(attachments, b"original")
        match storage.kind:
            case "files":
                path: Path = request.getfixturevalue("tmp_path") / "agents" / ALICE / "attachments" / kept.id
                path.write_bytes(b"0riginal")
            case "rows":
                database: PostgresDatabase = request.getfixturevalue("database")

                def damage(connection: Any) -> None:
                    as_agent(connection, ALICE)
                    connection.execute(text("UPDATE attachments SET data = '\\x00'"))

                await database.write(damage)
            case _:
                twin: Any = attachments
                twin.kept[kept.id] = replace(twin.kept[kept.id], data=b"0riginal")
        with pytest.raises(StorageCorrupt):
            await attachments.read(kept.id)


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "alice"
    home.mkdir(0o700)
    return home


async def test_files_are_private_and_can_be_read_by_people(home: Path, threads: WriterThreads) -> None:
    """The bytes as they were, and a small JSON file beside them."""
    kept = await add(FileAttachments(home, ALICE, threads), b"text", "é.txt", attachment_id="one")
    directory = home / "attachments"

    assert sorted(path.name for path in directory.iterdir()) == ["one", "one.json"]
    assert {oct(path.stat().st_mode & 0o777) for path in directory.iterdir()} == {"0o600"}
    assert oct(directory.stat().st_mode & 0o777) == "0o700"
    assert (directory / "one").read_bytes() == b"text"
    assert json.loads((directory / "one.json").read_bytes()) == {
        "id": "one",
        "name": "é.txt",
        "contentType": "text/plain",
        "size": 4,
        "sha256": kept.sha256,
        "addedBy": WHO,
        "createdAt": "2026-03-01T12:00:00Z",
    }


async def test_a_failure_at_any_step_keeps_all_or_nothing(home: Path, threads: WriterThreads) -> None:
    """Each write and sync fails once: what was acknowledged is there, the rest is not, and once more it works."""
    disk = BadDisk()
    await add(FileAttachments(home, ALICE, threads, ops=disk.ops), b"first", attachment_id="first")
    for number in range(len(disk.calls), 40):
        name = f"n{number}"
        attachments = FileAttachments(home, ALICE, threads, ops=disk.ops)
        before = len(disk.calls)
        # Calls are numbered through; each round fails one step later than the round before.
        disk.failing = {before + (number % 9): errno.ENOSPC}
        try:
            await add(attachments, b"data", attachment_id=name)
            acknowledged = True
        except StorageUnavailable:
            acknowledged = False
        disk.failing = {}
        again = FileAttachments(home, ALICE, threads, ops=disk.ops)
        if acknowledged:
            assert await again.read(name) == b"data"
        await add(again, b"data", attachment_id=name)
        assert await again.read(name) == b"data"
        assert await again.read("first") == b"first"
        assert not [path for path in (home / "attachments").iterdir() if path.name.endswith(".unfinished")]


async def test_what_a_crash_left_behind_is_cleared_away(home: Path, threads: WriterThreads) -> None:
    """A file without its notes was never kept; it takes no room."""
    await add(FileAttachments(home, ALICE, threads), b"kept", attachment_id="kept")
    directory = home / "attachments"
    (directory / "orphan").write_bytes(b"x" * 1000)
    (directory / "half.unfinished").write_bytes(b"x")

    assert await FileAttachments(home, ALICE, threads).size() == 4
    assert sorted(path.name for path in directory.iterdir()) == ["kept", "kept.json"]


@pytest.mark.parametrize("planted", ["file", "notes", "directory", "home"])
async def test_no_link_is_followed(home: Path, threads: WriterThreads, planted: str, tmp_path: Path) -> None:
    """A link that something planted leads nowhere: not to be read, and not to be written through."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "one").write_bytes(b"secret")
    kept = await add(FileAttachments(home, ALICE, threads), b"secret", attachment_id="one")
    directory = home / "attachments"
    (elsewhere / "one.json").write_bytes((directory / "one.json").read_bytes())
    assert kept.size == 6
    match planted:
        case "file" | "notes":
            path = directory / ("one" if planted == "file" else "one.json")
            path.unlink()
            path.symlink_to(elsewhere / path.name)
        case "directory":
            directory.rename(home / "moved")
            directory.symlink_to(elsewhere)
        case _:
            home.rename(tmp_path / "moved")
            home.symlink_to(tmp_path / "moved")

    with pytest.raises(StorageUnavailable):
        await FileAttachments(home, ALICE, threads).read("one")
    if planted in ("directory", "home"):
        with pytest.raises(StorageUnavailable):
            await add(FileAttachments(home, ALICE, threads), b"new", attachment_id="two")
    assert sorted(os.listdir(elsewhere)) == ["one", "one.json"]


async def test_notes_that_cannot_be_read_are_said_to_be(home: Path, threads: WriterThreads) -> None:
    """They are left as they are."""
    attachments = FileAttachments(home, ALICE, threads)
    await add(attachments, b"x", attachment_id="one")
    (home / "attachments" / "one.json").write_bytes(b"{")
    with pytest.raises(StorageCorrupt):
        await attachments.get("one")
    assert (home / "attachments" / "one.json").read_bytes() == b"{"


# --- names and kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\cat.png", "cat.png"),
        ("/", "file"),
        ("", "file"),
        ("..", "file"),
        (".bashrc", "bashrc"),
        ("a\r\nSet-Cookie: x", "a Set-Cookie: x"),
        ("a\0b\x1b[31m", "ab[31m"),
        ("\u202egnp.exe", "gnp.exe"),
        ("  two   words .txt ", "two words .txt"),
        ("文档.docx", "文档.docx"),
        ("Отчёт.txt", "Отчёт.txt"),
        ("تقرير.pdf", "تقرير.pdf"),
        ("می\u200cخواهم.txt", "می\u200cخواهم.txt"),
        ("🦆.png", "🦆.png"),
        ("x" * 300 + ".jpeg", "x" * 195 + ".jpeg"),
        ("x." + "y" * 300, "x." + "y" * 198),
        ("\ud800.txt", "?.txt"),
    ],
)
def test_a_name_is_made_harmless_and_keeps_its_script(given_name: str, kept: str) -> None:
    """No directory, nothing that cannot be seen, not too long."""
    assert harmless_name(given_name) == kept


@given(st.text(max_size=400))
def test_every_name_becomes_one_that_can_be_shown(name: str) -> None:
    """And one that was made harmless is left as it is."""
    kept = harmless_name(name)
    assert 0 < len(kept) <= LONGEST_NAME
    assert not set(kept) & set("/\\\n\r\0\u202e\u2028")
    assert kept.encode()
    assert harmless_name(kept) == kept


@pytest.mark.parametrize(
    ("data", "hint", "kind"),
    [
        (PNG, None, "image/png"),
        (PNG, "text/html", "image/png"),
        (b"GIF89a\x01\x00\x01\x00\x00", None, "image/gif"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/svg+xml", "image/jpeg"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", None, "image/webp"),
        (b"%PDF-1.7\n", None, "application/pdf"),
        (b"PK\x03\x04\x14\x00\x00\x00", "application/zip", "application/zip"),
        (b"hello", None, "text/plain"),
        ("grüße\n".encode(), "text/plain; charset=utf-8", "text/plain"),
        (b"a,b\n", "text/csv", "text/csv"),
        (b"# x\n", "text/markdown", "text/markdown"),
        (b"{}", "application/json", "application/json"),
        (b"<!doctype html><script>alert(1)</script>", "text/html", "text/plain"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "image/svg+xml", "text/plain"),
        (b'<?xml version="1.0"?><svg/>', "image/png", "text/plain"),
        (b"GIF89a=1;alert(1)", "text/javascript", "text/plain"),
        (b"BMW is a car maker.", "image/bmp", "text/plain"),
        (b"", None, "text/plain"),
        (b"\x00\x01\x02\xff", "image/png", "application/octet-stream"),
        (b"\xff\xfe<\x00s\x00v\x00g\x00", "image/svg+xml", "application/octet-stream"),
    ],
)
def test_what_a_file_is_goes_by_its_content(data: bytes, hint: str | None, kind: str) -> None:
    """Nobody makes a script a picture by calling it one."""
    assert type_of(data, hint) == kind


@given(st.binary(max_size=200), st.sampled_from(["text/html", "image/svg+xml", "text/javascript", "image/png"]))
def test_nothing_that_a_browser_would_run_is_ever_called_so(data: bytes, hint: str) -> None:
    """Whatever it is said to be."""
    assert type_of(data, hint) not in {"text/html", "image/svg+xml", "text/javascript", "application/xhtml+xml"}


def limited(attachments: Attachments, *, each: int = MEGABYTE, together: int = MEGABYTE) -> Any:
    """Other limits for as long as the block lasts."""
    return patch.object(attachments, "limits", Limits(each, together))
