from __future__ import annotations

from rookery.web.asgi import Receive, Scope, Send, nothing_here, respond
from rookery.web.front import Front


class ApiDoor:
    def __init__(self, front: Front, live: object) -> None:
        self._front = front
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await respond(nothing_here(), send)
