"""One open session: its transcript in memory, kept equal to what is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from rookery.errors import NotFound
from rookery.ids import EntryId, SessionId, TurnId
from rookery.messages import AnyEntry, Entry, Header, MessageEntry, encode_line
from rookery.models import PromptMessage
from rookery.sessions.summary import SessionSummary, begin, fold
from rookery.sessions.transcripts import Rewrite, Transcript, Transcripts


class Session:
    """A session of one brain, opened by `Brain.session` or `Brain.open_session`; one object per session.

    What it shows is on disk: an append changes it only once it has been synced.
    """

    def __init__(
        self,
        transcripts: Transcripts,
        header: Header,
        transcript: Transcript | None,
        grown: Callable[[Session, int], None],
    ) -> None:
        """`transcript` is None for a session that is still to be written; `grown` is told of each append."""
        self.header = header
        self.size = 0
        """The length of its transcript in bytes."""
        self.unreadable = 0
        """How many lines of the transcript could not be read and are left out."""
        self._transcripts = transcripts
        self._grown = grown
        self._lock = asyncio.Lock()
        self._written = False
        self._removed = False
        self._entries: list[AnyEntry] = []
        self._messages: list[PromptMessage] = []
        self._turns: dict[TurnId, list[AnyEntry]] = {}
        self._ids: set[EntryId] = set()
        self._summary = begin(header)
        # Where others append too: the mark up to which we have read, and how many entries there are until it.
        self._mark = 0
        self._marked = 0
        if transcript is not None:
            self._written = transcript.header is not None
            self._take(transcript.entries, transcript.size)
            self.unreadable = transcript.unreadable
            self._mark, self._marked = transcript.end, len(self._entries)

    @property
    def id(self) -> SessionId:
        return self.header.id

    @property
    def entries(self) -> Sequence[AnyEntry]:
        """Everything in the transcript, in its order, entries of unknown types included."""
        return self._entries

    @property
    def messages(self) -> Sequence[PromptMessage]:
        """What was said, in order, as prompts are built from it; an entry without words, such as an answer
        that failed at once, is none of it."""
        return self._messages

    @property
    def summary(self) -> SessionSummary:
        return self._summary

    @property
    def title(self) -> str | None:
        return self._summary.title

    @property
    def label(self) -> str | None:
        return self._summary.label

    @property
    def tags(self) -> tuple[str, ...]:
        return self._summary.tags

    @property
    def status(self) -> str:
        return self._summary.status

    @property
    def last_entry_id(self) -> EntryId | None:
        return self._entries[-1].id if self._entries else None

    def entries_of(self, turn_id: TurnId) -> Sequence[AnyEntry]:
        """What the turn has written so far, in order; empty for a turn that wrote nothing."""
        return self._turns.get(turn_id, ())

    async def append(self, *entries: Entry) -> None:
        """Write entries at the end, in one write; they are on disk, and part of the session, on return.

        An entry that names no parent gets the one before it. An id that is there already is left as it is.
        Without entries it only makes sure that the session is written. Raises `StorageUnavailable`: then the
        session is as before, and the same call again is the way to go on. Raises `NotFound` once it was removed.
        What was begun is finished also when the caller is cancelled.
        """
        task = asyncio.create_task(self._append(entries))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # The brain stays pinned until the disk has answered, however often we are cancelled.
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # being cancelled is what the caller learns
            raise

    async def remove(self) -> None:
        """Delete the session's transcript; whoever still holds the session finds that it takes nothing any more.

        Raises `StorageUnavailable`: then the same call again is the way to go on.
        """
        async with self._lock:
            await self._transcripts.remove(self.id)
            self._removed = True

    async def rewrite(self, change: Rewrite) -> None:
        """Put what `change` makes of each entry in its place. What is being asked goes on as it was asked.

        Raises `StorageUnavailable`: then the same call again is the way to go on.
        """
        async with self._lock:
            transcript = await self._transcripts.rewrite(self.id, change)
            if transcript is None:
                return
            before = self.size
            self._entries, self._messages, self._turns, self._ids = [], [], {}, set()
            self._summary, self.size, self.unreadable = begin(self.header), 0, transcript.unreadable
            self._take(transcript.entries, transcript.size)
            self._mark, self._marked = transcript.end, len(self._entries)
            self._grown(self, self.size - before)

    async def refresh(self) -> None:
        """Take in what other processes have added. Returns at once where there are none."""
        if not self._transcripts.shared:
            return
        async with self._lock:
            news = await self._transcripts.news(self.id, self._mark)
            mine = self._entries[self._marked :]
            if [entry.id for entry in news.entries] != [entry.id for entry in mine]:
                self._replace_tail(news, sum(map(_length, mine)))
            self.unreadable += news.unreadable
            self._mark, self._marked = news.end, len(self._entries)

    async def _append(self, entries: Sequence[Entry]) -> None:
        async with self._lock:
            if self._removed:
                raise NotFound(f"There is no session {self.id!r}.")
            fresh = self._chain(entries)
            if not fresh and self._written:
                return
            size = await self._transcripts.append(self.id, self.header, fresh)
            self._written = True
            self._take(fresh, size)
            self._grown(self, size)

    def _chain(self, entries: Sequence[Entry]) -> list[AnyEntry]:
        parent = self.last_entry_id
        fresh: dict[EntryId, AnyEntry] = {}
        for entry in entries:
            if entry.id in self._ids or entry.id in fresh:
                continue
            chained = entry
            if entry.parent_id is None and parent is not None:
                chained = msgspec.structs.replace(entry, parent_id=parent)
            fresh[entry.id] = chained
            parent = entry.id
        return list(fresh.values())

    def _take(self, entries: Sequence[AnyEntry], size: int) -> None:
        self.size += size
        self._summary = fold(self._summary, entries)
        for entry in entries:
            self._entries.append(entry)
            self._ids.add(entry.id)
            if entry.turn_id is not None:
                self._turns.setdefault(entry.turn_id, []).append(entry)
            if isinstance(entry, MessageEntry) and entry.content:
                self._messages.append(PromptMessage(entry))

    def _replace_tail(self, news: Transcript, old_size: int) -> None:
        """Others wrote between our own entries: what follows the mark is what they and we wrote, in its order."""
        kept = self._entries[: self._marked]
        encoded = {message.entry.id: message for message in self._messages}
        grown = news.size - old_size
        size = self.size + grown
        self._entries, self._messages, self._turns, self._ids = [], [], {}, set()
        self._summary = begin(self.header)
        self._take((*kept, *news.entries), 0)
        # An encoding that was made is kept: the same bytes go out on every call.
        self._messages = [encoded.get(message.entry.id, message) for message in self._messages]
        self.size = size
        self._grown(self, grown)


def _length(entry: AnyEntry) -> int:
    return len(encode_line(entry))
