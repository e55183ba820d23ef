"""Attachments as files: `attachments/<id>`, and `attachments/<id>.json` with what is known of it.

The second file is written last: what has none was never kept, and is cleared away. Every file is opened beneath
its brain's directory, under a name that holds no more than letters and digits, and never through a link.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import AsyncIterable, Generator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from rookery.errors import StorageCorrupt, StorageUnavailable
from rookery.ids import AgentId
from rookery.sessions.attachments import (
    FILE_LIMITS,
    Incoming,
    Limits,
    Stored,
    absent,
    decode_stored,
    encode_stored,
    is_attachment_id,
    look_at,
    require_room,
)
from rookery.sessions.disk import FileOps, make_directory, opened, put_whole, read_from
from rookery.storage.threads import WriterThreads

DIRECTORY = "attachments"

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY
_NOTES = ".json"
_UNFINISHED = ".unfinished"


class FileAttachments:
    """One brain's attachments, in the `attachments` directory of `home`, which is made with the first of them."""

    def __init__(
        self,
        home: Path,
        agent_id: AgentId,
        threads: WriterThreads,
        *,
        limits: Limits = FILE_LIMITS,
        ops: FileOps | None = None,
    ) -> None:
        self.limits = limits
        self._home = home
        self._threads = threads
        self._key = f"{agent_id}/{DIRECTORY}"
        self._ops = ops or FileOps()
        self._size: int | None = None  # of all together; None: to be counted

    async def add(
        self,
        name: str,
        content_type: str | None,
        data: bytes | AsyncIterable[bytes],
        *,
        added_by: str,
        created_at: datetime,
        attachment_id: str | None = None,
    ) -> Stored:
        incoming = await look_at(
            name,
            content_type,
            data,
            added_by=added_by,
            created_at=created_at,
            attachment_id=attachment_id,
            limit=self.limits.each,
        )
        return await self._threads.run(self._key, partial(self._add, incoming))

    async def get(self, attachment_id: str) -> Stored:
        return await self._threads.run(self._key, partial(self._get, attachment_id))

    async def read(self, attachment_id: str) -> bytes:
        return await self._threads.run(self._key, partial(self._read, attachment_id))

    async def listed(self) -> list[Stored]:
        return await self._threads.run(self._key, self._list)

    async def remove(self, attachment_id: str) -> None:
        await self._threads.run(self._key, partial(self._remove, attachment_id))

    async def size(self) -> int:
        return await self._threads.run(self._key, self._count)

    # --- in a writer thread, one at a time for each brain ----------------------------------------------------

    def _add(self, incoming: Incoming) -> Stored:
        stored = incoming.stored
        with self._told("kept"), self._beneath(make=True) as directory:
            found = self._find(directory, stored.id)
            if found is not None:
                return found
            taken = self._counted(directory)
            require_room(self.limits, stored.size, taken)
            self._size = None  # until both files are there, only a look around knows
            self._write(directory, stored.id, incoming.data)
            self._write(directory, f"{stored.id}{_NOTES}", encode_stored(stored))
            self._size = taken + stored.size
            return stored

    def _get(self, attachment_id: str) -> Stored:
        if not is_attachment_id(attachment_id):
            raise absent(attachment_id)
        with self._told("read"):
            try:
                with self._beneath() as directory:
                    found = self._find(directory, attachment_id)
            except FileNotFoundError:
                found = None
        if found is None:
            raise absent(attachment_id)
        return found

    def _read(self, attachment_id: str) -> bytes:
        stored = self._get(attachment_id)
        with self._told("read"):
            try:
                with self._beneath() as directory, opened(attachment_id, os.O_RDONLY, beneath=directory) as file:
                    data = read_from(file, 0, stored.size + 1)
            except FileNotFoundError:
                data = b""
        if len(data) != stored.size or hashlib.sha256(data).hexdigest() != stored.sha256:
            raise StorageCorrupt(f"Attachment {attachment_id!r} is not as it was kept; restore it from a backup.")
        return data

    def _list(self) -> list[Stored]:
        with self._told("listed"):
            try:
                with self._beneath() as directory:
                    names = sorted(name for name in os.listdir(directory) if name.endswith(_NOTES))
                    found = [self._find(directory, name.removesuffix(_NOTES)) for name in names]
            except FileNotFoundError:
                return []
        return [stored for stored in found if stored is not None]

    def _remove(self, attachment_id: str) -> None:
        if not is_attachment_id(attachment_id):
            return
        with self._told("deleted"):
            try:
                with self._beneath() as directory:
                    self._size = None
                    # In this order: a crash in between leaves a file that the next count clears away.
                    for name in (f"{attachment_id}{_NOTES}", attachment_id):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=directory)
                        self._ops.sync(directory)
            except FileNotFoundError:
                return

    def _count(self) -> int:
        with self._told("counted"):
            try:
                with self._beneath() as directory:
                    return self._counted(directory)
            except FileNotFoundError:
                return 0

    def _counted(self, directory: int) -> int:
        """How many bytes there are; what a crash left behind is deleted first."""
        if self._size is None:
            names = set(os.listdir(directory))
            kept = {name.removesuffix(_NOTES) for name in names if name.endswith(_NOTES)}
            for name in names:
                if name.endswith(_UNFINISHED) or (is_attachment_id(name) and name not in kept):
                    os.unlink(name, dir_fd=directory)
            self._size = sum(
                os.stat(name, dir_fd=directory, follow_symlinks=False).st_size for name in kept & names
            )
        return self._size

    def _find(self, directory: int, attachment_id: str) -> Stored | None:
        try:
            with opened(f"{attachment_id}{_NOTES}", os.O_RDONLY, beneath=directory) as file:
                line = read_from(file, 0, os.fstat(file).st_size)
        except FileNotFoundError:
            return None
        try:
            return decode_stored(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StorageCorrupt(
                f"What is known of attachment {attachment_id!r} cannot be read; restore it from a backup."
            ) from error

    def _write(self, directory: int, name: str, data: bytes) -> None:
        """A file that is there under its name whole and synced, or not at all."""
        put_whole(directory, name, data, self._ops, unfinished=f"{name}{_UNFINISHED}", beside=directory)

    @contextmanager
    def _beneath(self, *, make: bool = False) -> Generator[int]:
        """The descriptor of the directory, reached without following a link."""
        if make:
            make_directory(self._home / DIRECTORY, self._ops)
        with (
            opened(self._home, _DIRECTORY_FLAGS) as home,
            opened(DIRECTORY, _DIRECTORY_FLAGS, beneath=home) as directory,
        ):
            yield directory

    @contextmanager
    def _told(self, verb: str) -> Generator[None]:
        """Say a disk's failure in our words."""
        try:
            yield
        except OSError as error:
            where = str(self._home / DIRECTORY)
            raise StorageUnavailable(f"An attachment in {where!r} cannot be {verb}: {error}.") from error
