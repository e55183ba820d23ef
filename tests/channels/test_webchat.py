"""The web page as a channel: what its conformance does not say."""

from __future__ import annotations

import pytest

from rookery.channels.webchat import WebChannel, client_id_of, written
from rookery.errors import ChannelUnavailable, InvalidInput
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Attachment, Chat, ChatKind, OutboundMessage, Route, Speaker


def test_a_message_names_its_writer_in_its_id():
    """Two clients that count alike are no duplicates of each other."""
    message = written("alice", "1:x", "hello", [Attachment("a.txt", "text/plain", attachment_id="a1")])

    assert (message.message_id, message.sender_id, message.chat) == (
        "alice:1:x",
        "alice",
        Chat(ChatKind.DM, "alice"),
    )
    assert client_id_of(message.message_id) == "1:x"
    assert message.attachments[0].attachment_id == "a1"
    assert written("bob", "1:x", "hello").message_id != message.message_id


def test_a_message_needs_an_id():
    """Without one it could not be asked for again."""
    with pytest.raises(InvalidInput, match="idempotencyKey"):
        written("alice", "", "hello")


async def test_nobody_has_to_look_at_it():
    """What is sent stays with its turn; a page that is open is told at once."""
    route = Route("webchat", "default", Chat(ChatKind.DM, "alice"), None, "alice", "alice:1")
    message = OutboundMessage(DeliveryId("t.0.0"), route, Speaker(AgentId("alice"), "Alice's"), "done")
    channel = WebChannel()
    with pytest.raises(ChannelUnavailable):
        await channel.send(message)

    async def receive(_: object) -> None: ...

    await channel.start(receive)  # pyright: ignore[reportArgumentType]: nothing comes in here
    assert await channel.send(message) is None
    told: list[OutboundMessage] = []
    channel.on_notice = told.append
    await channel.send(message)
    assert told == [message]
