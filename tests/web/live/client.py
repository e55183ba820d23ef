"""A client of `/api/ws`, as somebody else would write one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rookery import users
from rookery.ids import UserId
from rookery.users import CredentialKind, Issued, credentials
from tests.web.conftest import Site

PATIENCE = 20.0


class Client:
    """One socket of one person, open inside `async with`."""

    def __init__(self, site: Site, secret: str | None = None, query: str = "", **headers: str) -> None:
        self._site = site
        self._query = query
        self._headers = ({"Authorization": f"Bearer {secret}"} if secret else {}) | headers
        self.hello: dict[str, Any] = {}
        self.last: list[dict[str, Any]] = []
        self.line: ClientConnection

    async def __aenter__(self) -> Self:
        url = f"{self._site.base.replace('http', 'ws')}/api/ws?{self._query}"
        self.line = await connect(
            url, additional_headers=self._headers, max_size=None, compression=None, proxy=None
        )
        self.hello = await self.next()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.line.close()

    async def send(self, **frame: Any) -> None:
        await self.line.send(msgspec.json.encode(frame).decode())

    async def says(self, text: str, key: str, session: str = "main", **more: Any) -> dict[str, Any]:
        """Send a message; what the server said to it."""
        await self.send(type="message", sessionKey=session, text=text, idempotencyKey=key, **more)
        return await self.until("accepted", "error")

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return msgspec.json.decode(await self.line.recv())

    async def until(self, *types: str) -> dict[str, Any]:
        """The next frame of one of these types; others are passed over."""
        while (frame := await self.next())["type"] not in types:
            pass
        return frame

    async def all_until(self, type: str) -> list[dict[str, Any]]:
        """All frames up to one of this type."""
        found = [await self.next()]
        while found[-1]["type"] != type:
            found.append(await self.next())
        return found

    async def end(self) -> int:
        """The code the server closes with; frames before it are in `last`."""
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionClosed):
                async for data in self.line:
                    self.last.append(msgspec.json.decode(data))
        assert self.line.close_code is not None, "the server hung up without a word"
        return self.line.close_code


async def token(site: Site, user_id: str, kind: CredentialKind = CredentialKind.TOKEN) -> Issued:
    """A new way in for somebody."""
    now = site.house.gateway.now()
    return await site.house.database.write(
        lambda connection: credentials.issue(connection, UserId(user_id), kind, "a test", now=now)
    )


async def disable(site: Site, user_id: str) -> None:
    """Let somebody come in no more, without anybody being told."""
    await site.house.database.write(
        lambda connection: users.change_user(connection, UserId(user_id), enabled=False)
    )
