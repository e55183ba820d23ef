"""The port to one brain's transcripts, and to the list of its sessions.

`jsonl.py` and `index.py` keep them as files, `rows.py` on PostgreSQL, `twin.py` in memory. Each speaks for one
agent only: nothing here takes the name of another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from rookery.errors import InvalidId, StorageCorrupt
from rookery.ids import SessionId
from rookery.messages import AnyEntry, Header, decode_entry, decode_header
from rookery.sessions.summary import SessionSummary


class Transcript(Struct, frozen=True):
    """A transcript, or its later part, as it was read.

    `header` is None where none of the lines read is a header. `unreadable` counts whole lines that are no
    entry; they stay where they are. `end` is the mark behind the last line, for `Transcripts.news`. `size` is
    the length in bytes.
    """

    header: Header | None
    entries: tuple[AnyEntry, ...]
    unreadable: int
    end: int
    size: int


class ProblemKind(StrEnum):
    """What a look at a brain's storage can find."""

    TORN = "torn"
    """A line broke off in a crash; its bytes are kept aside, nothing acknowledged is missing."""

    UNREADABLE = "unreadable"
    """Whole lines are no entries; they are kept and left out of prompts."""

    NO_HEADER = "no_header"
    """A transcript's first line cannot be read."""

    PERMISSIONS = "permissions"
    """Others on this machine may read or change what is private, or it is no plain file."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing found; `where` names the file or session, `detail` says what it is and the remedy."""

    kind: ProblemKind
    where: str
    detail: str


Rewrite = Callable[[AnyEntry], AnyEntry]
"""What an entry is to be from now on, under the same id; called in any thread."""


class Transcripts(Protocol):
    """All transcripts of one agent."""

    shared: bool
    """Whether other processes append to the same transcripts, so that `news` is worth asking for."""

    async def append(self, session_id: SessionId, header: Header, entries: Sequence[AnyEntry]) -> int:
        """Add entries at the end, all of them in one write; on disk when it returns.

        The header goes first when the transcript has none yet. An entry whose id is there already is not
        written again. Returns how many bytes of lines were written. Appends to one session take place in the
        order of the calls. Raises `StorageUnavailable` when nothing may be counted on: each entry is then
        there whole or not at all, and the same call again is the way to go on. Raises `InvalidId` for a
        session id that can name no transcript.
        """
        ...

    async def load(self, session_id: SessionId) -> Transcript | None:
        """The whole transcript, all of it on disk; None when there is none.

        A last line that a crash broke off is set aside first. Raises `StorageUnavailable`.
        """
        ...

    async def news(self, session_id: SessionId, after: int) -> Transcript:
        """What follows the mark `after`, in order; empty where `shared` is false."""
        ...

    async def list_ids(self) -> list[SessionId]:
        """Every session that has a transcript, sorted."""
        ...

    async def export(self, session_id: SessionId) -> bytes | None:
        """The transcript as JSON lines, unreadable ones included; None when there is none."""
        ...

    async def rewrite(self, session_id: SessionId, change: Rewrite) -> Transcript | None:
        """Put what `change` makes of each entry in its place, ids and order kept; None when there is none.

        In one step that survives a power cut. Lines that cannot be read, and what is kept aside, are gone then:
        nobody can say whose words they hold. Raises `StorageUnavailable`: then the same call again is the way on.
        """
        ...

    async def remove(self, session_id: SessionId) -> None:
        """Delete a transcript and everything kept aside of it; gone from the disk when it returns.

        One that is not there is gone already. Raises `StorageUnavailable`: then the same call again is the way on.
        """
        ...

    async def problems(self) -> list[Problem]:
        """Look at every transcript and say what is wrong; changes nothing."""
        ...


class Summaries(Protocol):
    """The list of one agent's sessions."""

    def changed(self, session_id: SessionId) -> None:
        """Note that the session's transcript has grown; costs nothing."""
        ...

    async def page(self, limit: int, cursor: str | None) -> list[SessionSummary]:
        """The sessions, latest first, from behind the `cursor` of an earlier page; never older than the call.

        Raises `InvalidInput` for a cursor that is none.
        """
        ...

    async def find(self, session_id: SessionId) -> SessionSummary | None:
        """One session's summary; None when it has no transcript with a header."""
        ...

    async def catch_up(self) -> None:
        """Bring the list up to date with what has changed; a good use of idle time, never needed before `page`."""
        ...

    async def rebuild(self) -> None:
        """Make the list anew from the transcripts alone."""
        ...

    async def close(self) -> None:
        """Give back what is held open."""
        ...


def check_session_id(session_id: SessionId) -> None:
    """Raises `InvalidId` for a session id that may not become part of a file's name."""
    if not is_session_id(session_id):
        raise InvalidId(f"{session_id!r} is not a session id: letters, digits, '-' and '_', at most 128.")


def is_session_id(text: str) -> bool:
    """Whether this can name a session at all."""
    return _SESSION_ID.fullmatch(text) is not None


def read_lines(lines: Iterable[bytes], *, end: int, size: int) -> Transcript:
    """Decode lines, given without their newlines; of entries with the same id the first one counts."""
    header: Header | None = None
    entries: dict[str, AnyEntry] = {}
    unreadable = 0
    for line in lines:
        try:
            entry = decode_entry(line)
        except StorageCorrupt:
            found = _header(line)
            # A header further down than the first line stands in for a first line that was damaged.
            header = header or found
            unreadable += found is None
        else:
            entries.setdefault(entry.id, entry)
    return Transcript(header, tuple(entries.values()), unreadable, end, size)


def _header(line: bytes) -> Header | None:
    try:
        return decode_header(line)
    except StorageCorrupt:
        return None


_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
