"""Transcripts as files: `sessions/<sessionId>.jsonl`, one JSON object a line, only ever added to.

What holds: when an append has returned, its lines are on disk, whole and in order. A file is trusted only as
far as it has been synced by this process; after any failure it is closed, cut back to that point and read
again before the next use. No descriptor stays open between two operations: that costs 4 µs, where the sync
costs hundreds, and a file that was moved or mended meanwhile is noticed by its size.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from rookery.errors import StorageUnavailable
from rookery.ids import AgentId, EntryId, SessionId
from rookery.messages import AnyEntry, Header, encode_line
from rookery.sessions.disk import (
    FileOps,
    is_private,
    make_directory,
    opened,
    read_from,
    set_aside,
    sync_directory,
    write_all,
    write_back,
)
from rookery.sessions.transcripts import (
    Problem,
    ProblemKind,
    Rewrite,
    Transcript,
    check_session_id,
    is_session_id,
    read_lines,
)
from rookery.storage.threads import WriterThreads

T = TypeVar("T")

SUFFIX = ".jsonl"
REWRITTEN = ".rewritten"
REMEMBERED_FILES = 64
REMEMBERED_IDS = 20_000
"""Of how many transcripts one brain keeps the entry ids in memory, and how many ids; others are read again."""


IN_DOUBT = 16 << 20
"""More bytes than one append can write: how much of a file's end is written again before it is believed."""


class JsonlTranscripts:
    """One brain's transcripts, in the `sessions` directory of `home`."""

    shared = False

    def __init__(
        self, home: Path, agent_id: AgentId, threads: WriterThreads, *, ops: FileOps | None = None
    ) -> None:
        """Touches nothing; `prepare` does."""
        self._home = home
        self._directory = home / "sessions"
        self._agent_id = agent_id
        self._threads = threads
        self._ops = ops or FileOps()
        self._files: OrderedDict[SessionId, TranscriptFile] = OrderedDict()

    async def prepare(self) -> None:
        """Make the directories; those that are there are synced. Raises `StorageUnavailable`."""
        await self._threads.run(str(self._agent_id), self._make_directories)

    async def append(self, session_id: SessionId, header: Header, entries: Sequence[AnyEntry]) -> int:
        check_session_id(session_id)
        lines = [(entry.id, encode_line(entry)) for entry in entries]
        return await self._use(session_id, lambda file: file.append(header, lines))

    async def load(self, session_id: SessionId) -> Transcript | None:
        if not is_session_id(session_id):
            return None
        return await self._use(session_id, TranscriptFile.load)

    async def news(self, session_id: SessionId, after: int) -> Transcript:  # noqa: ARG002
        return Transcript(None, (), 0, after, 0)

    async def list_ids(self) -> list[SessionId]:
        return sorted(session_id for session_id, size in (await self.sizes()).items() if size)

    async def export(self, session_id: SessionId) -> bytes | None:
        if not is_session_id(session_id):
            return None
        data, _ = await self._look(session_id, lambda file: file.peek(0))
        return data or None

    async def rewrite(self, session_id: SessionId, change: Rewrite) -> Transcript | None:
        if not is_session_id(session_id):
            return None
        return await self._use(session_id, lambda file: file.rewrite(change))

    async def remove(self, session_id: SessionId) -> None:
        if is_session_id(session_id):
            await self._use(session_id, TranscriptFile.remove)

    async def sizes(self) -> dict[SessionId, int]:
        """How long each transcript is, in bytes, as the directory says."""
        return await self._threads.run(str(self._agent_id), self._sizes)

    async def tail(self, session_id: SessionId, offset: int) -> Transcript:
        """The whole lines from `offset` on, changing nothing; from the beginning when no line begins there.

        `end - size` is where it really begins. A transcript that is not there is an empty one.
        """
        return await self._look(session_id, partial(TranscriptFile.tail, offset=offset))

    async def problems(self) -> list[Problem]:
        problems = await self._threads.run(str(self._agent_id), self._look_around)
        for session_id in await self.list_ids():
            problems += await self._look(session_id, TranscriptFile.problems)
        return problems

    async def _use(self, session_id: SessionId, work: Callable[[TranscriptFile], T]) -> T:
        """Run `work` on the session's file and remember what it learned of it."""
        file = self._files.get(session_id)
        if file is None:
            file = self._files[session_id] = TranscriptFile(self._directory, session_id, self._ops)
            self._forget_some()
        self._files.move_to_end(session_id)
        return await self._run(file, session_id, work)

    async def _look(self, session_id: SessionId, work: Callable[[TranscriptFile], T]) -> T:
        """Run `work` that only looks; going through many sessions must not push out those in use."""
        file = self._files.get(session_id) or TranscriptFile(self._directory, session_id, self._ops)
        return await self._run(file, session_id, work)

    async def _run(self, file: TranscriptFile, session_id: SessionId, work: Callable[[TranscriptFile], T]) -> T:
        file.users += 1
        try:
            return await self._threads.run(f"{self._agent_id}/{session_id}", partial(work, file))
        finally:
            file.users -= 1

    def _forget_some(self) -> None:
        """Let go of the ids of transcripts that were used longest ago, never of one that is not settled."""
        total = sum(len(file.ids) for file in self._files.values())
        for session_id, file in list(self._files.items())[:-1]:
            if total <= REMEMBERED_IDS and len(self._files) <= REMEMBERED_FILES:
                break
            if not file.users and file.settled:
                total -= len(file.ids)
                del self._files[session_id]

    def _make_directories(self) -> None:
        with _told("The directory", self._directory, "made"):
            for directory in (self._home.parent, self._home, self._directory):
                make_directory(directory, self._ops)

    def _sizes(self) -> dict[SessionId, int]:
        with _told("The directory", self._directory, "listed"), os.scandir(self._directory) as found:
            return {
                SessionId(file.name.removesuffix(SUFFIX)): file.stat(follow_symlinks=False).st_size
                for file in found
                if file.name.endswith(SUFFIX)
                and is_session_id(file.name.removesuffix(SUFFIX))
                and file.is_file(follow_symlinks=False)
            }

    def _look_around(self) -> list[Problem]:
        with _told("The directory", self._home, "looked at"):
            directories = (self._home, self._directory)
            files = sorted((*self._home.glob("agent.db*"), *self._directory.iterdir()))
            return [
                *(_open_to_others(path, "0700") for path in directories if not is_private(path, directory=True)),
                *(_open_to_others(path, "0600") for path in files if not is_private(path)),
                *(_torn(path) for path in files if ".torn-" in path.name),
            ]


