"""Reading the operational log back: over its rotated files, and on as it grows. Needs neither lock nor gateway."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from rookery.gateway.log import BACKUPS

LEVELS = ("info", "warning", "error")

Fields = dict[str, object]
"""What an event carries besides its time, level and name."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event. `raw` is the line as it stands in the file, without its end."""

    at: datetime
    level: str
    event: str
    fields: Fields
    raw: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; None is any.

    `level`: this one or a graver one. `event`: of this name, or with all names that begin so when it ends in '.'.
    `user`: what this person or an agent of theirs did or had done.
    """

    level: str | None = None
    event: str | None = None
    user: str | None = None
    since: datetime | None = None

    def has(self, line: Line) -> bool:
        """Whether this line is one of them."""
        if self.level is not None and _rank(line.level) < _rank(self.level):
            return False
        if self.since is not None and line.at < self.since:
            return False
        if self.event is not None and not _named(line.event, self.event):
            return False
        return self.user is None or _concerns(line.fields, self.user)


def parse(raw: bytes) -> Line | None:
    """One line of the file; None for what is no event, such as a line that was torn by a crash."""
    try:
        read = _decode(raw)
        at = read.pop("at")
        level, event = read.pop("level"), read.pop("event")
        moment = datetime.fromisoformat(at) if isinstance(at, str) else None
    except (msgspec.DecodeError, KeyError, ValueError):
        return None
    if moment is None or moment.tzinfo is None or not isinstance(level, str) or not isinstance(event, str):
        return None
    return Line(moment, level, event, read, raw)


def kept(path: Path) -> Generator[bytes]:
    """Every whole line there is, oldest first, over the rotated files; a file that is not there holds none.

    Raises `OSError` when one cannot be read.
    """
    with ExitStack() as stack:
        for file in [stack.enter_context(file) for file in _opened(path)]:
            yield from _whole_lines(file)


def follow(path: Path, wait: Callable[[], None]) -> Generator[bytes | None]:
    """Every whole line as `kept` has them, and then those that are added, for ever; None once for each `wait`.

    Rotation is followed: what was added to the old file meanwhile comes before what is in the new one. A line
    without its end is held back until it has one.
    """
    with ExitStack() as stack:
        current: BinaryIO | None = None
        part = b""
        while True:
            if current is not None:
                part = yield from _grown(current, part)
            newer = _newer(path, current)
            if not newer:
                yield None
                wait()
                continue
            if current is not None:
                part = yield from _grown(current, part)  # what came in between that and the rotation
            stack.pop_all().close()
            for file in [stack.enter_context(file) for file in newer]:
                current, part = file, (yield from _grown(file, b""))


_decode = msgspec.json.Decoder(dict[str, object]).decode


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _named(event: str, wanted: str) -> bool:
    return event == wanted or (wanted.endswith(".") and event.startswith(wanted))


def _concerns(fields: Fields, user: str) -> bool:
    words = {f"user:{user}", f"schedule:{user}"}
    agent = fields.get("agent")
    return (
        fields.get("user") == user
        or fields.get("principal") in words
        or fields.get("actor") in words
        or (isinstance(agent, str) and agent.partition("--")[0] == user)
    )


def _opened(path: Path) -> list[BinaryIO]:
    """The files there are, oldest first. While they are opened the log may be rotated, so each is taken once."""
    found: dict[int, BinaryIO] = {}
    for number in range(BACKUPS, -1, -1):
        try:
            file = (path if number == 0 else path.with_name(f"{path.name}.{number}")).open("rb")
        except FileNotFoundError:
            continue
        identity = _identity(file)
        if identity in found:
            file.close()
        else:
            found[identity] = file
    return list(found.values())


def _newer(path: Path, current: BinaryIO | None) -> list[BinaryIO]:
    """The files that came after the one being read, oldest first; none while it is still the newest."""
    try:
        newest = path.stat().st_ino
    except FileNotFoundError:
        return []
    if current is not None and newest == _identity(current):
        if path.stat().st_size < current.tell():
            current.seek(0)  # somebody emptied it
        return []
    opened = _opened(path)
    if current is None:
        return opened
    identities = [_identity(file) for file in opened]
    here = identities.index(_identity(current)) + 1 if _identity(current) in identities else 0
    for file in opened[:here]:
        file.close()
    return opened[here:]


def _identity(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    for line in file:
        if line.endswith(b"\n"):
            yield line[:-1]


def _grown(file: BinaryIO, part: bytes) -> Generator[bytes, None, bytes]:
    """The lines that were added since; returns the beginning of one that is not whole yet."""
    for line in file:
        part += line
        if part.endswith(b"\n"):
            yield part[:-1]
            part = b""
    return part


def matching(lines: Iterable[bytes], wanted: Wanted) -> Generator[Line]:
    """Those that are wanted; what is no event is passed over."""
    for raw in lines:
        line = parse(raw)
        if line is not None and wanted.has(line):
            yield line
