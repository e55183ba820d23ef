"""Calls that a person has to allow first: what a run asks of whoever asks the person."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rookery.ids import EntryId
from rookery.messages import ToolCallPart


@dataclass(frozen=True, slots=True)
class Wish:
    """One call that waits for a yes: the call of this place in this entry, and in words what it would do."""

    entry_id: EntryId
    place: int
    call: ToolCallPart
    words: str


class Verdict(StrEnum):
    """How it stands with a wish."""

    ASKED = "asked"
    ALLOWED = "allowed"
    DENIED = "denied"
    EXPIRED = "expired"
    """Nobody answered in time."""

    USED = "used"
    """It was allowed, and the call was begun."""

    NOBODY = "nobody"
    """There is nobody who could be asked."""


class Approvals(Protocol):
    """Asks the one person whose turn it is. An answer holds for exactly that call, and for one."""

    async def ask(self, wish: Wish) -> Verdict:
        """How it stands, after asking the person when that was not done yet; what was asked is kept first.

        Raises `StorageUnavailable`.
        """
        ...

    async def answered(self, wish: Wish) -> Verdict:
        """Wait until it is not `ASKED` any more. May be cancelled at any point.

        Raises `Interrupted` when the gateway stops, `StorageUnavailable`.
        """
        ...

    async def use(self, wish: Wish) -> bool:
        """Take the yes for the call that is made now; False when there is none for exactly this call, or the
        person may not have it made any more. Kept before this returns. Raises `StorageUnavailable`."""
        ...

    async def withdraw(self, wish: Wish) -> None:
        """Nobody waits for the answer any more. Raises `StorageUnavailable`."""
        ...


class NobodyToAsk:
    """No person is there who could allow anything."""

    async def ask(self, wish: Wish) -> Verdict:
        """Nobody."""
        del wish
        return Verdict.NOBODY

    async def answered(self, wish: Wish) -> Verdict:
        """Nobody."""
        del wish
        return Verdict.NOBODY

    async def use(self, wish: Wish) -> bool:
        """There is no yes."""
        del wish
        return False

    async def withdraw(self, wish: Wish) -> None:
        """Nothing was asked."""
        del wish
