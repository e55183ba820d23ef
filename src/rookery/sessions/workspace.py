"""The files of one agent: what it is told about itself, and what it writes. Each has a path in the workspace.

`workspace_files.py` keeps them as files, `workspace_rows.py` on PostgreSQL, `twin.py` in memory. What a path may
be is decided here, once.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from rookery.errors import Conflict, InvalidInput, NotFound, Outdated, QuotaReached, TooLarge

MOST_FILES = 1000
"""How many files a workspace holds."""

LARGEST = 1 << 20
"""The largest file that is kept, in bytes."""

LONGEST_PATH, LONGEST_PART, MOST_PARTS = 1024, 255, 16
"""What a path may have: bytes together, bytes between two '/', and parts."""

ABSENT = ""
"""The version of a file that is not there."""


class WorkspaceFile(Struct, frozen=True):
    """One file; `path` is relative, its parts joined by '/', `size` in bytes."""

    path: str
    size: int
    changed_at: datetime


class Workspace(Protocol):
    """The files of one agent. No path leads out of it, whatever lies there.

    Paths differ when their bytes do: by case, and by how an accent is written. Every method raises `InvalidInput`
    for a path that is none of a workspace, and `StorageUnavailable`.
    """

    async def read(self, path: str) -> bytes:
        """What a file holds. Raises `NotFound`, and `StorageCorrupt` for what is there and no plain file, or one
        too large to have been written here."""
        ...

    async def write(self, path: str, data: bytes, *, expected: str | None = None) -> WorkspaceFile:
        """Put a file there, whole or not at all, in the place of one of that path.

        `expected` is the `version_of` what is there, or `ABSENT`; None takes whatever there is. Raises `Outdated`
        when something else is there, `Conflict` when the path leads through a file or names a directory,
        `TooLarge`, and `QuotaReached` for one file too many.
        """
        ...

    async def remove(self, path: str, *, expected: str | None = None) -> None:
        """Take a file away. Raises `NotFound`, and `Outdated` as `write` does."""
        ...

    async def listed(self) -> Sequence[WorkspaceFile]:
        """Every file, in the order of their paths' bytes; `MOST_FILES` of them where something else wrote more."""
        ...

    async def beginnings(self, names: Collection[str], limit: int) -> Mapping[str, bytes]:
        """The first `limit` bytes of those of these files, at the top, that are there and are plain files.

        As they are now; cheap to ask again when nothing changed.
        """
        ...


def version_of(data: bytes) -> str:
    """What tells a file that holds this from one that holds anything else."""
    return hashlib.sha256(data).hexdigest()


def parts_of(path: str) -> tuple[str, ...]:
    """The parts of a path. Raises `InvalidInput` for one that is none of a workspace."""
    parts = tuple(path.split("/"))
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        raise InvalidInput("A path is valid UTF-8; this one holds a lone surrogate.") from None
    if sum(sizes) + len(sizes) - 1 > LONGEST_PATH or len(parts) > MOST_PARTS or max(sizes) > LONGEST_PART:
        raise InvalidInput(
            f"A path has at most {LONGEST_PATH} bytes, and {MOST_PARTS} parts of {LONGEST_PART} bytes at most."
        )
    if any(part in _NO_NAMES for part in parts):
        raise InvalidInput(f"{path!r} is no path in a workspace: no part may be empty, '.' or '..'.")
    if any(unicodedata.category(char) == "Cc" for char in path):
        raise InvalidInput(f"{path!r} is no path in a workspace: it holds a control character.")
    return parts


def check_size(data: bytes) -> None:
    """Raises `TooLarge`."""
    if len(data) > LARGEST:
        raise TooLarge(f"The file has {len(data)} bytes; a workspace keeps files of up to {LARGEST}.")


def check_version(path: str, expected: str | None, there: str) -> None:
    """Raises `Outdated` when something else is there than whoever changes it believes."""
    if expected is not None and expected != there:
        state = "is not there any more" if there == ABSENT else "was changed since"
        raise Outdated(f"{path!r} {state if expected != ABSENT else 'is there already'}; look at it again first.")


def check_count(count: int) -> None:
    """Raises `QuotaReached` when no further file fits beside so many."""
    if count >= MOST_FILES:
        raise QuotaReached(f"A workspace holds at most {MOST_FILES} files; remove some first.")


def absent(path: str) -> NotFound:
    """The error for a file that is not there."""
    return NotFound(f"There is no file {path!r}.")


def in_the_way(path: str, what: str) -> Conflict:
    """The error for a path that cannot be written: `what` lies there or on the way there."""
    return Conflict(f"{path!r} cannot be written: {what} is in its place or on the way to it.")


def clashes(path: str, others: Collection[str]) -> bool:
    """Whether `path` leads through one of the other files, or one of theirs through it."""
    parts = path.split("/")
    above = {"/".join(parts[:count]) for count in range(1, len(parts))}
    return any(other in above or other.startswith(f"{path}/") for other in others)


_NO_NAMES = frozenset({"", ".", ".."})
