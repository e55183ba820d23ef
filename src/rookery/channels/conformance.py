"""What every channel keeps, as a suite that a channel's author runs over it.

Describe your network by a `Harness`, and subclass `ChannelConformance` in a test module (pytest with
pytest-asyncio):

    class TestMatrix(ChannelConformance):
        def harness(self) -> AbstractAsyncContextManager[Harness]:
            return matrix_with_a_server()

The harness drives the real channel over whatever is nearest to the real network. Nothing here waits for time
to pass: what must not happen is made visible by an order of events instead.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import pytest

from rookery.channels.contract import Channel, Ids, Outcome, Receipt
from rookery.errors import ChannelUnavailable, DeliveryFailed, StorageUnavailable
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage, Route, Speaker

FAMILY = "👩\u200d👩\u200d👧"
ODD_IDS = ("Ünï", "u\u0308", "A", "a", "007", "7", "x:y/z%20", "~alice", "+49 12@h.de", " ", FAMILY)
TEXTS_IN = (
    f"Grüße, 字, {FAMILY}, e\u0301",
    "two\nlines\n\n\tand a tab",
    '"quoted" \\ <b>&amp;</b> %s',
    "x" * 3_000,
)
TEXTS_OUT = ("one", f"Grüße, 字, {FAMILY}\n\nand *stars* <b>&amp;</b> \\ \"'", " - indented\n    code")


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says on the network; unlike an `InboundMessage` it may be wrong."""

    message_id: str
    sender_id: str
    chat: Chat
    text: str = "hello"
    thread_id: str | None = None


class Told(StrEnum):
    """What the network knows after it offered a message."""

    TAKEN = "taken"
    """It may forget the message: accepted, seen before, or not let in."""

    NEVER = "never"
    """It may forget the message, which was told to be none."""

    AGAIN = "again"
    """It got an error, or no answer, and will offer the message again."""


class Trouble(StrEnum):
    """What the network does with one send instead of taking it."""

    LATER = "later"
    """It does not take the message now; it may later."""

    NEVER = "never"
    """It says that it will never take the message."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of ours that reached the network, one for each that people there see."""

    chat: Chat
    text: str
    thread_id: str | None = None


class Harness(ABC):
    """A channel that is not started, and the network on its other side, listening.

    `account` is the channel's account that is used; the attributes below the methods say what the network can
    carry, to be narrowed where it cannot.
    """

    account: str

    @property
    @abstractmethod
    def channel(self) -> Channel:
        """The channel, always the same one."""

    @abstractmethod
    async def says(self, said: Said) -> Told:
        """Let somebody say something, and return what the network was told about it."""

    @abstractmethod
    async def heard(self) -> Sequence[Heard]:
        """What has reached the network so far, in order."""

    @abstractmethod
    async def troubles_next(self, trouble: Trouble) -> None:
        """Let the next send, and only that, end in this trouble; called with those of `troubles`."""

    @abstractmethod
    async def down(self) -> None:
        """Nothing reaches the network from now on."""

    @abstractmethod
    async def up(self) -> None:
        """The network is there again."""

    async def started(self) -> None:
        """The channel was started; whoever has to be there to hear it comes now."""
        return

    async def quiet(self) -> None:
        """Give back the sockets of the network's own side, before those of the channel are counted."""
        return

    def said(self, message_id: str, who: str = "alice", text: str = "hello") -> Said:
        """A message as it usually is: a direct one."""
        return Said(message_id, who, Chat(ChatKind.DM, who), text)

    kinds: frozenset[ChatKind] = frozenset(ChatKind)
    threads: bool = True
    troubles: frozenset[Trouble] = frozenset(Trouble)
    odd_ids: tuple[str, ...] = ODD_IDS
    """Ids the network could have and that something on the way might change or confuse."""


