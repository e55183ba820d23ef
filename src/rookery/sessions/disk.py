"""The few things we ask of a file system, and how: private, never through a link, synced with its directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from rookery.errors import StorageUnavailable

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


class FileOps(Struct, frozen=True):
    """The calls a disk fails at; an argument, so that tests can bring a bad disk."""

    write: Callable[[int, bytes], int] = os.write
    write_at: Callable[[int, bytes, int], int] = os.pwrite
    truncate: Callable[[int, int], None] = os.ftruncate
    sync_data: Callable[[int], None] = _sync_data
    sync: Callable[[int], None] = os.fsync


@contextmanager
def opened(path: Path | str, flags: int, *, beneath: int | None = None) -> Generator[int]:
    """The descriptor of one file; closed at the end. Raises `OSError`, also when the last part is a link.

    `beneath` is the descriptor of the directory that the path begins in.
    """
    descriptor = os.open(path, flags | _SAFE, PRIVATE_FILE, dir_fd=beneath)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes, ops: FileOps) -> None:
    """Write in one call. A short write is a failure like any other: what it left behind is not a line."""
    written = ops.write(descriptor, data)
    if written != len(data):
        raise OSError(f"only {written} of {len(data)} bytes were written")


def put_whole(directory: int, name: str, data: bytes, ops: FileOps, *, unfinished: str, beside: int) -> None:
    """A file that is there under its name whole and synced, or not at all; it takes the place of one of that name.

    It is written as `unfinished` in the directory `beside` first, which is on the same disk; what a killed process
    left there is written anew. Raises `OSError`.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unfinished, dir_fd=beside)
    try:
        with opened(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, beneath=beside) as file:
            os.fchmod(file, PRIVATE_FILE)
            write_all(file, data, ops)
            ops.sync(file)
        os.rename(unfinished, name, src_dir_fd=beside, dst_dir_fd=directory)
        ops.sync(directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished, dir_fd=beside)
        raise


def write_back(descriptor: int, data: bytes, offset: int, ops: FileOps) -> None:
    """Write what a file holds at `offset` once more, so that the next sync really puts it on the disk."""
    while data:
        written = ops.write_at(descriptor, data, offset)
        if written == 0:
            raise OSError("nothing could be written")
        data, offset = data[written:], offset + written


def read_from(descriptor: int, offset: int, end: int) -> bytes:
    """The bytes from `offset` up to `end`, fewer when the file ends earlier."""
    parts: list[bytes] = []
    while offset < end:
        part = os.pread(descriptor, min(end - offset, 1 << 24), offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def make_directory(path: Path, ops: FileOps) -> None:
    """Make sure of a directory, private when it is new. Raises `OSError`, also when the path is a link.

    It and its name are on disk when this returns, also when they were made by a process that was killed
    before it could see to that.
    """
    try:
        path.mkdir(PRIVATE_DIRECTORY)
    except FileExistsError:
        pass
    else:
        sync_directory(path.parent, ops)
    sync_directory(path, ops)


def erase_directory(path: Path, ops: FileOps) -> None:
    """Delete a directory with everything in it, and not what a link in it leads to; none is gone already.

    Raises `StorageUnavailable`: then some of it may be there still.
    """
    try:
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)  # by descriptors: whoever swaps a directory for a link meanwhile gains nothing
        if path.parent.exists():
            sync_directory(path.parent, ops)
    except OSError as error:
        raise StorageUnavailable(f"The directory {str(path)!r} cannot be deleted: {error}.") from error


def sync_directory(path: Path, ops: FileOps) -> None:
    """Put the names in a directory on disk."""
    with opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        ops.sync(descriptor)


def set_aside(path: Path, word: str) -> Path:
    """A name beside `path` that is still free: `<name>.<word>-<n>`."""
    number = 1
    while True:
        free = path.with_name(f"{path.name}.{word}-{number}")
        if not os.path.lexists(free):
            return free
        number += 1


def is_private(path: Path, *, directory: bool = False) -> bool:
    """Whether this is a plain file, or a directory, that only its owner can use. Raises `OSError`."""
    mode = path.lstat().st_mode
    return (stat.S_ISDIR(mode) if directory else stat.S_ISREG(mode)) and not mode & 0o077
