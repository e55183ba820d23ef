"""The HTTP face: health, and the networks that call us. Plain ASGI, because each message comes this way."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rookery.channels.contract import HttpReply, ReceivesHttp, problem
from rookery.gateway.gateway import Gateway

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_SECONDS = 30.0
"""How long a sender may take over its body."""

_CHANNELS = "/api/channels/"
_encode = msgspec.json.Encoder().encode


class App:
    """The gateway as an ASGI application."""

    def __init__(self, gateway: Gateway, *, public_url: str | None, allowed_hosts: Iterable[str]) -> None:
        self._gateway = gateway
        public = urlsplit(public_url).hostname if public_url is not None else None
        self._hosts = {"localhost", *(host.lower() for host in allowed_hosts), *([public] if public else [])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers

        async def body() -> MutableMapping[str, Any]:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        try:
            reply = await self._answer(scope, headers, body)
        except Exception:
            self._gateway.log.exception("http.broke", path_length=len(scope["path"]))
            reply = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
        # What is left of a body that nobody wants is not waited for: it may have no end.
        await _respond(reply, send, hang_up=unread)

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> HttpReply:
        method, path = scope["method"], scope["path"]
        if not self._knows_host(headers.get("host", "")):
            return problem(
                HTTPStatus.BAD_REQUEST, "bad_host", "This host name is not served here; see gateway.allowedHosts."
            )
        if _hides_a_separator(scope["raw_path"]):
            return problem(HTTPStatus.BAD_REQUEST, "bad_path", "A path may not hold %2F, %5C or %00.")
        if path.startswith(_CHANNELS):
            return await self._channel(method, path.removeprefix(_CHANNELS), headers, receive)
        if path in ("/healthz", "/readyz", "/"):
            if method not in ("GET", "HEAD"):
                return _method_not_allowed("GET")
            return self._state(path)
        return problem(HTTPStatus.NOT_FOUND, "not_found", "There is nothing here.")

    def _state(self, path: str) -> HttpReply:
        if path == "/readyz" and not self._gateway.accepting:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "Messages cannot be accepted.")
        return HttpReply(HTTPStatus.OK, {"status": "ok", "service": "rookery"})

    async def _channel(self, method: str, rest: str, headers: Mapping[str, str], receive: Receive) -> HttpReply:
        name, _, account = rest.partition("/")
        channel = self._gateway.channels.get(name)
        if not isinstance(channel, ReceivesHttp) or not account or "/" in account:
            return problem(HTTPStatus.NOT_FOUND, "not_found", "There is nothing here.")
        if method != "POST":
            return _method_not_allowed("POST")
        body = await _read(receive, headers.get("content-length"), channel.max_body)
        return body if isinstance(body, HttpReply) else await channel.on_http(account, headers, body)

    def _knows_host(self, host: str) -> bool:
        """A page of somebody else's that had its name point here (DNS rebinding) is not served."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:  # brackets around what is no address
            return False
        if name is None:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _read(receive: Receive, announced: str | None, limit: int) -> bytes | HttpReply:
    """The body, or why it is not read: it is refused as soon as it is known to be too large."""
    too_large = problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"The body may hold at most {limit} bytes."
    )
    if announced is not None and announced.isdecimal() and int(announced) > limit:
        return too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return problem(HTTPStatus.BAD_REQUEST, "incomplete", "The body broke off.")
                part = message.get("body", b"")
                size += len(part)
                if size > limit:
                    return too_large
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        return problem(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "The body did not arrive in time.")


def _method_not_allowed(allowed: str) -> HttpReply:
    reply = problem(HTTPStatus.METHOD_NOT_ALLOWED, "method", f"Only {allowed} is possible here.")
    return HttpReply(reply.status, reply.body, {"allow": allowed})


def _hides_a_separator(raw_path: bytes) -> bool:
    """Whether what is one segment to whoever stands in front of us could be two, or another one, to us."""
    upper = raw_path.upper()
    return any(hidden in upper for hidden in (b"%2F", b"%5C", b"%00"))


async def _respond(reply: HttpReply, send: Send, *, hang_up: bool) -> None:
    body = _encode(reply.body)
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        *((name.encode(), value.encode()) for name, value in reply.headers.items()),
    ]
    if hang_up:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
