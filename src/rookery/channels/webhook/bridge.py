"""The far side of the webhook channel, for tests: a bridge that signs and takes replies over real HTTP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from rookery.channels.webhook import signature


@dataclass(frozen=True, slots=True)
class Callback:
    """One reply that reached the bridge, decoded, with the headers and bytes it came with."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    raw: bytes

    @property
    def text(self) -> str:
        return self.body["text"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bridge answers a callback with."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] | None = None


class Bridge:
    """A bridge under one secret; listens on loopback while it is open as an asynchronous context manager.

    `heard` are the callbacks whose signature was good, one for each delivery id; `attempts` all of them.
    """

    def __init__(self, secret: str) -> None:
        self.heard: list[Callback] = []
        self.attempts: list[Callback] = []
        self.url = ""
        self._secret = secret.encode()
        self._answers: deque[Answer] = deque()
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Bridge:
        # Connections are closed after each request, so that open sockets can be counted.
        self._session = ClientSession(connector=TCPConnector(force_close=True))
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()
        if self._session is not None:
            await self._session.close()

    async def up(self) -> None:
        """Listen, on the same port as before."""
        application = web.Application(client_max_size=2**24)
        application.router.add_post("/reply", self._on_callback)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = site.port
        self.url = f"http://127.0.0.1:{self._port}/reply"

    async def down(self) -> None:
        """Stop listening; whoever calls is refused a connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def answers(self, *answers: Answer) -> None:
        """Answer the next callbacks with these, one each; after them everything is 200 again."""
        self._answers.extend(answers)

    async def says(
        self, url: str, message: Mapping[str, Any] | bytes, at: float, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """POST one message signed at `at` (unix seconds) and return status and decoded answer.

        `headers` replace the bridge's own.
        """
        assert self._session is not None, "open the bridge with `async with` before it speaks"
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        signed = {"content-type": "application/json"} | signature.sign(self._secret, int(at), body)
        async with self._session.post(url, data=BytesIO(body), headers=signed | dict(headers or {})) as response:
            answer = await response.read()
            return response.status, msgspec.json.decode(answer) if response.content_type.endswith("json") else {}

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float, /
    ) -> tuple[int, Mapping[str, str], bytes]:
        """An `HttpPost` for the channel under test, plain and without any check of addresses."""
        assert self._session is not None, "open the bridge with `async with` before it posts"
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=ClientTimeout(timeout), allow_redirects=False
            ) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                return response.status, found, await response.read()
        except ClientError as error:
            raise ConnectionError(str(error)) from error

    async def hears(self, count: int = 1) -> list[Callback]:
        """Wait until `count` replies have been heard in all, and return all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.heard) >= count)
        return list(self.heard)

    async def _on_callback(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        # The bridge has no opinion about time: the moment the channel signed is the moment it is checked at.
        moment = float(headers.get(signature.TIMESTAMP, "0"))
        if signature.fault(self._secret, headers, raw, moment) is not None:
            return web.Response(status=401)
        callback = Callback(msgspec.json.decode(raw), headers, raw)
        self.attempts.append(callback)
        answer = self._answers.popleft() if self._answers else Answer()
        if 200 <= answer.status < 300 and not self._knows(callback):
            async with self._news:
                self.heard.append(callback)
                self._news.notify_all()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def _knows(self, callback: Callback) -> bool:
        return any(known.body["deliveryId"] == callback.body["deliveryId"] for known in self.heard)
