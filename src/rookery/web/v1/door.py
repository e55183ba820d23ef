from __future__ import annotations

from rookery.web.asgi import Receive, Scope, Send, nothing_here, respond
from rookery.web.front import Front


class V1Door:
    def __init__(self, front: Front) -> None:
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await respond(nothing_here(), send)
