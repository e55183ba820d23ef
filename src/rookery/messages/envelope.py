"""A message as it comes from a network and as it goes back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from rookery.errors import InvalidInput
from rookery.ids import AgentId, DeliveryId


class ChatKind(StrEnum):
    """What sort of chat a message stands in; decides its place together with the scope."""

    DM = "dm"
    GROUP = "group"
    CHANNEL = "channel"


class Address(Struct, frozen=True):
    """Who wrote, as the network knows them; `sender` is the network's immutable id, never a display name."""

    channel: str
    account: str
    sender: str

    def __str__(self) -> str:
        return f"{self.channel}@{self.account}:{self.sender}"


@dataclass(frozen=True, slots=True)
class Chat:
    """Where in a network a message stands; `id` is unique within the channel's account."""

    kind: ChatKind
    id: str


class Attachment(Struct, frozen=True):
    """A file named by a message; either `url` or `attachment_id` is set. Nothing has been fetched yet."""

    name: str
    content_type: str
    url: str | None = None
    attachment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Where a reply goes. It comes in with the message and travels with the turn; nobody computes it."""

    channel: str
    account: str
    chat: Chat
    thread_id: str | None
    sender_id: str
    message_id: str

    def joins(self, other: Route) -> bool:
        """Whether both lead to the same sender in the same chat and thread, whatever message began them."""
        return (self.channel, self.account, self.chat, self.thread_id, self.sender_id) == (
            other.channel,
            other.account,
            other.chat,
            other.thread_id,
            other.sender_id,
        )


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message from a network, translated and checked: valid UTF-8 without NUL, no empty ids.

    `message_id` is unique within (channel, account); a channel whose network numbers messages per chat
    joins the two injectively in its translation. `mentioned`: in a group, whether we were spoken to.
    """

    channel: str
    account: str
    message_id: str
    sender_id: str
    chat: Chat
    text: str
    thread_id: str | None = None
    sender_name: str | None = None
    mentioned: bool = False
    attachments: tuple[Attachment, ...] = ()

    def __post_init__(self) -> None:
        ids = {
            "channel": self.channel,
            "account": self.account,
            "messageId": self.message_id,
            "senderId": self.sender_id,
            "chat.id": self.chat.id,
        }
        if self.thread_id is not None:
            ids["threadId"] = self.thread_id
        for name, value in ids.items():
            if not value:
                raise InvalidInput(f"{name} is empty; a message needs it.")
            _clean(name, value)
        _clean("text", self.text)
        if self.sender_name is not None:
            _clean("senderName", self.sender_name)
        for attachment in self.attachments:
            _clean("attachment name", attachment.name)

    @property
    def address(self) -> Address:
        return Address(self.channel, self.account, self.sender_id)

    @property
    def route(self) -> Route:
        return Route(self.channel, self.account, self.chat, self.thread_id, self.sender_id, self.message_id)


class Speaker(Struct, frozen=True):
    """Which agent a delivery speaks for, as people are shown it."""

    agent_id: AgentId
    name: str


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One chunk of a reply on its way to a network."""

    delivery_id: DeliveryId
    route: Route
    speaker: Speaker
    text: str


def _clean(name: str, value: str) -> None:
    if "\0" in value:
        raise InvalidInput(f"{name} holds a NUL character, which no message may.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name} is not valid UTF-8 (a lone surrogate at {error.start}).") from None
