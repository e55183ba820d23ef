"""The webhook, over real HTTP on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from rookery.channels.contract import Needs, Outcome, Receipt, ReceivesHttp
from rookery.channels.webhook.bridge import Answer, Bridge
from rookery.channels.webhook.channel import STAND_IN, WebhookAccount, WebhookChannel, accounts_from, create
from rookery.channels.webhook.signature import SIGNATURE, TIMESTAMP, sign
from rookery.errors import ChannelUnavailable, ConfigError, DeliveryFailed, InvalidInput, StorageUnavailable
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage, Route, Speaker
from tests.channels.front import Front

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HELLO: dict[str, Any] = {
    "messageId": "m1",
    "senderId": "alice",
    "text": "Hello",
    "chat": {"kind": "dm", "id": "alice"},
}


class House:
    """A bridge, the channel behind a server, and a gateway that answers what the test says."""

    def __init__(self, bridge: Bridge, channel: WebhookChannel, front: Front) -> None:
        self.bridge = bridge
        self.channel = channel
        self.front = front
        self.received: list[InboundMessage] = []
        self.answer: Receipt | Exception = Receipt(Outcome.ACCEPTED)

    async def receive(self, message: InboundMessage) -> Receipt:
        self.received.append(message)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def says(
        self,
        message: dict[str, Any] | bytes = HELLO,
        *,
        account: str = "default",
        at: datetime = NOW,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        return await self.bridge.says(self.front.url(account), message, at.timestamp(), headers)


@pytest.fixture
async def house() -> AsyncGenerator[House]:
    async with Bridge("secret") as bridge:
        accounts = {"default": WebhookAccount("secret", bridge.url), "mute": WebhookAccount("secret")}
        channel = WebhookChannel(accounts, bridge.post, lambda: NOW)
        async with Front(channel) as front:
            house = House(bridge, channel, front)
            await channel.start(house.receive)
            yield house
            await channel.stop()


def reply(text: str = "Hi!", *, account: str = "default", message_id: str = "m1") -> OutboundMessage:
    route = Route("webhook", account, Chat(ChatKind.DM, "alice"), "t1", "alice", message_id)
    return OutboundMessage(DeliveryId("d1"), route, Speaker(AgentId("alice"), "Alice's assistant"), text)


@pytest.mark.parametrize(
    ("receipt", "expected"),
    [
        (Receipt(Outcome.ACCEPTED, turn_id="t1"), (202, {"accepted": True, "turnId": "t1"})),
        (Receipt(Outcome.ACCEPTED), (202, {"accepted": True})),
        (Receipt(Outcome.IGNORED), (202, {"accepted": True})),
        (Receipt(Outcome.DUPLICATE, turn_id="t1"), (200, {"duplicate": True})),
    ],
)
async def test_a_message_is_answered_with_what_came_of_it(
    house: House, receipt: Receipt, expected: tuple[int, dict[str, Any]]
):
    """Accepted and seen before are two answers; both let the sender forget."""
    house.answer = receipt

    assert await house.says() == expected
    assert [message.text for message in house.received] == ["Hello"]


async def test_a_refusal_says_why_to_the_operators_own_bridge(house: House):
    """Who signs is trusted with the reason."""
    house.answer = Receipt(Outcome.REFUSED, "webhook@default:alice belongs to nobody here.")

    status, answer = await house.says()

    assert (status, answer["code"]) == (403, "refused")
    assert answer["detail"] == "webhook@default:alice belongs to nobody here."


async def test_what_could_not_be_kept_is_to_be_sent_again(house: House):
    """503 with the time to wait; the cause stays with the operator."""
    house.answer = StorageUnavailable("disk full at a place nobody should know")

    status, answer = await house.says()

    assert (status, answer["code"], answer["status"], answer["type"]) == (
        503,
        "storage_unavailable",
        503,
        "about:blank",
    )
    assert "disk" not in answer["detail"]
    direct = await house.channel.on_http("default", _signed(HELLO), _body(HELLO))
    assert direct.headers == {"retry-after": "5"}
    assert direct.content_type == "application/problem+json"


async def test_before_the_start_and_after_the_stop_nothing_is_taken(house: House):
    """A gateway on its way down sends bridges away until it is back."""
    await house.channel.stop()

    status, answer = await house.says()

    assert (status, answer["code"]) == (503, "channel_unavailable")
    assert house.received == []


async def test_a_body_that_is_no_message_is_invalid(house: House):
    """With the path and what would be right."""
    status, answer = await house.says(HELLO | {"chat": {"kind": "room", "id": "x"}})

    assert (status, answer["code"], answer["title"]) == (400, "invalid", "Bad Request")
    assert answer["detail"].startswith("$.chat.kind: ")
    assert "'dm', 'group' or 'channel'" in answer["detail"]


async def test_what_the_gateway_finds_invalid_is_invalid(house: House):
    """Its word goes to the sender as it is."""
    house.answer = InvalidInput("The text is longer than this gateway takes.")

    status, answer = await house.says()

    assert (status, answer["detail"]) == (400, "The text is longer than this gateway takes.")


@pytest.mark.parametrize(
    ("headers", "at", "told"),
    [
        ({SIGNATURE: ""}, NOW, "Send X-Rookery-Timestamp"),
        ({TIMESTAMP: "soon"}, NOW, "Send X-Rookery-Timestamp"),
        (None, NOW - timedelta(seconds=301), "more than 5 minutes away"),
        (None, NOW + timedelta(seconds=301), "more than 5 minutes away"),
        ({SIGNATURE: "sha256=" + "0" * 64}, NOW, "does not fit"),
    ],
)
async def test_a_bad_signature_is_refused_before_the_body_is_read(
    house: House, headers: dict[str, str] | None, at: datetime, told: str
):
    """Not even that the body is broken is told to somebody without the secret."""
    for body in (HELLO, b"{"):
        status, answer = await house.says(body, at=at, headers=headers)

        assert (status, answer["code"]) == (401, "bad_signature")
        assert told in answer["detail"]
    assert house.received == []


@pytest.mark.parametrize("headers", [None, {SIGNATURE: ""}, {SIGNATURE: "sha256=00"}, {TIMESTAMP: "1"}])
async def test_an_unknown_account_looks_like_a_wrong_secret(house: House, headers: dict[str, str] | None):
    """Nobody learns by asking which accounts there are."""
    async with Bridge("guessed") as stranger:
        known = await stranger.says(house.front.url("default"), HELLO, NOW.timestamp(), headers)
        unknown = await stranger.says(house.front.url("nobody"), HELLO, NOW.timestamp(), headers)

    assert known == unknown
    assert known[0] == 401


async def test_not_even_the_stand_in_opens_an_unknown_account(house: House):
    """It is in the source for everybody to read."""
    async with Bridge(STAND_IN.decode()) as stranger:
        status, answer = await stranger.says(house.front.url("nobody"), HELLO, NOW.timestamp())

    assert (status, answer["code"]) == (401, "bad_signature")
    assert house.received == []


async def test_a_signature_for_one_account_is_none_for_another(house: House):
    """Two accounts with two secrets are two doors."""
    house.channel.configure({"default": {"secret": "secret"}, "other": {"secret": "another"}})

    assert (await house.says())[0] == 202
    assert (await house.says(account="other"))[0] == 401


async def test_more_than_a_mebibyte_is_too_large(house: House):
    """Exactly one is taken."""
    frame = len(_body(HELLO | {"text": ""}))
    largest = _body(HELLO | {"text": "x" * (2**20 - frame)})

    assert len(largest) == house.channel.max_body
    assert (await house.says(largest))[0] == 202
    status, answer = await house.says(largest + b" ")
    assert (status, answer["code"]) == (413, "too_large")


async def test_accounts_change_without_a_restart(house: House):
    """A new secret holds from the next request on, and the old one no longer."""
    house.channel.configure({"default": {"secret": "changed", "callbackUrl": house.bridge.url}})

    assert (await house.says())[0] == 401
    async with Bridge("changed") as bridge:
        assert (await bridge.says(house.front.url("default"), HELLO, NOW.timestamp()))[0] == 202


async def test_accounts_that_cannot_work_leave_the_former_in_place(house: House):
    """A slip in the configuration does not cut anybody off."""
    with pytest.raises(ConfigError, match=r"accounts\.other\.secret"):
        house.channel.configure({"default": {"secret": "changed"}, "other": {}})

    assert (await house.says())[0] == 202


async def test_a_reply_is_posted_signed_to_the_callback(house: House):
    """The bridge checks it as we check what comes in."""
    house.bridge.answers(Answer(201, b'{"id": "net-1"}'))

    assert await house.channel.send(reply()) == "net-1"

    [callback] = house.bridge.heard
    assert callback.headers[TIMESTAMP] == str(int(NOW.timestamp()))
    assert callback.headers["content-type"] == "application/json"
    assert callback.body["to"] == {"chat": {"kind": "dm", "id": "alice"}, "senderId": "alice", "threadId": "t1"}
    assert (callback.body["inReplyTo"], callback.body["deliveryId"], callback.text) == ("m1", "d1", "Hi!")


async def test_a_reply_to_no_message_says_so(house: House):
    """A reminder answers nobody."""
    await house.channel.send(reply(message_id=""))

    assert house.bridge.heard[0].body["inReplyTo"] is None


async def test_a_reply_is_tried_again_under_the_same_delivery_id(house: House):
    """Same bytes, so that the receiver can know the copy."""
    house.bridge.answers(Answer(500))
    with pytest.raises(ChannelUnavailable, match="answered 500"):
        await house.channel.send(reply())

    assert await house.channel.send(reply()) is None

    first, second = house.bridge.attempts
    assert first.raw == second.raw
    assert [callback.text for callback in house.bridge.heard] == ["Hi!"]


@pytest.mark.parametrize("status", [400, 401, 404, 408, 410, 413, 422, 425, 429])
async def test_any_4xx_is_final(house: House, status: int):
    """As the contract says, without exceptions."""
    house.bridge.answers(Answer(status))

    with pytest.raises(DeliveryFailed, match=f"'default' answered {status}"):
        await house.channel.send(reply())


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 500, 502, 503, 504])
async def test_anything_else_is_tried_again(house: House, status: int):
    """A redirect is not followed: the signed reply goes where the operator wrote and nowhere else."""
    house.bridge.answers(Answer(status, b"", {"location": house.bridge.url}))

    with pytest.raises(ChannelUnavailable, match=f"'default' answered {status}"):
        await house.channel.send(reply())
    assert len(house.bridge.attempts) == 1
    assert house.bridge.heard == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("7", 7.0),
        ("99999999999", 86_400.0),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120.0),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0.0),
        ("Thu, 01 Jan 2026 12:00:09 -0000", None),
        ("soon", None),
        ("-1", None),
        ("", None),
        ("Thu, 01 Jan 99999999999999999999 12:00:09 GMT", None),
    ],
)
async def test_the_time_a_callback_asks_for_is_passed_on(house: House, asked: str, expected: float | None):
    """As seconds or as a date, and never for longer than a day."""
    house.bridge.answers(Answer(503, b"", {"retry-after": asked}))

    with pytest.raises(ChannelUnavailable) as caught:
        await house.channel.send(reply())

    assert caught.value.retry_after == expected


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionRefusedError(), ConnectionResetError(), ValueError("too large")]
)
async def test_no_answer_is_tried_again_and_the_callback_is_not_named(error: Exception):
    """The url may hold a token, and dead letters are read by people."""

    async def post(
        url: str, headers: Mapping[str, str], body: bytes, timeout: float, /
    ) -> tuple[int, Mapping[str, str], bytes]:
        raise error

    accounts = {"default": WebhookAccount("secret", "http://127.0.0.1/reply?token=hidden")}
    channel = WebhookChannel(accounts, post, lambda: NOW)

    with pytest.raises(ChannelUnavailable, match=type(error).__name__) as caught:
        await channel.send(reply())
    assert "hidden" not in caught.value.detail


async def test_a_silent_callback_times_out(house: House):
    """Whatever it costs is bounded."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        accounts = {"default": WebhookAccount("secret", f"http://127.0.0.1:{port}/")}
        channel = WebhookChannel(accounts, house.bridge.post, lambda: NOW, timeout=0.05)

        with pytest.raises(ChannelUnavailable, match="TimeoutError"):
            await channel.send(reply())


