"""A request in Anthropic's Messages format.

The history goes out as the fragments its messages keep, so each is encoded once in its life and the same bytes are
sent on every call. A fragment is the content of one entry; entries of one side that follow each other become one
message, for the format wants the sides to alternate.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from operator import is_

import msgspec

from rookery.config.words import ReplayThinking
from rookery.messages import MessageEntry, Role, TextPart, ThinkingPart, ToolCallPart
from rookery.messages.transcript import ImagePart
from rookery.models.entry_words import label, last_user, picture_in_words, shows, turn_begins, words
from rookery.models.port import ModelRequest, PromptMessage, ToolSpec
from rookery.models.server import PLAIN, ServerOptions

FORM = "anthropic"
"""This format's name among the wire forms of a `PromptMessage`."""

FORM_WITH_THOUGHTS = "anthropic, with thoughts"

PICTURE_LIMIT = 5 << 20
"""The most bytes a picture may have on the wire; the format refuses a request with a larger one."""

_encode = msgspec.json.encode


class AnthropicForm:
    """Requests as one server of this format takes them."""

    def __init__(self, provider: str, options: ServerOptions = PLAIN) -> None:
        """`provider` is whose thoughts may be sent back to it, where the options say so."""
        self._provider = provider
        self._options = options
        self._extra = options.extra()

    def encode(self, request: ModelRequest) -> tuple[bytes, bytes]:
        """The whole body, and the words in it that are the prompt."""
        system = b""
        if request.instructions.strip():
            system = b'{"type":"text","text":%b}' % _encode(request.instructions)
        said = self._contents(request, shown=False)
        contents = self._contents(request, shown=True) if request.images else said
        prompt = system + said.messages()
        tools = _tools(request.tools)
        parts = [b'{"model":%b,"max_tokens":%d,"stream":true' % (_encode(request.model), self._limit(request))]
        parts.append(self._extra)
        if request.cache_salt is not None:
            parts += [b',"cache_salt":', _encode(request.cache_salt)]
        if tools:
            parts += [b',"tools":[', tools if system else _marked(tools), b"]"]
        if system:
            parts += [b',"system":[', _marked(system), b"]"]
        contents.mark()
        parts += [b',"messages":[', contents.messages(), b"]}"]
        return b"".join(parts), prompt

    def _limit(self, request: ModelRequest) -> int:
        return self._options.max_output_tokens or most_output(request.model)

    def _contents(self, request: ModelRequest, *, shown: bool) -> _Contents:
        """What each entry says, in order, the context behind the last words of the person."""
        history = request.history
        said = [message.wire(FORM, encode_entry) for message in history]
        if shown:
            for index, message in enumerate(history):
                if shows(message.entry, request.images):
                    said[index] = _message(_USER, _user(message.entry, request.images))
        replayed = self._replayed(history)
        for index in replayed:
            said[index] = history[index].wire(FORM_WITH_THOUGHTS, _with_thoughts)
        for index, names in _renamed(history):
            said[index] = _blocks(history[index].entry, thoughts=index in replayed, names=names)
        contents = _Contents(said, [message.entry.role for message in history])
        if request.context.strip():
            contents.pass_on(last_user(history), _message(_USER, _text(request.context)))
        contents.settle()
        return contents

    def _replayed(self, history: Sequence[PromptMessage]) -> frozenset[int]:
        """Where the thoughts stand that are sent back."""
        options = self._options
        if options.replay_thinking is ReplayThinking.NEVER:
            return frozenset()
        begin = turn_begins(history)
        first = begin if options.replay_thinking is ReplayThinking.TURN else 0
        return frozenset(
            index
            for index in range(first, len(history))
            if options.replays(history[index].entry, self._provider, in_turn=index >= begin)
        )


def encode_entry(entry: MessageEntry) -> bytes:
    """One entry as one message, without thoughts; empty when the format has no way to say it."""
    return _blocks(entry, thoughts=False, names={})


def most_output(model: str) -> int:
    """The most tokens of a reply where the operator set no limit; the format demands one.

    A model refuses a limit above what it can write, and the older ones want prompt and limit to fit into their
    context together; so it is what the smallest of a family can write, and for the later ones, which can write
    more, what an answer with its thoughts may need. Of other models behind this format little is known, and
    servers of the operator's own may have small contexts.
    """
    for family, most in _MOST_OUTPUT:
        if family in model:
            return most
    return 8192


