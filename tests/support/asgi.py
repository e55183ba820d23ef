"""The web face called in this process, without a server: as fast as a function, and the same application.

alice = Client(app, token="rk_…")
answer = await alice.ask("GET", "/api/me")
assert (answer.status, answer.json["id"]) == (200, "alice")

async with alice.socket() as socket:
    hello = await socket.hears()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

import msgspec

from rookery.web.asgi import Door

Message = MutableMapping[str, Any]

HOST = "localhost:8484"
SECONDS = 20.0
"""How long an answer, or a frame that has to come, may take before it counts as missing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Of a repeated header the last one is kept; `broken` is what the application raised."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    broken: BaseException | None = None

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str | None:
        """The stable word of a problem; None when the answer is none."""
        read = self.json if self.headers.get("content-type", "").endswith("json") and self.body else None
        if not isinstance(read, dict):
            return None
        known: Any = read  # pyright: ignore[reportUnknownVariableType]
        error: Any = known.get("error")
        return error.get("code") if isinstance(error, dict) else known.get("code")  # pyright: ignore


@dataclass(slots=True)
class Exchange:
    """One request under way: what came of the answer so far, and the means to hang up."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def hangs_up(self) -> None:
        """Close the connection, whatever is still to come."""
        self.gone.set()


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody at the doors: with a token, or with the cookie of a device, or with nothing."""

    app: Callable[[], Door]
    """Asked with each request, for a house that is opened again has another application."""
    token: str | None = None
    device: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    source: str = "127.0.0.1"

    def but(self, **changes: Any) -> Client:
        """The same one, otherwise equipped."""
        return replace(self, **changes)

    async def ask(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its whole answer. `path` goes on the wire as it is, with its query."""
        exchange = Exchange()
        broken = await self.asks(exchange, method, path, json, body=body, headers=headers)
        return Answer(exchange.status, exchange.headers, bytes(exchange.body), broken)

    async def asks(
        self,
        exchange: Exchange,
        method: str,
        path: str,
        json: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> BaseException | None:
        """The same, into an exchange that somebody looks at, or breaks off, meanwhile."""
        extra = {"content-type": "application/json"} if json is not None else {}
        payload = body if body is not None else b"" if json is None else msgspec.json.encode(json)
        if payload or method in ("POST", "PUT", "PATCH"):
            extra["content-length"] = str(len(payload))
        scope = self._scope("http", path, {**extra, **(headers or {})}) | {"method": method}
        waiting: list[Message] = [{"type": "http.request", "body": payload, "more_body": False}]

        async def receive() -> Message:
            if waiting and not exchange.gone.is_set():
                return waiting.pop()
            await exchange.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.headers |= {k.decode().lower(): v.decode("latin-1") for k, v in message["headers"]}
            elif message["type"] == "http.response.body":
                exchange.body += message.get("body", b"")
                if not message.get("more_body", False):
                    exchange.ended = True
                    exchange.gone.set()
            exchange.more.set()

        try:
            async with asyncio.timeout(SECONDS):
                await self.app()(scope, receive, send)
        except TimeoutError as error:
            raise AssertionError(f"{method} {path} was not answered in {SECONDS} s") from error
        except Exception as error:  # what a server would log, closing the connection
            return error
        finally:
            exchange.ended = True
            exchange.more.set()
        return None

    @asynccontextmanager
    async def socket(
        self, query: str = "", *, path: str = "/api/ws", headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Socket]:
        """A WebSocket, hung up at the end of the block."""
        subprotocols: list[str] = []
        scope = self._scope("websocket", f"{path}?{query}", headers or {}) | {"subprotocols": subprotocols}
        opened = Socket()
        run = asyncio.create_task(opened.run(self.app(), scope), name="socket of a test")
        try:
            await opened.decided()
            yield opened
        finally:
            opened.hangs_up()
            async with asyncio.timeout(SECONDS):
                await run

    def _scope(self, kind: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        raw, _, query = path.partition("?")
        sent = {"host": HOST, **self.headers, **headers}
        if self.token is not None:
            sent.setdefault("authorization", f"Bearer {self.token}")
        if self.device is not None:
            sent.setdefault("cookie", f"rookery_session={self.device}")
            sent.setdefault("origin", f"http://{HOST}")
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "http" if kind == "http" else "ws",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": (self.source, 50_000),
            "server": ("localhost", 8484),
            "state": {},
            "extensions": {},
        }


class Socket:
    """The client's end of a WebSocket. `frames` is everything that was heard, `code` how it was closed."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.accepted = False
        self.code: int | None = None
        self.broken: BaseException | None = None
        self._read = 0
        self._news = asyncio.Event()
        self._out: asyncio.Queue[Message] = asyncio.Queue()
        self._out.put_nowait({"type": "websocket.connect"})

    @property
    def open(self) -> bool:
        return self.accepted and self.code is None

    async def decided(self) -> None:
        """Wait until the socket is accepted or refused."""
        await self._until(lambda: self.accepted or self.code is not None)

    async def closed(self) -> int:
        """Wait until the other side closes, and return its code."""
        await self._until(lambda: self.code is not None)
        assert self.code is not None
        return self.code

    async def hears(self, kind: str | None = None) -> Any:
        """The next frame, of this kind where one is named; those between are left in `frames`."""
        while True:
            await self._until(lambda: len(self.frames) > self._read or self.code is not None)
            if len(self.frames) <= self._read:
                raise AssertionError(f"closed with {self.code} before {kind or 'a frame'} came: {self.frames}")
            frame = self.frames[self._read]
            self._read += 1
            if kind is None or frame.get("type") == kind:
                return frame

    def says(self, frame: Any) -> None:
        """Send a frame: text as it is, anything else as JSON."""
        text = frame if isinstance(frame, str) else msgspec.json.encode(frame).decode()
        self._out.put_nowait({"type": "websocket.receive", "text": text})

    def hangs_up(self) -> None:
        """Close it from our side."""
        self._out.put_nowait({"type": "websocket.disconnect", "code": 1005})

    async def run(self, app: Door, scope: dict[str, Any]) -> None:
        """Let the application have it, to its end."""
        try:
            await app(scope, self._out.get, self._send)
        except Exception as error:
            self.broken = error
        finally:
            self._closed(1006)

    async def news(self) -> None:
        """Wait until something was heard since it was last asked for."""
        self._news.clear()
        async with asyncio.timeout(SECONDS):
            await self._news.wait()

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                self.accepted = True
            case "websocket.close":
                self._closed(message.get("code", 1000))
                self.hangs_up()
            case "websocket.send":
                data = message.get("text") or message.get("bytes") or b""
                self.frames.append(msgspec.json.decode(data))
            case _:
                self._closed(403)
        self._news.set()

    def _closed(self, code: int) -> None:
        if self.code is None:
            self.code = code
        self._news.set()

    async def _until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not so():
                self._news.clear()
                await self._news.wait()
