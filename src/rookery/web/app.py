"""The HTTP face: which door a request goes to. Plain ASGI, because each message comes this way."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from rookery.channels.contract import HttpReply, ReceivesHttp, problem
from rookery.web.api.door import ApiDoor
from rookery.web.asgi import Door, Head, Receive, Scope, Send, method_not_allowed, nothing_here, read_body, respond
from rookery.web.front import Front
from rookery.web.live.door import LiveDoor
from rookery.web.page.door import PageDoor
from rookery.web.v1.door import V1Door

_CHANNELS = "/api/channels/"
_SOCKET = "/api/ws"


class App:
    """The gateway as an ASGI application."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._gateway = front.gateway
        self.live = LiveDoor(front)
        self.api = ApiDoor(front, self.live)
        self._v1 = V1Door(front)
        self._page = PageDoor(front)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._on_websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._on_http(scope, receive, send)

    async def close(self) -> None:
        """Hang up on everybody who still listens."""
        await self.live.close()

    async def _on_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Whoever is not let in is answered 403 to the request that would have opened the socket.
        if scope["path"] != _SOCKET or self._refusal(scope, Head.of(scope)) is not None:
            await send({"type": "websocket.close"})
            return
        await self.live(scope, receive, send)

    async def _on_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = Head.of(scope)
        unread = head.headers.get("content-length", "0") != "0" or "transfer-encoding" in head.headers
        begun = False

        async def body() -> MutableMapping[str, Any]:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        def answer(message: MutableMapping[str, Any]) -> Awaitable[None]:
            nonlocal begun
            begun = True
            return send(message)

        try:
            door = self._door(head.path)
            refusal = self._refusal(scope, head)
            if refusal is None and door is not None:
                await door(scope, receive, answer)
                return
            reply = refusal or await self._answer(head, body)
        except Exception:
            self._front.log.exception("http.broke", path_length=len(head.path))
            if begun:
                raise  # half an answer is out: the connection is closed, which says that it is not whole
            reply = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
        # What is left of a body that nobody wants is not waited for: it may have no end.
        await respond(reply, send, hang_up=unread)

    def _refusal(self, scope: Scope, head: Head) -> HttpReply | None:
        """What no request may be, wherever it wants to go."""
        if not self._front.entry.origins.knows_host(head.headers.get("host", "")):
            return problem(
                HTTPStatus.BAD_REQUEST, "bad_host", "This host name is not served here; see gateway.allowedHosts."
            )
        # OpenAI's own client writes the '/' in a model's name as %2F; there it separates nothing.
        if _hides_a_separator(scope["raw_path"].removeprefix(b"/v1/models/rookery%2F")):
            return problem(HTTPStatus.BAD_REQUEST, "bad_path", "A path may not hold %2F, %5C or %00.")
        return None

    def _door(self, path: str) -> Door | None:
        """Where a path leads; None for what is answered right here."""
        if path.startswith("/v1/"):
            return self._v1
        if path.startswith(_CHANNELS) or path in ("/healthz", "/readyz"):
            return None
        if path.startswith("/api/") or path in ("/openapi.json", "/metrics"):
            return self.api
        if path in ("/", "/setup", "/favicon.ico") or path.startswith("/ui/"):
            return self._page
        return None

    async def _answer(self, head: Head, receive: Receive) -> HttpReply:
        if head.path.startswith(_CHANNELS):
            return await self._channel(head.method, head.path.removeprefix(_CHANNELS), head.headers, receive)
        if head.path in ("/healthz", "/readyz"):
            return self._state(head) if head.method in ("GET", "HEAD") else method_not_allowed("GET")
        return nothing_here()

    def _state(self, head: Head) -> HttpReply:
        if head.path == "/readyz" and not self._gateway.ready:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "Messages cannot be accepted.")
        return HttpReply(HTTPStatus.OK, {"status": "ok", "service": "rookery"})

    async def _channel(self, method: str, rest: str, headers: Mapping[str, str], receive: Receive) -> HttpReply:
        name, _, account = rest.partition("/")
        channel = self._gateway.channels.get(name)
        if not isinstance(channel, ReceivesHttp) or not account or "/" in account:
            return nothing_here()
        if method != "POST":
            return method_not_allowed("POST")
        body = await read_body(receive, headers.get("content-length"), channel.max_body)
        return body if isinstance(body, HttpReply) else await channel.on_http(account, headers, body)


def _hides_a_separator(raw_path: bytes) -> bool:
    """Whether what is one segment to whoever stands in front of us could be two, or another one, to us."""
    upper = raw_path.upper()
    return any(hidden in upper for hidden in (b"%2F", b"%5C", b"%00"))
