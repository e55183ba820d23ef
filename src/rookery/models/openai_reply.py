"""A reply in OpenAI's chat-completions format, streamed or whole, put together from its bytes.

Written for what servers really send: OpenAI, Ollama, vLLM, llama.cpp and their relatives differ in where the
thoughts stand, in whether usage, finish_reason and [DONE] come at all, and in how they number tool calls.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from msgspec import Struct

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models.errors import Private, error_of_object
from rookery.models.port import INVALID_ARGUMENTS, ModelEvent, ModelReply, TextDelta, ThinkingDelta, ToolCallDelta
from rookery.models.sse import EventStream
from rookery.models.words import tokens_in

REPLY_LIMIT = 8 << 20
"""The most bytes a reply may have on the wire; beyond it the server is not making sense any more."""


class ReplyInParts:
    """One reply as it comes: bytes go in, deltas come out, and the whole reply at the end."""

    def __init__(self, who: str, *, private: Private, turn_mark: str) -> None:
        """`who`: the provider, for errors. `turn_mark` makes ids that the server left out unlike earlier ones."""
        self._who = who
        self._private = private
        self._turn_mark = turn_mark
        self._stream = EventStream()
        self._size = 0
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[_Call] = []
        self._usage: _Usage | None = None
        self._finish_reason: str | None = None
        self._refused = False
        self._failure: ModelError | None = None
        self._understood = False
        self.done = False
        """The server said that this was all."""

    @property
    def complete(self) -> bool:
        """Nothing of the reply itself is missing, though usage may still come."""
        return self.done or self._finish_reason is not None

    def feed(self, piece: bytes) -> list[ModelEvent]:
        """What these bytes of a stream add; bytes that arrived together become one delta of each kind.

        Raises `ModelError` (`GARBAGE`, or the kind of an error the server sent).
        """
        self._size += len(piece)
        if self._size > REPLY_LIMIT:
            raise self._garbage(f"sent more than {REPLY_LIMIT} bytes")
        return self._take(self._stream.feed(piece))

    def feed_end(self) -> list[ModelEvent]:
        """What the end of a stream's bytes adds: an event whose closing blank line was left out."""
        last = [] if self.done else self._stream.end()
        self._understood = self._understood or bool(last)
        try:
            return self._take(last)
        except ModelError as error:
            if error.kind is ModelErrorKind.GARBAGE:
                return []  # half an event, because the stream broke off in it
            raise

    def feed_whole(self, body: bytes) -> list[ModelEvent]:
        """The same for a server that answers with one JSON object although a stream was asked for."""
        events = self._take([body])
        self.done = True
        return events

    def whole(self) -> ModelReply:
        """The reply, once its bytes have ended. Raises `ModelError`: `BROKEN_OFF`, `GARBAGE`, or
        the kind of an error that came together with the last words."""
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            if self._size and not self._understood:
                raise self._garbage("sent something that is not a reply")
            raise ModelError(ModelErrorKind.BROKEN_OFF, f"{self._who} stopped in the middle of its reply.")
        content: list[TextPart | ThinkingPart | ToolCallPart] = []
        thinking, text = "".join(self._thinking), "".join(self._text)
        if thinking:
            content.append(ThinkingPart(thinking))
        if text:
            content.append(TextPart(text))
        content += self._tool_calls()
        return ModelReply(tuple(content), self._stop_reason(), self._counted(len(thinking) + len(text)))

    def _take(self, payloads: list[bytes]) -> list[ModelEvent]:
        events = _Coalesced()
        for payload in payloads:
            said = payload.strip()
            if said == b"[DONE]":
                self.done = True
                break
            if said:
                try:
                    self._take_chunk(self._decode(said), events)
                except ModelError as error:
                    ready = events.all()
                    if not ready:
                        raise
                    # Words that came in the same bytes as the error came before it, and are heard before it.
                    self._failure, self.done = error, True
                    return ready
        return events.all()

    def _take_chunk(self, chunk: _Chunk, events: _Coalesced) -> None:
        if chunk.error is not None:
            raise error_of_object(self._who, chunk.error, private=self._private)
        if chunk.object == "error":
            said = {"message": chunk.message, "type": chunk.type, "code": chunk.code}
            raise error_of_object(self._who, said, private=self._private)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.choices is None:
            return
        self._understood = True
        for choice in chunk.choices:
            delta = choice.delta or choice.message
            if choice.index == 0 and delta is not None:
                self._take_delta(delta, events)
            if choice.finish_reason:
                self._finish_reason = choice.finish_reason

    def _take_delta(self, delta: _Delta, events: _Coalesced) -> None:
        content = delta.content
        thinking = delta.reasoning_content or delta.reasoning
        if thinking:
            self._thinking.append(events.add(ThinkingDelta, thinking))
        if content:
            text = content if isinstance(content, str) else "".join(part.text or "" for part in content)
            self._text.append(events.add(TextDelta, text))
        if delta.refusal:
            self._refused = True
            self._text.append(events.add(TextDelta, delta.refusal))
        if delta.tool_calls:
            for position, part in enumerate(delta.tool_calls):
                self._take_call(position, part, events)

    def _take_call(self, position: int, part: _CallDelta, events: _Coalesced) -> None:
        wire_index = part.index if part.index is not None else position
        function = part.function or _Function()
        known = next((call for call in reversed(self._calls) if call.wire_index == wire_index), None)
        if known is None or (part.id and known.id and part.id != known.id and function.name):
            # Some servers number every call 0; another id with another name is another call all the same.
            known = _Call(len(self._calls), wire_index)
            self._calls.append(known)
        known.id = known.id or part.id or ""
        known.name = known.name or function.name or ""
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        known.arguments.append(arguments)
        events.add_call(known.index, known.name or None, arguments)

    def _tool_calls(self) -> list[ToolCallPart]:
        parts: list[ToolCallPart] = []
        taken: set[str] = set()
        for call in self._calls:
            if not call.name:
                raise self._garbage("sent a tool call without a name")
            identity = call.id if call.id and call.id not in taken else f"call_{self._turn_mark}_{call.index}"
            taken.add(identity)
            parts.append(ToolCallPart(identity, call.name, _arguments("".join(call.arguments))))
        return parts

    def _stop_reason(self) -> StopReason:
        if self._refused:
            return StopReason.REFUSED
        reason = _STOP_REASONS.get(self._finish_reason or "stop", StopReason.STOP)
        return StopReason.TOOL_CALLS if reason is StopReason.STOP and self._calls else reason

    def _counted(self, characters: int) -> Usage:
        given = self._usage
        if given is not None and (given.prompt_tokens or given.completion_tokens):
            total = max(0, int(given.prompt_tokens or 0))
            details = given.prompt_tokens_details
            cached = (details.cached_tokens if details is not None else None) or given.prompt_cache_hit_tokens or 0
            return Usage(total, max(0, int(given.completion_tokens or 0)), min(max(0, int(cached)), total))
        for call in self._calls:
            characters += len(call.name) + sum(map(len, call.arguments))
        return Usage(tokens_in(len(self._private.prompt)), tokens_in(characters), estimated=True)

    def _decode(self, payload: bytes) -> _Chunk:
        try:
            return _decode_chunk(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            # Servers that cut text by UTF-16 units send half an emoji as an escape, which msgspec refuses.
            mended = json.dumps(json.loads(payload), ensure_ascii=False).encode("utf-8", "replace")
            return _decode_chunk(mended)
        except (ValueError, RecursionError) as error:
            raise self._garbage("sent something that is not a reply") from error

    def _garbage(self, what: str) -> ModelError:
        return ModelError(ModelErrorKind.GARBAGE, f"{self._who} {what}; is baseUrl an OpenAI-compatible API?")


class _Coalesced:
    """Deltas in order, neighbours of one kind joined."""

    __slots__ = ("_events", "_kind", "_name", "_pieces")

    def __init__(self) -> None:
        self._events: list[ModelEvent] = []
        self._kind: type[TextDelta] | type[ThinkingDelta] | int | None = None  # an int is a tool call's index
        self._name: str | None = None
        self._pieces: list[str] = []

    def add(self, kind: type[TextDelta] | type[ThinkingDelta], text: str) -> str:
        """Add characters and give them back as they are kept: NUL, which no message may hold, is dropped."""
        if "\0" in text:
            text = text.replace("\0", "")
        if self._kind is not kind:
            self._flush()
            self._kind = kind
        self._pieces.append(text)
        return text

    def add_call(self, index: int, name: str | None, arguments: str) -> None:
        if self._kind != index:
            self._flush()
            self._kind = index
        self._name = name
        self._pieces.append(arguments)

    def all(self) -> list[ModelEvent]:
        self._flush()
        return self._events

    def _flush(self) -> None:
        kind, text = self._kind, "".join(self._pieces)
        if isinstance(kind, int):
            self._events.append(ToolCallDelta(kind, self._name, text))
        elif kind is not None and text:
            self._events.append(kind(text))
        self._pieces.clear()


@dataclass(slots=True)
class _Call:
    index: int
    wire_index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _CallDelta(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _ContentPart(Struct, gc=False):
    text: str | None = None


class _Delta(Struct, gc=False):
    content: str | list[_ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(Struct, gc=False):
    cached_tokens: int | float | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    prompt_tokens_details: _PromptDetails | None = None
    prompt_cache_hit_tokens: int | float | None = None  # DeepSeek


class _Chunk(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None  # these three: vLLM before it wrapped its errors in `error`
    type: str | None = None
    code: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode

_STOP_REASONS = {
    "stop": StopReason.STOP,
    "tool_calls": StopReason.TOOL_CALLS,
    "function_call": StopReason.TOOL_CALLS,
    "length": StopReason.LENGTH,
    "content_filter": StopReason.REFUSED,
}


def _arguments(written: str) -> dict[str, Any]:
    if not written.strip():
        return {}
    try:
        decoded: object = msgspec.json.decode(written)
    except (msgspec.DecodeError, RecursionError):
        return {INVALID_ARGUMENTS: written}
    # JSON objects have string keys
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {INVALID_ARGUMENTS: written}
