"""A whole chat network in memory, for tests: people on one side, the gateway's channel on the other.

    telegram = LoopbackNetwork("telegram")
    gateway.add(telegram.channel())
    await telegram.says("alice", "hello")
    assert telegram.heard_by("alice") == ["hello, Alice"]

The network outlives the gateway: `channel()` makes a fresh channel for each start, and a message the gateway
did not take stays with the network until it is offered again.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rookery.channels.contract import AccountSettings, Ids, Receipt, Receive
from rookery.errors import ChannelUnavailable, DeliveryFailed
from rookery.messages import Attachment, Chat, ChatKind, InboundMessage, OutboundMessage


class Fate(StrEnum):
    """What happened to one attempt to send."""

    HEARD = "heard"
    """It reached the chat."""

    DROPPED = "dropped"
    """An idempotent network knew the delivery id and dropped the copy."""

    UNAVAILABLE = "unavailable"
    """It did not reach the chat; `ChannelUnavailable` was raised."""

    FAILED = "failed"
    """It did not reach the chat; `DeliveryFailed` was raised."""

    ANSWER_LOST = "answerLost"
    """It reached the chat, but the answer broke off and `ChannelUnavailable` was raised."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of `send`, in the order they ended; `network_id` is there when the network said one."""

    message: OutboundMessage
    fate: Fate
    network_id: str | None = None


