"""Transcripts and attachments in memory: all that the ports promise but that it lasts; for tests and `demo`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from rookery.errors import StorageCorrupt
from rookery.ids import SessionId
from rookery.messages import AnyEntry, Header, encode_line
from rookery.sessions.attachments import FILE_LIMITS, Incoming, Limits, Stored, absent, look_at, require_room
from rookery.sessions.profiles import Change, Profile, checked
from rookery.sessions.summary import SessionSummary, begin, fold, read_cursor
from rookery.sessions.transcripts import (
    Problem,
    ProblemKind,
    Rewrite,
    Transcript,
    check_session_id,
    is_session_id,
    read_lines,
)
from rookery.sessions.workspace import (
    ABSENT,
    WorkspaceFile,
    check_count,
    check_size,
    check_version,
    clashes,
    in_the_way,
    parts_of,
    version_of,
)
from rookery.sessions.workspace import absent as no_file


class MemoryTranscripts:
    """One agent's transcripts, as lines of bytes; `lines` may be looked at, and damaged, by a test."""

    shared = False

    def __init__(self) -> None:
        self.lines: dict[SessionId, list[bytes]] = {}
        self._ids: dict[SessionId, set[str]] = {}

    async def append(self, session_id: SessionId, header: Header, entries: Sequence[AnyEntry]) -> int:
        check_session_id(session_id)
        encoded = [(entry.id, encode_line(entry)) for entry in entries]
        lines = self.lines.setdefault(session_id, [])
        ids = self._ids.setdefault(session_id, set())
        before = sum(map(len, lines))
        if not lines:
            lines.append(encode_line(header))
        for entry_id, line in encoded:
            if entry_id not in ids:
                ids.add(entry_id)
                lines.append(line)
        return sum(map(len, lines)) - before

    async def load(self, session_id: SessionId) -> Transcript | None:
        return self.read(session_id)

    async def news(self, session_id: SessionId, after: int) -> Transcript:  # noqa: ARG002
        return Transcript(None, (), 0, after, 0)

    async def list_ids(self) -> list[SessionId]:
        return sorted(self.lines)

    async def export(self, session_id: SessionId) -> bytes | None:
        return b"".join(self.lines[session_id]) if session_id in self.lines else None

    async def rewrite(self, session_id: SessionId, change: Rewrite) -> Transcript | None:
        found = self.read(session_id)
        if found is None:
            return None
        head = [] if found.header is None else [encode_line(found.header)]
        self.lines[session_id] = [*head, *(encode_line(change(entry)) for entry in found.entries)]
        return self.read(session_id)

    async def remove(self, session_id: SessionId) -> None:
        self.lines.pop(session_id, None)
        self._ids.pop(session_id, None)

    async def problems(self) -> list[Problem]:
        problems: list[Problem] = []
        for session_id in sorted(self.lines):
            transcript = self.read(session_id)
            if transcript is not None and transcript.header is None:
                problems.append(Problem(ProblemKind.NO_HEADER, session_id, "its header cannot be read"))
            if transcript is not None and transcript.unreadable:
                detail = f"{transcript.unreadable} lines cannot be read and are left out"
                problems.append(Problem(ProblemKind.UNREADABLE, session_id, detail))
        return problems

    def read(self, session_id: SessionId) -> Transcript | None:
        """What `load` returns, without waiting."""
        if not is_session_id(session_id) or session_id not in self.lines:
            return None
        lines = self.lines[session_id]
        size = sum(map(len, lines))
        return read_lines((line.removesuffix(b"\n") for line in lines), end=size, size=size)


