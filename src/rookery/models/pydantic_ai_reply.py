"""A reply that pydantic-ai streams, in our own events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
from pydantic_ai.messages import (
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPartDelta,
    ThinkingPartDelta,
    ToolCallPartDelta,
)
from pydantic_ai.messages import TextPart as TheirText
from pydantic_ai.messages import ThinkingPart as TheirThinking
from pydantic_ai.messages import ToolCallPart as TheirCall

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models.port import (
    INVALID_ARGUMENTS,
    ModelEvent,
    ModelReply,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from rookery.models.reply_parts import MOST_CALLS
from rookery.models.words import estimated

_STOP_REASONS = {
    "stop": StopReason.STOP,
    "tool_call": StopReason.TOOL_CALLS,
    "length": StopReason.LENGTH,
    "content_filter": StopReason.REFUSED,
}


class Reply:
    """One reply as it comes: their events go in, ours come out, and the whole at the end."""

    def __init__(self, who: str) -> None:
        """`who`: the provider, for errors."""
        self._who = who
        self._calls: dict[int, tuple[int, str]] = {}
        self.begun = False
        """Something of the reply has come."""

    def take(self, event: ModelResponseStreamEvent) -> Iterator[ModelEvent]:
        """What this event adds."""
        self.begun = True
        match event:
            case (
                PartStartEvent(part=TheirText(content=text))
                | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
            ):
                if text:
                    yield TextDelta(_clean(text))
            case (
                PartStartEvent(part=TheirThinking(content=text))
                | PartDeltaEvent(delta=ThinkingPartDelta(content_delta=text))
            ):
                if text:
                    yield ThinkingDelta(_clean(text))
            case PartStartEvent(index=place, part=TheirCall() as call):
                index = self._calls[place][0] if place in self._calls else len(self._calls)
                if index == MOST_CALLS:
                    told = f"{self._who} called more than {MOST_CALLS} tools at once; we hung up."
                    raise ModelError(ModelErrorKind.BROKEN_OFF, told)
                self._calls[place] = index, call.tool_name
                yield ToolCallDelta(index, call.tool_name, _written(call.args))
            case PartDeltaEvent(index=place, delta=ToolCallPartDelta() as delta) if place in self._calls:
                index, name = self._calls[place]
                yield ToolCallDelta(index, name, _written(delta.args_delta))
            case _:
                return

    def whole(self, response: ModelResponse, request: ModelRequest) -> ModelReply:
        """The reply, once its events have ended. Raises `ModelError` when it is not whole."""
        content: list[TextPart | ThinkingPart | ToolCallPart] = []
        for part in response.parts:
            match part:
                case TheirThinking() if part.content or part.signature:
                    content.append(ThinkingPart(_clean(part.content), part.signature))
                case TheirText() if part.content:
                    content.append(TextPart(_clean(part.content)))
                case TheirCall():
                    content.append(ToolCallPart(part.tool_call_id, part.tool_name, _arguments(part.args)))
                case _:
                    continue
        if response.finish_reason == "error":
            raise ModelError(ModelErrorKind.GARBAGE, f"{self._who} gave up its reply with an error.")
        if response.finish_reason is None:
            raise ModelError(ModelErrorKind.BROKEN_OFF, f"{self._who} stopped in the middle of its reply.")
        reason = _STOP_REASONS[response.finish_reason]
        calls = any(isinstance(part, ToolCallPart) for part in content)
        if reason in {StopReason.STOP, StopReason.TOOL_CALLS}:
            reason = StopReason.TOOL_CALLS if calls else StopReason.STOP
        return ModelReply(tuple(content), reason, _usage(response) or estimated(request, tuple(content)))


def _usage(response: ModelResponse) -> Usage | None:
    used = response.usage
    if not used.input_tokens and not used.output_tokens:
        return None
    read = min(used.cache_read_tokens, used.input_tokens)
    return Usage(
        used.input_tokens,
        used.output_tokens,
        read,
        cache_write_tokens=min(used.cache_write_tokens, used.input_tokens - read),
    )


def _clean(text: str) -> str:
    """Without NUL, which no message may hold."""
    return text.replace("\0", "")


def _written(arguments: str | Mapping[str, object] | None) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _arguments(written: str | Mapping[str, object] | None) -> dict[str, Any]:
    if written is None:
        return {}
    if not isinstance(written, str):
        return dict(written)
    if not written.strip():
        return {}
    try:
        decoded: object = msgspec.json.decode(written)
    except (msgspec.DecodeError, RecursionError):
        return {INVALID_ARGUMENTS: written}
    # JSON objects have string keys
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {INVALID_ARGUMENTS: written}
