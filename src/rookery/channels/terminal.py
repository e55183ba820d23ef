"""The terminal as a channel: replies go to whoever of a user's terminals is attached, and wait when none is.

It has one account, `local`; a sender is a user id, and each user has one direct chat under that id. Who may
attach as whom is decided by the control socket before it calls here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rookery.channels.contract import AccountSettings, Ids, Needs, Receipt, Receive
from rookery.errors import ChannelUnavailable, InvalidInput
from rookery.ids import DeliveryId
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage

CHANNEL = "terminal"
ACCOUNT = "local"
LONGEST_LAG = 1_000
"""Deliveries a terminal may leave unread while another one of the same user reads; then it is detached."""


def typed(user_id: str, client_id: str, text: str) -> InboundMessage:
    """What a user typed, as a message; `client_id` is the client's, so that it may ask again after a break.

    Clients of two users know nothing of each other, so the message's id names the user too. A user id has no
    ':', so no two become one. Raises `InvalidInput` for an empty id.
    """
    if not client_id:
        raise InvalidInput("messageId is empty; a message needs it.")
    chat = Chat(ChatKind.DM, user_id)
    return InboundMessage(CHANNEL, ACCOUNT, f"{user_id}:{client_id}", user_id, chat, text)


def client_id_of(message_id: str) -> str:
    """The client's own id for a message that `typed` made."""
    return message_id.partition(":")[2]


def create(accounts: AccountSettings, needs: Needs) -> TerminalChannel:
    """The terminal; it has no settings and needs nothing."""
    del accounts, needs
    return TerminalChannel()


class TerminalChannel:
    """Carries between users' terminals and the gateway.

    A delivery counts as sent when one of the user's terminals has it: it acknowledged the delivery, or came
    back for the next one. The client drops a delivery id it has shown.
    """

    name = CHANNEL
    ids = Ids.NETWORK
    chunk_limit = 100_000
    idempotent = True

    def __init__(self) -> None:
        self.on_attach: Callable[[str], None] = _nobody_to_tell
        """Told the user id whenever a terminal is attached, so that deliveries that wait are sent at once."""
        self._receive: Receive | None = None
        self._lines: dict[str, list[TerminalLine]] = {}

    def configure(self, accounts: AccountSettings) -> None:
        """There is nothing to set."""

    async def start(self, receive: Receive) -> None:
        self._receive = receive

    async def stop(self) -> None:
        """Take no more messages in and end every attached line."""
        self._receive = None
        for line in [line for lines in self._lines.values() for line in lines]:
            line.detach()

    async def take(self, user_id: str, message_id: str, text: str, *, thread_id: str | None = None) -> Receipt:
        """Hand in what a user typed; `message_id` is unique among all users, as the one that `typed` makes.

        Raises what `Receive` raises, `InvalidInput` for an empty id, `ChannelUnavailable` when stopped.
        """
        message = InboundMessage(
            CHANNEL, ACCOUNT, message_id, user_id, Chat(ChatKind.DM, user_id), text, thread_id
        )
        if self._receive is None:
            raise ChannelUnavailable("The gateway takes no messages at the moment; send it again in a while.")
        return await self._receive(message)

    async def send(self, message: OutboundMessage) -> str | None:
        """Hand over to the user's attached terminals and wait until one has it; the network has no ids.

        Raises `ChannelUnavailable` when none is attached, or the last one leaves without having it.
        """
        user_id = message.route.chat.id
        pending = Pending(message, asyncio.get_running_loop().create_future())
        lines = list(self._lines.get(user_id, ()))
        for line in lines:
            line.offer(pending)
        pending.settle()
        try:
            shown = await pending.shown
        finally:
            for line in lines:
                line.withdraw(pending)
        if not shown:
            raise ChannelUnavailable(
                f"No terminal of {user_id!r} is attached; the reply waits for `rookery chat`."
            )
        return None

    def attach(self, user_id: str) -> TerminalLine:
        """Connect one terminal of a user; use it as a context manager, or call `detach`.

        Raises `ChannelUnavailable` when the channel does not run.
        """
        if self._receive is None:
            raise ChannelUnavailable("The gateway is stopping; attach again when it runs.")
        line = TerminalLine(self, user_id)
        self._lines.setdefault(user_id, []).append(line)
        self.on_attach(user_id)
        return line

    def attached(self, user_id: str) -> int:
        """How many terminals of this user are attached."""
        return len(self._lines.get(user_id, ()))

    def leave(self, line: TerminalLine) -> None:
        """A line's own way out; everybody else calls its `detach`."""
        lines = self._lines.get(line.user_id, [])
        if line in lines:
            lines.remove(line)
        if not lines:
            self._lines.pop(line.user_id, None)


class TerminalLine:
    """One attached terminal: iterate to get its replies; iteration ends when the line is detached.

    Each reply is acknowledged by `ack`, or by asking for the next one. A reply that was handed out and not
    acknowledged before the end goes back to the outbox, and may then be shown twice unless the client drops it.
    """

    def __init__(self, channel: TerminalChannel, user_id: str) -> None:
        self.user_id = user_id
        self._channel = channel
        self._waiting: list[Pending] = []
        self._shown: list[Pending] = []
        self._news = asyncio.Event()
        self._open = True

    def ack(self, delivery_id: DeliveryId) -> None:
        """The client has shown this delivery. An id that is not waiting is ignored."""
        for pending in self._waiting + self._shown:
            if pending.message.delivery_id == delivery_id:
                pending.have()

    def detach(self) -> None:
        """End the line; harmless when called again."""
        if not self._open:
            return
        self._open = False
        self._channel.leave(self)
        for pending in self._waiting + self._shown:
            pending.lose(self)
        self._waiting.clear()
        self._shown.clear()
        self._news.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OutboundMessage:
        for pending in self._shown:
            pending.have()
        self._shown.clear()
        while self._open and not self._waiting:
            self._news.clear()
            await self._news.wait()
        if not self._open:
            raise StopAsyncIteration
        pending = self._waiting.pop(0)
        self._shown.append(pending)
        return pending.message

    def offer(self, pending: Pending) -> None:
        """The channel has a delivery for this terminal."""
        if len(self._waiting) >= LONGEST_LAG:
            # Beside a second terminal that keeps up, one that hangs would gather replies for ever.
            self.detach()
            return
        pending.lines.append(self)
        self._waiting.append(pending)
        self._news.set()

    def withdraw(self, pending: Pending) -> None:
        """The sending ended. What was given up is not shown; what another terminal has is shown here too."""
        if pending.shown.cancelled() and pending in self._waiting:
            self._waiting.remove(pending)


class Pending:
    """One delivery on its way to the terminals of a user; `shown` becomes whether one of them has it."""

    def __init__(self, message: OutboundMessage, shown: asyncio.Future[bool]) -> None:
        self.message = message
        self.shown = shown
        self.lines: list[TerminalLine] = []

    def have(self) -> None:
        """A terminal has it."""
        if not self.shown.done():
            self.shown.set_result(True)

    def lose(self, line: TerminalLine) -> None:
        """A terminal left without having it."""
        self.lines.remove(line)
        self.settle()

    def settle(self) -> None:
        """With no line left to show it, the delivery goes back."""
        if not self.lines and not self.shown.done():
            self.shown.set_result(False)


def _nobody_to_tell(user_id: str) -> None:
    del user_id
