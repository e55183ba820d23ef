from __future__ import annotations

from rookery.web.asgi import Receive, Scope, Send
from rookery.web.front import Front


class LiveDoor:
    def __init__(self, front: Front) -> None:
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "websocket.close"})

    async def close(self) -> None: ...
