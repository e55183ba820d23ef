"""The operational log: one JSON object a line, ids and durations, never what anybody said."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any, Protocol

import structlog
from structlog.typing import EventDict


class Logger(Protocol):
    """What the gateway needs of a logger; structlog's bound loggers are such."""

    def bind(self, **fields: Any) -> Logger: ...
    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...
    def exception(self, event: str, **fields: Any) -> Any: ...


MAX_BYTES = 10_000_000
BACKUPS = 5


def open_log(path: Path) -> tuple[Logger, logging.Handler]:
    """A logger that writes to `path`, rotated at 10 MB, five kept; the handler is the caller's to close."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, delay=True)
    handler.setFormatter(logging.Formatter("%(message)s"))
    # A logger of its own, outside the process-wide tree, so two gateways in one process stay apart.
    sink = logging.Logger("rookery")  # noqa: LOG001
    sink.addHandler(handler)
    return _wrap(sink), handler


def silent_log() -> Logger:
    """A logger that keeps nothing, for short-lived work of the command line."""
    sink = logging.Logger("rookery", level=logging.CRITICAL + 1)  # noqa: LOG001 - as above
    sink.addHandler(logging.NullHandler())
    return _wrap(sink)


def _wrap(sink: logging.Logger) -> Logger:
    wrapped: Logger = structlog.wrap_logger(
        sink,
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception_without_content,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    return wrapped


def _exception_without_content(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Where an unexpected exception came from, without its message, which may hold what somebody said."""
    if event.pop("exc_info", None):
        kind, _error, trace = sys.exc_info()
        event["exception"] = kind.__name__ if kind is not None else None
        frames: list[str] = []
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        event["trace"] = frames[-12:]
    return event
