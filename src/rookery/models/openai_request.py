"""A request in OpenAI's chat-completions format.

The history goes out as the fragments its messages keep, so each is encoded once in its life and the same bytes
are sent on every call; only a message whose pictures are shown is written anew, for megabytes are not kept twice.
Thinking is not part of this format and stays here.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence

import msgspec

from rookery.messages import MessageEntry, Role, SenderNote, TextPart, ToolCallPart
from rookery.messages.transcript import ImagePart
from rookery.models.port import ModelRequest, PromptMessage, ToolSpec

FORM = "openai"
"""This format's name among the wire forms of a `PromptMessage`."""

_encode = msgspec.json.encode


def encode_body(request: ModelRequest) -> tuple[bytes, bytes]:
    """The whole body, and the words in it that are the prompt."""
    words = _messages(request, shown=False)
    messages = _messages(request, shown=True) if request.images else words
    parts = [b'{"model":', _encode(request.model), b',"messages":[', messages]
    parts.append(b'],"stream":true,"stream_options":{"include_usage":true}')
    if request.tools:
        parts += [b',"tools":', _tools(request.tools)]
    if request.cache_salt is not None:
        parts += [b',"cache_salt":', _encode(request.cache_salt)]
    parts.append(b"}")
    return b"".join(parts), words


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


def _messages(request: ModelRequest, *, shown: bool) -> bytes:
    """All messages, with their pictures where they are `shown`, otherwise in words alone."""
    fragments = [
        _with_pictures(message.entry, request.images)
        if shown and _shows(message.entry, request.images)
        else message.wire(FORM, encode_entry)
        for message in request.history
    ]
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
    if message.endswith(b"]}"):
        return b"%b,%b]}" % (message[:-2], _text_part(text))
    return message[:-2] + _encode("\n\n" + text)[1:] + b"}"


def _text_message(role: str, text: str) -> bytes:
    return b'{"role":"%b","content":%b}' % (role.encode(), _encode(text))


def _shows(entry: MessageEntry, images: Mapping[str, bytes]) -> bool:
    return entry.role is Role.USER and any(
        isinstance(part, ImagePart) and part.attachment_id in images for part in entry.content
    )


def _with_pictures(entry: MessageEntry, images: Mapping[str, bytes]) -> bytes:
    """A user message in parts, the pictures that are shown in their places."""
    parts: list[bytes] = [_text_part(_label(entry.sender))] if entry.sender is not None else []
    for part in entry.content:
        if isinstance(part, ImagePart) and (data := images.get(part.attachment_id)) is not None:
            kind = _encode(f"data:{part.content_type};base64,")
            parts.append(b'{"type":"image_url","image_url":{"url":%b%b"}}' % (kind[:-1], b64encode(data)))
        elif isinstance(part, ImagePart):
            parts.append(_text_part(_picture_in_words(part)))
        elif isinstance(part, TextPart) and part.text:
            parts.append(_text_part(part.text))
    return b'{"role":"user","content":[%b]}' % b",".join(parts)


def _text_part(text: str) -> bytes:
    return b'{"type":"text","text":%b}' % _encode(text)


def _picture_in_words(part: ImagePart) -> str:
    return f"[Image: {part.name}]" if part.name else "[Image]"


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
            said.append(_picture_in_words(part))
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
