"""A terminal gets its user's replies while it is attached, and they wait while none is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from rookery.channels.contract import Needs, Outcome, Receipt
from rookery.channels.terminal import LONGEST_LAG, TerminalChannel, client_id_of, create, typed
from rookery.channels.webhook.bridge import Bridge
from rookery.errors import ChannelUnavailable, InvalidInput
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage, Route, Speaker


@pytest.fixture
async def terminal() -> TerminalChannel:
    channel = TerminalChannel()
    await channel.start(accepting)
    return channel


async def accepting(message: InboundMessage) -> Receipt:
    return Receipt(Outcome.ACCEPTED, turn_id=f"turn of {message.text}")


def reply(text: str, who: str = "alice", delivery_id: str = "") -> OutboundMessage:
    route = Route("terminal", "local", Chat(ChatKind.DM, who), None, who, "m1")
    return OutboundMessage(DeliveryId(delivery_id or f"d-{text}"), route, Speaker(AgentId(who), who), text)


async def test_what_is_typed_is_a_direct_message_of_that_user(terminal: TerminalChannel):
    """The client's message id makes asking again harmless."""
    received: list[InboundMessage] = []

    async def receive(message: InboundMessage) -> Receipt:
        received.append(message)
        return Receipt(Outcome.DUPLICATE)

    await terminal.start(receive)

    assert await terminal.take("alice", "m1", "hello", thread_id="t1") == Receipt(Outcome.DUPLICATE)
    assert received == [
        InboundMessage("terminal", "local", "m1", "alice", Chat(ChatKind.DM, "alice"), "hello", "t1")
    ]


def test_two_users_clients_may_number_their_messages_alike():
    """Bob's first message was once taken for Alice's: it was dropped, and he was shown her answer."""
    alices, bobs = typed("alice", "1", "hello"), typed("bob", "1", "hello")
    assert alices.message_id != bobs.message_id
    assert client_id_of(alices.message_id) == client_id_of(bobs.message_id) == "1"
    assert client_id_of(typed("alice", "a:b", "hello").message_id) == "a:b"
    with pytest.raises(InvalidInput, match="messageId is empty"):
        typed("alice", "", "hello")


async def test_a_reply_is_sent_when_the_client_acknowledges_it(terminal: TerminalChannel):
    """Being handed out is not enough: the line may break before it is shown."""
    with terminal.attach("alice") as line:
        sending = asyncio.create_task(terminal.send(reply("one")))
        assert (await anext(line)).text == "one"
        line.ack(DeliveryId("another"))
        await asyncio.sleep(0)
        assert not sending.done()

        line.ack(DeliveryId("d-one"))

        assert await sending is None


async def test_asking_for_the_next_reply_acknowledges_the_last(terminal: TerminalChannel):
    """A plain `async for` is a whole client."""
    shown: list[str] = []

    async def show() -> None:
        shown.extend([message.text async for message in terminal.attach("alice")])

    async with asyncio.TaskGroup() as clients:
        clients.create_task(show())
        await asyncio.sleep(0)
        for text in ("one", "two", "three"):
            await terminal.send(reply(text))
        await terminal.stop()

    assert shown == ["one", "two", "three"]


async def test_without_a_terminal_the_reply_waits(terminal: TerminalChannel):
    """Another user's terminal is none."""
    with terminal.attach("bob"), pytest.raises(ChannelUnavailable, match="'alice'"):
        await terminal.send(reply("one"))


async def test_attaching_tells_the_gateway(terminal: TerminalChannel):
    """So that what waits is sent at once; the line is there by then."""
    told: list[tuple[str, int]] = []
    terminal.on_attach = lambda user_id: told.append((user_id, terminal.attached(user_id)))

    with terminal.attach("alice"), terminal.attach("alice"):
        assert told == [("alice", 1), ("alice", 2)]
    assert terminal.attached("alice") == 0


@pytest.mark.parametrize("handed_out", [True, False])
async def test_a_reply_that_was_not_shown_goes_back(terminal: TerminalChannel, handed_out: bool):
    """Whether it had left the queue or not; the next terminal gets it."""
    line = terminal.attach("alice")
    sending = asyncio.create_task(terminal.send(reply("one")))
    await asyncio.sleep(0)
    if handed_out:
        await anext(line)
    line.detach()
    line.detach()
    with pytest.raises(ChannelUnavailable):
        await sending
    with pytest.raises(StopAsyncIteration):
        await anext(line)

    with terminal.attach("alice") as line:
        sending = asyncio.create_task(terminal.send(reply("one")))
        assert (await anext(line)).text == "one"
        line.ack(DeliveryId("d-one"))
        await sending


async def test_every_terminal_of_a_user_shows_it_and_one_is_enough(terminal: TerminalChannel):
    """A second terminal that leaves does not take the reply with it."""
    with terminal.attach("alice") as first, terminal.attach("alice") as second, terminal.attach("alice") as third:
        sending = asyncio.create_task(terminal.send(reply("one")))
        assert (await anext(first)).text == "one"
        second.detach()
        first.ack(DeliveryId("d-one"))
        await sending

        assert (await anext(third)).text == "one"


async def test_a_send_that_is_given_up_is_not_shown_later(terminal: TerminalChannel):
    """The outbox sends it again when it wants it shown."""
    with terminal.attach("alice") as line:
        sending = asyncio.create_task(terminal.send(reply("one")))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        after = asyncio.create_task(terminal.send(reply("two")))

        assert (await anext(line)).text == "two"
        line.ack(DeliveryId("d-two"))
        await after


async def test_a_terminal_that_hangs_beside_one_that_reads_is_detached(terminal: TerminalChannel):
    """It may not gather replies for ever."""
    with terminal.attach("alice") as reading, terminal.attach("alice"):
        for number in range(LONGEST_LAG + 1):
            sending = asyncio.create_task(terminal.send(reply(str(number))))
            reading.ack((await anext(reading)).delivery_id)
            await sending

        assert terminal.attached("alice") == 1


async def test_a_terminal_that_waits_can_be_interrupted(terminal: TerminalChannel):
    """Nothing is lost by it: the next wait gets the reply."""
    with terminal.attach("alice") as line:
        waiting = asyncio.ensure_future(anext(line))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        sending = asyncio.create_task(terminal.send(reply("one")))

        assert (await anext(line)).text == "one"
        line.ack(DeliveryId("d-one"))
        await sending


async def test_after_the_stop_nothing_attaches_or_is_taken(terminal: TerminalChannel):
    """Lines end, and typed messages are to be sent again."""
    line = terminal.attach("alice")
    await terminal.stop()

    assert [message async for message in line] == []
    with pytest.raises(ChannelUnavailable):
        terminal.attach("alice")
    with pytest.raises(ChannelUnavailable):
        await terminal.take("alice", "m1", "hello")


async def test_an_empty_id_is_refused(terminal: TerminalChannel):
    """As on every channel."""
    with pytest.raises(InvalidInput, match="messageId is empty"):
        await terminal.take("alice", "", "hello")


def test_it_is_created_without_settings():
    """It is always there."""
    assert create({}, Needs(Bridge("x").post, lambda: datetime(2026, 1, 1, tzinfo=UTC))).name == "terminal"
