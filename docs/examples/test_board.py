"""The conformance suite over the Board channel: pytest docs/examples/test_board.py"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import msgspec
from board import BoardChannel, create

from rookery.channels.conformance import ChannelConformance, Harness, Heard, Said, Told, Trouble
from rookery.channels.contract import Needs
from rookery.messages import Chat, ChatKind


class Board(Harness):
    """The network on the other side, in memory: it offers messages, and remembers what it heard."""

    account = "default"
    kinds = frozenset({ChatKind.DM})
    threads = False

    def __init__(self) -> None:
        needs = Needs(post=self.post, now=lambda: datetime.now(UTC))
        self._channel = create({"default": {"token": "t0", "url": "http://board.test/messages"}}, needs)
        self._heard: dict[str, Heard] = {}
        self._answers: list[int] = []
        self._is_up = True

    @property
    def channel(self) -> BoardChannel:
        return self._channel

    async def says(self, said: Said) -> Told:
        body = msgspec.json.encode({"id": said.message_id, "from": said.sender_id, "text": said.text})
        try:
            reply = await self._channel.on_http("default", {"authorization": "Bearer t0"}, body)
        except RuntimeError:
            return Told.AGAIN  # the web layer answers 500
        return {200: Told.TAKEN, 400: Told.NEVER}.get(reply.status, Told.AGAIN)

    async def heard(self) -> Sequence[Heard]:
        return list(self._heard.values())

    async def troubles_next(self, trouble: Trouble) -> None:
        self._answers.append(503 if trouble is Trouble.LATER else 422)

    async def down(self) -> None:
        self._is_up = False

    async def up(self) -> None:
        self._is_up = True

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float, /
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Stands for the gateway's HTTP client."""
        del url, headers, timeout
        if not self._is_up:
            raise ConnectionError
        if self._answers:
            return self._answers.pop(0), {}, b""
        reply = msgspec.json.decode(body)
        self._heard.setdefault(reply["id"], Heard(Chat(ChatKind.DM, reply["to"]), reply["text"]))
        return 200, {}, b""


class TestBoard(ChannelConformance):
    """Board keeps what every channel has to keep."""

    def harness(self) -> AbstractAsyncContextManager[Harness]:
        return _board()


@asynccontextmanager
async def _board() -> AsyncGenerator[Harness]:
    yield Board()
