"""What is known of a session without reading it: its metadata and sums, folded from its transcript."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from rookery.errors import InvalidInput
from rookery.ids import SessionId
from rookery.messages import AnyEntry, Header, InfoEntry, MessageEntry, Usage

ACTIVE = "active"
"""The status of a session of which no info entry says another."""

_LISTED = frozenset({ACTIVE, "pinned"})


class SessionSummary(Struct, frozen=True, kw_only=True):
    """One session on the list. All of it can be had again from the transcript.

    `updated_at` is the latest time of its entries. `entry_count` counts every entry but not the header.
    `input_tokens` and `output_tokens` sum what the model calls of the transcript used; `cost_nano_usd` what they
    cost, None as soon as that of one of them is not known.
    """

    session_id: SessionId
    session_key: str
    title: str | None = None
    label: str | None = None
    tags: tuple[str, ...] = ()
    status: str = ACTIVE
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    archived_reason: str | None = None
    channel_binding: str | None = None
    entry_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int | None = 0

    @property
    def cursor(self) -> str:
        """Where a list goes on after this session."""
        return f"{(self.updated_at - _EPOCH) // _MICROSECOND}.{self.session_id}"


def begin(header: Header) -> SessionSummary:
    """The summary of a session that holds nothing yet."""
    return SessionSummary(
        session_id=header.id,
        session_key=header.session_key,
        created_at=header.created_at,
        updated_at=header.created_at,
    )


def fold(summary: SessionSummary, entries: Iterable[AnyEntry]) -> SessionSummary:
    """The summary after these further entries, in their order."""
    updated_at = summary.updated_at
    count, read, written = summary.entry_count, summary.input_tokens, summary.output_tokens
    cost = summary.cost_nano_usd
    changes: dict[str, object] = {}
    for entry in entries:
        count += 1
        updated_at = max(updated_at, entry.timestamp)
        if isinstance(entry, MessageEntry):
            if entry.usage is not None:
                read += entry.usage.input_tokens
                written += entry.usage.output_tokens
                cost = _with(cost, entry.usage)
        elif isinstance(entry, InfoEntry):
            for name in _FOLDED:
                value = getattr(entry, name)
                if value is not None:
                    changes[name] = value
            if entry.status in _LISTED:
                # Back on the list: when and why it once left is history, told by the entries.
                changes["archived_at"] = changes["archived_reason"] = None
    return msgspec.structs.replace(
        summary,
        updated_at=updated_at,
        entry_count=count,
        input_tokens=read,
        output_tokens=written,
        cost_nano_usd=cost,
        **changes,
    )


def _with(cost: int | None, usage: Usage) -> int | None:
    """The cost with that of one more call; None when one is not known, as of those made before it was kept."""
    if cost is None or usage.unpriced:
        return None
    if usage.cost_nano_usd is None:
        return None if usage.input_tokens or usage.output_tokens else cost
    return cost + usage.cost_nano_usd


def read_cursor(cursor: str) -> tuple[datetime, SessionId]:
    """The time and session a list goes on after. Raises `InvalidInput` when it is no cursor of ours."""
    match = _CURSOR.fullmatch(cursor)
    try:
        if match is not None:
            return _EPOCH + timedelta(microseconds=int(match[1])), SessionId(match[2])
    except OverflowError:
        pass
    raise InvalidInput(f"{cursor!r} is not a cursor; begin the list without one.")


_FOLDED = ("title", "label", "tags", "status", "archived_at", "archived_reason", "channel_binding")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([A-Za-z0-9_-]+)")