_MOST_OUTPUT = (
    ("claude-3-5", 8192),
    ("claude-3-7", 32_000),
    ("claude-3", 4096),
    ("claude-2", 4096),
    ("claude-instant", 4096),
    ("claude", 32_000),
)


class _Contents:
    """What is said, each entry as a message of its own until all are joined."""

    def __init__(self, said: list[bytes], roles: list[Role]) -> None:
        self._said = said
        self._roles = roles
        self._passing: set[int] = set()
        """Where something stands that only this call says."""

    def pass_on(self, behind: int | None, message: bytes) -> None:
        """Say something in this call only, behind this place, or at the end."""
        place = len(self._said) if behind is None else behind + 1
        self._said.insert(place, message)
        self._roles.insert(place, Role.USER)
        self._passing.add(place)

    def settle(self) -> None:
        """Leave out what says nothing, and begin and end with the side that the format wants there."""
        while b"" in self._said:
            place = self._said.index(b"")
            del self._said[place], self._roles[place]
            self._passing = {passing - (passing > place) for passing in self._passing}
        if not self._roles or self._roles[0] is Role.ASSISTANT:
            self._said.insert(0, _BEGINNING)
            self._roles.insert(0, Role.USER)
            self._passing = {place + 1 for place in self._passing}
        if self._roles[-1] is Role.ASSISTANT:
            # Otherwise the format would take the last words for the beginning of the answer.
            self.pass_on(None, _GO_ON)

    def messages(self) -> bytes:
        """All messages, without brackets around them; the sides alternate."""
        assistant = Role.ASSISTANT  # looked up once: an enum's members cost a fifth of a microsecond each time
        sides = [role is assistant for role in self._roles]
        if True not in map(is_, sides, sides[1:]):
            return b",".join(self._said)
        joined: list[bytes] = []
        side: bool | None = None
        for message, of_assistant in zip(self._said, sides, strict=True):
            if of_assistant is side:
                opening = _ASSISTANT if of_assistant else _USER
                joined[-1] = b"%b,%b" % (joined[-1][: -len(_END)], message[len(opening) :])
            else:
                joined.append(message)
            side = of_assistant
        return b",".join(joined)

    def mark(self) -> None:
        """Mark where the provider's prompt cache is written and looked up.

        The cache holds what stands before a mark, and a look-up goes back from each mark by twenty blocks at most.
        A request has four marks. One stands behind tools and instructions, which all sessions of an agent share.
        Three are here, always behind what a person or a tool said:

        - at the prompt's end, for the call after this one;
        - where the call before this one ended, which is before the model's last answer: it is found there however
          many tool results came at once;
        - behind the person's words before the last. What a turn says only for itself, its context and its
          thoughts, goes with the turn, and with it what its later calls wrote; up to here it stays.

        What only this call says is never marked: nobody would find it again. Marks move on from call to call. The
        cache compares the words without them, so what stands before them stays the same prompt.
        """
        end: int | None = None
        call_before: int | None = None
        questions: list[int] = []
        answered = False
        for place in range(len(self._roles) - 1, -1, -1):
            role = self._roles[place]
            if role is Role.ASSISTANT:
                answered = True
            elif place not in self._passing:
                end = place if end is None else end
                call_before = place if call_before is None and answered else call_before
                if role is Role.USER:
                    questions.append(place)
                if len(questions) > 1 and call_before is not None:
                    break
        for place in {end, call_before, *questions[1:2]}:
            if place is not None:
                self._said[place] = _marked(self._said[place][: -len(_END)]) + _END


