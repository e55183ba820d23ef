"""A request in pydantic-ai's types, from which that library writes a provider's own format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic_ai.messages import (
    BinaryContent,
    InstructionPart,
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as TheirRequest
from pydantic_ai.messages import TextPart as TheirText
from pydantic_ai.messages import ThinkingPart as TheirThinking
from pydantic_ai.messages import ToolCallPart as TheirCall
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from rookery.messages import MessageEntry, Role, TextPart, ThinkingPart, ToolCallPart
from rookery.messages.transcript import ImagePart
from rookery.models.entry_words import label, last_user, picture_in_words, turn_begins, words
from rookery.models.port import ModelRequest
from rookery.models.server import ServerOptions


def messages_of(request: ModelRequest, provider: str, system: str, options: ServerOptions) -> list[ModelMessage]:
    """The history, with the context behind the last words of the person.

    `provider` is our name for whose thoughts may be replayed to it, `system` pydantic-ai's.
    """
    begin = turn_begins(request.history)
    context_at = last_user(request.history) if request.context else None
    messages: list[ModelMessage] = []
    for index, message in enumerate(request.history):
        entry = message.entry
        match entry.role:
            case Role.USER:
                content = list(_user(entry, request.images))
                if index == context_at:
                    content.append(request.context)
                messages.append(TheirRequest(parts=[UserPromptPart(_joined(content))]))
            case Role.ASSISTANT:
                replayed = options.replays(entry, provider, in_turn=index >= begin)
                parts = list(_assistant(entry, system, thoughts=replayed))
                if parts:
                    messages.append(ModelResponse(parts=parts, provider_name=system))
            case Role.TOOL_RESULT:
                said = f"Error: {words(entry)}" if entry.is_error else words(entry)
                part = ToolReturnPart(entry.tool_name or "", said, tool_call_id=entry.tool_call_id or "")
                last = messages[-1] if messages else None
                if isinstance(last, TheirRequest) and all(isinstance(item, ToolReturnPart) for item in last.parts):
                    last.parts = [*last.parts, part]  # results of one step belong into one message
                else:
                    messages.append(TheirRequest(parts=[part]))
    if request.context and context_at is None:
        messages.append(TheirRequest(parts=[UserPromptPart(request.context)]))
    return messages


def parameters_of(request: ModelRequest) -> ModelRequestParameters:
    """The tools and the instructions."""
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.parameters)
            for tool in request.tools
        ],
        instruction_parts=[InstructionPart(request.instructions)] if request.instructions else None,
    )


def _user(entry: MessageEntry, images: Mapping[str, bytes]) -> Iterator[UserContent]:
    if entry.sender is not None:
        yield label(entry.sender).rstrip("\n")
    for part in entry.content:
        if isinstance(part, ImagePart):
            data = images.get(part.attachment_id)
            yield picture_in_words(part) if data is None else BinaryContent(data, media_type=part.content_type)
        elif isinstance(part, TextPart) and part.text:
            yield part.text


def _joined(content: list[UserContent]) -> str | list[UserContent]:
    """Words alone as one text, which every provider takes; with pictures, part by part."""
    texts = [part for part in content if isinstance(part, str)]
    return "\n\n".join(texts) if len(texts) == len(content) else content


def _assistant(entry: MessageEntry, system: str, *, thoughts: bool) -> Iterator[ModelResponsePart]:
    for part in entry.content:
        match part:
            case ThinkingPart() if thoughts:
                yield TheirThinking(part.thinking, signature=part.signature, provider_name=system)
            case TextPart() if part.text:
                yield TheirText(part.text)
            case ToolCallPart():
                yield TheirCall(part.name, part.arguments, tool_call_id=part.id)
            case _:
                continue
