"""Messages that come while a run is at work and enter it before its next step."""

from __future__ import annotations

from typing import Protocol

from rookery.ids import EntryId
from rookery.messages import MessageEntry


class Steering(Protocol):
    """What was typed meanwhile, by whom the run answers."""

    async def next(self, entry_id: EntryId) -> MessageEntry | None:
        """What has come since, as one user entry of that id; None when nothing has.

        Asking takes nothing: what was not `joined` goes on waiting. May be cancelled at any point. Raises
        `StorageUnavailable` when the store cannot say who may still join.
        """
        ...

    def joined(self, entry: MessageEntry) -> None:
        """The entry is in the transcript: the run answers for the messages it names. Never waits."""
        ...


class NoSteering:
    """Nothing enters: what comes meanwhile is answered afterwards."""

    async def next(self, entry_id: EntryId) -> MessageEntry | None:
        """Nothing."""
        del entry_id
        return None

    def joined(self, entry: MessageEntry) -> None:
        """Never told."""
        del entry
        raise AssertionError("nothing was handed out")
