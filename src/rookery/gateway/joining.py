"""Messages that come while a turn is answered and join it: the `Steering` of its run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from rookery.gateway import entries
from rookery.gateway.answering import Answering
from rookery.gateway.attachments import Files
from rookery.gateway.shelf import where
from rookery.gateway.standing import Standing
from rookery.gateway.turns import Turn
from rookery.gateway.watchers import TurnJoined, Watchers
from rookery.ids import EntryId, TurnId
from rookery.messages import MessageEntry


class Joining:
    """What comes meanwhile for one turn. `stand` asks the store for the rights of a message that had to wait,
    `gather` opens what came with messages besides words."""

    def __init__(
        self,
        answering: Answering,
        *,
        stand: Callable[[Turn], Awaitable[Standing]],
        gather: Callable[[Sequence[Turn], Standing], Awaitable[Mapping[TurnId, Files]]],
        watchers: Watchers,
        now: Callable[[], datetime],
    ) -> None:
        self._answering = answering
        self._stand = stand
        self._gather = gather
        self._watchers = watchers
        self._now = now

    async def next(self, entry_id: EntryId) -> MessageEntry | None:
        """What came since, as one user entry of that id; None when nothing did.

        Somebody who was let in when the turn began and is no more does not get in by it: the message stays where
        it waits, and is refused as a turn of its own. Raises `StorageUnavailable` when rights cannot be read.
        """
        answering = self._answering
        turns = answering.batch.joining()
        if not turns:
            return None
        standing = await self._stand(turns[0])  # they are all of one hand
        if not standing.decision or standing.agent is None:
            return None
        files = await self._gather(turns, standing)
        return entries.user_entry(
            turns,
            answering.session,
            standing.agent,
            files,
            self._now(),
            entry_id=entry_id,
            turn_id=answering.leader.turn_id,
        )

    def joined(self, entry: MessageEntry) -> None:
        """The entry is in the transcript: its messages are answered and end with the turn."""
        batch = self._answering.batch
        batch.join(entry.accepted)
        self._watchers.tell(where(batch.leader), TurnJoined(batch.leader.turn_id, batch.turn_ids))
