"""What was said in a session, and what goes on there."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Raw, Struct

from rookery.gateway.shapes.approvals import Approval
from rookery.gateway.shapes.sessions import Session


class EntriesAsk(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The last `limit` entries of a session, or those before `before`, the `nextCursor` of the page after them."""

    session: str
    before: str | None = None
    limit: int = 50


class Entries(Struct, frozen=True, rename="camel", kw_only=True):
    """Entries in their order, as the transcript has them, and what goes on: all as it was at one moment.

    `nextCursor` leads to the entries before these. Events of the WebSocket with the same `epoch` and a higher
    `seq` came after that moment. `running` is the turn being answered, `waiting` the messages of no entry yet.
    """

    items: tuple[dict[str, Any], ...]
    next_cursor: str | None
    epoch: str
    seq: int
    running: Running | None
    waiting: tuple[Underway, ...]


class Running(Struct, frozen=True, rename="camel", kw_only=True):
    """The turn that is being answered now, for the messages of `turnIds`.

    `text` is what was streamed of its step `step` so far, `blocks` the same as HTML, where that was asked for.
    `queuePosition` is its place in line while it waits for a free model, 1 for the next; `approval` is the call
    that waits for the person's yes.
    """

    turn_id: str
    turn_ids: tuple[str, ...]
    step: int
    text: str
    blocks: tuple[str, ...] | None
    queue_position: int | None
    approval: Approval | None


class Moment(Struct, frozen=True, rename="camel", kw_only=True):
    """Where a person's stream of events stands, and the turn that runs in one session."""

    epoch: str
    seq: int
    running: Running | None


class Underway(Struct, frozen=True, rename="camel", kw_only=True):
    """A message whose answer is not in the entries yet; `text` is what it says."""

    turn_id: str
    text: str
    created_at: datetime


class SessionShown(Struct, frozen=True, rename="camel", kw_only=True):
    """A session with the last of its entries, as the transcript has them; `earlier` are left out."""

    session: Session
    entries: tuple[Raw, ...]
    earlier: int


class SessionExport(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    session: str
    format: Literal["jsonl", "markdown"] = "jsonl"


class Exported(Struct, frozen=True, rename="camel", kw_only=True):
    """A whole session as a file."""

    name: str
    content_type: str
    data: bytes


class ExportPart(Struct, frozen=True, rename="camel"):
    """Some more bytes of a transcript."""

    data: bytes