class MemorySummaries:
    """The list of one agent's sessions, made anew from the transcripts each time."""

    def __init__(self, transcripts: MemoryTranscripts) -> None:
        self._transcripts = transcripts

    def changed(self, session_id: SessionId) -> None: ...

    async def page(self, limit: int, cursor: str | None) -> list[SessionSummary]:
        everything = [await self.find(session_id) for session_id in self._transcripts.lines]
        found = [summary for summary in everything if summary is not None]
        if cursor is not None:
            behind = read_cursor(cursor)
            found = [summary for summary in found if (summary.updated_at, summary.session_id) < behind]
        return sorted(found, key=lambda summary: (summary.updated_at, summary.session_id), reverse=True)[:limit]

    async def find(self, session_id: SessionId) -> SessionSummary | None:
        transcript = self._transcripts.read(session_id)
        if transcript is None or transcript.header is None:
            return None
        return fold(begin(transcript.header), transcript.entries)

    async def catch_up(self) -> None: ...

    async def rebuild(self) -> None: ...

    async def close(self) -> None: ...


class MemoryAttachments:
    """One agent's attachments; `kept` may be looked at, and damaged, by a test."""

    def __init__(self, *, limits: Limits = FILE_LIMITS) -> None:
        self.limits = limits
        self.kept: dict[str, Incoming] = {}

    async def add(
        self,
        name: str,
        content_type: str | None,
        data: bytes | AsyncIterable[bytes],
        *,
        added_by: str,
        created_at: datetime,
        attachment_id: str | None = None,
    ) -> Stored:
        incoming = await look_at(
            name,
            content_type,
            data,
            added_by=added_by,
            created_at=created_at,
            attachment_id=attachment_id,
            limit=self.limits.each,
        )
        if incoming.stored.id not in self.kept:
            require_room(self.limits, incoming.stored.size, await self.size())
        return self.kept.setdefault(incoming.stored.id, incoming).stored

    async def get(self, attachment_id: str) -> Stored:
        return self._find(attachment_id).stored

    async def read(self, attachment_id: str) -> bytes:
        found = self._find(attachment_id)
        if hashlib.sha256(found.data).hexdigest() != found.stored.sha256:
            raise StorageCorrupt(f"Attachment {attachment_id!r} is not as it was kept.")
        return found.data

    async def listed(self) -> list[Stored]:
        return [self.kept[id].stored for id in sorted(self.kept)]

    async def remove(self, attachment_id: str) -> None:
        self.kept.pop(attachment_id, None)

    async def size(self) -> int:
        return sum(len(incoming.data) for incoming in self.kept.values())

    def _find(self, attachment_id: str) -> Incoming:
        found = self.kept.get(attachment_id)
        if found is None:
            raise absent(attachment_id)
        return found


class MemoryProfiles:
    """One agent's profiles; `kept` may be looked at by a test."""

    def __init__(self) -> None:
        self.kept: tuple[Profile, ...] = ()

    async def all(self) -> Sequence[Profile]:
        return self.kept

    async def change(self, change: Change) -> Sequence[Profile]:
        self.kept = checked(change(self.kept))
        return self.kept


class MemoryWorkspace:
    """One agent's workspace; `kept` may be looked at by a test."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, datetime]] = {}

    async def read(self, path: str) -> bytes:
        parts_of(path)
        if path not in self.kept:
            raise no_file(path)
        return self.kept[path][0]

    async def write(self, path: str, data: bytes, *, expected: str | None = None) -> WorkspaceFile:
        parts_of(path)
        check_size(data)
        if clashes(path, self.kept.keys()):
            raise in_the_way(path, "another file or a directory")
        there = self.kept.get(path)
        check_version(path, expected, ABSENT if there is None else version_of(there[0]))
        if there is None:
            check_count(len(self.kept))
        self.kept[path] = data, datetime.now(UTC)
        return WorkspaceFile(path, len(data), self.kept[path][1])

    async def remove(self, path: str, *, expected: str | None = None) -> None:
        check_version(path, expected, version_of(await self.read(path)))
        del self.kept[path]

    async def listed(self) -> Sequence[WorkspaceFile]:
        paths = sorted(self.kept, key=str.encode)
        return [WorkspaceFile(path, len(self.kept[path][0]), self.kept[path][1]) for path in paths]

    async def beginnings(self, names: Collection[str], limit: int) -> Mapping[str, bytes]:
        return {name: self.kept[name][0][:limit] for name in names if name in self.kept}
