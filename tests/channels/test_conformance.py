"""Our own channels keep what every channel has to keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from rookery.channels.conformance import ChannelConformance, Harness, Heard, Said, Told, Trouble
from rookery.channels.contract import Receipt
from rookery.channels.loopback import Fate, LoopbackChannel, LoopbackNetwork
from rookery.channels.terminal import TerminalChannel, TerminalLine
from rookery.channels.webchat import WebChannel
from rookery.channels.webhook.bridge import Answer, Bridge
from rookery.channels.webhook.channel import WebhookAccount, WebhookChannel
from rookery.errors import InvalidInput
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage
from tests.channels.front import Front

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class TestWebhook(ChannelConformance):
    """Over real HTTP on both sides."""

    def harness(self) -> AbstractAsyncContextManager[Harness]:
        return _webhook()


class TestLoopback(ChannelConformance):
    """The network other tests stand on."""

    def harness(self) -> AbstractAsyncContextManager[Harness]:
        return _loopback(idempotent=False)


class TestIdempotentLoopback(ChannelConformance):
    """The same, where the network drops copies."""

    def harness(self) -> AbstractAsyncContextManager[Harness]:
        return _loopback(idempotent=True)


class TestTerminal(ChannelConformance):
    """With a terminal attached for everybody."""

    def harness(self) -> AbstractAsyncContextManager[Harness]:
        return _terminal()


class TestWebchat(ChannelConformance):
    """With a page that shows everything once."""

    def harness(self) -> AbstractAsyncContextManager[Harness]:
        return _webchat()


class WebhookHarness(Harness):
    """The channel behind a real HTTP server, a bridge in front of it."""

    def __init__(self, bridge: Bridge, front: Front, channel: WebhookChannel) -> None:
        self._channel = channel
        self.account = "default"
        self._bridge = bridge
        self._front = front

    @property
    def channel(self) -> WebhookChannel:
        return self._channel

    async def says(self, said: Said) -> Told:
        message = {
            "messageId": said.message_id,
            "senderId": said.sender_id,
            "chat": {"kind": said.chat.kind, "id": said.chat.id},
            "text": said.text,
            "threadId": said.thread_id,
        }
        status, _ = await self._bridge.says(self._front.url(self.account), message, NOW.timestamp())
        return Told.TAKEN if status in {200, 202, 403} else Told.NEVER if status == 400 else Told.AGAIN

    async def heard(self) -> Sequence[Heard]:
        found: list[Heard] = []
        for callback in self._bridge.heard:
            to = callback.body["to"]
            chat = Chat(ChatKind(to["chat"]["kind"]), to["chat"]["id"])
            found.append(Heard(chat, callback.text, to["threadId"]))
        return found

    async def troubles_next(self, trouble: Trouble) -> None:
        self._bridge.answers(Answer(503 if trouble is Trouble.LATER else 422))

    async def down(self) -> None:
        await self._bridge.down()

    async def up(self) -> None:
        await self._bridge.up()

    async def quiet(self) -> None:
        await self._front.hang_up()
        await self._bridge.down()


class LoopbackHarness(Harness):
    """People of a loopback network."""

    def __init__(self, network: LoopbackNetwork, channel: LoopbackChannel | None = None) -> None:
        self._channel = channel or network.channel()
        self.account = network.accounts[0]
        self._network = network

    @property
    def channel(self) -> LoopbackChannel:
        return self._channel

    async def says(self, said: Said) -> Told:
        try:
            await self._network.says(
                said.sender_id, said.text, chat=said.chat, thread=said.thread_id, message_id=said.message_id
            )
        except InvalidInput:
            return Told.NEVER
        except Exception:
            assert self._network.kept
            return Told.AGAIN
        return Told.TAKEN

    async def heard(self) -> Sequence[Heard]:
        return [Heard(one.route.chat, one.text, one.route.thread_id) for one in self._network.heard]

    async def troubles_next(self, trouble: Trouble) -> None:
        self._network.fails(Fate.UNAVAILABLE if trouble is Trouble.LATER else Fate.FAILED)

    async def down(self) -> None:
        self._network.reachable = False

    async def up(self) -> None:
        self._network.reachable = True


class TerminalHarness(Harness):
    """Terminals that show what they get, once each."""

    kinds = frozenset({ChatKind.DM})
    troubles = frozenset()

    def __init__(self, channel: TerminalChannel, readers: asyncio.TaskGroup) -> None:
        self._channel = channel
        self.account = "local"
        self._readers = readers
        self._shown: dict[str, OutboundMessage] = {}
        self._people = ["alice", *(f"p{number}" for number in range(10))]
        self._lines: list[TerminalLine] = []

    @property
    def channel(self) -> TerminalChannel:
        return self._channel

    async def says(self, said: Said) -> Told:
        try:
            await self.channel.take(said.sender_id, said.message_id, said.text, thread_id=said.thread_id)
        except InvalidInput:
            return Told.NEVER
        except Exception:
            return Told.AGAIN
        return Told.TAKEN

    async def heard(self) -> Sequence[Heard]:
        return [Heard(one.route.chat, one.text, one.route.thread_id) for one in self._shown.values()]

    async def troubles_next(self, trouble: Trouble) -> None:
        raise AssertionError(f"a terminal knows no {trouble}")

    async def started(self) -> None:
        await self.up()

    async def down(self) -> None:
        for line in self._lines:
            line.detach()

    async def up(self) -> None:
        self._lines = [self.channel.attach(who) for who in self._people]
        for line in self._lines:
            self._readers.create_task(self._read(line))

    async def _read(self, line: TerminalLine) -> None:
        async for message in line:
            self._shown.setdefault(message.delivery_id, message)


class WebchatHarness(Harness):
    """The web face, as far as the channel knows it."""

    kinds = frozenset({ChatKind.DM})
    threads = False
    troubles = frozenset()

    def __init__(self, channel: WebChannel) -> None:
        self._channel = channel
        self.account = "default"
        self._shown: dict[str, OutboundMessage] = {}
        channel.on_notice = self._show

    @property
    def channel(self) -> WebChannel:
        return self._channel

    async def says(self, said: Said) -> Told:
        try:
            message = InboundMessage(
                self.channel.name, self.account, said.message_id, said.sender_id, said.chat, said.text
            )
            await self.channel.take(message)
        except InvalidInput:
            return Told.NEVER
        except Exception:
            return Told.AGAIN
        return Told.TAKEN

    async def heard(self) -> Sequence[Heard]:
        return [Heard(one.route.chat, one.text, one.route.thread_id) for one in self._shown.values()]

    async def troubles_next(self, trouble: Trouble) -> None:
        raise AssertionError(f"the page knows no {trouble}")

    def _show(self, message: OutboundMessage) -> None:
        self._shown.setdefault(message.delivery_id, message)

    async def down(self) -> None:
        await self.channel.stop()

    async def up(self) -> None:
        await self.channel.start(_nobody_answers)


async def _nobody_answers(message: InboundMessage) -> Receipt:
    raise AssertionError(f"nobody says anything here: {message.message_id}")


@asynccontextmanager
async def _webchat() -> AsyncGenerator[Harness]:
    yield WebchatHarness(WebChannel())


@asynccontextmanager
async def _webhook() -> AsyncGenerator[Harness]:
    async with Bridge("secret") as bridge:
        accounts = {"default": WebhookAccount("secret", bridge.url)}
        channel = WebhookChannel(accounts, bridge.post, lambda: NOW)
        async with Front(channel) as front:
            yield WebhookHarness(bridge, front, channel)


@asynccontextmanager
async def _loopback(*, idempotent: bool) -> AsyncGenerator[Harness]:
    yield LoopbackHarness(LoopbackNetwork(idempotent=idempotent))


@asynccontextmanager
async def _terminal() -> AsyncGenerator[Harness]:
    async with asyncio.TaskGroup() as readers:
        harness = TerminalHarness(TerminalChannel(), readers)
        yield harness
        await harness.channel.stop()
