"""The operational log: one JSON object a line, ids and durations, never what anybody said."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from rookery.gateway.redaction import Redaction

Field = str | int | float | bool | None | list[str]


class Logger(Protocol):
    """What the gateway needs of a logger: events with fields."""

    def info(self, event: str, **fields: Field) -> None: ...
    def warning(self, event: str, **fields: Field) -> None: ...
    def error(self, event: str, **fields: Field) -> None: ...

    def exception(self, event: str, **fields: Field) -> None:
        """An error with where the exception being handled came from; its message is left out."""
        ...

    def hide(self, secret: str) -> None:
        """From here on never write this, also not inside of something longer or written another way."""
        ...


@runtime_checkable
class Forgets(Protocol):
    """The optional ability of a log to take lines out again."""

    async def forget(self, unwanted: Callable[[bytes], bool]) -> int:
        """See `JsonLog.forget`."""
        ...


MAX_BYTES = 10_000_000
BACKUPS = 5
FLUSH_AFTER = 0.1
"""Seconds an event of level info may wait in memory, so that a busy gateway writes many with one call."""


class JsonLog:
    """Writes events to a rotated file, each as one line of JSON: `path`, `path.1` the one before, up to five."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor: int | None = None
        self._size = 0
        self._paused = False
        self._redaction = Redaction()

    def info(self, event: str, **fields: Field) -> None:
        self._keep("info", event, fields)
        if self._timer is None:
            self._flush_soon()

    def warning(self, event: str, **fields: Field) -> None:
        self._keep("warning", event, fields)
        self.flush()

    def error(self, event: str, **fields: Field) -> None:
        self._keep("error", event, fields)
        self.flush()

    def exception(self, event: str, **fields: Field) -> None:
        self.error(event, **{**fields, **_origin()})

    def hide(self, secret: str) -> None:
        self._redaction.add(secret)

    def flush(self) -> None:
        """Write what waits. A log that cannot be written is no reason to stop answering people."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._paused:
            return
        lines, self._waiting = b"".join(self._waiting), []
        with contextlib.suppress(OSError):
            if lines:
                descriptor = self._open(len(lines))  # first, for it may set the size anew
                self._size += os.write(descriptor, lines)

    async def forget(self, unwanted: Callable[[bytes], bool]) -> int:
        """Take every line out that `unwanted` says so of, from the rotated files too; says how many they were.

        What is logged meanwhile waits in memory. Raises `OSError`: then some may be there still.
        """
        self.close()
        self._paused = True
        try:
            return await asyncio.to_thread(_rewrite, self._path, unwanted)
        finally:
            self._paused = False
            self.flush()

    def close(self) -> None:
        """Write what waits and close the file; the next event opens it again."""
        self.flush()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _keep(self, level: str, event: str, fields: Mapping[str, Field]) -> None:
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = msgspec.json.encode({"at": at, "level": level, "event": event, **fields}) + b"\n"
        self._waiting.append(self._redaction.clean(line))

    def _flush_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            self._timer = loop.call_later(FLUSH_AFTER, self.flush)

    def _open(self, more: int) -> int:
        if self._descriptor is not None and self._size and self._size + more > self._max_bytes:
            os.close(self._descriptor)
            self._descriptor = None
            for number in range(BACKUPS, 0, -1):
                newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
                if newer.exists():
                    newer.replace(self._path.with_name(f"{self._path.name}.{number}"))
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
            self._size = os.fstat(self._descriptor).st_size
            if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
                # What a power cut left half written stays alone on its line.
                self._size += os.write(self._descriptor, b"\n")
        return self._descriptor


def _rewrite(path: Path, unwanted: Callable[[bytes], bool]) -> int:
    gone = 0
    for number in range(BACKUPS + 1):
        file = path if number == 0 else path.with_name(f"{path.name}.{number}")
        if not file.exists():
            continue
        found, anew = 0, file.with_name(f"{file.name}.rewritten")
        descriptor = os.open(anew, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with file.open("rb") as old, open(descriptor, "wb") as new:
            for line in old:
                if unwanted(line):
                    found += 1
                else:
                    new.write(line)
            new.flush()
            os.fsync(new.fileno())
        if found:
            anew.replace(file)
        else:
            anew.unlink()
        gone += found
    return gone


class SilentLog:
    """Keeps nothing; for short-lived work of the command line."""

    def info(self, event: str, **fields: Field) -> None: ...
    def warning(self, event: str, **fields: Field) -> None: ...
    def error(self, event: str, **fields: Field) -> None: ...
    def exception(self, event: str, **fields: Field) -> None: ...
    def hide(self, secret: str) -> None: ...


def open_log(path: Path) -> JsonLog:
    """A log in `path`; the caller closes it. It stands outside the process-wide tree of loggers, so that two
    gateways in one process stay apart."""
    return JsonLog(path)


def silent_log() -> Logger:
    """A logger that keeps nothing."""
    return SilentLog()


def _origin() -> dict[str, Field]:
    """Where the exception being handled came from, without its message, which may hold what somebody said."""
    kind, _, trace = sys.exc_info()
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return {"exception": None if kind is None else kind.__name__, "trace": frames[-12:]}
