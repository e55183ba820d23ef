"""Where the master key lies: in a file of the home, in the environment, or in the keyring of the system.

During a rotation there are two: what is sealed from then on is sealed with the new one, and the old one still
opens what has not been sealed anew. Everything here may wait for the disk: none of it is done in the event loop.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib
import os
import secrets
import stat
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rookery.errors import ConfigError, StorageCorrupt, StorageUnavailable
from rookery.gateway.hardening import taken
from rookery.sessions.disk import FileOps, opened, read_from, sync_directory, write_all
from rookery.storage.sealing import KEY_BYTES

VARIABLE = "ROOKERY_MASTER_KEY"
OLD_VARIABLE = "ROOKERY_MASTER_KEY_OLD"
FILE = "master.key"
_NEXT = "next"
_SERVICE = "rookery"


@dataclass(frozen=True, slots=True)
class Held:
    """The master key; `old` is the one before, while something may still be sealed with it."""

    current: bytes = field(repr=False)
    old: bytes | None = field(default=None, repr=False)


class MasterKeySource(Protocol):
    """The place of the master key."""

    where: str
    """The place in words, as in 'the master key in …'."""

    def read(self) -> Held | None:
        """What is there; None when there is none yet.

        Raises `ConfigError` and `StorageUnavailable` for one that cannot be used, in words that say what would do.
        """
        ...

    def make(self) -> Held:
        """Make the first one; it is there to stay when this returns. Raises like `read`."""
        ...

    def begin(self) -> Held | None:
        """See to a new one beside the old; one that an earlier attempt made is taken. None when there is none yet.

        Raises like `read`, and `ConfigError` where the operator has to bring the new one.
        """
        ...

    def finish(self) -> str:
        """Forget the old one, for nothing is sealed with it any more; returns what is left for the operator to do,
        '' for nothing. Raises like `read`."""
        ...


class FileKey:
    """`master.key` in the home: 32 bytes that only this user can read; in a rotation also `master.key.next`."""

    def __init__(self, home: Path, *, ops: FileOps | None = None) -> None:
        self._path = home / FILE
        self._next = home / f"{FILE}.{_NEXT}"
        self._ops = ops or FileOps()
        self.where = str(self._path)

    def read(self) -> Held | None:
        """See `MasterKeySource.read`."""
        key, coming = self._read(self._path), self._read(self._next)
        if coming is not None:
            return Held(coming, key)
        return None if key is None else Held(key)

    def make(self) -> Held:
        """See `MasterKeySource.make`."""
        return Held(self._make(self._path))

    def begin(self) -> Held | None:
        """See `MasterKeySource.begin`."""
        held = self.read()
        if held is None or held.old is not None:
            return held
        if os.path.lexists(self._next):
            self.finish()  # somebody took the old one away
        return Held(self._make(self._next), held.current)

    def finish(self) -> str:
        """See `MasterKeySource.finish`."""
        with self._told(self._path, "replaced"):
            with contextlib.suppress(FileNotFoundError):
                self._next.rename(self._path)
            sync_directory(self._path.parent, self._ops)
        return ""

    def _read(self, path: Path) -> bytes | None:
        with self._told(path, "read"):
            try:
                with opened(path, os.O_RDONLY | os.O_NONBLOCK) as file:
                    found = os.fstat(file)
                    key = read_from(file, 0, KEY_BYTES + 1)
            except FileNotFoundError:
                return None
        if not stat.S_ISREG(found.st_mode):
            raise StorageCorrupt(f"{str(path)!r} is no file; move away what lies there.")
        if found.st_mode & 0o077 or found.st_uid not in (os.geteuid(), 0):
            raise StorageCorrupt(
                f"Others on this machine can use the master key {str(path)!r}; it is not used until only its "
                f"owner can: chmod 600 {path}"
            )
        if len(key) != KEY_BYTES:
            raise StorageCorrupt(
                f"{str(path)!r} has to hold {KEY_BYTES} bytes, and does not; bring back the one there was."
            )
        return key

    def _make(self, path: Path) -> bytes:
        """A new key under a name that is free: there whole and synced, or not at all. The home's lock is ours."""
        key = secrets.token_bytes(KEY_BYTES)
        unfinished = path.with_name(f"{path.name}.unfinished")
        with self._told(path, "made"):
            if os.path.lexists(path):
                raise StorageCorrupt(f"{str(path)!r} is there already; it is not overwritten.")
            with contextlib.suppress(FileNotFoundError):
                unfinished.unlink()
            try:
                with opened(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                    write_all(file, key, self._ops)
                    self._ops.sync(file)
                unfinished.rename(path)
                sync_directory(path.parent, self._ops)
            except OSError:
                with contextlib.suppress(OSError):
                    unfinished.unlink()
                raise
        return key

    @contextlib.contextmanager
    def _told(self, path: Path, verb: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise StorageUnavailable(f"The master key {str(path)!r} cannot be {verb}: {why}.") from error


class EnvironmentKey:
    """The key that the process was started with, in `ROOKERY_MASTER_KEY`; the operator keeps it."""

    where = f"the environment ({VARIABLE})"

    def __init__(self, key: str | None, old: str | None = None) -> None:
        """Raises `ConfigError` for what is no key; an old one may be the same as the new."""
        current = None if key is None else _decoded(key, VARIABLE)
        before = None if old is None else _decoded(old, OLD_VARIABLE)
        self._held = None if current is None else Held(current, None if before == current else before)

    @classmethod
    def taken(cls) -> EnvironmentKey:
        """What this process was started with, out of its environment from here on. Raises `ConfigError`."""
        return cls(taken(VARIABLE), taken(OLD_VARIABLE))

    def read(self) -> Held:
        """See `MasterKeySource.read`; never None."""
        if self._held is None:
            raise ConfigError(
                f"secrets.masterKey is 'env', and {VARIABLE} is not set; give it {KEY_BYTES} random bytes in "
                f"base64: openssl rand -base64 {KEY_BYTES}"
            )
        return self._held

    def make(self) -> Held:
        """See `MasterKeySource.make`."""
        return self.read()

    def begin(self) -> Held:
        """See `MasterKeySource.begin`."""
        held = self.read()
        if held.old is None:
            raise ConfigError(
                f"The master key comes from the environment, so the new one is yours to bring: restart with the "
                f"new one in {VARIABLE} and the one before in {OLD_VARIABLE}, then run this again."
            )
        return held

    def finish(self) -> str:
        """See `MasterKeySource.finish`."""
        return f"Take {OLD_VARIABLE} out of the environment now."


class KeyringKey:
    """The key in the keyring of the system, by the path of the home. Needs the extra `keyring`."""

    where = "the keyring of the system"

    def __init__(self, home: Path, keyring: Keyring | None = None) -> None:
        self._name = str(home)
        self._next = f"{home} {_NEXT}"
        self._keyring = keyring

    def read(self) -> Held | None:
        """See `MasterKeySource.read`."""
        key, coming = self._get(self._name), self._get(self._next)
        if coming is not None:
            return Held(coming, None if key == coming else key)
        return None if key is None else Held(key)

    def make(self) -> Held:
        """See `MasterKeySource.make`."""
        return Held(self._make(self._name))

    def begin(self) -> Held | None:
        """See `MasterKeySource.begin`."""
        held = self.read()
        if held is None or held.old is not None:
            return held
        if self._get(self._next) is not None:
            self.finish()  # killed in the middle of that, an earlier one left both names with one key
        return Held(self._make(self._next), held.current)

    def finish(self) -> str:
        """See `MasterKeySource.finish`."""
        coming = self._get(self._next)
        if coming is not None:
            self._put(self._name, coming)
            self._asked("delete_password", self._next)
        return ""

    def _make(self, name: str) -> bytes:
        key = secrets.token_bytes(KEY_BYTES)
        self._put(name, key)
        return key

    def _get(self, name: str) -> bytes | None:
        kept = self._asked("get_password", name)
        return None if kept is None else _decoded(str(kept), f"the keyring's entry {name!r} of {_SERVICE!r}")

    def _put(self, name: str, key: bytes) -> None:
        self._asked("set_password", name, base64.b64encode(key).decode())

    def _asked(self, what: str, *arguments: str) -> object:
        try:
            keyring = self._keyring or importlib.import_module("keyring")
        except ImportError as error:
            raise ConfigError(
                "secrets.masterKey is 'keyring', which needs more: pip install 'rookery[keyring]'"
            ) from error
        try:
            return getattr(keyring, what)(_SERVICE, *arguments)
        except Exception as error:  # every backend has its own
            raise StorageUnavailable(
                f"The keyring of the system does not answer ({type(error).__name__})."
            ) from None


class Keyring(Protocol):
    """What is used of the library `keyring`."""

    def get_password(self, service: str, name: str, /) -> str | None: ...
    def set_password(self, service: str, name: str, password: str, /) -> None: ...
    def delete_password(self, service: str, name: str, /) -> None: ...


class MemoryKey:
    """A master key that is gone with the process: for what keeps nothing sealed, and for tests."""

    where = "memory"

    def __init__(self) -> None:
        self.held: Held | None = None

    def read(self) -> Held | None:
        return self.held

    def make(self) -> Held:
        self.held = Held(secrets.token_bytes(KEY_BYTES))
        return self.held

    def begin(self) -> Held | None:
        if self.held is not None and self.held.old is None:
            self.held = Held(secrets.token_bytes(KEY_BYTES), self.held.current)
        return self.held

    def finish(self) -> str:
        assert self.held is not None, "a rotation ends that was begun"
        self.held = Held(self.held.current)
        return ""


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(
            text.strip().encode(), altchars=b"-_" if set("-_") & set(text) else None, validate=True
        )
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        # Its words hold nothing of it: it may be the right key with a character missing.
        raise ConfigError(f"{where} has to be {KEY_BYTES} bytes in base64, such as of: openssl rand -base64 32")
    return key
