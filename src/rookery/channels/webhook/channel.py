"""The webhook channel: signed JSON in by `POST /api/channels/webhook/<account>`, signed JSON out to a callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from rookery.channels.contract import (
    AccountSettings,
    HttpPost,
    HttpReply,
    Ids,
    Needs,
    Outcome,
    Receipt,
    Receive,
    problem,
)
from rookery.channels.webhook import signature, translate
from rookery.errors import ChannelUnavailable, ConfigError, DeliveryFailed, InvalidInput, StorageUnavailable
from rookery.messages import InboundMessage, OutboundMessage

RETRY_AFTER = 5
"""Seconds a caller is asked to wait when a message could not be kept."""

STAND_IN = b"nobody"
"""Takes the place of the secret of an account that does not exist; what is signed with it is refused too."""

LONGEST_WAIT = 86_400.0
"""A callback's Retry-After is believed up to this many seconds."""


@dataclass(frozen=True, slots=True)
class WebhookAccount:
    """One login: the secret both sides sign with, and where replies go. Raises `ConfigError` when unusable."""

    secret: str = field(repr=False)
    callback_url: str | None = None

    def __post_init__(self) -> None:
        if not self.secret:
            raise ConfigError("secret is empty; give it a long random text that only the other side knows.")
        if self.callback_url is not None and not _is_http(self.callback_url):
            raise ConfigError(f"callbackUrl {self.callback_url!r} is no address; write it as http(s)://host/path.")


def create(accounts: AccountSettings, needs: Needs) -> WebhookChannel:
    """The channel as `rookery.yaml` describes it. Raises `ConfigError` naming account and key."""
    return WebhookChannel(accounts_from(accounts), needs.post, needs.now)


def accounts_from(settings: AccountSettings) -> dict[str, WebhookAccount]:
    """Read `channels.webhook.accounts`; keys that are the gateway's are left alone. Raises `ConfigError`."""
    return {name: _account_from(name, given) for name, given in settings.items()}


class WebhookChannel:
    """Takes signed messages in and posts signed replies out. Sender ids are unique per account."""

    name = translate.CHANNEL
    ids = Ids.ACCOUNT
    chunk_limit = 32_000
    idempotent = True
    max_body = 1_048_576

    def __init__(
        self,
        accounts: Mapping[str, WebhookAccount],
        post: HttpPost,
        now: Callable[[], datetime],
        *,
        timeout: float = 30.0,
    ) -> None:
        """`timeout`: seconds a callback may take in all."""
        self._post = post
        self._now = now
        self._timeout = timeout
        self._receive: Receive | None = None
        self._take(accounts)

    def configure(self, accounts: AccountSettings) -> None:
        """Take these accounts from the next request and delivery on, in place of the former."""
        self._take(accounts_from(accounts))

    async def start(self, receive: Receive) -> None:
        self._receive = receive

    async def stop(self) -> None:
        self._receive = None

    async def on_http(self, account: str, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """Answer one inbound request; the contract's "Webhook channel" says what each answer means."""
        if len(body) > self.max_body:
            detail = f"The body is larger than {self.max_body} bytes; put large content into attachments."
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail)
        secret = self._secrets.get(account)
        # An unknown account costs and answers what a wrong secret does, so that nobody learns which there are.
        fault = signature.fault(secret or STAND_IN, headers, body, self._now().timestamp())
        if fault is None and secret is None:
            fault = signature.Fault.WRONG
        if fault is not None:
            return problem(HTTPStatus.UNAUTHORIZED, "bad_signature", fault.value)
        try:
            message = translate.inbound(account, body)
            return _answer(await self._received(message))
        except InvalidInput as error:
            return problem(HTTPStatus.BAD_REQUEST, "invalid", error.detail)
        except (StorageUnavailable, ChannelUnavailable) as error:
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                error.code,
                "The message was not kept; send it again with the same messageId.",
                retry_after=RETRY_AFTER,
            )

    async def send(self, message: OutboundMessage) -> str | None:
        """POST to the account's callback. The id returned is the answer's `id`, when it gives one."""
        name = message.route.account
        account = self._accounts.get(name)
        if account is None:
            raise DeliveryFailed(
                f"Webhook account {name!r} is not configured; add it to channels.webhook.accounts."
            )
        if account.callback_url is None:
            raise DeliveryFailed(
                f"Webhook account {name!r} has no callbackUrl; set channels.webhook.accounts.{name}.callbackUrl."
            )
        body = translate.outbound(message)
        headers = signature.sign(self._secrets[name], int(self._now().timestamp()), body)
        headers["content-type"] = "application/json"
        try:
            status, answered, answer = await self._post(account.callback_url, headers, body, self._timeout)
        except (OSError, ValueError) as error:
            # The url stays out of the text: it may hold a token, and dead letters are read by people.
            raise ChannelUnavailable(
                f"The callback of webhook account {name!r} gave no answer: {type(error).__name__}."
            ) from error
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return translate.network_id(answer)
        told = f"The callback of webhook account {name!r} answered {status}"
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise DeliveryFailed(f"{told}, which says that it will never take this message.")
        raise ChannelUnavailable(f"{told}.", retry_after=self._wait(answered))

    def _take(self, accounts: Mapping[str, WebhookAccount]) -> None:
        self._accounts = dict(accounts)
        self._secrets = {name: account.secret.encode() for name, account in accounts.items()}

    async def _received(self, message: InboundMessage) -> Receipt:
        if self._receive is None:
            raise ChannelUnavailable("The gateway takes no messages at the moment.")
        return await self._receive(message)

    def _wait(self, headers: Mapping[str, str]) -> float | None:
        """Retry-After in seconds, which may be given as a number or as a date; None when it is neither."""
        asked = headers.get("retry-after", "").strip()
        if asked.isascii() and asked.isdigit():
            return min(float(asked), LONGEST_WAIT)
        try:
            moment = parsedate_to_datetime(asked)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            return None
        return min(max((moment - self._now()).total_seconds(), 0.0), LONGEST_WAIT)


def _answer(receipt: Receipt) -> HttpReply:
    match receipt.outcome:
        case Outcome.ACCEPTED if receipt.turn_id is not None:
            return HttpReply(HTTPStatus.ACCEPTED, {"accepted": True, "turnId": receipt.turn_id})
        case Outcome.ACCEPTED | Outcome.IGNORED:
            return HttpReply(HTTPStatus.ACCEPTED, {"accepted": True})
        case Outcome.DUPLICATE:
            return HttpReply(HTTPStatus.OK, {"duplicate": True})
        case Outcome.REFUSED:
            # Whoever reads this has proven the secret: it is the operator's own bridge.
            return problem(HTTPStatus.FORBIDDEN, "refused", receipt.reason or "The message was not let in.")


def _account_from(name: str, given: Mapping[str, object]) -> WebhookAccount:
    where = f"channels.webhook.accounts.{name}"
    secret = given.get("secret")
    if not isinstance(secret, str) or not secret:
        raise ConfigError(f"{where}.secret is missing; give it a long random text that only the other side knows.")
    callback = given.get("callbackUrl", given.get("callback_url"))
    if callback is not None and not isinstance(callback, str):
        raise ConfigError(f"{where}.callbackUrl is {callback!r}; it has to be an address as http(s)://host/path.")
    try:
        return WebhookAccount(secret, callback)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.detail}") from error


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False