@pytest.mark.parametrize(
    ("account", "told"), [("mute", "has no callbackUrl; set"), ("gone", "is not configured; add it")]
)
async def test_a_reply_without_a_way_is_a_dead_letter(house: House, account: str, told: str):
    """It says what to write into the configuration."""
    with pytest.raises(DeliveryFailed, match=told):
        await house.channel.send(reply(account=account))


def test_a_secret_is_not_shown():
    """Neither in a log nor in a traceback."""
    assert "hush" not in repr(WebhookAccount("hush"))


def test_it_is_made_from_the_configuration():
    """The gateway's own keys of an account are left alone, and snake_case is read."""
    needs = Needs(Bridge("x").post, lambda: NOW)
    settings = {"a": {"secret": "s", "callbackUrl": "http://h/r", "dmPolicy": "allowlist"}, "b": {"secret": "t"}}

    assert isinstance(create(settings, needs), ReceivesHttp)
    assert accounts_from(settings) == {"a": WebhookAccount("s", "http://h/r"), "b": WebhookAccount("t")}
    assert accounts_from({"a": {"secret": "s", "callback_url": "https://h/"}})["a"].callback_url == "https://h/"


@pytest.mark.parametrize(
    ("account", "told"),
    [
        ({}, "channels.webhook.accounts.home.secret is missing"),
        ({"secret": ""}, "channels.webhook.accounts.home.secret is missing"),
        ({"secret": 5}, "channels.webhook.accounts.home.secret is missing"),
        ({"secret": "s", "callbackUrl": 5}, "channels.webhook.accounts.home.callbackUrl is 5"),
        ({"secret": "s", "callbackUrl": "ftp://h/"}, "channels.webhook.accounts.home: callbackUrl 'ftp://h/'"),
        ({"secret": "s", "callbackUrl": "localhost"}, "write it as http(s)://host/path"),
        ({"secret": "s", "callbackUrl": "http://h:99999/"}, "write it as http(s)://host/path"),
        ({"secret": "s", "callbackUrl": "http://[h/"}, "write it as http(s)://host/path"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(account: dict[str, object], told: str):
    """Naming account and key."""
    with pytest.raises(ConfigError) as caught:
        accounts_from({"home": account})
    assert told in caught.value.detail


def _body(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message)


def _signed(message: dict[str, Any]) -> dict[str, str]:
    return sign(b"secret", int(NOW.timestamp()), _body(message))
