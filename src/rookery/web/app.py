"""The HTTP face: which door a request goes to. Plain ASGI, because each message comes this way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rookery.channels.contract import HttpReply, ReceivesHttp, problem
from rookery.web.asgi import Head, Receive, Scope, Send, method_not_allowed, nothing_here, read_body, respond
from rookery.web.front import Front

if TYPE_CHECKING:
    from rookery.web.doors import Doors
    from rookery.web.live.door import LiveDoor

_CHANNELS = "/api/channels/"
_SOCKET = "/api/ws"
_STATES = frozenset({"/healthz", "/readyz"})


class App:
    """The gateway as an ASGI application. The doors are made when somebody first comes to one, or by `open`."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._gateway = front.gateway
        self._doors: Doors | None = None

    @property
    def live(self) -> LiveDoor:
        """The door with everybody who listens."""
        return self._open().live

    async def open(self) -> Doors:
        """The doors; what they are made of is imported in a thread."""
        if self._doors is None:
            await asyncio.to_thread(__import__, "rookery.web.doors")
        return self._open()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._on_websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._on_http(scope, receive, send)

    async def close(self) -> None:
        """Hang up on everybody who still listens."""
        if self._doors is not None:
            await self._doors.live.close()

    def _open(self) -> Doors:
        if self._doors is None:
            from rookery.web.doors import Doors

            self._doors = Doors(self._front)
        return self._doors

    async def _on_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Whoever is not let in is answered 403 to the request that would have opened the socket.
        if scope["path"] != _SOCKET or self._refusal(scope, Head.of(scope)) is not None:
            await send({"type": "websocket.close"})
            return
        await (await self.open()).live(scope, receive, send)

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
            refusal = self._refusal(scope, head)
            if refusal is None and not _is_answered_here(head.path):
                door = (self._doors or await self.open()).to(head.path)
                if door is not None:
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

    async def _answer(self, head: Head, receive: Receive) -> HttpReply:
        if head.path.startswith(_CHANNELS):
            return await self._channel(head.method, head.path.removeprefix(_CHANNELS), head.headers, receive)
        if head.path in _STATES:
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


def _is_answered_here(path: str) -> bool:
    """Whether a path needs no door: what networks call, and who watches the process, do not wait for one."""
    return path.startswith(_CHANNELS) or path in _STATES


def _hides_a_separator(raw_path: bytes) -> bool:
    """Whether what is one segment to whoever stands in front of us could be two, or another one, to us."""
    upper = raw_path.upper()
    return any(hidden in upper for hidden in (b"%2F", b"%5C", b"%00"))
