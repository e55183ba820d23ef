"""A webhook's JSON becomes a message, or a word about what is wrong with it; never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rookery.channels.webhook import translate
from rookery.errors import InvalidInput
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Attachment, Chat, ChatKind, InboundMessage, OutboundMessage, Route, Speaker

SAID: dict[str, Any] = {
    "messageId": "m1",
    "senderId": "alice",
    "text": "Hello",
    "chat": {"kind": "group", "id": "family"},
    "threadId": "t1",
    "senderName": "Alice",
    "mentioned": True,
    "attachments": [
        {"url": "https://example.org/a.png", "name": "a.png", "contentType": "image/png"},
        {"attachmentId": "att-1", "name": "b.pdf", "contentType": "application/pdf"},
    ],
}
MESSAGE = InboundMessage(
    channel="webhook",
    account="default",
    message_id="m1",
    sender_id="alice",
    chat=Chat(ChatKind.GROUP, "family"),
    text="Hello",
    thread_id="t1",
    sender_name="Alice",
    mentioned=True,
    attachments=(
        Attachment("a.png", "image/png", url="https://example.org/a.png"),
        Attachment("b.pdf", "application/pdf", attachment_id="att-1"),
    ),
)
LEAST: dict[str, Any] = {"messageId": "m1", "senderId": "alice", "text": "", "chat": {"kind": "dm", "id": "alice"}}


def inbound(said: object) -> InboundMessage:
    return translate.inbound("default", json.dumps(said).encode())


def test_every_field_is_carried_over():
    """What the contract names arrives, and unknown keys do not disturb."""
    assert inbound(SAID) == MESSAGE
    assert inbound(SAID | {"new": {"deep": [1, 2]}}) == MESSAGE


def test_snake_case_is_read_too():
    """As everywhere on input; where both are there, camelCase holds."""
    snake = json.dumps(SAID)
    for camel, plain in {
        "messageId": "message_id",
        "senderId": "sender_id",
        "threadId": "thread_id",
        "senderName": "sender_name",
        "contentType": "content_type",
        "attachmentId": "attachment_id",
    }.items():
        snake = snake.replace(f'"{camel}"', f'"{plain}"')

    assert translate.inbound("default", snake.encode()) == MESSAGE
    assert inbound(SAID | {"message_id": "other"}).message_id == "m1"


def test_what_may_be_left_out_may_be():
    """A message of four keys is whole."""
    message = inbound(LEAST)

    assert (message.thread_id, message.sender_name, message.mentioned, message.attachments) == (
        None,
        None,
        False,
        (),
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"messageId": ""}, "$.messageId is missing or empty. It has to be the message's id"),
        ({"senderId": 42}, "$.senderId: Expected `str`, got `int`. It has to be the sender's unchanging id"),
        ({"sender_id": 42}, "$.sender_id: Expected `str`, got `int`. It has to be the sender's unchanging id"),
        ({"text": None}, "$.text: Expected `str`, got `null`"),
        ({"chat": "alice"}, '$.chat: Expected `object`, got `str`. It has to be an object as {"kind"'),
        (
            {"chat": {"kind": "room", "id": "x"}},
            "$.chat.kind: Invalid enum value 'room'. It has to be 'dm', 'group'",
        ),
        ({"chat": {"kind": "dm", "id": ""}}, "$.chat.id is missing or empty"),
        ({"chat": {"kind": "dm"}}, "$.chat: Object missing required field `id`"),
        ({"threadId": ""}, "$.threadId is missing or empty. It has to be left out, or"),
        ({"mentioned": "yes"}, "$.mentioned: Expected `bool`, got `str`. It has to be true or false"),
        ({"text": "a\0b"}, "text holds a NUL"),
        ({"senderName": "a\0b"}, "senderName holds a NUL"),
        ({"attachments": [{"name": "a", "contentType": "b/c"}]}, "$.attachments[0]: it has to have either url or"),
        (
            {"attachments": [{"name": "a", "contentType": "b/c", "url": "http://x", "attachmentId": "1"}]},
            "$.attachments[0]: it has to have either url or attachmentId, and not both",
        ),
        ({"attachments": [{"name": "a", "url": "http://x"}]}, "$.attachments[0].contentType is missing"),
        ({"attachments": [{"contentType": "b/c", "url": "http://x"}]}, "$.attachments[0].name is missing"),
        ({"attachments": [{"name": "a", "contentType": "b/c", "url": "file:///x"}]}, "http:// or https://"),
        (
            {"attachments": [{"name": "a", "contentType": "b/c", "url": 1}]},
            "It has to be a list of objects with name",
        ),
        ({"attachments": [{"name": "a", "contentType": "b\0", "url": "http://x"}]}, "contentType holds a NUL"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(wrong: dict[str, Any], told: str):
    """The operator of a bridge mends it without reading our code."""
    with pytest.raises(InvalidInput) as caught:
        inbound(LEAST | wrong)

    assert told in caught.value.detail


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "one JSON object"),
        (b"{", "one JSON object"),
        (b"null", "$: Expected `object`, got `null`. It has to be an object with messageId"),
        (b"{}", "Object missing required field `chat`"),
        (b"[" * 100_000, "It has to be an object"),
        (b'{"z": ' + b"[" * 100_000, "nested too deeply"),
        (json.dumps(LEAST).encode().replace(b'"text": ""', b'"text": "\xff"'), "not UTF-8"),
        (json.dumps(LEAST).encode().replace(b'"text": ""', b'"text": "\\ud800"'), "surrogate"),
    ],
)
def test_bytes_that_are_no_message_are_named(body: bytes, told: str):
    """Broken JSON, broken UTF-8 and bombs of brackets get an answer as well."""
    with pytest.raises(InvalidInput) as caught:
        translate.inbound("default", body)

    assert told in caught.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)
FIELD = st.sampled_from([*SAID, "message_id", "thread_id", "kind", "id", "url", "name"])


@st.composite
def nearly(draw: st.DrawFn) -> object:
    """A good message, with some of its fields replaced by anything."""
    said = json.loads(json.dumps(draw(st.sampled_from([SAID, LEAST]))))
    for place in (said, said["chat"], *said.get("attachments", ())):
        place.update(draw(st.dictionaries(FIELD, JSON, max_size=2)))
    return said


@given(said=nearly() | JSON)
@example(said=LEAST | {"text": "\ud800"})
def test_any_json_is_a_message_or_invalid(said: object):
    """No input whatsoever is an exception of another sort, and no message breaks what messages promise."""
    try:
        message = translate.inbound("default", json.dumps(said).encode())
    except InvalidInput:
        return
    assert message.message_id
    assert message.sender_id
    assert message.chat.id
    assert message.thread_id != ""
    for attachment in message.attachments:
        assert (attachment.url is None) != (attachment.attachment_id is None)


@given(body=st.binary(max_size=300))
def test_any_bytes_are_a_message_or_invalid(body: bytes):
    """Neither are bytes that are not JSON at all."""
    with pytest.raises(InvalidInput):
        translate.inbound("default", body)


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), who=st.text(min_size=1))
def test_texts_and_ids_are_carried_verbatim(text: str, who: str):
    """Nothing is trimmed, folded or composed."""
    who = who.replace("\0", "0").encode("utf-8", "replace").decode()

    message = inbound(LEAST | {"text": text, "senderId": who})

    assert (message.text, message.sender_id) == (text, who)


def test_a_reply_has_the_shape_of_the_contract():
    """Byte for byte the same each time, so that a retry is the same request."""
    route = Route("webhook", "default", Chat(ChatKind.DM, "alice"), None, "alice", "m1")
    reply = OutboundMessage(DeliveryId("d1"), route, Speaker(AgentId("alice"), "Alice's"), "Grüße\n")

    assert translate.outbound(reply) == translate.outbound(reply)
    assert json.loads(translate.outbound(reply)) == {
        "deliveryId": "d1",
        "to": {"chat": {"kind": "dm", "id": "alice"}, "senderId": "alice", "threadId": None},
        "from": {"agentId": "alice", "name": "Alice's"},
        "inReplyTo": "m1",
        "text": "Grüße\n",
        "attachments": [],
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"id": "x1"}', "x1"),
        (b'{"id": 17}', "17"),
        (b'{"id": ""}', None),
        (b'{"id": null}', None),
        (b'{"id": ["x"]}', None),
        (b'{"id": "a\\u0000"}', None),
        (b'{"id": "' + b"x" * 600 + b'"}', None),
        (b"{}", None),
        (b"", None),
        (b"OK", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_the_id_of_an_answer_is_taken_when_it_is_one(answer: bytes, expected: str | None):
    """Whatever a callback answers, the delivery is done."""
    assert translate.network_id(answer) == expected
