"""A workspace as files: the directory `workspace` of a brain, where an agent's own tools may have written too.

So nothing there is trusted: each part of a path is opened beneath the one before and never through a link, and
only a plain file is read. What is written is made beside the workspace, where no tool comes, and moved in whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from rookery.errors import InvalidInput, StorageCorrupt, StorageUnavailable
from rookery.ids import AgentId
from rookery.sessions.disk import PRIVATE_DIRECTORY, FileOps, make_directory, opened, put_whole, read_from
from rookery.sessions.workspace import (
    ABSENT,
    LARGEST,
    MOST_FILES,
    MOST_PARTS,
    WorkspaceFile,
    absent,
    check_count,
    check_size,
    check_version,
    in_the_way,
    parts_of,
    version_of,
)
from rookery.storage.threads import WriterThreads

DIRECTORY = "workspace"

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY
_UNFINISHED = "workspace.unfinished"
_MOST_NAMES = 20 * MOST_FILES
"""How many names of whatever kind are looked at for a list; a tool can make endlessly many."""

_SETTLED = 100_000_000
"""How old a change is, in nanoseconds, when another one surely gets another time."""

_NO_PLAIN_FILE = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENOTDIR, errno.EISDIR, errno.EOPNOTSUPP})


class FileWorkspace:
    """One brain's workspace, which is made with the first file."""

    def __init__(
        self, home: Path, agent_id: AgentId, threads: WriterThreads, *, ops: FileOps | None = None
    ) -> None:
        self._home = home
        self._threads = threads
        self._key = f"{agent_id}/{DIRECTORY}"
        self._ops = ops or FileOps()
        self._stamps: object = None
        self._beginnings: Mapping[str, bytes] = {}

    async def read(self, path: str) -> bytes:
        return await self._threads.run(self._key, partial(self._read, path, parts_of(path)))

    async def write(self, path: str, data: bytes, *, expected: str | None = None) -> WorkspaceFile:
        parts = parts_of(path)
        check_size(data)
        return await self._threads.run(self._key, partial(self._write, path, parts, data, expected))

    async def remove(self, path: str, *, expected: str | None = None) -> None:
        await self._threads.run(self._key, partial(self._remove, path, parts_of(path), expected))

    async def listed(self) -> Sequence[WorkspaceFile]:
        return await self._threads.run(self._key, self._listed)

    async def beginnings(self, names: Collection[str], limit: int) -> Mapping[str, bytes]:
        return await self._threads.run(self._key, partial(self._begin, tuple(names), limit))

    # --- in a writer thread, one at a time for each brain ----------------------------------------------------

    def _read(self, path: str, parts: Sequence[str]) -> bytes:
        with self._told("read"):
            try:
                with self._beneath(parts[:-1]) as directory:
                    return _plain(directory, parts[-1], path)
            except FileNotFoundError:
                raise absent(path) from None
            except NotADirectoryError:
                raise absent(path) from None
            except OSError as error:
                if error.errno in _NO_PLAIN_FILE:
                    raise _no_plain_file(path) from error
                raise

    def _write(self, path: str, parts: Sequence[str], data: bytes, expected: str | None) -> WorkspaceFile:
        with self._told("written"):
            there = self._version(path, parts)
            check_version(path, expected, there)
            if there == ABSENT:
                check_count(sum(1 for _ in islice(self._walk(), MOST_FILES)))
            make_directory(self._home / DIRECTORY, self._ops)
            try:
                with (
                    opened(self._home, _DIRECTORY_FLAGS) as home,
                    self._beneath(parts[:-1], make=True) as directory,
                ):
                    _make_room(directory, parts[-1], path)
                    put_whole(directory, parts[-1], data, self._ops, unfinished=_UNFINISHED, beside=home)
                    return _described(path, _status(directory, parts[-1]))
            except OSError as error:
                if error.errno in _NO_PLAIN_FILE:
                    raise in_the_way(path, "something that is no directory") from error
                raise
            finally:
                self._stamps = None

    def _remove(self, path: str, parts: Sequence[str], expected: str | None) -> None:
        with self._told("removed"):
            try:
                with self._beneath(parts[:-1]) as directory:
                    if expected is not None:
                        check_version(path, expected, version_of(_plain(directory, parts[-1], path)))
                    if stat.S_ISDIR(_status(directory, parts[-1]).st_mode):
                        raise absent(path)
                    os.unlink(parts[-1], dir_fd=directory)
                    self._ops.sync(directory)
            except (FileNotFoundError, NotADirectoryError):
                raise absent(path) from None
            finally:
                self._stamps = None
            # A directory is there for its files; what is left of it does not stand in anybody's way.
            for count in range(len(parts) - 1, 0, -1):
                try:
                    with self._beneath(parts[: count - 1]) as above:
                        os.rmdir(parts[count - 1], dir_fd=above)
                except OSError:
                    return

    def _version(self, path: str, parts: Sequence[str]) -> str:
        """The version of what is there now. What is no plain file is in the way."""
        try:
            with self._beneath(parts[:-1]) as directory:
                if _status(directory, parts[-1]).st_size > LARGEST:
                    return "too large to have been written here"
                return version_of(_plain(directory, parts[-1], path))
        except FileNotFoundError:
            return ABSENT
        except StorageCorrupt:
            raise in_the_way(path, "something that is no plain file") from None
        except OSError as error:
            if error.errno == errno.EISDIR:
                return ABSENT  # it is made room for, or told of, where the file is put
            if error.errno in _NO_PLAIN_FILE:
                raise in_the_way(path, "something that is no directory or no plain file") from error
            raise

    def _listed(self) -> list[WorkspaceFile]:
        with self._told("listed"):
            found = list(islice(self._walk(), MOST_FILES))
        return sorted(found, key=lambda file: file.path.encode())

    def _walk(self) -> Iterator[WorkspaceFile]:
        """The plain files of valid paths, in no order; of what is endless, a beginning."""
        left = [_MOST_NAMES]
        try:
            with self._beneath(()) as directory:
                yield from _files_in(directory, "", left)
        except FileNotFoundError:
            return

    def _begin(self, names: tuple[str, ...], limit: int) -> Mapping[str, bytes]:
        assert not any("/" in name for name in names), "only files at the top have beginnings"
        with self._told("read"):
            now, states = time.time_ns(), dict.fromkeys(names, None)
            try:
                with self._beneath(()) as directory:
                    states = {name: _state(directory, name) for name in names}
                    if (limit, states) != self._stamps:
                        self._beginnings = _beginnings(directory, names, limit)
            except (FileNotFoundError, NotADirectoryError):
                if (limit, states) != self._stamps:
                    self._beginnings = {}
            # A file that changed just now can change once more without another time; it is read again.
            settled = all(state is None or now - state[-1] > _SETTLED for state in states.values())
            self._stamps = (limit, states) if settled else None
            return self._beginnings

    @contextmanager
    def _beneath(self, parts: Sequence[str], *, make: bool = False) -> Generator[int]:
        """The descriptor of a directory of the workspace, each step of the way opened without following a link."""
        with contextlib.ExitStack() as stack:
            at = stack.enter_context(opened(self._home, _DIRECTORY_FLAGS))
            for part in (DIRECTORY, *parts):
                if make:
                    try:
                        os.mkdir(part, PRIVATE_DIRECTORY, dir_fd=at)
                    except FileExistsError:
                        pass
                    else:
                        self._ops.sync(at)
                at = stack.enter_context(opened(part, _DIRECTORY_FLAGS, beneath=at))
            yield at

    @contextmanager
    def _told(self, verb: str) -> Generator[None]:
        """Say a disk's failure in our words."""
        try:
            yield
        except OSError as error:
            where = str(self._home / DIRECTORY)
            why = os.strerror(error.errno or 0)
            raise StorageUnavailable(f"A file in {where!r} cannot be {verb}: {why}.") from error


