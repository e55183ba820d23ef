"""The conformance suite finds each way a channel can break its word."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from rookery.channels.conformance import ChannelConformance, Harness
from rookery.channels.contract import Outcome, Receipt, Receive
from rookery.channels.loopback import LoopbackChannel, LoopbackNetwork
from rookery.messages import InboundMessage, OutboundMessage
from tests.channels.test_conformance import LoopbackHarness


class Hasty(LoopbackChannel):
    """Tells the network before the gateway has answered."""

    def __init__(self, network: LoopbackNetwork) -> None:
        super().__init__(network)
        self.handing: set[asyncio.Task[None]] = set()

    async def start(self, receive: Receive) -> None:
        async def hand_in(message: InboundMessage) -> None:
            await asyncio.gather(receive(message), return_exceptions=True)

        async def at_once(message: InboundMessage) -> Receipt:
            self.handing.add(asyncio.create_task(hand_in(message)))
            await asyncio.sleep(0)
            return Receipt(Outcome.ACCEPTED)

        await super().start(at_once)


class Forgetful(LoopbackChannel):
    """Marks a message as seen in memory before it was kept."""

    async def start(self, receive: Receive) -> None:
        seen: set[str] = set()

        async def once(message: InboundMessage) -> Receipt:
            if message.message_id in seen:
                return Receipt(Outcome.DUPLICATE)
            seen.add(message.message_id)
            return await receive(message)

        await super().start(once)


class Folding(LoopbackChannel):
    """Lower-cases ids."""

    async def start(self, receive: Receive) -> None:
        await super().start(lambda message: receive(replace(message, sender_id=message.sender_id.lower())))


class Trimming(LoopbackChannel):
    """Trims texts, in and out."""

    async def start(self, receive: Receive) -> None:
        await super().start(lambda message: receive(replace(message, text=" ".join(message.text.split()))))

    async def send(self, message: OutboundMessage) -> str | None:
        return await super().send(replace(message, text=message.text.strip()))


class Cutting(LoopbackChannel):
    """Counts bytes where it promised characters."""

    async def send(self, message: OutboundMessage) -> str | None:
        text = message.text.encode()[: self.chunk_limit].decode(errors="ignore")
        return await super().send(replace(message, text=text))


class Boasting(LoopbackChannel):
    """Says that its network drops copies, which it does not."""

    def __init__(self, network: LoopbackNetwork) -> None:
        super().__init__(network)
        self.idempotent = True


class Swallowing(LoopbackChannel):
    """Takes an error of the network for success."""

    async def send(self, message: OutboundMessage) -> str | None:
        try:
            return await super().send(message)
        except Exception:
            return None


class Lingering(LoopbackChannel):
    """Leaves a task behind."""

    async def start(self, receive: Receive) -> None:
        self.task = asyncio.create_task(asyncio.Event().wait())
        await super().start(receive)


class Holding(LoopbackChannel):
    """Leaves a socket behind."""

    async def start(self, receive: Receive) -> None:
        self.socket = socket.socket()
        await super().start(receive)


class Deaf(LoopbackChannel):
    """Goes on taking messages in after it was stopped."""

    async def stop(self) -> None:
        """Nothing ends."""


class Shouting(LoopbackChannel):
    """Bears a name that is no word in a key."""

    def __init__(self, network: LoopbackNetwork) -> None:
        super().__init__(network)
        self.name = "Loop:Back"


Test = Callable[[ChannelConformance], Awaitable[None]]


def on(test: Callable[[ChannelConformance, str], Awaitable[None]], value: str) -> Test:
    """One parameter's case of a test of the suite."""
    return lambda suite: test(suite, value)


@pytest.mark.parametrize(
    ("channel", "test"),
    [
        (Hasty, ChannelConformance.test_the_network_is_told_only_when_the_gateway_has_answered),
        (Hasty, ChannelConformance.test_what_could_not_be_kept_is_offered_again),
        (Forgetful, ChannelConformance.test_what_could_not_be_kept_is_offered_again),
        (Folding, ChannelConformance.test_ids_arrive_verbatim),
        (Trimming, on(ChannelConformance.test_a_text_arrives_verbatim, "two\nlines")),
        (Trimming, on(ChannelConformance.test_a_reply_is_heard_unchanged_and_once, " - indented")),
        (Cutting, on(ChannelConformance.test_a_reply_may_be_as_long_as_the_limit_says, "字")),
        (Boasting, ChannelConformance.test_the_same_delivery_again_is_heard_once_where_the_channel_says_so),
        (Swallowing, ChannelConformance.test_what_may_work_later_is_unavailable),
        (Swallowing, ChannelConformance.test_what_will_never_work_has_failed),
        (Swallowing, ChannelConformance.test_a_network_that_is_down_is_unavailable_until_it_is_up),
        (Lingering, ChannelConformance.test_stop_ends_everything_and_may_be_called_at_any_time),
        (Holding, ChannelConformance.test_stop_ends_everything_and_may_be_called_at_any_time),
        (Deaf, ChannelConformance.test_stop_ends_everything_and_may_be_called_at_any_time),
        (Shouting, ChannelConformance.test_it_says_what_it_is),
    ],
)
async def test_a_channel_that_breaks_its_word_is_caught(channel: type[LoopbackChannel], test: Test):
    """Each by the test that names what it broke."""
    made: list[LoopbackChannel] = []

    class Suite(ChannelConformance):
        def harness(self) -> AbstractAsyncContextManager[Harness]:
            return broken()

    @asynccontextmanager
    async def broken() -> AsyncGenerator[Harness]:
        network = LoopbackNetwork()
        made.append(channel(network))
        yield LoopbackHarness(network, made[-1])

    try:
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            await test(Suite())
    finally:
        for one in made:
            _tidy(one)


def _tidy(channel: LoopbackChannel) -> None:
    if isinstance(channel, Lingering):
        channel.task.cancel()
    if isinstance(channel, Holding):
        channel.socket.close()