def _renamed(history: Sequence[PromptMessage]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The entries whose calls' ids stood further up already, with new ones by the old.

    Some servers number their calls anew in each step, which this format forbids.
    """
    seen: set[str] = set()
    names: dict[str, str] = {}
    for index, message in enumerate(history):
        calls = message.call_ids
        if calls:
            names = {} if seen.isdisjoint(calls) else {id: f"{id}_{index}" for id in calls}
            seen.update(names.values() or calls)
        if names and (calls or message.entry.role is Role.TOOL_RESULT):
            yield index, names


def _blocks(entry: MessageEntry, *, thoughts: bool, names: Mapping[str, str]) -> bytes:
    """One entry as one message; `names` are ids of calls that are written otherwise."""
    match entry.role:
        case Role.USER:
            said = label(entry.sender) + words(entry)
            return _message(_USER, _text(said if said.strip() else "[Empty message]"))
        case Role.ASSISTANT:
            return _assistant(entry, thoughts, names)
        case Role.TOOL_RESULT:
            id = entry.tool_call_id or ""
            fields: dict[str, object] = {"type": "tool_result", "tool_use_id": _wire_id(names.get(id, id))}
            said = words(entry)
            if said.strip():
                fields["content"] = said
            if entry.is_error:
                fields["is_error"] = True
            return _message(_USER, _encode(fields))


def _with_thoughts(entry: MessageEntry) -> bytes:
    return _blocks(entry, thoughts=True, names={})


def _assistant(entry: MessageEntry, thoughts: bool, names: Mapping[str, str]) -> bytes:
    blocks: list[bytes] = []
    end = 0  # behind the last that is no thought: the format allows no message that ends with one
    for part in entry.content:
        match part:
            case TextPart() if part.text.strip():
                blocks.append(_text(part.text))
                end = len(blocks)
            case ToolCallPart():
                call = {
                    "type": "tool_use",
                    "id": _wire_id(names.get(part.id, part.id)),
                    "name": part.name,
                    "input": part.arguments,
                }
                blocks.append(_encode(call))
                end = len(blocks)
            case ThinkingPart() if thoughts and part.redacted is not None:
                blocks.append(_encode({"type": "redacted_thinking", "data": part.redacted}))
            case ThinkingPart() if thoughts and part.signature is not None:
                thought = {"type": "thinking", "thinking": part.thinking, "signature": part.signature}
                blocks.append(_encode(thought))
            case _:
                continue
    return _message(_ASSISTANT, b",".join(blocks[:end])) if end else b""


def _user(entry: MessageEntry, images: Mapping[str, bytes]) -> bytes:
    """What a person said, the pictures that are shown in their places."""
    blocks: list[bytes] = [_text(label(entry.sender))] if entry.sender is not None else []
    for part in entry.content:
        if isinstance(part, ImagePart):
            data = images.get(part.attachment_id)
            picture = None if data is None else b64encode(data)
            if picture and len(picture) <= PICTURE_LIMIT and part.content_type in _PICTURES:
                source = b'{"type":"base64","media_type":"%b","data":"%b"}' % (part.content_type.encode(), picture)
                blocks.append(b'{"type":"image","source":%b}' % source)
            else:
                blocks.append(_text(picture_in_words(part)))
        elif isinstance(part, TextPart) and part.text.strip():
            blocks.append(_text(part.text))
    return b",".join(blocks)


def _message(opening: bytes, blocks: bytes) -> bytes:
    return opening + blocks + _END


def _text(text: str) -> bytes:
    return b'{"type":"text","text":%b}' % _encode(text)


def _marked(blocks: bytes) -> bytes:
    """The blocks with a mark of the prompt cache in the last one."""
    return b'%b,"cache_control":{"type":"ephemeral"}}' % blocks[:-1]


def _wire_id(id: str) -> str:
    """A call's id in the characters that the format allows, the same for the call and its result."""
    if _ID.fullmatch(id):
        return id
    return f"{_NOT_IN_ID.sub('_', id)[:40]}_{sha256(id.encode()).hexdigest()[:12]}"


def _tools(tools: Sequence[ToolSpec]) -> bytes:
    return b",".join(
        _encode({"name": tool.name, "description": tool.description, "input_schema": tool.parameters})
        for tool in tools
    )


_USER = b'{"role":"user","content":['
_ASSISTANT = b'{"role":"assistant","content":['
_END = b"]}"
_BEGINNING = _message(_USER, _text("[The conversation begins with your words.]"))
_GO_ON = _message(_USER, _text("[Please go on.]"))
_PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_-]")
