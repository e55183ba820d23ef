"""The operational log: one JSON object a line, ids and durations, never what anybody said."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

Field = str | int | float | bool | None | list[str]


class Logger(Protocol):
    """What the gateway needs of a logger: events with fields."""

    def info(self, event: str, **fields: Field) -> None: ...
    def warning(self, event: str, **fields: Field) -> None: ...
    def error(self, event: str, **fields: Field) -> None: ...

    def exception(self, event: str, **fields: Field) -> None:
        """An error with where the exception being handled came from; its message is left out."""
        ...


MAX_BYTES = 10_000_000
BACKUPS = 5


class JsonLog:
    """Writes events to a handler of the standard library, each as one line of JSON."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._handler.setFormatter(_Line())

    def info(self, event: str, **fields: Field) -> None:
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Field) -> None:
        self._emit(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Field) -> None:
        self._emit(logging.ERROR, event, {**fields, **_origin()})

    def _emit(self, level: int, event: str, fields: Mapping[str, Field]) -> None:
        record = logging.LogRecord("rookery", level, "", 0, event, None, None)
        record.__dict__["fields"] = fields
        self._handler.handle(record)


class SilentLog:
    """Keeps nothing; for short-lived work of the command line."""

    def info(self, event: str, **fields: Field) -> None: ...
    def warning(self, event: str, **fields: Field) -> None: ...
    def error(self, event: str, **fields: Field) -> None: ...
    def exception(self, event: str, **fields: Field) -> None: ...


def open_log(path: Path) -> tuple[Logger, logging.Handler]:
    """A logger that writes to `path`, rotated at 10 MB, five kept; the handler is the caller's to close.

    It stands outside the process-wide tree of loggers, so that two gateways in one process stay apart.
    """
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, delay=True)
    return JsonLog(handler), handler


def silent_log() -> Logger:
    """A logger that keeps nothing."""
    return SilentLog()


class _Line(logging.Formatter):
    converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        at = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"
        line = {"at": at, "level": record.levelname.lower(), "event": record.msg, **record.__dict__["fields"]}
        return msgspec.json.encode(line).decode()


def _origin() -> dict[str, Field]:
    """Where the exception being handled came from, without its message, which may hold what somebody said."""
    kind, _, trace = sys.exc_info()
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return {"exception": None if kind is None else kind.__name__, "trace": frames[-12:]}
