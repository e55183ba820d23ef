"""The loopback network behaves as the networks of the world do, when a test wants it to."""

from __future__ import annotations

import asyncio

import pytest

from rookery.channels.contract import Ids, Outcome, Receipt
from rookery.channels.loopback import Fate, LoopbackChannel, LoopbackNetwork
from rookery.errors import ChannelUnavailable, DeliveryFailed, InvalidInput, StorageUnavailable
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage, Route, Speaker


class Echo:
    """A gateway that answers everything with an exclamation mark."""

    def __init__(self, network: LoopbackNetwork) -> None:
        self.channel: LoopbackChannel = network.channel()
        self.received: list[InboundMessage] = []
        self.error: Exception | None = None

    async def receive(self, message: InboundMessage) -> Receipt:
        if self.error is not None:
            raise self.error
        self.received.append(message)
        await self.channel.send(reply(message.route, message.text + "!", f"d-{len(self.received)}"))
        return Receipt(Outcome.ACCEPTED)


def reply(route: Route, text: str, delivery_id: str = "d1") -> OutboundMessage:
    return OutboundMessage(DeliveryId(delivery_id), route, Speaker(AgentId("alice"), "Alice's"), text)


def to(network: LoopbackNetwork, chat: Chat, text: str = "hi", delivery_id: str = "d1") -> OutboundMessage:
    return reply(Route(network.name, network.accounts[0], chat, None, "alice", "1"), text, delivery_id)


ALICE = Chat(ChatKind.DM, "alice")


async def test_each_network_hears_its_own_answers():
    """Two networks with the same people and message ids are two networks."""
    telegram, email = LoopbackNetwork("telegram", ids=Ids.NETWORK), LoopbackNetwork("email")
    for network in (telegram, email):
        echo = Echo(network)
        await echo.channel.start(echo.receive)

    await telegram.says("alice", "one")
    await email.says("alice", "two")

    assert telegram.heard_by("alice") == ["one!"]
    assert email.heard_by("alice") == ["two!"]
    assert [said.message_id for said in telegram.said + email.said] == ["1", "1"]


async def test_people_hear_their_own_chats_and_no_others():
    """A group is heard by who is in it; a direct chat by one."""
    network = LoopbackNetwork()
    echo = Echo(network)
    await echo.channel.start(echo.receive)
    network.joins("carol", Chat(ChatKind.GROUP, "family"))

    await network.says("alice", "secret")
    await network.says("bob", "dinner?", group="family", thread="food")

    assert network.heard_by("alice") == ["secret!"]
    assert network.heard_by("bob") == network.heard_by("carol") == ["dinner?!"]
    assert network.heard_in("family") == network.heard_in("family", thread="food") == ["dinner?!"]
    assert network.heard_in("family", thread="other") == []


async def test_the_same_name_on_two_accounts_is_kept_apart():
    """Both number their messages from one, and each answers on its own."""
    network = LoopbackNetwork(accounts=("home", "work"), ids=Ids.ACCOUNT)
    echo = Echo(network)
    await echo.channel.start(echo.receive)

    await network.says("alice", "one")
    await network.says("alice", "two", account="work")

    assert [(said.account, said.message_id) for said in network.said] == [("home", "1"), ("work", "1")]
    assert network.heard_by("alice") == ["one!"]
    assert network.heard_by("alice", account="work") == ["two!"]


async def test_what_is_not_taken_is_offered_again():
    """Neither a gateway that is away nor one that cannot write loses a message."""
    network = LoopbackNetwork()
    with pytest.raises(ChannelUnavailable):
        await network.says("alice", "one")
    echo = Echo(network)
    await echo.channel.start(echo.receive)
    echo.error = StorageUnavailable()
    with pytest.raises(StorageUnavailable):
        await network.says("alice", "two")

    echo.error = None
    await network.offer_kept()

    assert network.heard_by("alice") == ["one!", "two!"]
    assert network.kept == []


async def test_a_message_can_be_offered_twice():
    """As networks do that did not hear our answer."""
    network = LoopbackNetwork()
    echo = Echo(network)
    await echo.channel.start(echo.receive)
    await network.says("alice", "one")

    await network.offers(network.said[0])

    assert echo.received == [network.said[0]] * 2


async def test_what_no_message_may_be_is_not_kept():
    """The network would offer it for ever."""
    network = LoopbackNetwork()
    with pytest.raises(InvalidInput):
        await network.says("", "one")

    assert (network.said, network.kept) == ([], [])


async def test_sends_fail_as_arranged():
    """Each trouble once, in order; what reached the chat although the answer was lost is heard."""
    network = LoopbackNetwork()
    channel = network.channel()
    network.fails(retry_after=3)
    network.fails(Fate.FAILED)
    network.fails(Fate.ANSWER_LOST)

    with pytest.raises(ChannelUnavailable) as caught:
        await channel.send(to(network, ALICE, "one"))
    assert caught.value.retry_after == 3
    with pytest.raises(DeliveryFailed):
        await channel.send(to(network, ALICE, "two"))
    with pytest.raises(ChannelUnavailable):
        await channel.send(to(network, ALICE, "three"))
    assert await channel.send(to(network, ALICE, "three")) == "loopback-4"

    assert network.heard_by("alice") == ["three", "three"]
    assert [one.fate for one in await network.tried(4)] == [
        Fate.UNAVAILABLE,
        Fate.FAILED,
        Fate.ANSWER_LOST,
        Fate.HEARD,
    ]


async def test_an_idempotent_network_drops_the_copy():
    """And says the id it said, or would have said, the first time."""
    network = LoopbackNetwork(idempotent=True)
    channel = network.channel()
    network.fails(Fate.ANSWER_LOST)
    with pytest.raises(ChannelUnavailable):
        await channel.send(to(network, ALICE, "one"))

    assert await channel.send(to(network, ALICE, "one")) == "loopback-1"

    assert network.heard_by("alice") == ["one"]
    assert [one.fate for one in network.attempts] == [Fate.ANSWER_LOST, Fate.DROPPED]


async def test_sends_can_be_held_and_given_up():
    """What is cancelled at the gate is not heard."""
    network = LoopbackNetwork()
    gate = network.holds()
    async with asyncio.TaskGroup() as sending:
        first = sending.create_task(network.channel().send(to(network, ALICE, "one", "d1")))
        sending.create_task(network.channel().send(to(network, ALICE, "two", "d2")))
        await network.holding(2)
        assert network.heard == []
        first.cancel()
        gate.set()

    assert await network.hears("alice") == ["two"]


async def test_a_network_out_of_reach_starts_nothing():
    """The gateway tries again later."""
    network = LoopbackNetwork()
    network.reachable = False
    echo = Echo(network)

    with pytest.raises(ChannelUnavailable):
        await echo.channel.start(echo.receive)


async def test_a_gateway_that_starts_anew_gets_a_channel_of_its_own():
    """The late stop of the old one does not cut the new one off."""
    network = LoopbackNetwork()
    old, new = Echo(network), Echo(network)
    await old.channel.start(old.receive)
    await old.channel.stop()
    await new.channel.start(new.receive)
    await old.channel.stop()

    await network.says("alice", "one")

    assert [message.text for message in new.received] == ["one"]
