"""What models without a server share: replies made of words, and tokens guessed from characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from rookery.messages import MessageEntry, Part, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models.port import ModelRequest, characters_in


def pieces(text: str) -> Iterator[str]:
    """The text word by word, each with the white space after it; joined they are the text."""
    return (match.group() for match in _PIECE.finditer(text))


def tokens_in(characters: int) -> int:
    """A guess at how many tokens so many characters are, rounded up."""
    return -(-characters // 4)


def estimated(request: ModelRequest, content: tuple[Part, ...]) -> Usage:
    """What a call would have used, guessed from its length; the same request always gives the same."""
    asked = len(request.instructions) + len(request.context)
    for message in request.history:
        asked += message.characters
    return Usage(tokens_in(asked), tokens_in(characters_in(content)), estimated=True)


def everything_said(request: ModelRequest) -> Iterator[str]:
    """Every text that a request carries to the model, in order."""
    yield request.instructions
    for tool in request.tools:
        yield f"{tool.name}: {tool.description}"
    for message in request.history:
        if message.entry.sender is not None:
            yield f"{message.entry.sender.id} {message.entry.sender.name or ''}"
        yield from _texts(message.entry)
    yield request.context


def _texts(entry: MessageEntry) -> Iterator[str]:
    for part in entry.content:
        match part:
            case TextPart():
                yield part.text
            case ThinkingPart():
                yield part.thinking
            case ToolCallPart():
                yield f"{part.name} {msgspec.json.encode(part.arguments).decode()}"
            case _:
                yield f"[Image: {part.name or part.attachment_id}]"


_PIECE = re.compile(r"\S+\s*|\s+")