def _plain(directory: int, name: str, path: str) -> bytes:
    """What a plain file holds. Raises `OSError`, and `StorageCorrupt` for what is none or too large."""
    with opened(name, os.O_RDONLY | os.O_NONBLOCK, beneath=directory) as file:
        status = os.fstat(file)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise _no_plain_file(path)
        if status.st_size > LARGEST:
            raise StorageCorrupt(f"The file {path!r} is larger than the {LARGEST} bytes that a workspace keeps.")
        return read_from(file, 0, status.st_size)


def _no_plain_file(path: str) -> StorageCorrupt:
    return StorageCorrupt(f"What lies at {path!r} is no plain file, and is not followed; remove it.")


def _make_room(directory: int, name: str, path: str) -> None:
    """An empty directory gives way, as a crash between two steps may leave one. Raises `Conflict` for another."""
    try:
        if not stat.S_ISDIR(_status(directory, name).st_mode):
            return
    except FileNotFoundError:
        return
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError as error:
        raise in_the_way(path, "a directory") from error


def _files_in(directory: int, above: str, left: list[int]) -> Iterator[WorkspaceFile]:
    with os.scandir(directory) as entries:
        names = [entry.name for entry in islice(entries, left[0])]
    left[0] -= len(names)
    for name in sorted(names):
        path = f"{above}{name}"
        try:
            parts = parts_of(path)
            status = _status(directory, name)
        except (InvalidInput, FileNotFoundError):
            continue
        if stat.S_ISREG(status.st_mode):
            yield _described(path, status)
        elif stat.S_ISDIR(status.st_mode) and len(parts) < MOST_PARTS:
            try:
                with opened(name, _DIRECTORY_FLAGS, beneath=directory) as inner:
                    yield from _files_in(inner, f"{path}/", left)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise


def _described(path: str, status: os.stat_result) -> WorkspaceFile:
    return WorkspaceFile(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _status(directory: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def _state(directory: int, name: str) -> tuple[int, ...] | None:
    """What tells one state of a plain file from another, the time of its change last; None where there is none."""
    try:
        status = _status(directory, name)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _beginnings(directory: int, names: Sequence[str], limit: int) -> dict[str, bytes]:
    """The first bytes of those that are plain files."""
    found: dict[str, bytes] = {}
    for name in names:
        try:
            with opened(name, os.O_RDONLY | os.O_NONBLOCK, beneath=directory) as file:
                if stat.S_ISREG(os.fstat(file).st_mode):
                    found[name] = read_from(file, 0, limit)
        except OSError as error:
            if error.errno != errno.ENOENT and error.errno not in _NO_PLAIN_FILE:
                raise
    return found
