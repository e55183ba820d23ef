"""The web page as a channel: people write through REST and WebSocket, and read their session, not this channel.

It has one account, `default`, and `token` for what was written with a token; a sender is a user id, and each user
has one direct chat under that id. Who may write as whom is decided by the web face before it calls here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rookery.channels.contract import AccountSettings, Ids, Needs, Receipt, Receive
from rookery.errors import ChannelUnavailable, InvalidInput
from rookery.messages import Attachment, Chat, ChatKind, InboundMessage, OutboundMessage

CHANNEL = "webchat"
ACCOUNT = "default"
BY_TOKEN = "token"  # noqa: S105
"""The account under which stands what was written with a token instead of on the page."""


def written(
    user_id: str,
    client_id: str,
    text: str,
    attachments: Sequence[Attachment] = (),
    *,
    account: str = ACCOUNT,
) -> InboundMessage:
    """What a user wrote, as a message; `client_id` is the client's, so that it may ask again after a break.

    Clients of two users know nothing of each other, so the message's id names the user too. A user id has no
    ':', so no two become one. Raises `InvalidInput` for an empty id and for what no message may be.
    """
    if not client_id:
        raise InvalidInput("idempotencyKey is empty; a message needs it.")
    chat = Chat(ChatKind.DM, user_id)
    return InboundMessage(
        CHANNEL, account, f"{user_id}:{client_id}", user_id, chat, text, attachments=tuple(attachments)
    )


def client_id_of(message_id: str) -> str:
    """The client's own id for a message that `written` made."""
    return message_id.partition(":")[2]


def create(accounts: AccountSettings, needs: Needs) -> WebChannel:
    """The web page; it has no settings and needs nothing."""
    del accounts, needs
    return WebChannel()


class WebChannel:
    """Takes in what the web face hands it, and tells it what is sent to somebody outside of an answer.

    A model's reply is read in its session and is not sent at all; what comes here is the answer to a command, or
    a word nobody asked for. It counts as sent when the web face was told: nobody has to look at that moment, for
    it stays with its turn. A page drops a delivery id it has shown.
    """

    name = CHANNEL
    ids = Ids.NETWORK
    chunk_limit = 100_000
    idempotent = True

    def __init__(self) -> None:
        self.on_notice: Callable[[OutboundMessage], None] = _nobody_looks
        """Told of everything that is sent; never waits and never raises."""
        self._receive: Receive | None = None

    def configure(self, accounts: AccountSettings) -> None:
        """There is nothing to set."""

    async def start(self, receive: Receive) -> None:
        self._receive = receive

    async def stop(self) -> None:
        """Take no more messages in, and send none."""
        self._receive = None

    async def take(self, message: InboundMessage) -> Receipt:
        """Hand in what a user wrote, as `written` made it.

        Raises what `Receive` raises, and `ChannelUnavailable` when stopped.
        """
        if self._receive is None:
            raise ChannelUnavailable("The gateway takes no messages at the moment; send it again in a while.")
        return await self._receive(message)

    async def send(self, message: OutboundMessage) -> str | None:
        """Tell the web face, and return at once. Raises `ChannelUnavailable` when stopped."""
        if self._receive is None:
            raise ChannelUnavailable("The web page is not served at the moment.")
        self.on_notice(message)
        return None


def _nobody_looks(message: OutboundMessage) -> None:
    del message
