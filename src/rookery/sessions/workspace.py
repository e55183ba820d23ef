"""The files of one agent: what it is told about itself, and what it writes. Each has a path in the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class WorkspaceFile(Struct, frozen=True):
    """One file; `path` is relative, its parts joined by '/', `size` in bytes."""

    path: str
    size: int
    changed_at: datetime


class Workspace(Protocol):
    """The files of one agent. No path leads out of it, whatever lies there.

    Every method raises `InvalidInput` for a path that is none of a workspace, and `StorageUnavailable`.
    """

    async def read(self, path: str) -> bytes:
        """What a file holds. Raises `NotFound`, and `StorageCorrupt` for what is there and no plain file."""
        ...

    async def write(self, path: str, data: bytes) -> WorkspaceFile:
        """Put a file there, whole or not at all, in the place of one of that path. Raises `InvalidInput` for one
        that is too large."""
        ...

    async def remove(self, path: str) -> None:
        """Take a file away. Raises `NotFound`."""
        ...

    async def listed(self) -> Sequence[WorkspaceFile]:
        """Every file, by path."""
        ...
