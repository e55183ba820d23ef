"""The port: submit a unit of work, await its commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

Work = Callable[[Connection], T]
"""A unit of work: a plain function of a connection, in one transaction of its own.

It may be run more than once before it commits (a batch that failed, a deadlock), so it touches nothing but
the connection; what it raises undoes it and reaches the caller.
"""


class Database(Protocol):
    """One database, embedded or served."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which of the two kinds of database this is."""
        ...

    async def write(self, work: Work[T], *, then: Callable[[T], None] | None = None, relaxed: bool = False) -> T:
        """Run `work` in one transaction; returns when it is committed and synced.

        Writes with `then` commit in the order in which they are submitted. It is called in the event loop right
        after the commit, in that same order, also when the caller has been cancelled meanwhile: it is how others
        are told of what is now true. Raises what `work` raises, or `StorageUnavailable` when the commit failed;
        in both cases nothing of it is there.

        `relaxed` returns before it is synced: it outlives this process, but until the next write that is synced a
        power cut (or a crash of the database's own server) may undo it. It never makes anybody else's write less
        lasting: whatever is synced after it has it synced too.
        """
        ...

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one consistent snapshot that holds every write committed before the call."""
        ...

    async def scrub(self, *, whole: bool = True) -> None:
        """Leave nothing in the files of what was deleted before the call, as far as that is this process's to do.

        With SQLite the log is emptied and, if `whole`, the database file written anew; writes wait meanwhile. On
        PostgreSQL that is the server's own work, and nothing happens here. Raises `StorageUnavailable`.
        """
        ...

    async def close(self) -> None:
        """Finish what was submitted, then close. Later calls raise `StorageUnavailable`."""
        ...
