"""The lines of a transcript, as the contract gives them, and their one JSON form.

A line is one JSON object and a newline. Keys are camelCase, absent values are left out; unknown keys are
ignored on reading and entries of an unknown type are kept as they are, so that an older Rookery reads what a
newer one wrote.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from rookery.errors import InvalidInput, StorageCorrupt
from rookery.ids import AgentId, EntryId, SessionId, TurnId

VERSION = 1

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that says its zone; one that does not could not be compared with the others."""


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    TOOL_RESULT = "toolResult"


class StopReason(StrEnum):
    """Why the model stopped, or why a turn did; the last four end a turn without a whole reply."""

    STOP = "stop"
    TOOL_CALLS = "toolCalls"
    LENGTH = "length"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"
    ERROR = "error"


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class ImagePart(Struct, frozen=True, tag_field="type", tag="image", rename="camel", omit_defaults=True):
    """A picture that the agent's attachment store holds; `name` is what people call it."""

    attachment_id: str
    content_type: str
    name: str | None = None


class ThinkingPart(Struct, frozen=True, tag_field="type", tag="thinking", omit_defaults=True):
    """A model's thoughts, kept so that they can be replayed to the provider that signed them.

    `redacted`: thoughts the provider sent sealed; then `thinking` is empty, and only that provider can read them.
    """

    thinking: str
    signature: str | None = None
    redacted: str | None = None


class ToolCallPart(Struct, frozen=True, tag_field="type", tag="toolCall"):
    """One tool call the model asked for; `arguments` as the model wrote them, decoded from JSON."""

    id: str
    name: str
    arguments: dict[str, Any]


Part = TextPart | ImagePart | ThinkingPart | ToolCallPart


class Usage(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one model call used, or several together.

    `cached_tokens` (read from the provider's prompt cache) and `cache_write_tokens` (written to it) are part of
    `input_tokens`. `cost_nano_usd` is in nano-dollars, 10^-9 of a US dollar; None when nothing of it was priced.
    `estimated`: the provider did not count all of it, or nobody heard what it counted. `unpriced`: for some of it
    no price is known, and the cost is that of the rest.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    cache_write_tokens: int = 0
    cost_nano_usd: int | None = None
    unpriced: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.estimated or other.estimated,
            self.cache_write_tokens + other.cache_write_tokens,
            _sum(self.cost_nano_usd, other.cost_nano_usd),
            self.unpriced or other.unpriced,
        )


def _sum(one: int | None, other: int | None) -> int | None:
    """What both cost, as far as it is known of either."""
    return other if one is None else one if other is None else one + other


class SenderNote(Struct, frozen=True, omit_defaults=True):
    """Who wrote a user entry, where several people may: in a space or a shared agent."""

    channel: str
    account: str
    id: str
    name: str | None = None


class Header(Struct, frozen=True, tag_field="type", tag="session", rename="camel"):
    """The first line of a transcript."""

    version: int
    id: SessionId
    session_key: str
    agent_id: AgentId
    created_at: Moment


class MessageEntry(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="message", rename="camel", omit_defaults=True
):
    """Something said: by a person, by the model, or by a tool.

    `accepted` (user entries) names the accepted messages this entry answers for, so that a batch is known
    after a crash, and `attachments` the files that came with them and are kept. `error` (assistant entries that
    ended in one) is the word the person was given; `error_kind`, beside it or on the result of a call that was not
    allowed, says why.
    """

    id: EntryId
    parent_id: EntryId | None = None
    timestamp: Moment
    turn_id: TurnId | None = None
    role: Role
    content: tuple[Part, ...]
    accepted: tuple[TurnId, ...] = ()
    attachments: tuple[str, ...] = ()
    sender: SenderNote | None = None
    provider: str | None = None
    model: str | None = None
    usage: Usage | None = None
    stop_reason: StopReason | None = None
    error: str | None = None
    error_kind: str | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    is_error: bool = False
    outcome_unknown: bool = False


class InfoEntry(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="info", rename="camel", omit_defaults=True
):
    """A change of a session's metadata; what is unset stays as it was."""

    id: EntryId
    parent_id: EntryId | None = None
    timestamp: Moment
    turn_id: TurnId | None = None
    title: str | None = None
    label: str | None = None
    tags: tuple[str, ...] | None = None
    status: str | None = None
    archived_at: Moment | None = None
    archived_reason: str | None = None
    channel_binding: str | None = None


class UnknownEntry(Struct, frozen=True, kw_only=True):
    """An entry of a type that this version does not know: kept in its place, byte for byte, and not read."""

    id: EntryId
    parent_id: EntryId | None = None
    timestamp: Moment
    turn_id: TurnId | None = None
    type: str
    line: bytes


Entry = MessageEntry | InfoEntry

AnyEntry = Entry | UnknownEntry
"""What a transcript may hold; only an `Entry` is ever written anew."""


class _Outline(Struct, frozen=True, rename="camel"):
    """What every entry has, whatever its type."""

    type: str
    id: EntryId
    timestamp: Moment
    parent_id: EntryId | None = None
    turn_id: TurnId | None = None


_KNOWN_TYPES = frozenset({"session", "message", "info"})
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.json.Encoder()
_entry_decoder = msgspec.json.Decoder(Entry)
_outline_decoder = msgspec.json.Decoder(_Outline)
_header_decoder = msgspec.json.Decoder(Header)


def encode_line(line: Header | AnyEntry) -> bytes:
    """One transcript line with its newline; JSON escapes keep every newline of a text inside the line.

    Raises `InvalidInput` for text that is no valid Unicode, which no line can hold.
    """
    if isinstance(line, UnknownEntry):
        return line.line + b"\n"
    try:
        return _encoder.encode(line) + b"\n"
    except UnicodeEncodeError as error:
        raise InvalidInput(f"A transcript line holds a lone surrogate, which is no character: {error}.") from None


def decode_header(line: bytes) -> Header:
    """Read the first line. Raises `StorageCorrupt` when it is not one."""
    try:
        return _header_decoder.decode(line)
    except _UNREADABLE as error:
        raise StorageCorrupt(f"The first line of a transcript cannot be read: {error}.") from error


def decode_entry(line: bytes) -> AnyEntry:
    """Read any further line, given without its newline. Raises `StorageCorrupt` when it is no entry.

    A line that has what every entry has, but a type this version does not know, is an `UnknownEntry`.
    """
    try:
        return _entry_decoder.decode(line)
    except _UNREADABLE as error:
        unknown = _decode_unknown(line)
        if unknown is not None:
            return unknown
        raise StorageCorrupt(f"A transcript line cannot be read: {error}.") from error


def _decode_unknown(line: bytes) -> UnknownEntry | None:
    try:
        outline = _outline_decoder.decode(line)
    except _UNREADABLE:
        return None
    if outline.type in _KNOWN_TYPES:
        return None
    return UnknownEntry(
        id=outline.id,
        parent_id=outline.parent_id,
        timestamp=outline.timestamp,
        turn_id=outline.turn_id,
        type=outline.type,
        line=bytes(line),
    )


def text_of(entry: MessageEntry) -> str:
    """The entry's words, its text parts joined by blank lines."""
    return "\n\n".join(part.text for part in entry.content if isinstance(part, TextPart))
