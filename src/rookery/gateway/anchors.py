"""The heads of the audit trail, written down beside the database: what shows that the trail's end was cut off.

One line of JSON for each head, appended and synced, in the home's `logs/audit-heads.jsonl` and, where the
configuration names one, in a second file, which belongs on another disk: whoever can write both can cut both. Rows
that were added since the last head, some minutes at most, can be cut off unseen. Nothing of it is ever removed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from rookery.errors import StorageUnavailable
from rookery.gateway import audit
from rookery.gateway.audit import Anchor
from rookery.gateway.log import Logger
from rookery.storage import Database

EVERY = timedelta(minutes=10)
"""How often a head that changed is written down; the most that can be cut off unseen."""

_TAIL = 4096


class Read(Struct, frozen=True):
    """What the files hold; `spoiled` lines could not be read, as after a power cut."""

    anchors: tuple[Anchor, ...]
    spoiled: int


class Anchors:
    """The places where heads are written down. All of it waits for disks: call it beside the event loop."""

    def __init__(self, *places: Path) -> None:
        self.places: Sequence[Path] = places

    def newest(self) -> Anchor | None:
        """The head that was written down last, in the first place; None when there is none that can be read."""
        return _newest(self.places[0])

    def write(self, anchor: Anchor) -> None:
        """Write a head down in every place where it is not the newest yet.

        Raises `OSError` when one of them cannot be written, after the others were.
        """
        line = msgspec.json.encode({"seq": anchor.seq, "hash": anchor.hash, "at": anchor.at}) + b"\n"
        failed: OSError | None = None
        for place in self.places:
            try:
                newest = _newest(place)
                if newest is None or (newest.seq, newest.hash) != (anchor.seq, anchor.hash):
                    _append(place, line)
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed

    def unwritable(self) -> list[str]:
        """What keeps heads from being written, one line for each place that does not take them."""
        found: list[str] = []
        for place in self.places:
            try:
                os.close(_open(place))
            except OSError as error:
                found.append(f"{place} cannot be written: {error.strerror or error}.")
        return found

    def on_one_disk(self) -> bool:
        """Whether all places are on the same disk, so that what befalls one befalls all. Raises `OSError`."""
        return len({place.parent.stat().st_dev for place in self.places}) == 1

    def read(self) -> Read:
        """All heads of all places. A place without a file holds none. Raises `OSError`."""
        found: set[Anchor] = set()
        spoiled = 0
        for place in self.places:
            try:
                with place.open("rb") as file:
                    for line in file:
                        anchor = _parse(line)
                        if anchor is not None:
                            found.add(anchor)
                        elif line.strip():
                            spoiled += 1
            except FileNotFoundError:
                continue
        return Read(tuple(found), spoiled)


async def write_head(anchors: Anchors, database: Database, *, now: Callable[[], datetime], log: Logger) -> None:
    """Write the head of the trail down, when it is a new one. What goes wrong goes to the log.

    When the row that was written down last is not there as it was, the log says so at once.
    """
    try:
        head = await database.read(audit.head)
        last = await asyncio.to_thread(anchors.newest)
        if last is not None and await database.read(lambda c: audit.hash_at(c, last.seq)) != last.hash:
            log.error("audit.broken", seq=last.seq)
        if head is not None:
            await asyncio.to_thread(anchors.write, Anchor(head.seq, head.hash, now()))
    except (OSError, StorageUnavailable) as error:
        reason = error.detail if isinstance(error, StorageUnavailable) else error.strerror or type(error).__name__
        log.warning("audit.not_anchored", error=reason)


class _Line(msgspec.Struct, frozen=True):
    seq: int
    hash: str
    at: datetime


_decode = msgspec.json.Decoder(_Line).decode


def _parse(line: bytes) -> Anchor | None:
    try:
        read = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Anchor(read.seq, read.hash, read.at) if read.at.tzinfo is not None else None


def _newest(place: Path) -> Anchor | None:
    try:
        with place.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            tail = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    return next((found for line in reversed(tail) if (found := _parse(line)) is not None), None)


def _append(place: Path, line: bytes) -> None:
    there = place.exists()
    descriptor = _open(place)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # what a power cut left half written stays alone on its line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not there:
        _sync_directory(place.parent)


def _open(place: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(place, flags, 0o600)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
