"""What travels over the socket of `/api/ws`: one JSON object a frame, each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rookery.errors import InvalidInput
from rookery.gateway.shapes import AttachmentRef

Patch = Sequence[Sequence[Any]]
"""How a rendered text changes, block by block: `[i, html]` sets block i, `[i, null, text]` adds text to the code
that is still open in block i, `[i, ""]` drops block i and all after it."""

# --- what we say --------------------------------------------------------------------------------------------


class _Said(Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", omit_defaults=True):
    """A frame of ours; its tag is its `type`."""


class Hello(_Said, frozen=True, kw_only=True, tag="hello"):
    """Always the first. `seq` is the last event there was; what a client missed of this epoch follows."""

    epoch: str
    seq: int


class Resync(_Said, frozen=True, kw_only=True, tag="resync"):
    """Events up to `seq` were lost to this client: it reads the state again."""

    epoch: str
    seq: int


class Event(_Said, frozen=True, kw_only=True):
    """Something that happened, by its number."""

    seq: int


class SessionEvent(Event, frozen=True, kw_only=True):
    """Something that happened in a session."""

    session_key: str
    session_id: str
    agent_id: str


class TurnStarted(SessionEvent, frozen=True, kw_only=True, tag="turn.started"):
    """A turn begins to be answered; `turn_ids` are all messages it answers. Once more for the same turn when what
    it wrote could not be kept, and it is written anew."""

    turn_id: str
    turn_ids: tuple[str, ...]


class TurnJoined(SessionEvent, frozen=True, kw_only=True, tag="turn.joined"):
    """Messages joined the turn that is being answered; `turn_ids` are all it answers now. The transcript has them
    behind what was written so far."""

    turn_id: str
    turn_ids: tuple[str, ...]


class TurnWaiting(SessionEvent, frozen=True, kw_only=True, tag="turn.waiting"):
    """The turn waits for a free model; `position` is its place in line, 1 for the next, null once it has one."""

    turn_id: str
    position: int | None


class TurnDelta(SessionEvent, frozen=True, kw_only=True, tag="turn.delta"):
    """Some more of the text of step `step`: the model writes a text anew after each round of tools."""

    turn_id: str
    step: int
    text: str
    patch: Patch | UnsetType = UNSET


class TurnTool(SessionEvent, frozen=True, kw_only=True, tag="turn.tool"):
    """The model asks for a tool."""

    turn_id: str
    step: int
    tool: str


class TurnApproval(SessionEvent, frozen=True, kw_only=True, tag="turn.approval"):
    """The turn waits until its person allows a call (`state` "asked"), or does so no more: "allowed", "denied" or
    "expired". It is answered by `POST /api/turns/{turnId}/approvals/{n}`."""

    turn_id: str
    n: int
    state: str
    tool: str
    words: str
    arguments: Mapping[str, Any]
    expires_at: datetime


class TurnFinished(SessionEvent, frozen=True, kw_only=True, tag="turn.finished"):
    """A turn ended. `reply` is what the person is told; `patch` makes the text of step `step` the whole reply, or,
    where there is none because the turn was stopped, all that was written."""

    turn_id: str
    turn_ids: tuple[str, ...]
    status: str
    reply: str
    error: str | None
    step: int
    patch: Patch | UnsetType = UNSET


class SessionUpdated(SessionEvent, frozen=True, kw_only=True, tag="session.updated"):
    """A session was opened or changed; who shows it reads it again."""


class SessionRemoved(SessionEvent, frozen=True, kw_only=True, tag="session.removed"):
    """A session is gone."""


class Speaker(Struct, frozen=True, rename="camel"):
    """Which agent a notice is from."""

    agent_id: str
    name: str


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """A word outside of an answer, such as what a command says. A client drops a `delivery_id` it has shown."""

    speaker: Speaker = msgspec.field(name="from")
    text: str
    turn_id: str
    delivery_id: str


class Accepted(_Said, frozen=True, kw_only=True, tag="accepted"):
    """A message is kept and will be answered by this turn."""

    idempotency_key: str
    turn_id: str


class Error(_Said, frozen=True, kw_only=True, tag="error"):
    """A frame of the client's came to nothing. `idempotency_key` is its own, null where it had none."""

    idempotency_key: str | None
    code: str
    detail: str


def encode(frame: _Said) -> str:
    """The frame as text."""
    return msgspec.json.encode(frame).decode()


# --- what a client says -------------------------------------------------------------------------------------


class Message(Struct, frozen=True, rename="camel", tag_field="type", tag="message"):
    """Say something in a session. The same `idempotency_key` again is the same message."""

    session_key: str
    text: str
    idempotency_key: str
    attachments: Annotated[tuple[AttachmentRef, ...], Meta(max_length=20)] = ()


class Stop(Struct, frozen=True, rename="camel", tag_field="type", tag="stop"):
    """Stop what is being answered in a session, and what waits there."""

    session_key: str


Asked = Message | Stop

_decode = msgspec.json.Decoder(Asked).decode


def decode(text: str | bytes) -> Asked:
    """Read a client's frame. Raises `InvalidInput` that says what does not fit."""
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"This frame is not understood: {error}.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidInput("A frame is one JSON object.") from None
