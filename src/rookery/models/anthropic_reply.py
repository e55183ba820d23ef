"""A reply in Anthropic's Messages format, streamed or whole, put together from its bytes.

Its parts are kept in the order in which they came, thoughts with their signatures, so that they can be sent back
as they were. Events and parts of kinds that are not known are passed over, as the format asks of its readers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models.errors import Private, error_of_object
from rookery.models.port import ModelReply, TextDelta, ThinkingDelta
from rookery.models.reply_parts import Coalesced, ReplyInParts, arguments
from rookery.models.words import tokens_in


class AnthropicReply(ReplyInParts):
    """A reply in this format, as it comes."""

    def __init__(self, who: str, *, private: Private, turn_mark: str) -> None:
        super().__init__(who, private=private, turn_mark=turn_mark)
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage = _Usage()
        self._stopped: str | None = None

    @property
    def complete(self) -> bool:
        """Nothing of the reply itself is missing, though usage may still come."""
        return self.done or self._stopped is not None

    def _take_payload(self, payload: bytes, events: Coalesced) -> None:
        event = self._decoded(payload, _decode)
        self._understood = self._understood or event.type in _EVENTS
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._take_delta(event.index, event.delta, events)
            case "content_block_start" if event.content_block is not None:
                self._begin(event.index, event.content_block, events)
            case "message_start" if event.message is not None:
                self._take_message(event.message, events)
                self._usage.output_tokens = None  # a first guess; the count comes with the end
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason:
                    self._stopped = event.delta.stop_reason
            case "message_stop":
                self.done = True
            case "message":
                self._take_message(event, events)
                self.done = True
            case "error":
                raise error_of_object(self._who, event.error, private=self._private)
            case "":
                if event.error is not None:
                    raise error_of_object(self._who, event.error, private=self._private)
                raise self._garbage("sent something that is not a reply")
            case _:
                return

    def _take_message(self, message: _Message, events: Coalesced) -> None:
        self._count(message.usage)
        self._stopped = message.stop_reason or self._stopped
        for index, given in enumerate(message.content or ()):
            self._begin(index, given, events)

    def _begin(self, index: int, given: _GivenBlock, events: Coalesced) -> None:
        block = self._blocks[index] = self._made(given.type, given.id or "", given.name or "")
        block.data = given.data
        if given.signature is not None:
            block.signature = given.signature
        if given.text:
            block.take(events, given.text)
        if given.thinking:
            block.take(events, given.thinking)
        if block.kind == "tool_use":
            block.given = given.input or {}
            block.take(events, "")

    def _take_delta(self, index: int, delta: _Delta, events: Coalesced) -> None:
        kind = _KIND_OF_DELTA.get(delta.type)
        if kind is None:
            return
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = self._made(kind)
        if block.kind != kind:
            return
        match delta.type:
            case "text_delta":
                block.take(events, delta.text or "")
            case "thinking_delta":
                block.take(events, delta.thinking or "")
            case "signature_delta":
                block.signature = (block.signature or "") + (delta.signature or "")
            case _:
                block.take(events, delta.partial_json or "")

    def _made(self, kind: str, id: str = "", name: str = "") -> _Block:
        block = _Block(kind, id, name, self._calls)
        if kind == "tool_use":
            self._calls += 1
            self._check_calls(self._calls)
        return block

    def _count(self, usage: _Usage | None) -> None:
        """Take what was counted so far; what an event leaves out stands as it was."""
        if usage is not None:
            for name in _Usage.__struct_fields__:
                value = getattr(usage, name)
                if value is not None:
                    setattr(self._usage, name, value)

    def _whole(self) -> ModelReply:
        content: list[TextPart | ThinkingPart | ToolCallPart] = []
        taken: set[str] = set()
        for _, block in sorted(self._blocks.items()):
            written = "".join(block.pieces)
            match block.kind:
                case "text" if written:
                    content.append(TextPart(written))
                case "thinking" if written or block.signature:
                    content.append(ThinkingPart(written, None if block.changed else block.signature))
                case "redacted_thinking" if block.data:
                    content.append(ThinkingPart("", redacted=block.data))
                case "tool_use":
                    content.append(self._call(block, written, taken))
                case _:
                    continue
        return ModelReply(tuple(content), self._stop_reason(), self._counted())

    def _call(self, block: _Block, written: str, taken: set[str]) -> ToolCallPart:
        if not block.name:
            raise self._garbage("sent a tool call without a name")
        identity = block.id if block.id and block.id not in taken else f"call_{self._turn_mark}_{block.call}"
        taken.add(identity)
        # Some servers give the arguments whole at the beginning and write none of them afterwards.
        return ToolCallPart(identity, block.name, arguments(written) if written.strip() else block.given)

    def _stop_reason(self) -> StopReason:
        reason = _STOP_REASONS.get(self._stopped or "end_turn", StopReason.STOP)
        return StopReason.TOOL_CALLS if reason is StopReason.STOP and self._calls else reason

    def _counted(self) -> Usage:
        given = self._usage
        new, read = _number(given.input_tokens), _number(given.cache_read_input_tokens)
        written = _number(given.cache_creation_input_tokens)
        output = _number(given.output_tokens)
        if new + read + written and (output or not self._blocks):
            return Usage(new + read + written, output, read, cache_write_tokens=written)
        characters = sum(len(block.name) + sum(map(len, block.pieces)) for block in self._blocks.values())
        return Usage(tokens_in(len(self._private.prompt)), tokens_in(characters), estimated=True)

    def _garbage(self, what: str) -> ModelError:
        return ModelError(ModelErrorKind.GARBAGE, f"{self._who} {what}; is baseUrl an Anthropic-compatible API?")


@dataclass(slots=True)
class _Block:
    """One part of the reply. `changed`: it is not kept letter by letter as it came."""

    kind: str
    id: str
    name: str
    call: int
    pieces: list[str] = field(default_factory=list[str])
    signature: str | None = None
    data: str | None = None
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    changed: bool = False

    def take(self, events: Coalesced, text: str) -> None:
        match self.kind:
            case "text":
                self.pieces.append(events.add(TextDelta, text))
            case "thinking":
                kept = events.add(ThinkingDelta, text)
                self.changed = self.changed or kept != text
                self.pieces.append(kept)
            case "tool_use":
                self.pieces.append(text)
                events.add_call(self.call, self.name or None, text)
            case _:
                return


class _Usage(Struct, gc=False):
    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    cache_read_input_tokens: int | float | None = None
    cache_creation_input_tokens: int | float | None = None


class _GivenBlock(Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None


class _Delta(Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Message(Struct, gc=False):
    content: list[_GivenBlock] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Event(_Message, gc=False):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _GivenBlock | None = None
    delta: _Delta | None = None
    error: Any = None


class _Outline(Struct, gc=False):
    type: str = ""


def _decode(payload: bytes) -> _Event:
    try:
        return _decode_event(payload)
    except msgspec.ValidationError:
        # An event that the format gets one day may hold anything.
        outline = _decode_outline(payload)
        if outline.type and outline.type not in _EVENTS:
            return _Event(type=outline.type)
        raise


def _number(value: float | None) -> int:
    return max(0, int(value or 0))


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_outline = msgspec.json.Decoder(_Outline).decode

_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "message",
        "error",
    }
)
_KIND_OF_DELTA = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}
_STOP_REASONS = {
    "end_turn": StopReason.STOP,
    "stop_sequence": StopReason.STOP,
    "tool_use": StopReason.TOOL_CALLS,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.LENGTH,
    # The server paused a long turn of its own, or cut the conversation down: what came is not the whole answer.
    "pause_turn": StopReason.LENGTH,
    "compaction": StopReason.LENGTH,
    "refusal": StopReason.REFUSED,
}
