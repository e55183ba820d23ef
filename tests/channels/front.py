"""The web layer's half of an HTTP channel, small: it hands requests to `on_http` and writes the answer."""

from __future__ import annotations

from types import TracebackType

import msgspec
from aiohttp import web

from rookery.channels.contract import ReceivesHttp


class Front:
    """A real HTTP server on loopback in front of one channel, while it is open."""

    def __init__(self, channel: ReceivesHttp) -> None:
        self._channel = channel
        self._runner: web.AppRunner | None = None
        self._port = 0

    def url(self, account: str) -> str:
        return f"http://127.0.0.1:{self._port}/api/channels/webhook/{account}"

    async def __aenter__(self) -> Front:
        application = web.Application(client_max_size=2**24)
        application.router.add_post("/api/channels/webhook/{account}", self._on_request)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = site.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    async def hang_up(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _on_request(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            reply = await self._channel.on_http(request.match_info["account"], headers, await request.read())
        except RuntimeError:
            return web.Response(status=500)
        return web.Response(
            status=reply.status,
            body=msgspec.json.encode(reply.body),
            content_type=reply.content_type,
            headers=dict(reply.headers),
        )