@pytest.mark.asyncio
class ChannelConformance(ABC):
    """The suite; a subclass named `Test…` says by `harness` what it runs over."""

    @abstractmethod
    def harness(self) -> AbstractAsyncContextManager[Harness]:
        """A new harness for one test, closed after it."""
        ...

    async def test_it_says_what_it_is(self) -> None:
        """Name, ids, limit and idempotency can be read before the start."""
        async with self.harness() as network:
            channel = network.channel

            assert re.fullmatch(r"[a-z][a-z0-9]*", channel.name), "a name is lower-case letters and digits"
            assert channel.ids in set(Ids)
            assert channel.chunk_limit >= 1
            assert channel.idempotent in {True, False}

    async def test_a_message_arrives_as_it_was_said(self) -> None:
        """Every field is the network's, whatever the chat and thread."""
        async with self.harness() as network, _started(network) as gateway:
            for number, kind in enumerate(sorted(network.kinds)):
                said = network.said(f"m{number}")
                if kind is not ChatKind.DM:
                    said = replace(said, chat=Chat(kind, "family"))
                if network.threads:
                    said = replace(said, thread_id="t1")

                assert await network.says(said) is Told.TAKEN

                assert _plainly(gateway.received[-1]) == said
                assert gateway.received[-1].channel == network.channel.name
                assert gateway.received[-1].account == network.account

    async def test_ids_arrive_verbatim(self) -> None:
        """Case, scripts, leading zeros and separators stay: two senders never become one."""
        async with self.harness() as network, _started(network) as gateway:
            for number, odd in enumerate(network.odd_ids):
                assert await network.says(network.said(f"{odd}{number}", who=odd)) is Told.TAKEN

            assert [message.sender_id for message in gateway.received] == list(network.odd_ids)
            assert [message.chat.id for message in gateway.received] == list(network.odd_ids)
            assert [message.message_id for message in gateway.received] == [
                f"{odd}{number}" for number, odd in enumerate(network.odd_ids)
            ]

    @pytest.mark.parametrize(
        "text",
        ["Grüße, 字, 👩‍👩‍👧, e\u0301", "two\nlines\n\n\tand a tab", '"quoted" \\ <b>&amp;</b> %s', "x" * 3_000],
    )
    async def test_a_text_arrives_verbatim(self, text: str) -> None:
        """Nothing is trimmed, escaped or composed."""
        async with self.harness() as network, _started(network) as gateway:
            assert await network.says(network.said("m1", text=text)) is Told.TAKEN

            assert [message.text for message in gateway.received] == [text]

    async def test_an_empty_id_is_refused_and_not_offered_for_ever(self) -> None:
        """A message without an id, a sender or a chat never reaches the gateway."""
        async with self.harness() as network, _started(network) as gateway:
            good = network.said("m1")
            for said in (
                replace(good, message_id=""),
                replace(good, sender_id="", chat=Chat(ChatKind.DM, "")),
            ):
                assert await network.says(said) is not Told.AGAIN

            assert gateway.received == []
            assert await network.says(good) is Told.TAKEN

    async def test_the_network_is_told_only_when_the_gateway_has_answered(self) -> None:
        """While the gateway writes, the network waits."""
        async with self.harness() as network, _started(network) as gateway:
            gateway.gate = asyncio.Event()
            offering = asyncio.create_task(network.says(network.said("m1")))
            await gateway.entered.wait()
            for _ in range(50):
                await asyncio.sleep(0)

            assert not offering.done()

            gateway.gate.set()
            assert await offering is Told.TAKEN

    async def test_what_could_not_be_kept_is_offered_again(self) -> None:
        """When storage fails the network is not told that the message arrived; offered again, it does."""
        async with self.harness() as network, _started(network) as gateway:
            gateway.errors.append(StorageUnavailable())

            assert await network.says(network.said("m1")) is Told.AGAIN
            assert await network.says(network.said("m1")) is Told.TAKEN

            assert [message.message_id for message in gateway.received] == ["m1", "m1"]

    async def test_a_gateway_that_breaks_does_not_break_the_channel(self) -> None:
        """After an error nobody foresaw the message is offered again, and the next one comes through."""
        async with self.harness() as network, _started(network) as gateway:
            gateway.errors.append(RuntimeError("a mistake of the gateway's"))

            assert await network.says(network.said("m1")) is Told.AGAIN
            assert await network.says(network.said("m2")) is Told.TAKEN

    @pytest.mark.parametrize("outcome", [Outcome.DUPLICATE, Outcome.REFUSED, Outcome.IGNORED])
    async def test_whatever_the_gateway_decides_the_network_may_forget(self, outcome: Outcome) -> None:
        """A copy, a stranger's message and one not said to us are settled like an accepted one."""
        async with self.harness() as network, _started(network) as gateway:
            assert await network.says(network.said("m1")) is Told.TAKEN

            gateway.outcome = outcome
            assert await network.says(network.said("m1")) is Told.TAKEN

    async def test_many_at_once_all_arrive(self) -> None:
        """Messages of several people are handed in at the same time, each once."""
        async with self.harness() as network, _started(network) as gateway:
            told = await asyncio.gather(
                *(network.says(network.said(f"m{number}", who=f"p{number % 5}")) for number in range(25))
            )

            assert told == [Told.TAKEN] * 25
            assert sorted(message.message_id for message in gateway.received) == sorted(
                f"m{number}" for number in range(25)
            )

    @pytest.mark.parametrize(
        "text", ["one", "Grüße, 字, 👩‍👩‍👧\n\nand *stars* <b>&amp;</b> \\ \"'", " - indented\n    code"]
    )
    async def test_a_reply_is_heard_unchanged_and_once(self, text: str) -> None:
        """Networks with a markup of their own get it escaped."""
        async with self.harness() as network, _started(network):
            network_id = await network.channel.send(_reply(network, text))

            assert await network.heard() == [Heard(Chat(ChatKind.DM, "alice"), text)]
            assert network_id is None or network_id

    @pytest.mark.parametrize("letter", ["x", "字", "😀"])
    async def test_a_reply_may_be_as_long_as_the_limit_says(self, letter: str) -> None:
        """The limit counts characters, not bytes or halves of them."""
        async with self.harness() as network, _started(network):
            text = letter * network.channel.chunk_limit
            await network.channel.send(_reply(network, text))

            assert [heard.text for heard in await network.heard()] == [text]

    async def test_a_reply_goes_where_its_route_leads(self) -> None:
        """Each kind of chat, and the thread, are those of the route."""
        async with self.harness() as network, _started(network):
            expected: list[Heard] = []
            for number, kind in enumerate(sorted(network.kinds)):
                chat = Chat(kind, "alice" if kind is ChatKind.DM else "family")
                thread_id = "t1" if network.threads else None
                await network.channel.send(_reply(network, f"to {kind}", chat, thread_id, f"d{number}"))
                expected.append(Heard(chat, f"to {kind}", thread_id))

            assert await network.heard() == expected

    async def test_replies_to_several_chats_are_sent_at_the_same_time(self) -> None:
        """The outbox waits within a chat, not between chats."""
        async with self.harness() as network, _started(network):
            people = [f"p{number}" for number in range(10)]
            await asyncio.gather(
                *(
                    network.channel.send(_reply(network, f"for {who}", Chat(ChatKind.DM, who), None, f"d-{who}"))
                    for who in people
                )
            )

            assert {(heard.chat.id, heard.text) for heard in await network.heard()} == {
                (who, f"for {who}") for who in people
            }
            assert len(await network.heard()) == 10

    async def test_what_may_work_later_is_unavailable(self) -> None:
        """The reply is not heard, and is when it is tried again."""
        async with self.harness() as network, _started(network):
            for trouble in network.troubles & {Trouble.LATER}:
                await network.troubles_next(trouble)
                with pytest.raises(ChannelUnavailable):
                    await network.channel.send(_reply(network, "one"))

                assert await network.heard() == []

            await network.channel.send(_reply(network, "one"))
            assert [heard.text for heard in await network.heard()] == ["one"]

    async def test_what_will_never_work_has_failed(self) -> None:
        """The reply becomes a dead letter; the channel goes on."""
        async with self.harness() as network, _started(network):
            for trouble in network.troubles & {Trouble.NEVER}:
                await network.troubles_next(trouble)
                with pytest.raises(DeliveryFailed):
                    await network.channel.send(_reply(network, "one"))

                assert await network.heard() == []

            await network.channel.send(_reply(network, "two", delivery_id="d2"))
            assert [heard.text for heard in await network.heard()] == ["two"]

    async def test_a_network_that_is_down_is_unavailable_until_it_is_up(self) -> None:
        """Nothing is lost: the reply is sent by trying again."""
        async with self.harness() as network, _started(network):
            await network.down()
            with pytest.raises(ChannelUnavailable):
                await network.channel.send(_reply(network, "one"))

            await network.up()
            await network.channel.send(_reply(network, "one"))
            assert [heard.text for heard in await network.heard()] == ["one"]

    async def test_the_same_delivery_again_is_heard_once_where_the_channel_says_so(self) -> None:
        """Sending again after a crash does no harm; an idempotent channel shows no second copy."""
        async with self.harness() as network, _started(network):
            await network.channel.send(_reply(network, "one"))
            await network.channel.send(_reply(network, "one"))

            texts = [heard.text for heard in await network.heard()]
            assert texts == (["one"] if network.channel.idempotent else ["one", "one"])

    async def test_stop_ends_everything_and_may_be_called_at_any_time(self) -> None:
        """No task, no socket and no message comes after it; stopping twice, or before the start, is harmless."""
        async with self.harness() as network:
            await network.channel.stop()
            tasks, sockets = asyncio.all_tasks(), _sockets()
            gateway = _Gateway()
            await network.channel.start(gateway.receive)
            await network.started()
            assert await network.says(network.said("m1")) is Told.TAKEN
            await network.channel.send(_reply(network, "one"))

            await network.channel.stop()
            await network.channel.stop()

            assert await network.says(network.said("m2")) is not Told.TAKEN
            assert [message.message_id for message in gateway.received] == ["m1"]
            await network.quiet()
            await _settles(lambda: asyncio.all_tasks() <= tasks, "a task of the channel goes on after stop")
            await _settles(lambda: _sockets() <= sockets, "a socket of the channel is open after stop")


