"""One call of a provider as the ledger knows it: what is said before it, and what after it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from rookery.ids import EntryId
from rookery.messages import Usage


class Purpose(StrEnum):
    """What a call was made for."""

    CHAT = "chat"
    """To answer somebody."""

    TITLE = "title"
    """To find a title for a session."""

    COMPACTION = "compaction"
    """To sum up the older part of a session."""

    MEMORY = "memory"
    """To find what is worth remembering."""

    EMBEDDING = "embedding"
    """To turn text into vectors."""


class Call(Struct, frozen=True):
    """A call that is about to be made.

    `call_id` is unique. `entry_id` is the transcript entry that the answer will become; several calls may be made
    for one entry, when one endpoint after another fails. `key_name` is what the key is called, None where none is
    needed. `projected` is a guess at what it will use. `waited` is how many seconds it waited for its turn.
    """

    call_id: str
    entry_id: EntryId
    purpose: Purpose
    provider: str
    model: str
    key_name: str | None
    projected: Usage
    waited: float


class CallEnd(Struct, frozen=True):
    """How a call ended. Times in seconds from its beginning.

    `usage` is what the provider counted; `estimated` in it where it did not, or was not heard to the end. `error`
    is a `ModelErrorKind`, or `cancelled` when we hung up; None for an answer. `first_token` is None when nothing
    came.
    """

    call_id: str
    usage: Usage
    error: str | None
    first_token: float | None
    seconds: float


class Meter(Protocol):
    """Counts the calls of one turn, for the one who pays for it."""

    async def begin(self, call: Call) -> None:
        """Keep what a call is expected to use; asked before the call is made, which waits for it.

        Raises `StorageUnavailable` when it cannot be kept; then the call is not made.
        """
        ...

    def end(self, end: CallEnd) -> Usage:
        """Take down how a call ended, and return what it used with what that costs. Never waits.

        It is kept with the next call's beginning or the turn's end, whichever comes first.
        """
        ...
