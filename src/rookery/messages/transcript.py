"""The lines of a transcript, as the contract gives them, and their one JSON form.

A line is one JSON object and a newline. Keys are camelCase, absent values are left out, unknown keys are
ignored on reading, so that an older Rookery reads what a newer one wrote.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from rookery.errors import StorageCorrupt
from rookery.ids import AgentId, EntryId, SessionId, TurnId

VERSION = 1


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


class ImagePart(Struct, frozen=True, tag_field="type", tag="image", rename="camel"):
    attachment_id: str
    content_type: str


class ThinkingPart(Struct, frozen=True, tag_field="type", tag="thinking", omit_defaults=True):
    """A model's thoughts, kept so that they can be replayed to the provider that signed them."""

    thinking: str
    signature: str | None = None


class ToolCallPart(Struct, frozen=True, tag_field="type", tag="toolCall"):
    """One tool call the model asked for; `arguments` as the model wrote them, decoded from JSON."""

    id: str
    name: str
    arguments: dict[str, Any]


Part = TextPart | ImagePart | ThinkingPart | ToolCallPart


class Usage(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one model call used, in tokens; `cached_tokens` are part of `input_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.estimated or other.estimated,
        )


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
    created_at: datetime


class MessageEntry(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="message", rename="camel", omit_defaults=True
):
    """Something said: by a person, by the model, or by a tool.

    `accepted` (user entries) names the accepted messages this entry answers for, so that a batch is known
    after a crash. `error` (assistant entries that ended in one) is the word the person was given.
    """

    id: EntryId
    parent_id: EntryId | None = None
    timestamp: datetime
    turn_id: TurnId | None = None
    role: Role
    content: tuple[Part, ...]
    accepted: tuple[TurnId, ...] = ()
    sender: SenderNote | None = None
    provider: str | None = None
    model: str | None = None
    usage: Usage | None = None
    stop_reason: StopReason | None = None
    error: str | None = None
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
    timestamp: datetime
    turn_id: TurnId | None = None
    title: str | None = None
    label: str | None = None
    tags: tuple[str, ...] | None = None
    status: str | None = None
    archived_at: datetime | None = None
    archived_reason: str | None = None
    channel_binding: str | None = None


Entry = MessageEntry | InfoEntry

_encoder = msgspec.json.Encoder()
_entry_decoder = msgspec.json.Decoder(Entry)
_header_decoder = msgspec.json.Decoder(Header)


def encode_line(line: Header | Entry) -> bytes:
    """One transcript line with its newline; JSON escapes keep every newline of a text inside the line."""
    return _encoder.encode(line) + b"\n"


def decode_header(line: bytes) -> Header:
    """Read the first line. Raises `StorageCorrupt` when it is not one."""
    try:
        return _header_decoder.decode(line)
    except msgspec.DecodeError as error:
        raise StorageCorrupt(f"The first line of a transcript cannot be read: {error}.") from error


def decode_entry(line: bytes) -> Entry:
    """Read any further line. Raises `StorageCorrupt` when it is not one."""
    try:
        return _entry_decoder.decode(line)
    except msgspec.DecodeError as error:
        raise StorageCorrupt(f"A transcript line cannot be read: {error}.") from error


def text_of(entry: MessageEntry) -> str:
    """The entry's words, its text parts joined by blank lines."""
    return "\n\n".join(part.text for part in entry.content if isinstance(part, TextPart))