class TranscriptFile:
    """One transcript's file. Its methods block, and are called one at a time in a writer thread."""

    def __init__(self, directory: Path, session_id: SessionId, ops: FileOps) -> None:
        self._directory = directory
        self._path = directory / f"{session_id}{SUFFIX}"
        self._ops = ops
        self._size: int | None = None  # how far the file is read and synced; None: to be read before use
        self._has_header = False
        self._cut_at: int | None = None  # after a failed append: where the trusted part ends
        self.ids: set[EntryId] = set()
        self.users = 0

    @property
    def settled(self) -> bool:
        """False while a failed append may have left something behind that only this object knows of."""
        return self._cut_at is None

    def append(self, header: Header, lines: list[tuple[EntryId, bytes]]) -> int:
        """See `Transcripts.append`."""
        with self._mistrusting("written"):
            size = self._size
            if size is None or self._on_disk() != size:
                self._read()
                size = self._size or 0
            fresh: dict[EntryId, bytes] = {}
            for entry_id, line in lines:
                if entry_id not in self.ids:
                    fresh.setdefault(entry_id, line)
            data = b"".join(fresh.values())
            if not self._has_header:
                data = encode_line(header) + data
            if data:
                self._write(data, size)
                self.ids.update(fresh)
                self._size, self._has_header = size + len(data), True
            return len(data)

    def remove(self) -> None:
        """See `Transcripts.remove`."""
        with self._mistrusting("deleted"):
            for path in (*self._aside(), self._path.with_suffix(REWRITTEN), self._path):
                path.unlink(missing_ok=True)
            sync_directory(self._directory, self._ops)
            self._size, self._has_header, self._cut_at, self.ids = None, False, None, set()

    def rewrite(self, change: Rewrite) -> Transcript | None:
        """See `Transcripts.rewrite`."""
        with self._mistrusting("written"):
            transcript = self._read()
            if transcript is None:
                return None
            head = [] if transcript.header is None else [encode_line(transcript.header)]
            data = b"".join([*head, *(encode_line(change(entry)) for entry in transcript.entries)])
            anew = self._path.with_suffix(REWRITTEN)
            with opened(anew, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
                write_all(descriptor, data, self._ops)
                self._ops.sync(descriptor)
            anew.replace(self._path)
            for path in self._aside():
                path.unlink(missing_ok=True)
            sync_directory(self._directory, self._ops)
            self._size = None
            return self._read()

    def load(self) -> Transcript | None:
        """See `Transcripts.load`."""
        with self._mistrusting("read"):
            return self._read()

    def tail(self, offset: int) -> Transcript:
        """See `JsonlTranscripts.tail`."""
        data, begin = self.peek(offset)
        return read_lines(_lines(data), end=begin + len(data), size=len(data))

    def peek(self, offset: int) -> tuple[bytes, int]:
        """The whole lines from `offset` on and where they begin: there, or at 0 when no line begins there."""
        with _told("The transcript", self._path, "read"):
            try:
                with opened(self._path, os.O_RDONLY) as descriptor:
                    end = os.fstat(descriptor).st_size
                    if self._cut_at is not None:
                        end = min(end, self._cut_at)
                    if offset and (offset > end or os.pread(descriptor, 1, offset - 1) != b"\n"):
                        offset = 0
                    data = read_from(descriptor, offset, end)
            except FileNotFoundError:
                return b"", 0
        return data[: data.rfind(b"\n") + 1], offset

    def problems(self) -> list[Problem]:
        """What is wrong with this file's lines; changes nothing."""
        transcript = self.tail(0)
        found: list[Problem] = []
        where = str(self._path)
        if self._on_disk() > transcript.end:
            detail = "the last line is broken off; it is set aside when the session is next used"
            found.append(Problem(ProblemKind.TORN, where, detail))
        if transcript.size and transcript.header is None:
            detail = "no line is a header; the session's next message writes one"
            found.append(Problem(ProblemKind.NO_HEADER, where, detail))
        if transcript.unreadable:
            detail = f"{transcript.unreadable} lines cannot be read and are left out; mend or remove them by hand"
            found.append(Problem(ProblemKind.UNREADABLE, where, detail))
        return found

    @contextmanager
    def _mistrusting(self, what: str) -> Generator[None]:
        """After a failure: believe nothing, and take back what may be half written, if the disk lets us.

        After a failed sync the lines may be in the file for every reader and yet never reach the disk
        (the kernel marks the pages clean), so they are cut off rather than synced again.
        """
        try:
            with _told("The transcript", self._path, what):
                yield
        except BaseException:
            self._size = None
            self.ids = set()
            with contextlib.suppress(OSError), opened(self._path, os.O_WRONLY) as descriptor:
                self._cut(descriptor)
            raise

    def _aside(self) -> list[Path]:
        return [path for path in self._directory.iterdir() if path.name.startswith(f"{self._path.stem}.torn-")]

    def _on_disk(self) -> int:
        try:
            return os.lstat(self._path).st_size
        except FileNotFoundError:
            return 0

    def _read(self) -> Transcript | None:
        """Read the file anew, mended and synced first, and remember what it holds."""
        trusted, self._size = self._size, None
        try:
            with opened(self._path, os.O_RDWR) as descriptor:
                self._cut(descriptor)
                data = read_from(descriptor, 0, os.fstat(descriptor).st_size)
                whole = data.rfind(b"\n") + 1
                if whole < len(data):
                    self._set_aside(data[whole:])
                    self._ops.truncate(descriptor, whole)
                    data = data[:whole]
                if len(data) != trusted:
                    # What a killed process wrote but did not sync would be believed, and could still be lost.
                    # Nor is a sync enough: where an earlier one failed, the kernel holds lines for written
                    # that never reached the disk. Only the last append can be such, so the end is written again.
                    begin = max(0, len(data) - IN_DOUBT)
                    write_back(descriptor, data[begin:], begin, self._ops)
                    self._ops.sync_data(descriptor)
        except FileNotFoundError:
            data = b""
            self._cut_at = None
        transcript = read_lines(_lines(data), end=len(data), size=len(data))
        self.ids = {entry.id for entry in transcript.entries}
        self._has_header = transcript.header is not None
        self._size = len(data)
        return transcript if data else None

    def _write(self, data: bytes, size: int) -> None:
        self._cut_at = size
        with opened(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
            write_all(descriptor, data, self._ops)
            self._ops.sync_data(descriptor)
        if not size:
            sync_directory(self._directory, self._ops)
        self._cut_at = None

    def _cut(self, descriptor: int) -> None:
        if self._cut_at is None:
            return
        if os.fstat(descriptor).st_size > self._cut_at:
            self._ops.truncate(descriptor, self._cut_at)
            self._ops.sync_data(descriptor)
        self._cut_at = None

    def _set_aside(self, torn: bytes) -> None:
        path = set_aside(self._path.with_suffix(""), "torn")
        with opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
            write_all(descriptor, torn, self._ops)
            self._ops.sync_data(descriptor)
        sync_directory(self._directory, self._ops)


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


@contextmanager
def _told(what: str, path: Path, verb: str) -> Generator[None]:
    """Say a disk's failure in our words."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{what} {str(path)!r} cannot be {verb}: {error}.") from error


def _open_to_others(path: Path, mode: str) -> Problem:
    detail = f"others can use it, or it is a link; `chmod {mode}` it"
    return Problem(ProblemKind.PERMISSIONS, str(path), detail)


def _torn(path: Path) -> Problem:
    detail = "the beginning of a line that a crash broke off; delete it once you have seen it"
    return Problem(ProblemKind.TORN, str(path), detail)
