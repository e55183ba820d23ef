"""Messages to sessions, and the turns they become."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rookery.gateway.shapes.approvals import Approval
from rookery.gateway.shapes.attachments import AttachmentRef
from rookery.gateway.shapes.usage import TurnCall


class MessageSend(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A message to a session; an empty place of one's own agent opens one. A chat command is answered as one.

    `wait`: seconds to wait for the answer.
    """

    session: str
    text: str = ""
    attachments: Annotated[tuple[AttachmentRef, ...], Meta(max_length=20)] = ()
    wait: Annotated[float, Meta(ge=0, le=120)] | None = None


class TurnNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    turn_id: str


class TurnUsage(Struct, frozen=True, rename="camel", kw_only=True):
    """What all model calls of a turn used; `estimated` where some of it is a guess.

    `costUsd` is null where the price of one of them is not known, or they were made before costs were kept.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: bool
    cost_usd: float | None


class Turn(Struct, frozen=True, rename="camel", kw_only=True):
    """One message on its way to its reply. `reply` is what the person is told, `error` why there is none.

    Messages sent in a burst may be answered by one reply; each of their turns shows it, one of them the usage.
    `approvals` are the calls of tools that wait for a yes while the turn is `waiting`; `calls` the model calls
    that were made for it, those that failed too. `queuePosition` is its place among those who wait for a free
    model, 1 for the next; null while it does not wait for one.
    """

    turn_id: str
    session_key: str
    session_id: str
    status: Literal["queued", "running", "waiting", "done", "failed", "cancelled", "interrupted"]
    reply: str | None
    error: str | None
    usage: TurnUsage
    approvals: tuple[Approval, ...]
    calls: tuple[TurnCall, ...]
    queue_position: int | None
    created_at: datetime
    finished_at: datetime | None


class Stopped(Struct, frozen=True, rename="camel", kw_only=True):
    """The turns that were stopped, or will not be begun."""

    turn_ids: tuple[str, ...]
