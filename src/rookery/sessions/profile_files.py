"""An agent's keys as a file: `auth-profiles.json`, replaced as a whole and opened through no link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from rookery.errors import InvalidInput, StorageCorrupt, StorageUnavailable
from rookery.ids import AgentId
from rookery.messages.transcript import Moment
from rookery.sessions.disk import FileOps, make_directory, opened, put_whole, read_from
from rookery.sessions.profiles import Change, Profile, checked
from rookery.storage.threads import WriterThreads

FILE = "auth-profiles.json"
VERSION = 1
LARGEST = 4 << 20
"""The most bytes such a file may have."""

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY
_UNFINISHED = f"{FILE}.unfinished"


class FileProfiles:
    """One brain's profiles, in `home`, which is made with the first of them."""

    def __init__(
        self, home: Path, agent_id: AgentId, threads: WriterThreads, *, ops: FileOps | None = None
    ) -> None:
        self._home = home
        self._path = home / FILE
        self._threads = threads
        self._key = f"{agent_id}/{FILE}"
        self._ops = ops or FileOps()
        self._known: tuple[_Stamp, tuple[Profile, ...]] | None = None

    async def all(self) -> Sequence[Profile]:
        """See `Profiles.all`. As long as the file is the one that was read, this is one look at its stamp."""
        known = self._known
        if known is not None and known[0] == _stamp_of(self._path):
            return known[1]
        return await self._threads.run(self._key, self._read)

    async def change(self, change: Change) -> Sequence[Profile]:
        """See `Profiles.change`."""
        return await self._threads.run(self._key, partial(self._change, change))

    # --- in a writer thread, one at a time for each brain ----------------------------------------------------

    def _read(self) -> tuple[Profile, ...]:
        with self._told("read"):
            try:
                with (
                    opened(self._home, _DIRECTORY_FLAGS) as home,
                    # Whatever lies there, nothing is waited for.
                    opened(FILE, os.O_RDONLY | os.O_NONBLOCK, beneath=home) as file,
                ):
                    found = os.fstat(file)
                    if not stat.S_ISREG(found.st_mode):
                        raise StorageCorrupt(f"{str(self._path)!r} is no file; move away what lies there.")
                    if found.st_size > LARGEST:
                        raise StorageCorrupt(f"{str(self._path)!r} is too large; restore it from a backup.")
                    profiles = self._decode(read_from(file, 0, found.st_size))
            except FileNotFoundError:
                self._known = (None, ())
                return ()
        self._known = (_stamp(found), profiles)
        return profiles

    def _change(self, change: Change) -> tuple[Profile, ...]:
        before = self._read()
        after = checked(change(before))
        if after == before:
            return before
        self._known = None  # until it is known what lies there
        with self._told("written"):
            make_directory(self._home, self._ops)
            with opened(self._home, _DIRECTORY_FLAGS) as home:
                put_whole(home, FILE, _encode(after), self._ops, unfinished=_UNFINISHED, beside=home)
        return self._read()

    def _decode(self, data: bytes) -> tuple[Profile, ...]:
        where = str(self._path)
        try:
            read = _decode(data)
            return checked(
                [Profile(one.provider, one.name, one.sealed, one.last_four, one.added_at) for one in read]
            )
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # A file is never quoted: somebody may have written a key into it as it is.
            why = str(error) if isinstance(error, msgspec.ValidationError) else "it is no JSON"
            raise StorageCorrupt(f"{where!r} cannot be read: {why}. Restore it from a backup.") from None
        except InvalidInput as error:
            raise StorageCorrupt(f"{where!r} cannot be read: {error.detail} Restore it from a backup.") from None

    @contextmanager
    def _told(self, verb: str) -> Generator[None]:
        """Say a disk's failure in our words; a link in the way is one of them."""
        try:
            yield
        except OSError as error:
            where = str(self._path)
            if error.errno == errno.ELOOP:
                raise StorageCorrupt(
                    f"{where!r} is a link, and is not followed; put the file itself there."
                ) from error
            raise StorageUnavailable(f"{where!r} cannot be {verb}: {error.strerror or error}.") from error


class _Line(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    provider: str
    name: str
    sealed: str
    last_four: str
    added_at: Moment


class _File(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    version: Literal[1]
    profiles: tuple[_Line, ...]


_decoder = msgspec.json.Decoder(_File)

_Stamp = tuple[int, int, int, int] | None
"""What changes when a file does; None for one that is not there."""


def _decode(data: bytes) -> tuple[_Line, ...]:
    return _decoder.decode(data).profiles


def _encode(profiles: Sequence[Profile]) -> bytes:
    lines = tuple(
        _Line(
            provider=one.provider,
            name=one.name,
            sealed=one.sealed,
            last_four=one.last_four,
            added_at=one.added_at,
        )
        for one in profiles
    )
    return msgspec.json.format(msgspec.json.encode(_File(version=VERSION, profiles=lines)), indent=2) + b"\n"


def _stamp_of(path: Path) -> _Stamp:
    try:
        return _stamp(os.lstat(path))
    except OSError:
        return None


def _stamp(found: os.stat_result) -> _Stamp:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
