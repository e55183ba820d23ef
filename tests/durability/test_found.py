"""What these tests found once, told again without chance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from rookery.gateway import deliveries, turns
from rookery.storage import Database, Work
from tests.support.house import TestHouse

T = TypeVar("T")


class Overheard:
    """A database that remembers what was read, in order."""

    def __init__(self, inner: Database, reads: list[object]) -> None:
        self._inner = inner
        self._reads = reads

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._inner.dialect

    async def write(self, work: Work[T], *, then: Callable[[T], None] | None = None, relaxed: bool = False) -> T:
        return await self._inner.write(work, then=then, relaxed=relaxed)

    async def read(self, work: Work[T]) -> T:
        self._reads.append(work)
        return await self._inner.read(work)

    async def scrub(self, *, whole: bool = True) -> None:
        await self._inner.scrub(whole=whole)

    async def close(self) -> None:
        await self._inner.close()


async def test_what_waits_in_the_outbox_goes_before_what_is_answered_after_the_start(tmp_path: Path) -> None:
    """Lanes were filled first, and a turn that ended before the outbox was read had its reply sent too early."""
    reads: list[object] = []

    async with TestHouse(tmp_path, wrap_database=lambda database: Overheard(database, reads)):
        assert reads.index(deliveries.waiting) < reads.index(turns.unfinished)
