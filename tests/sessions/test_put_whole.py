"""A file that is put in its place: whole and on the disk before it has its name, and its name on the disk too."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rookery.sessions.disk import FileOps, put_whole


@contextmanager
def directory(path: Path) -> Generator[int]:
    path.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_the_bytes_are_synced_before_the_name_is_there_and_the_name_after(tmp_path: Path) -> None:
    """So that no power cut leaves a name with half a file behind it, or the old one where the new was promised."""
    there = tmp_path / "there"
    synced: list[tuple[str, str]] = []

    def sync(descriptor: int) -> None:
        what = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        named = there / "name"
        synced.append((what, named.read_text() if named.exists() else ""))
        os.fsync(descriptor)

    with directory(there) as place, directory(tmp_path) as beside:
        for text in ("old", "new"):
            put_whole(place, "name", text.encode(), FileOps(sync=sync), unfinished="half", beside=beside)
    assert synced == [("file", ""), ("directory", "old"), ("file", "old"), ("directory", "new")]


@pytest.mark.parametrize("failing", [1, 2])
def test_when_the_disk_fails_nothing_half_done_is_left(tmp_path: Path, failing: int) -> None:
    """Neither under its name nor beside; what a killed process left there is no hindrance."""
    (tmp_path / "half").write_text("of a killed process")
    calls = 0

    def sync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(5, "Input/output error")
        os.fsync(descriptor)

    with (
        directory(tmp_path / "there") as place,
        directory(tmp_path) as beside,
        pytest.raises(OSError, match="Input"),
    ):
        put_whole(place, "name", b"new", FileOps(sync=sync), unfinished="half", beside=beside)
    assert not (tmp_path / "half").exists()
    assert (tmp_path / "there" / "name").exists() is (failing == 2)
