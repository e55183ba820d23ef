"""Plain ASGI: reading a request's head and body, and answering. For what is asked often, and before all else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rookery.channels.contract import HttpReply, problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Door(Protocol):
    """One way in: an ASGI application for the paths it is given."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


BODY_SECONDS = 30.0
"""How long a sender may take over its body."""

_encode = msgspec.json.Encoder().encode


class Head(Struct, frozen=True):
    """What a request says of itself before its body; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, scope: Scope) -> Head:
        """The head of an HTTP or WebSocket scope; a WebSocket's method is GET. Of a repeated header the last
        holds, and cookies, which may come in several lines, are joined."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
        return cls(scope.get("method", "GET"), scope["path"], headers)


async def read_body(receive: Receive, announced: str | None, limit: int) -> bytes | HttpReply:
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


def method_not_allowed(allowed: str) -> HttpReply:
    """The answer to a method that a path does not have."""
    reply = problem(HTTPStatus.METHOD_NOT_ALLOWED, "method", f"Only {allowed} is possible here.")
    return HttpReply(reply.status, reply.body, {"allow": allowed})


def nothing_here() -> HttpReply:
    """The answer for a path that leads nowhere."""
    return problem(HTTPStatus.NOT_FOUND, "not_found", "There is nothing here.")


async def respond(reply: HttpReply, send: Send, *, hang_up: bool = False) -> None:
    """Send a whole answer; `hang_up` closes the connection after it, for a body that is left unread."""
    body = _encode(reply.body)
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        *((name.encode(), value.encode()) for name, value in reply.headers.items()),
    ]
    if hang_up:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
