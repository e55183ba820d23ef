"""What a model is to us: a request goes in, words and tool calls stream out.

`Model` is the port; `openai.py` and `anthropic.py` speak to servers, `demo.py` needs nothing. A request names
everything it needs, the key included: an implementation reads no environment and remembers nothing between calls.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rookery.messages import MessageEntry, Part, StopReason, TextPart, ThinkingPart, ToolCallPart, Usage

INVALID_ARGUMENTS = "invalidArguments"
"""The one key of a tool call's arguments when the model wrote something that is not a JSON object.

Its value is what the model wrote; whoever runs tools answers such a call with `ToolRetry`.
"""


class PromptMessage:
    """One message of a prompt, with its encoded wire forms kept beside it.

    The open session owns these objects, so an encoding lives exactly as long as the brain it came from, and
    the same bytes go out on every call, which is what a provider's prompt cache needs.
    """

    __slots__ = ("_call_ids", "_characters", "_wire", "entry")

    def __init__(self, entry: MessageEntry) -> None:
        self.entry = entry
        self._wire: dict[str, bytes] = {}
        self._characters: int | None = None
        self._call_ids: tuple[str, ...] | None = None

    @property
    def characters(self) -> int:
        """How many characters its content has, tool calls included and pictures not; counted once."""
        if self._characters is None:
            self._characters = characters_in(self.entry.content)
        return self._characters

    @property
    def call_ids(self) -> tuple[str, ...]:
        """The ids of the tool calls in it; collected once."""
        if self._call_ids is None:
            self._call_ids = tuple(part.id for part in self.entry.content if isinstance(part, ToolCallPart))
        return self._call_ids

    def wire(self, form: str, encode: Callable[[MessageEntry], bytes]) -> bytes:
        """The entry in the wire format named `form`, encoded once."""
        encoded = self._wire.get(form)
        if encoded is None:
            encoded = self._wire[form] = encode(self.entry)
        return encoded


def characters_in(content: Sequence[Part]) -> int:
    """How many characters there are in these parts, tool calls included and pictures not."""
    length = 0
    for part in content:
        match part:
            case TextPart():
                length += len(part.text)
            case ThinkingPart():
                length += len(part.thinking)
            case ToolCallPart():
                length += len(part.name) + len(msgspec.json.encode(part.arguments))
            case _:
                continue
    return length


class ToolSpec(Struct, frozen=True):
    """A tool as the model is told of it; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """A provider key on its way to the provider; shows itself nowhere else."""

    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of one model.

    `instructions` and `history` are the byte-stable prefix. `context` is what changes from turn to turn: it is
    added after the words of the last user message, so that everything before it stays a stable prefix, and so
    do the tool calls and results after it as long as the turn keeps its context.

    `images` are the pictures that this call shows, by the id of their attachment; the history's other pictures are
    named in words.

    `model` is the provider's own name for it. `timeout_seconds` bounds the call from here to its last byte.
    `cache_salt` keeps people apart in the prefix cache of a shared engine (vLLM); None sends none.
    """

    model: str
    instructions: str
    history: Sequence[PromptMessage]
    context: str = ""
    tools: Sequence[ToolSpec] = ()
    key: Key | None = None
    timeout_seconds: float = 120.0
    cache_salt: str | None = None
    images: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)


class TextDelta(Struct, frozen=True):
    """Some more characters of the reply."""

    text: str


class ThinkingDelta(Struct, frozen=True):
    """Some more characters of the model's thoughts."""

    text: str


class ToolCallDelta(Struct, frozen=True):
    """The model is writing its `index`-th tool call, from 0; `name` is known once it has been sent."""

    index: int
    name: str | None
    arguments: str


class ModelReply(Struct, frozen=True):
    """The whole reply; always the last thing a stream yields, exactly once."""

    content: tuple[TextPart | ThinkingPart | ToolCallPart, ...]
    stop_reason: StopReason
    usage: Usage


ModelEvent = TextDelta | ThinkingDelta | ToolCallDelta | ModelReply

ModelStream = AsyncGenerator[ModelEvent, None]
"""One answer while it is written. Read it inside `contextlib.aclosing`, so that leaving early hangs up at once."""


class Model(Protocol):
    """One provider's models behind one wire format."""

    def stream(self, request: ModelRequest) -> ModelStream:
        """Ask once and stream the answer; the last event is the `ModelReply`.

        The text deltas joined are the reply's text, likewise the thinking deltas; what arrives together may be
        one delta. Never tries again by itself. Raises `ModelError` with the kind that fits, also in
        mid-stream. Closing the stream, or cancelling the task that reads it, ends the request at the provider.
        """
        ...

    async def close(self) -> None:
        """Give back what the client holds. Streams still open end with `ModelError`."""
        ...
