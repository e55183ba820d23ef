"""A request in OpenAI's chat-completions format.

The history goes out as the fragments its messages keep, so each is encoded once in its life and the same bytes
are sent on every call; only a message whose pictures are shown is written anew, for megabytes are not kept twice.
Thinking is not part of this format: it is sent, in a field that several servers share, only where the operator
says that the server takes it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from rookery.config.words import ReplayThinking
from rookery.messages import MessageEntry, Role, TextPart, ThinkingPart, ToolCallPart
from rookery.messages.transcript import ImagePart
from rookery.models.entry_words import label, last_user, picture_in_words, shows, turn_begins, words
from rookery.models.port import ModelRequest, PromptMessage, ToolSpec
from rookery.models.server import PLAIN, ServerOptions

FORM = "openai"
"""This format's name among the wire forms of a `PromptMessage`."""

FORM_WITH_THOUGHTS = "openai, with thoughts"

_OPENAIS_OWN = ("api.openai.com", ".openai.azure.com")

_encode = msgspec.json.encode


class OpenAIForm:
    """Requests as one server of this format takes them."""

    def __init__(self, provider: str, base_url: str, options: ServerOptions = PLAIN) -> None:
        """`provider` is whose thoughts may be sent back to it, where the options say so."""
        self._provider = provider
        self._options = options
        self._tail = b'],"stream":true,"stream_options":{"include_usage":true}'
        if options.max_output_tokens is not None:
            self._tail += b',"%b":%d' % (_limit_field(base_url), options.max_output_tokens)
        self._tail += options.extra()

    def encode(self, request: ModelRequest) -> tuple[bytes, bytes]:
        """The whole body, and the words in it that are the prompt."""
        said = self._messages(request, shown=False)
        messages = self._messages(request, shown=True) if request.images else said
        parts = [b'{"model":', _encode(request.model), b',"messages":[', messages, self._tail]
        if request.tools:
            parts += [b',"tools":', _tools(request.tools)]
        if request.cache_salt is not None:
            parts += [b',"cache_salt":', _encode(request.cache_salt)]
        parts.append(b"}")
        return b"".join(parts), said

    def _messages(self, request: ModelRequest, *, shown: bool) -> bytes:
        """All messages, with their pictures where they are `shown`, otherwise in words alone."""
        fragments = [
            _with_pictures(message.entry, request.images)
            if shown and shows(message.entry, request.images)
            else message.wire(FORM, encode_entry)
            for message in request.history
        ]
        if self._options.replay_thinking is not ReplayThinking.NEVER:
            self._put_thoughts(request.history, fragments)
        if request.context:
            # Templates of local models often allow neither a system message further down nor two user messages
            # in a row, so the context rides on the last user message instead of being a message of its own.
            last = last_user(request.history)
            if last is None:
                fragments.append(_text_message("user", request.context))
            else:
                fragments[last] = _with_more(fragments[last], request.context)
        if request.instructions:
            fragments.insert(0, _text_message("system", request.instructions))
        return b",".join(fragments)

    def _put_thoughts(self, history: Sequence[PromptMessage], fragments: list[bytes]) -> None:
        """Put the thoughts that are sent back into their messages."""
        begin = turn_begins(history)
        for index, message in enumerate(history):
            if self._options.replays(message.entry, self._provider, in_turn=index >= begin):
                fragments[index] = message.wire(FORM_WITH_THOUGHTS, _with_thoughts)


def encode_entry(entry: MessageEntry) -> bytes:
    """One entry as one message. A user message ends with its content, where `context` can be added."""
    match entry.role:
        case Role.USER:
            return _text_message("user", label(entry.sender) + words(entry))
        case Role.ASSISTANT:
            return _assistant(entry)
        case Role.TOOL_RESULT:
            said = f"Error: {words(entry)}" if entry.is_error else words(entry)
            return _encode({"role": "tool", "tool_call_id": entry.tool_call_id or "", "content": said})


def _limit_field(base_url: str) -> bytes:
    """What this server calls the most tokens of a reply.

    OpenAI's newer models refuse `max_tokens`. Nearly everybody else knows only that: some refuse OpenAI's newer
    name for it, others pass it over and write without end.
    """
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        host = ""
    return b"max_completion_tokens" if host.endswith(_OPENAIS_OWN) else b"max_tokens"


def _with_more(message: bytes, text: str) -> bytes:
    """A user message with text added to its content; its bytes so far stay as they are."""
    if message.endswith(b"]}"):
        return b"%b,%b]}" % (message[:-2], _text_part(text))
    return message[:-2] + _encode("\n\n" + text)[1:] + b"}"


def _text_message(role: str, text: str) -> bytes:
    return b'{"role":"%b","content":%b}' % (role.encode(), _encode(text))


def _with_pictures(entry: MessageEntry, images: Mapping[str, bytes]) -> bytes:
    """A user message in parts, the pictures that are shown in their places."""
    parts: list[bytes] = [_text_part(label(entry.sender))] if entry.sender is not None else []
    for part in entry.content:
        if isinstance(part, ImagePart) and (data := images.get(part.attachment_id)) is not None:
            kind = _encode(f"data:{part.content_type};base64,")
            parts.append(b'{"type":"image_url","image_url":{"url":%b%b"}}' % (kind[:-1], b64encode(data)))
        elif isinstance(part, ImagePart):
            parts.append(_text_part(picture_in_words(part)))
        elif isinstance(part, TextPart) and part.text:
            parts.append(_text_part(part.text))
    return b'{"role":"user","content":[%b]}' % b",".join(parts)


def _text_part(text: str) -> bytes:
    return b'{"type":"text","text":%b}' % _encode(text)


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
    said = words(entry)
    if not calls:
        return _text_message("assistant", said)
    return _encode({"role": "assistant", "content": said or None, "tool_calls": calls})


def _with_thoughts(entry: MessageEntry) -> bytes:
    """An assistant's message with its thoughts at the end, in the field that servers send them in."""
    thoughts = "\n\n".join(part.thinking for part in entry.content if isinstance(part, ThinkingPart))
    return b'%b,"reasoning_content":%b}' % (encode_entry(entry)[:-1], _encode(thoughts))


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
