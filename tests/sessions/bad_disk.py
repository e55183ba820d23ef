"""Disks that fail, and a disk that forgets what was never synced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rookery.sessions.disk import FileOps


@dataclass
class BadDisk:
    """Fails the calls whose numbers are in `failing`, with the error there; None writes half and says so."""

    failing: dict[int, int | None] = field(default_factory=lambda: dict[int, int | None]())
    calls: list[str] = field(default_factory=lambda: list[str]())

    @property
    def ops(self) -> FileOps:
        return FileOps(self._write, self._write_at, self._truncate, self._sync_data, self._sync)

    def _write(self, descriptor: int, data: bytes) -> int:
        number = self._count("write")
        if number in self.failing:
            code = self.failing[number]
            # What a full disk does: some of it is there, and then there is no more room.
            written = os.write(descriptor, data[: len(data) // 2])
            if code is None:
                return written
            raise OSError(code, os.strerror(code))
        return os.write(descriptor, data)

    def _write_at(self, descriptor: int, data: bytes, offset: int) -> int:
        number = self._count("write_at")
        if number in self.failing:
            code = self.failing[number]
            written = os.pwrite(descriptor, data[: len(data) // 2], offset)
            if code is None:
                return written
            raise OSError(code, os.strerror(code))
        return os.pwrite(descriptor, data, offset)

    def _truncate(self, descriptor: int, length: int) -> None:
        self._check("truncate")
        os.ftruncate(descriptor, length)

    def _sync_data(self, descriptor: int) -> None:
        self._check("sync_data")

    def _sync(self, descriptor: int) -> None:
        self._check("sync")

    def _count(self, name: str) -> int:
        self.calls.append(name)
        return len(self.calls) - 1

    def _check(self, name: str) -> None:
        number = self._count(name)
        if number in self.failing:
            code = self.failing[number] or errno.EIO
            raise OSError(code, os.strerror(code))


@dataclass
class _Image:
    """One file as the platters have it, and what the cache still holds back."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Callable[[bytearray], None]] = field(default_factory=lambda: list[Callable[[bytearray], None]]())


class ForgetfulDisk:
    """Keeps, beside the real files, what a power cut would leave of them.

    A write reaches the image with the next sync that succeeds. A sync that fails drops the pending writes for
    good though every reader still sees them, as Linux does: the next sync succeeds and proves nothing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._images: dict[int, _Image] = {}
        self.fail_next_sync = False
        self.fail_next_write: int | None = None
        """How many bytes the next write leaves behind before it fails."""

    @property
    def ops(self) -> FileOps:
        return FileOps(self._write, self._write_at, self._truncate, self._sync_data, lambda _: None)

    def cut_power(self, pending: Callable[[int], int]) -> None:
        """Every file becomes what the platters have, with so many of its pending writes as `pending` says."""
        for path in self._directory.iterdir():
            image = self._images.get(path.stat().st_ino)
            if image is not None:
                for change in image.pending[: pending(len(image.pending))]:
                    change(image.synced)
                image.pending.clear()
                path.write_bytes(image.synced)

    def _image(self, descriptor: int) -> _Image:
        return self._images.setdefault(os.fstat(descriptor).st_ino, _Image())

    def _write(self, descriptor: int, data: bytes) -> int:
        length, self.fail_next_write = self.fail_next_write, None
        part = data if length is None else data[:length]
        offset = os.fstat(descriptor).st_size
        os.write(descriptor, part)
        self._remember(descriptor, part, offset)
        if length is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(part)

    def _write_at(self, descriptor: int, data: bytes, offset: int) -> int:
        os.pwrite(descriptor, data, offset)
        self._remember(descriptor, data, offset)
        return len(data)

    def _remember(self, descriptor: int, data: bytes, offset: int) -> None:
        def change(image: bytearray) -> None:
            image.extend(b"\0" * (offset - len(image)))
            image[offset : offset + len(data)] = data

        self._image(descriptor).pending.append(change)

    def _truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

        def change(image: bytearray) -> None:
            del image[length:]

        self._image(descriptor).pending.append(change)

    def _sync_data(self, descriptor: int) -> None:
        image = self._image(descriptor)
        if self.fail_next_sync:
            self.fail_next_sync = False
            image.pending.clear()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        for change in image.pending:
            change(image.synced)
        image.pending.clear()
