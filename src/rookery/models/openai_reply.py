"""A reply in OpenAI's chat-completions format, streamed or whole, put together from its bytes.

Written for what servers really send: OpenAI, Ollama, vLLM, llama.cpp and their relatives differ in where the
thoughts stand, in whether usage, finish_reason and [DONE] come at all, and in how they number tool calls.
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


class OpenAIReply(ReplyInParts):
    """A reply in this format, as it comes."""

    def __init__(self, who: str, *, private: Private, turn_mark: str) -> None:
        super().__init__(who, private=private, turn_mark=turn_mark)
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[_Call] = []
        self._usage: _Usage | None = None
        self._finish_reason: str | None = None
        self._refused = False

    @property
    def complete(self) -> bool:
        """Nothing of the reply itself is missing, though usage may still come."""
        return self.done or self._finish_reason is not None

    def _whole(self) -> ModelReply:
        content: list[TextPart | ThinkingPart | ToolCallPart] = []
        thinking, text = "".join(self._thinking), "".join(self._text)
        if thinking:
            content.append(ThinkingPart(thinking))
        if text:
            content.append(TextPart(text))
        content += self._tool_calls()
        return ModelReply(tuple(content), self._stop_reason(), self._counted(len(thinking) + len(text)))

    def _take_payload(self, payload: bytes, events: Coalesced) -> None:
        chunk = self._decoded(payload, _decode_chunk)
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

    def _take_delta(self, delta: _Delta, events: Coalesced) -> None:
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

    def _take_call(self, position: int, part: _CallDelta, events: Coalesced) -> None:
        wire_index = part.index if part.index is not None else position
        function = part.function or _Function()
        known = next((call for call in reversed(self._calls) if call.wire_index == wire_index), None)
        if known is None or (part.id and known.id and part.id != known.id and function.name):
            # Some servers number every call 0; another id with another name is another call all the same.
            self._check_calls(len(self._calls) + 1)
            known = _Call(len(self._calls), wire_index)
            self._calls.append(known)
        known.id = known.id or part.id or ""
        known.name = known.name or function.name or ""
        written = function.arguments or ""
        if isinstance(written, dict):
            written = msgspec.json.encode(written).decode()
        known.arguments.append(written)
        events.add_call(known.index, known.name or None, written)

    def _tool_calls(self) -> list[ToolCallPart]:
        parts: list[ToolCallPart] = []
        taken: set[str] = set()
        for call in self._calls:
            if not call.name:
                raise self._garbage("sent a tool call without a name")
            identity = call.id if call.id and call.id not in taken else f"call_{self._turn_mark}_{call.index}"
            taken.add(identity)
            parts.append(ToolCallPart(identity, call.name, arguments("".join(call.arguments))))
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
            cached = min(max(0, int(cached)), total)
            written = (details.cache_write_tokens if details is not None else None) or 0
            return Usage(
                total,
                max(0, int(given.completion_tokens or 0)),
                cached,
                cache_write_tokens=min(max(0, int(written)), total - cached),
            )
        for call in self._calls:
            characters += len(call.name) + sum(map(len, call.arguments))
        return Usage(tokens_in(len(self._private.prompt)), tokens_in(characters), estimated=True)

    def _garbage(self, what: str) -> ModelError:
        return ModelError(ModelErrorKind.GARBAGE, f"{self._who} {what}; is baseUrl an OpenAI-compatible API?")


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
    cache_write_tokens: int | float | None = None  # OpenRouter, of models whose cache has to be written


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
