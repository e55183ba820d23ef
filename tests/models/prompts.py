"""Requests for models, written briefly."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from rookery.ids import EntryId
from rookery.messages import MessageEntry, Part, Role, SenderNote, StopReason, TextPart, ToolCallPart
from rookery.models import Key, Model, ModelEvent, ModelReply, ModelRequest, PromptMessage, TextDelta, ToolSpec

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

TIME_TOOL = ToolSpec("time", "The current time.", {"type": "object", "properties": {"zone": {"type": "string"}}})


def user(*content: str | Part, sender: SenderNote | None = None, **fields: Any) -> PromptMessage:
    """What a person said."""
    return _message(Role.USER, content, sender=sender, **fields)


def assistant(*content: str | Part, **fields: Any) -> PromptMessage:
    """What the model said."""
    stop_reason = (
        StopReason.TOOL_CALLS if any(isinstance(part, ToolCallPart) for part in content) else StopReason.STOP
    )
    return _message(Role.ASSISTANT, content, stop_reason=stop_reason, **fields)


def result(call_id: str, text: str, *, name: str = "time", **fields: Any) -> PromptMessage:
    """What a tool said."""
    return _message(Role.TOOL_RESULT, (text,), tool_call_id=call_id, tool_name=name, **fields)


def ask(model: str, *history: PromptMessage, **fields: Any) -> ModelRequest:
    """A request; without a history somebody says hello."""
    fields = {"instructions": "You are Rook.", "timeout_seconds": 20.0} | fields
    return ModelRequest(model=model, history=history or (user("hello"),), **fields)


def with_key(secret: str) -> Key:
    return Key(secret)


async def heard(model: Model, request: ModelRequest) -> list[ModelEvent]:
    """Everything the model streams."""
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


async def reply_of(model: Model, request: ModelRequest) -> ModelReply:
    """The reply alone."""
    last = (await heard(model, request))[-1]
    assert isinstance(last, ModelReply)
    return last


def text_in(reply: ModelReply) -> str:
    return "".join(part.text for part in reply.content if isinstance(part, TextPart))


def text_streamed(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _message(role: Role, content: tuple[str | Part, ...], **fields: Any) -> PromptMessage:
    parts = tuple(TextPart(part) if isinstance(part, str) else part for part in content)
    return PromptMessage(MessageEntry(id=EntryId("entry"), timestamp=NOON, role=role, content=parts, **fields))
