"""What a channel is: our side of one chat network.

A channel translates and carries. It knows nothing of users, agents or storage: it hands each message in to
`Receive`, which decides, and sends what the outbox gives it. Anybody can write one: implement `Channel`,
run `rookery.channels.conformance.ChannelConformance` over it, and register it in `rookery.channels.registry`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol, runtime_checkable

from msgspec import Struct

from rookery.messages import InboundMessage, OutboundMessage


class Outcome(StrEnum):
    """What became of a message, as far as its network is concerned."""

    ACCEPTED = "accepted"
    """Committed and synced. The network may forget it."""

    DUPLICATE = "duplicate"
    """Seen before; what came of it then stands. The network may forget it."""

    REFUSED = "refused"
    """Not let in; that is committed too. The network may forget it."""

    IGNORED = "ignored"
    """Said among others and not to us; committed as seen, answered by nobody. The network may forget it."""


class Receipt(Struct, frozen=True):
    """The gateway's word on a message. `reason` is for the channel's operator, `turn_id` names the turn."""

    outcome: Outcome
    reason: str = ""
    turn_id: str | None = None


Receive = Callable[[InboundMessage], Awaitable[Receipt]]
"""Hands a message to the gateway and waits until what became of it is committed and synced.

Only when this returns may the network be told that the message arrived. Raises `StorageUnavailable` when
nothing was committed: the network must then offer the message again. Raises `InvalidInput` for what no
message may be. Calling it again with the same (channel, account, message id) is harmless.
"""


class Ids(StrEnum):
    """What a sender's id is unique within."""

    NETWORK = "network"
    """The whole network: the same id on two of our accounts is the same sender."""

    ACCOUNT = "account"
    """One account of ours: the same id on another account is somebody else."""


class Channel(Protocol):
    """Our side of one network, with all accounts we have there."""

    name: str
    """The channel's word in addresses and keys: lower-case letters and digits, beginning with a letter."""

    ids: Ids

    chunk_limit: int
    """The longest text the network takes in one message, in characters; the outbox cuts replies to it."""

    idempotent: bool
    """Whether the network takes our delivery id as an idempotency key and so drops a second copy itself."""

    def configure(self, accounts: AccountSettings) -> None:
        """Take changed settings, from the next message and delivery on. A channel without any ignores it.

        Raises `ConfigError` naming account and key, and then keeps what it had.
        """
        ...

    async def start(self, receive: Receive) -> None:
        """Begin to take messages in. Returns when the channel is ready; a task of the channel's own goes on.

        Called once the gateway can accept, and again later when it raised `ChannelUnavailable`, which says
        that the network cannot be reached yet. Raises `ConfigError` when the account's settings cannot work.
        """
        ...

    async def stop(self) -> None:
        """Take no more messages in, end the channel's tasks, give back its sockets. Sending may stop too.

        Harmless before `start` and when called again.
        """
        ...

    async def send(self, message: OutboundMessage) -> str | None:
        """Deliver one message and return the network's id for it, None when the network has none.

        Called by the outbox, one at a time per chat. Raise `ChannelUnavailable` when trying again later may
        help, `DeliveryFailed` when it will not. May be called again with the same delivery id after a crash.
        """
        ...


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What a network's HTTP request is answered with: a status, a JSON object, and headers beside the usual."""

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def content_type(self) -> str:
        """A refusal travels as RFC 9457 problem details, everything else as plain JSON."""
        return "application/problem+json" if self.status >= HTTPStatus.BAD_REQUEST else "application/json"


def problem(status: HTTPStatus, code: str, detail: str, *, retry_after: int | None = None) -> HttpReply:
    """A refusal as RFC 9457 problem details; `code` is our stable word for it, `retry_after` in seconds."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    return HttpReply(status, body, {} if retry_after is None else {"retry-after": str(retry_after)})


@runtime_checkable
class ReceivesHttp(Protocol):
    """A channel whose network calls us: its messages come by `POST /api/channels/<name>/<account>`."""

    max_body: int
    """The largest body the channel reads, in bytes; a larger one is answered 413 without being read."""

    async def on_http(self, account: str, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """Check, translate and receive one request; header names are lower-case. Bad input is a reply.

        Whatever else is raised is our own mistake: answer 500, so that the network offers the message again.
        """
        ...


class HttpPost(Protocol):
    """The one way a channel makes a request of its own; the gateway passes it in."""

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float, /
    ) -> tuple[int, Mapping[str, str], bytes]:
        """POST once and return status, headers (lower-case names, `retry-after` among them) and the body.

        Any status is an answer; no redirect is followed. `timeout` is in seconds and covers everything up to
        the body's end. Raises `OSError` (`TimeoutError` is one) when no whole answer came, and `ValueError`
        when what came is not HTTP or is too large to read.
        """
        ...


class Needs(Struct, frozen=True):
    """What the gateway lends to every channel it creates."""

    post: HttpPost
    now: Callable[[], datetime]


AccountSettings = Mapping[str, Mapping[str, object]]
"""A channel's `accounts` as `rookery.yaml` has them; the gateway's own keys, as `dmPolicy`, are among them."""

CreateChannel = Callable[[AccountSettings, Needs], Channel]
"""What a channel's module offers to the registry. Raises `ConfigError` naming account and key."""
