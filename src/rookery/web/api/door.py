"""The way to the REST interface, which takes half a second to import and so is made after the start."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from rookery.web.asgi import Door, Head, Receive, Scope, Send
from rookery.web.front import Front
from rookery.web.live.door import LiveDoor

if TYPE_CHECKING:
    from rookery.web.api.app import Api


class ApiDoor:
    """REST as an ASGI application. A request that comes before it is made waits for it."""

    def __init__(self, front: Front, live: LiveDoor) -> None:
        self._front = front
        self._live = live
        self._making = threading.Lock()
        self._made: Api | None = None

    def warm(self) -> Door:
        """Make the application, unless it is there; call it in a thread."""
        with self._making:
            if self._made is None:
                from rookery.web.api.app import build

                self._made = build()
            return self._made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._made or await asyncio.to_thread(self.warm)
        headers = Head.of(scope).headers
        unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers

        async def reading() -> MutableMapping[str, Any]:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def answering(message: MutableMapping[str, Any]) -> None:
            if unread and message["type"] == "http.response.start":
                # What is left of a body that nobody wants is not waited for: it may have no end.
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        # The application holds nothing of any house: a request brings with it what it is answered from.
        brought = {"front": self._front, "live": self._live}
        await application({**scope, "state": brought}, reading, answering)
