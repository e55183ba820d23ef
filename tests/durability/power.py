"""A disk that keeps only what was synced when the power goes, and of the rest what it likes.

What was written and not synced may be there or not, in any order, and a write that was under way may be there
in part, sector by sector. After the cut nothing works any more, until somebody opens what has survived.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from rookery.sessions.disk import FileOps

SECTOR = 512


class Blackout(OSError):
    """The power is gone."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "The power is gone.")


@dataclass(slots=True)
class Content:
    """One file: what the platters hold, what every reader sees, and the changes between the two, in order."""

    synced: bytearray = field(default_factory=bytearray)
    seen: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list[tuple[int, bytes] | int])
    """Writes as (offset, bytes), truncations as the new length."""

    def write(self, offset: int, data: bytes) -> None:
        _write(self.seen, offset, data)
        self.pending.append((offset, data))

    def truncate(self, length: int) -> None:
        del self.seen[length:]
        self.pending.append(length)

    def sync(self) -> None:
        self.synced = bytearray(self.seen)
        self.pending.clear()

    def survivor(self, chance: random.Random) -> bytearray:
        """What is found after the cut: each sector of each change made it, or did not."""
        found = bytearray(self.synced)
        luck = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        for change in self.pending:
            if isinstance(change, int):
                if chance.random() < luck:
                    del found[change:]
                continue
            offset, data = change
            for start in range(0, len(data), SECTOR):
                if chance.random() < luck:
                    _write(found, offset + start, data[start : start + SECTOR])
        return found


class Power:
    """The power, which is cut at the `last`-th operation; None leaves it on."""

    def __init__(self, last: int | None = None) -> None:
        self._last = last
        self.operations = 0
        self.gone = False

    def used(self) -> None:
        """Note an operation. Raises `Blackout` from the last one on."""
        self.operations += 1
        if self._last is not None and self.operations >= self._last:
            self.gone = True
        if self.gone:
            raise Blackout


# --- under SQLite -------------------------------------------------------------------------------------------


class Disk:
    """The files of one database, by name."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = {name: Content(bytearray(data), bytearray(data)) for name, data in (files or {}).items()}

    def survivors(self, chance: random.Random) -> dict[str, bytes]:
        """What somebody finds who opens the disk after the cut."""
        return {name: bytes(content.survivor(chance)) for name, content in self.files.items()}

    def contents(self) -> dict[str, bytes]:
        """What every reader sees."""
        return {name: bytes(content.seen) for name, content in self.files.items()}


class PowerVFS(apsw.VFS):
    """SQLite's way to a `Disk`; without shared memory, so the one connection locks the database for itself."""

    def __init__(self, name: str, disk: Disk, power: Power, *, syncs: bool = True) -> None:
        """`syncs` False makes every sync a lie, for the test of the test."""
        self.disk = disk
        self.power = power
        self.syncs = syncs
        super().__init__(name, base="")

    def xOpen(  # noqa: N802 # pyright: ignore[reportIncompatibleMethodOverride] - any object with the methods
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> PowerFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        assert path is not None, "temporary files stay in memory"
        return PowerFile(self, self.disk.files.setdefault(Path(path).name, Content()))

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.use()
        self.disk.files.pop(Path(filename).name, None)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return bool(self.disk.files.get(Path(pathname).name, _NOTHING).seen)

    def use(self) -> None:
        """Note an operation, and fail as a disk does when the power is gone."""
        try:
            self.power.used()
        except Blackout as error:
            raise apsw.IOError(str(error)) from error

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> bool:
        """An error that SQLite itself passes over, as when a file is closed in the dark."""
        return True

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


class PowerFile:
    """One open file of a `Disk`. Not apsw's own class, which would open a real file below."""

    def __init__(self, vfs: PowerVFS, content: Content) -> None:
        self._vfs = vfs
        self._content = content

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._content.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        # The write under way at the cut may still get to the disk in part.
        self._content.write(offset, bytes(data))
        self._vfs.use()

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._content.truncate(newsize)
        self._vfs.use()

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._vfs.use()
        if self._vfs.syncs:
            self._content.sync()

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._content.seen)

    def excepthook(self, *_: Any) -> None: ...

    def xClose(self) -> None: ...  # noqa: N802

    def xLock(self, level: int) -> None: ...  # noqa: N802

    def xUnlock(self, level: int) -> None: ...  # noqa: N802

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE  # as SQLite itself takes every disk to be


# --- under the transcripts ----------------------------------------------------------------------------------


class FilePower:
    """Real files, beside which is kept what a power cut would leave of them and of their directory."""

    def __init__(self, directory: Path, power: Power, *, syncs: bool = True) -> None:
        self._directory = directory
        self._power = power
        self._syncs = syncs
        self._contents: dict[int, Content] = {}
        self._named: set[int] = set()
        for path in directory.iterdir() if directory.is_dir() else ():
            data = path.read_bytes()
            self._contents[path.stat().st_ino] = Content(bytearray(data), bytearray(data))
            self._named.add(path.stat().st_ino)

    @property
    def ops(self) -> FileOps:
        return FileOps(self._write, self._write_at, self._truncate, self._sync_data, self._sync)

    def cut(self, chance: random.Random) -> None:
        """Leave on the real disk what the power cut left; a file whose name was never synced may be gone."""
        for path in list(self._directory.iterdir()):
            number = path.stat().st_ino
            content = self._contents.get(number)
            if content is None:
                continue
            if number not in self._named and chance.random() < 0.5:
                path.unlink()
            else:
                path.write_bytes(content.survivor(chance))

    def _write(self, descriptor: int, data: bytes) -> int:
        self._content(descriptor).write(os.fstat(descriptor).st_size, data)
        self._power.used()
        return os.write(descriptor, data)

    def _write_at(self, descriptor: int, data: bytes, offset: int) -> int:
        self._content(descriptor).write(offset, data)
        self._power.used()
        return os.pwrite(descriptor, data, offset)

    def _truncate(self, descriptor: int, length: int) -> None:
        self._content(descriptor).truncate(length)
        self._power.used()
        os.ftruncate(descriptor, length)

    def _sync_data(self, descriptor: int) -> None:
        self._power.used()
        if self._syncs:
            self._content(descriptor).sync()

    def _sync(self, descriptor: int) -> None:
        self._power.used()
        # A directory: the names in it are on disk from here on.
        if (
            self._syncs
            and self._directory.is_dir()
            and os.fstat(descriptor).st_ino == self._directory.stat().st_ino
        ):
            self._named |= {path.stat().st_ino for path in self._directory.iterdir()}

    def _content(self, descriptor: int) -> Content:
        return self._contents.setdefault(os.fstat(descriptor).st_ino, Content())


_NOTHING = Content()

Cut = Callable[[random.Random], None]


def _write(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(b"\0" * (offset - len(content)))
    content[offset : offset + len(data)] = data
