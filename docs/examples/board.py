"""A channel for a small network called Board: it posts {id, from, text} to us, and takes {id, to, text}."""

from __future__ import annotations

import hmac
from http import HTTPStatus

import msgspec

from rookery.channels.contract import AccountSettings, HttpReply, Ids, Needs, Receive, problem
from rookery.errors import ChannelUnavailable, ConfigError, DeliveryFailed, InvalidInput, StorageUnavailable
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage


class Said(msgspec.Struct, rename={"sender": "from"}):
    """What Board posts to us."""

    id: str
    sender: str
    text: str


def translate(account: str, body: bytes) -> InboundMessage:
    """Board's bytes as our message. Raises `InvalidInput`."""
    try:
        said = msgspec.json.decode(body, type=Said)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"This is not a message of Board's: {error}") from error
    return InboundMessage("board", account, said.id, said.sender, Chat(ChatKind.DM, said.sender), said.text)


class BoardChannel:
    """Our side of Board. Its ids are unique within one account, and it drops a message id it knows."""

    name = "board"
    ids = Ids.ACCOUNT
    chunk_limit = 4_000
    idempotent = True
    max_body = 65_536

    def __init__(self, accounts: AccountSettings, needs: Needs) -> None:
        self._post = needs.post
        self._receive: Receive | None = None
        self.configure(accounts)

    def configure(self, accounts: AccountSettings) -> None:
        for name, settings in accounts.items():
            for key in ("token", "url"):
                if not settings.get(key):
                    raise ConfigError(
                        f"channels.board.accounts.{name}.{key} is missing; Board's settings show it."
                    )
        self._tokens = {name: f"Bearer {settings['token']}" for name, settings in accounts.items()}
        self._urls = {name: str(settings["url"]) for name, settings in accounts.items()}

    async def start(self, receive: Receive) -> None:
        self._receive = receive

    async def stop(self) -> None:
        self._receive = None

    async def on_http(self, account: str, headers: dict[str, str], body: bytes) -> HttpReply:
        token = self._tokens.get(account)
        if token is None or not hmac.compare_digest(token.encode(), headers.get("authorization", "").encode()):
            return problem(HTTPStatus.UNAUTHORIZED, "bad_token", "The token is not the one of this account.")
        try:
            message = translate(account, body)
            if self._receive is None:
                raise ChannelUnavailable
            receipt = await self._receive(message)  # returns when it is committed and synced
        except InvalidInput as error:
            return problem(HTTPStatus.BAD_REQUEST, error.code, error.detail)
        except (StorageUnavailable, ChannelUnavailable) as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, error.code, "Not kept; send it again.", retry_after=5)
        return HttpReply(HTTPStatus.OK, {"outcome": receipt.outcome})

    async def send(self, message: OutboundMessage) -> str | None:
        account = message.route.account
        if account not in self._urls:
            raise DeliveryFailed(f"There is no account {account!r} on Board any more.")
        body = msgspec.json.encode({"id": message.delivery_id, "to": message.route.chat.id, "text": message.text})
        headers = {"authorization": self._tokens[account], "content-type": "application/json"}
        try:
            status, _, _ = await self._post(self._urls[account], headers, body, 30.0)
        except (OSError, ValueError) as error:
            raise ChannelUnavailable(f"Board gave no answer: {type(error).__name__}.") from error
        if 400 <= status < 500:
            raise DeliveryFailed(f"Board answered {status}, which says that it will never take this.")
        if not 200 <= status < 300:
            raise ChannelUnavailable(f"Board answered {status}.")
        return None


def create(accounts: AccountSettings, needs: Needs) -> BoardChannel:
    """The channel as the configuration describes it. Raises `ConfigError`."""
    return BoardChannel(accounts, needs)
