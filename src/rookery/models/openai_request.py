"""A request in OpenAI's chat-completions format.

The history goes out as the fragments its messages keep, so each is encoded once in its life and the same bytes
are sent on every call. Thinking is not part of this format and stays here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rookery.messages import MessageEntry, Role, SenderNote, TextPart, ToolCallPart
from rookery.messages.transcript import ImagePart
from rookery.models.port import ModelRequest, PromptMessage, ToolSpec

FORM = "openai"
"""This format's name among the wire forms of a `PromptMessage`."""

_encode = msgspec.json.encode


def encode_body(request: ModelRequest) -> tuple[bytes, bytes]:
    """The whole body, and the part of it that is the prompt."""
    messages = _messages(request)
    parts = [b'{"model":', _encode(request.model), b',"messages":[', messages]
    parts.append(b'],"stream":true,"stream_options":{"include_usage":true}')
    if request.tools:
        parts += [b',"tools":', _tools(request.tools)]
    if request.cache_salt is not None:
        parts += [b',"cache_salt":', _encode(request.cache_salt)]
    parts.append(b"}")
    return b"".join(parts), messages


def encode_entry(entry: MessageEntry) -> bytes:
    """One entry as one message. A user message ends with its content, where `context` can be added."""
    match entry.role:
        case Role.USER:
            label = _label(entry.sender) if entry.sender is not None else ""
            return _text_message("user", label + _words(entry))
        case Role.ASSISTANT:
            return _assistant(entry)
        case Role.TOOL_RESULT:
            words = f"Error: {_words(entry)}" if entry.is_error else _words(entry)
            return _encode({"role": "tool", "tool_call_id": entry.tool_call_id or "", "content": words})


def _messages(request: ModelRequest) -> bytes:
    fragments = [message.wire(FORM, encode_entry) for message in request.history]
    if request.context:
        # Templates of local models often allow neither a system message further down nor two user messages in
        # a row, so the context rides on the last user message instead of being a message of its own.
        last = _last_user(request.history)
        if last is None:
            fragments.append(_text_message("user", request.context))
        else:
            fragments[last] = _with_more(fragments[last], request.context)
    if request.instructions:
        fragments.insert(0, _text_message("system", request.instructions))
    return b",".join(fragments)


def _last_user(history: Sequence[PromptMessage]) -> int | None:
    for index in range(len(history) - 1, -1, -1):
        if history[index].entry.role is Role.USER:
            return index
    return None


def _with_more(message: bytes, text: str) -> bytes:
    """A user message with text added to its content; its bytes so far stay as they are."""
    return message[:-2] + _encode("\n\n" + text)[1:] + b"}"


def _text_message(role: str, text: str) -> bytes:
    return b'{"role":"%b","content":%b}' % (role.encode(), _encode(text))


def _assistant(entry: MessageEntry) -> bytes:
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": _encode(part.arguments).decode()},
        }
        for part in entry.content
        if isinstance(part, ToolCallPart)
    ]
    words = _words(entry)
    if not calls:
        return _text_message("assistant", words)
    return _encode({"role": "assistant", "content": words or None, "tool_calls": calls})


def _words(entry: MessageEntry) -> str:
    said: list[str] = []
    for part in entry.content:
        if isinstance(part, TextPart):
            said.append(part.text)
        elif isinstance(part, ImagePart):
            said.append(f"[An image was attached here ({part.content_type}); it cannot be shown to you.]")
    return "\n\n".join(said)


def _label(sender: SenderNote) -> str:
    # The name is the sender's own choice; quoted as JSON it cannot break out of the label or begin a line.
    name = f"{_encode(sender.name).decode()} " if sender.name else ""
    return f"From {name}({sender.channel}:{_encode(sender.id).decode()[1:-1]}):\n"


def _tools(tools: Sequence[ToolSpec]) -> bytes:
    return _encode(
        [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in tools
        ]
    )