class LoopbackNetwork:
    """One network with its people, chats and accounts.

    Messages are numbered from "1" in each account, so that ids of two accounts or networks collide, as they
    do in the world. People and chats need no introduction; `account` is the first one unless said otherwise.
    """

    def __init__(
        self,
        name: str = "loopback",
        *,
        ids: Ids = Ids.NETWORK,
        accounts: Sequence[str] = ("default",),
        idempotent: bool = False,
        chunk_limit: int = 4_000,
    ) -> None:
        assert accounts, "a network without an account of ours cannot reach us"
        self.name = name
        self.ids = ids
        self.accounts = tuple(accounts)
        self.idempotent = idempotent
        self.chunk_limit = chunk_limit
        self.said: list[InboundMessage] = []
        """Everything people said, once each, in order."""
        self.attempts: list[Attempt] = []
        """Every call of `send` that ended, whatever came of it."""
        self.reachable = True
        """While this is False nothing starts and every send is unavailable."""
        self._receive: Receive | None = None
        self._numbers: Counter[str] = Counter()
        self._kept: list[InboundMessage] = []
        self._members: set[tuple[str, str, Chat]] = set()
        self._troubles: deque[tuple[Fate, float | None]] = deque()
        self._gate: asyncio.Event | None = None
        self._held = 0
        self._news = asyncio.Condition()

    def channel(self) -> LoopbackChannel:
        """Our side of this network, not started; make a new one for each start of a gateway."""
        return LoopbackChannel(self)

    # What people do.

    async def says(
        self,
        person: str,
        text: str,
        *,
        group: str | None = None,
        chat: Chat | None = None,
        thread: str | None = None,
        account: str | None = None,
        mentioned: bool = False,
        name: str | None = None,
        message_id: str | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> Receipt:
        """A person writes, in their direct chat unless `group` or `chat` says where, and is told the receipt.

        Raises what the gateway raised, or `ChannelUnavailable` when no channel is started; the network then
        keeps the message for `offer_kept`. `InvalidInput`, for what no message may be, is not kept.
        """
        account = account or self.accounts[0]
        chat = chat or (Chat(ChatKind.GROUP, group) if group is not None else Chat(ChatKind.DM, person))
        if message_id is None:
            self._numbers[account] += 1
            message_id = str(self._numbers[account])
        message = InboundMessage(
            self.name, account, message_id, person, chat, text, thread, name, mentioned, tuple(attachments)
        )
        self.joins(person, chat, account=account)
        self.said.append(message)
        self._kept.append(message)
        return await self.offers(message)

    async def offers(self, message: InboundMessage) -> Receipt:
        """Offer a message, of `said` for example, once more; raises as `says` does."""
        if self._receive is None:
            raise ChannelUnavailable(f"No gateway is connected to {self.name!r}; the network keeps the message.")
        receipt = await self._receive(message)
        if message in self._kept:
            self._kept.remove(message)
        return receipt

    async def offer_kept(self) -> list[Receipt]:
        """Offer all messages that no gateway has taken yet, in order, as networks do after a pause."""
        return [await self.offers(message) for message in list(self._kept)]

    @property
    def kept(self) -> list[InboundMessage]:
        """The messages that no gateway has taken yet."""
        return list(self._kept)

    def joins(self, person: str, chat: Chat, *, account: str | None = None) -> None:
        """A person becomes a member of a chat and hears what is sent there; to write in it does so too."""
        self._members.add((account or self.accounts[0], person, chat))

    # What people hear.

    def heard_by(self, person: str, *, account: str | None = None) -> list[str]:
        """The texts a person has seen on one account, in their direct chat and the chats they are in."""
        return [message.text for message in self._reached(person, account or self.accounts[0])]

    def heard_in(self, group: str, *, thread: str | None = None, account: str | None = None) -> list[str]:
        """The texts a group has seen on one account; with `thread`, only those in it."""
        account = account or self.accounts[0]
        return [
            message.text
            for message in self.heard
            if (message.route.account, message.route.chat) == (account, Chat(ChatKind.GROUP, group))
            and (thread is None or message.route.thread_id == thread)
        ]

    @property
    def heard(self) -> list[OutboundMessage]:
        """Everything that reached a chat, copies among them, in order."""
        return [one.message for one in self.attempts if one.fate in {Fate.HEARD, Fate.ANSWER_LOST}]

    async def hears(self, person: str, count: int = 1, *, account: str | None = None) -> list[str]:
        """Wait until a person has seen `count` texts in all, and return all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.heard_by(person, account=account)) >= count)
        return self.heard_by(person, account=account)

    async def tried(self, count: int) -> list[Attempt]:
        """Wait until `count` attempts to send have ended in all, and return all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.attempts) >= count)
        return list(self.attempts)

    # What goes wrong.

    def fails(self, fate: Fate = Fate.UNAVAILABLE, *, times: int = 1, retry_after: float | None = None) -> None:
        """Let the next `times` sends, after those already troubled, end in this fate."""
        assert fate not in {Fate.HEARD, Fate.DROPPED}, "a send that works needs no arranging"
        self._troubles.extend([(fate, retry_after)] * times)

    def holds(self) -> asyncio.Event:
        """Let every send from now on wait until the event that is returned is set."""
        self._gate = asyncio.Event()
        return self._gate

    async def holding(self, count: int = 1) -> None:
        """Wait until `count` sends wait at the gate."""
        async with self._news:
            await self._news.wait_for(lambda: self._held >= count)

    # What the channel does.

    def connect(self, receive: Receive) -> None:
        """A channel comes up. Raises `ChannelUnavailable` when the network is not reachable."""
        if not self.reachable:
            raise ChannelUnavailable(f"The network {self.name!r} cannot be reached.")
        assert self._receive is None, f"{self.name!r} has a channel already; stop it before another one starts"
        self._receive = receive

    def disconnect(self) -> None:
        """The channel goes away; what people say from now on is kept."""
        self._receive = None

    async def carry(self, message: OutboundMessage) -> str | None:
        """Take one message of ours to its chat and return its id; raises what was arranged."""
        await self._pass_gate()
        attempt, error = self._fate_of(message)
        async with self._news:
            self.attempts.append(attempt)
            self._news.notify_all()
        if error is not None:
            raise error
        return attempt.network_id

    async def _pass_gate(self) -> None:
        gate = self._gate
        if gate is None or gate.is_set():
            return
        async with self._news:
            self._held += 1
            self._news.notify_all()
        try:
            await gate.wait()
        finally:
            self._held -= 1

    def _fate_of(self, message: OutboundMessage) -> tuple[Attempt, Exception | None]:
        down = (Fate.UNAVAILABLE, None)
        fate, wait = (
            (self._troubles.popleft() if self._troubles else (Fate.HEARD, None)) if self.reachable else down
        )
        match fate:
            case Fate.UNAVAILABLE:
                return Attempt(message, fate), ChannelUnavailable("The network is down.", retry_after=wait)
            case Fate.FAILED:
                return Attempt(message, fate), DeliveryFailed("The network will never take this message.")
            case Fate.HEARD | Fate.ANSWER_LOST | Fate.DROPPED:
                pass
        known = self._first_copy(message) if self.idempotent else None
        reached = known or Attempt(message, fate, f"{self.name}-{len(self.attempts) + 1}")
        if fate is Fate.ANSWER_LOST:
            lost = ChannelUnavailable("The answer of the network broke off.", retry_after=wait)
            return Attempt(message, Fate.DROPPED if known else fate, reached.network_id), lost
        return Attempt(message, Fate.DROPPED if known else Fate.HEARD, reached.network_id), None

    def _next_fate(self) -> tuple[Fate, float | None]:
        if not self.reachable:
            return Fate.UNAVAILABLE, None
        return self._troubles.popleft() if self._troubles else (Fate.HEARD, None)

    def _first_copy(self, message: OutboundMessage) -> Attempt | None:
        return next(
            (
                one
                for one in self.attempts
                if one.fate in {Fate.HEARD, Fate.ANSWER_LOST} and one.message.delivery_id == message.delivery_id
            ),
            None,
        )

    def _reached(self, person: str, account: str) -> list[OutboundMessage]:
        return [
            message
            for message in self.heard
            if message.route.account == account
            and (
                message.route.chat == Chat(ChatKind.DM, person)
                or (account, person, message.route.chat) in self._members
            )
        ]


class LoopbackChannel:
    """Our side of a `LoopbackNetwork`: it hands in what people say and out what the outbox sends."""

    def __init__(self, network: LoopbackNetwork) -> None:
        self.name = network.name
        self.ids = network.ids
        self.chunk_limit = network.chunk_limit
        self.idempotent = network.idempotent
        self._network = network
        self._started = False

    def configure(self, accounts: AccountSettings) -> None:
        """There is nothing to set: the network says which accounts there are."""

    async def start(self, receive: Receive) -> None:
        self._network.connect(receive)
        self._started = True

    async def stop(self) -> None:
        if self._started:
            self._started = False
            self._network.disconnect()

    async def send(self, message: OutboundMessage) -> str | None:
        return await self._network.carry(message)
