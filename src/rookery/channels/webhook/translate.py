"""A webhook's JSON and our messages, in both directions. Pure: no network, no clock, no lookups."""

from __future__ import annotations

import re
from typing import NoReturn

import msgspec
from msgspec import Struct, field

from rookery.errors import InvalidInput
from rookery.messages import Attachment, Chat, ChatKind, InboundMessage, OutboundMessage

CHANNEL = "webhook"


def inbound(account: str, body: bytes) -> InboundMessage:
    """Read a request's body. Raises `InvalidInput` with the path of what is wrong and what would be right.

    Unknown keys are ignored. Keys are camelCase; where both spellings are there, the camelCase one holds.
    """
    said = _decoded(body)
    thread_id = said.thread_id if said.thread_id is not None else said.snake_thread_id
    sender_name = said.sender_name if said.sender_name is not None else said.snake_sender_name
    return InboundMessage(
        channel=CHANNEL,
        account=account,
        message_id=said.message_id or said.snake_message_id or _missing("$.messageId"),
        sender_id=said.sender_id or said.snake_sender_id or _missing("$.senderId"),
        chat=Chat(said.chat.kind, said.chat.id or _missing("$.chat.id")),
        text=said.text,
        thread_id=thread_id if thread_id != "" else _missing("$.threadId"),
        sender_name=sender_name or None,
        mentioned=said.mentioned,
        attachments=tuple(
            _attachment(f"$.attachments[{index}]", one) for index, one in enumerate(said.attachments)
        )
        if said.attachments
        else (),
    )


def outbound(message: OutboundMessage) -> bytes:
    """The body of a callback; the same bytes each time the same message is sent."""
    route = message.route
    return _encoder.encode(
        _Reply(
            delivery_id=message.delivery_id,
            to=_To(_ChatOut(route.chat.kind, route.chat.id), route.sender_id, route.thread_id),
            from_=_From(message.speaker.agent_id, message.speaker.name),
            in_reply_to=route.message_id or None,
            text=message.text,
        )
    )


def network_id(answer: bytes) -> str | None:
    """The id a callback's answer gives the message: its `id` when it is a JSON object that has a usable one."""
    try:
        found = _answer_decoder.decode(answer).id
    except (ValueError, RecursionError):  # msgspec's errors and broken UTF-8 are both ValueErrors
        return None
    if found is None:
        return None
    written = str(found)
    return written if 0 < len(written) <= _LONGEST_NETWORK_ID and "\0" not in written else None


_LONGEST_NETWORK_ID = 512

_EXPECTED = {
    "$": "an object with messageId, senderId, text and chat",
    "$.messageId": "the message's id: a string that is not empty and is never used again on this account",
    "$.senderId": "the sender's unchanging id: a string that is not empty",
    "$.text": "a string, '' for a message of attachments alone",
    "$.chat": 'an object as {"kind": "dm", "id": "alice"}',
    "$.chat.kind": "'dm', 'group' or 'channel'",
    "$.chat.id": "the chat's id: a string that is not empty",
    "$.threadId": "left out, or a string that is not empty",
    "$.senderName": "left out, or a string",
    "$.mentioned": "true or false",
    "$.attachments": "a list of objects with name, contentType and either url or attachmentId",
}


_SNAKE = re.compile("_([a-z])")


class _Chat(Struct):
    kind: ChatKind
    id: str


class _Attached(Struct, rename="camel"):
    name: str = ""
    content_type: str = ""
    snake_content_type: str = field(name="content_type", default="")
    url: str | None = None
    attachment_id: str | None = None
    snake_attachment_id: str | None = field(name="attachment_id", default=None)


class _Said(Struct, rename="camel"):
    """The ids default to empty, so that one check covers both spellings, the missing and the empty."""

    chat: _Chat
    text: str
    message_id: str = ""
    snake_message_id: str = field(name="message_id", default="")
    sender_id: str = ""
    snake_sender_id: str = field(name="sender_id", default="")
    thread_id: str | None = None
    snake_thread_id: str | None = field(name="thread_id", default=None)
    sender_name: str | None = None
    snake_sender_name: str | None = field(name="sender_name", default=None)
    mentioned: bool = False
    attachments: list[_Attached] | None = None


class _ChatOut(Struct, frozen=True):
    kind: str
    id: str


class _To(Struct, frozen=True, rename="camel"):
    chat: _ChatOut
    sender_id: str
    thread_id: str | None


class _From(Struct, frozen=True, rename="camel"):
    agent_id: str
    name: str


class _Reply(Struct, frozen=True, rename="camel"):
    delivery_id: str
    to: _To
    in_reply_to: str | None
    text: str
    from_: _From = field(name="from")
    attachments: tuple[()] = ()


class _Answer(Struct):
    id: str | int | None = None


_decoder = msgspec.json.Decoder(_Said)
_answer_decoder = msgspec.json.Decoder(_Answer)
_encoder = msgspec.json.Encoder()


def _decoded(body: bytes) -> _Said:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        wrong, _, path = str(error).partition(" - at ")
        path = path.strip("`") or "$"
        known = _SNAKE.sub(lambda found: found[1].upper(), path.partition("[")[0])
        expected = _EXPECTED.get(known, _EXPECTED["$"])
        raise InvalidInput(f"{path}: {wrong}. It has to be {expected}.") from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"$: {error}. The body has to be one JSON object in UTF-8.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"$: a text is not UTF-8: {error.reason}. Send the body as UTF-8.") from error
    except RecursionError as error:
        raise InvalidInput("$: lists or objects are nested too deeply; no message needs that.") from error


def _attachment(path: str, attached: _Attached) -> Attachment:
    content_type = attached.content_type or attached.snake_content_type
    attachment_id = attached.attachment_id or attached.snake_attachment_id or None
    url = attached.url or None
    if not attached.name or not content_type:
        what = "contentType" if attached.name else "name"
        raise InvalidInput(f"{path}.{what} is missing or empty. It has to be a string that is not empty.")
    if (url is None) == (attachment_id is None):
        raise InvalidInput(f"{path}: it has to have either url or attachmentId, and not both.")
    if url is not None and not url.startswith(("http://", "https://")):
        raise InvalidInput(f"{path}.url: it has to begin with http:// or https://.")
    for what, value in (("contentType", content_type), ("url", url), ("attachmentId", attachment_id)):
        if value is not None and "\0" in value:
            raise InvalidInput(f"{path}.{what} holds a NUL character, which no message may.")
    return Attachment(attached.name, content_type, url, attachment_id)


def _missing(path: str) -> NoReturn:
    raise InvalidInput(f"{path} is missing or empty. It has to be {_EXPECTED[path]}.")
