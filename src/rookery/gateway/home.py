"""The home directory: where everything of one gateway lies, and the lock that lets one process at it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from rookery.errors import Conflict


class Home(Struct, frozen=True):
    """The paths of a home; nothing is made before `prepare`."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "rookery.yaml"

    @property
    def database(self) -> Path:
        return self.path / "gateway.db"

    @property
    def agents(self) -> Path:
        return self.path / "agents"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def log(self) -> Path:
        return self.logs / "rookery.jsonl"

    @property
    def audit_heads(self) -> Path:
        return self.logs / "audit-heads.jsonl"

    @property
    def socket(self) -> Path:
        return self.path / "rookery.sock"

    @property
    def lock(self) -> Path:
        return self.path / "gateway.lock"

    def prepare(self) -> None:
        """Make the directories, for this user alone. Raises `OSError`."""
        for directory in (self.path, self.agents, self.logs, self.path / "share"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the home: nobody else opens its state meanwhile. Raises `Conflict` when somebody does already.

        The lock is the kernel's, so it ends with the process however that ends.
        """
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    f"{self.path} is in use by another process; stop it, or wait until its command has finished."
                ) from None
            yield
        finally:
            os.close(descriptor)