class _Gateway:
    """A gateway that does what the test says, and remembers."""

    def __init__(self) -> None:
        self.received: list[InboundMessage] = []
        self.outcome = Outcome.ACCEPTED
        self.errors: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()

    async def receive(self, message: InboundMessage) -> Receipt:
        self.received.append(message)
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return Receipt(self.outcome, "as the test wants it")


@asynccontextmanager
async def _started(network: Harness) -> AsyncGenerator[_Gateway]:
    """A gateway connected to the channel for the length of a block."""
    gateway = _Gateway()
    await network.channel.start(gateway.receive)
    await network.started()
    try:
        yield gateway
    finally:
        await network.channel.stop()


def _reply(
    network: Harness,
    text: str,
    chat: Chat | None = None,
    thread_id: str | None = None,
    delivery_id: str = "d1",
) -> OutboundMessage:
    chat = chat or Chat(ChatKind.DM, "alice")
    sender_id = chat.id if chat.kind is ChatKind.DM else "alice"
    route = Route(network.channel.name, network.account, chat, thread_id, sender_id, "m1")
    return OutboundMessage(DeliveryId(delivery_id), route, Speaker(AgentId("alice"), "Alice's assistant"), text)


def _plainly(message: InboundMessage) -> Said:
    return Said(message.message_id, message.sender_id, message.chat, message.text, message.thread_id)


async def _settles(holds: Callable[[], bool], complaint: str) -> None:
    """What was told to end may need a few turns of the loop, and none more."""
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0)
    pytest.fail(complaint)


def _sockets() -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for descriptor in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(descriptor))
        except OSError:  # the one that listed the directory
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.add((status.st_dev, status.st_ino))
    return found
