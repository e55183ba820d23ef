"""A house for tests with its doors open: REST, the live socket, `/v1` and the page, called in this process.

async with WebHouse(tmp_path) as house:
    await house.person("alice")
    alice = await house.token("alice")
    answer = await alice.ask("GET", "/api/me")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rookery.channels.contract import Channel
from rookery.channels.terminal import TerminalChannel
from rookery.channels.webchat import WebChannel
from rookery.config import Config
from rookery.gateway.home import Home
from rookery.gateway.house import House
from rookery.gateway.operations import Desk, Operations
from rookery.ids import UserId
from rookery.outbound.lazy import LazyOutbound
from rookery.users import CredentialKind, Issued, credentials
from rookery.web.app import App
from rookery.web.front import Front
from tests.support.asgi import Client
from tests.support.house import TestHouse

ADDRESS = "http://127.0.0.1:8484"


class WebHouse(TestHouse):
    """One gateway with its web face; a `Client` made once goes on after a restart."""

    __test__ = False

    def __init__(self, home: Path, *, config: Config | None = None, **parts: Any) -> None:
        super().__init__(home, **parts)
        self.config = config or Config()
        self.terminal = TerminalChannel()
        self.app: App
        self.desk: Desk
        self.operations: Operations
        self._outbound: LazyOutbound | None = None

    def own_channels(self) -> list[Channel]:
        self.terminal = TerminalChannel()
        return [self.terminal, WebChannel()]

    async def open(self) -> None:
        await super().open()
        self._outbound = LazyOutbound()
        house = House(Home(self.home), self.gateway, self._outbound)
        self.operations = Operations(house, self.config, address=ADDRESS)
        self.desk = self.operations.desk
        self.app = App(Front.of(self.desk))

    async def close(self, grace: float = 0.05) -> None:
        self.gateway.accepting = False
        await self.app.close()
        await super().close(grace)
        await self._close_outbound()

    async def kill(self) -> None:
        await self.app.close()
        await super().kill()
        await self._close_outbound()

    # --- people at the doors ---------------------------------------------------------------------------------

    def somebody(self, **with_what: Any) -> Client:
        """Somebody at the doors; nobody in particular, unless they show something."""
        return Client(lambda: self.app, **with_what)

    async def token(self, user_id: str, name: str = "a token") -> Client:
        """A person's program, with a token of its own."""
        return self.somebody(token=(await self.issued(user_id, CredentialKind.TOKEN, name)).secret)

    async def device(self, user_id: str, name: str = "a browser") -> Client:
        """A person's browser, logged in."""
        return self.somebody(device=(await self.issued(user_id, CredentialKind.DEVICE, name)).secret)

    async def issued(self, user_id: str, kind: CredentialKind, name: str) -> Issued:
        """A credential, with its secret."""
        now = self.clock.now()
        return await self.database.write(
            lambda connection: credentials.issue(connection, UserId(user_id), kind, name, now=now)
        )

    async def _close_outbound(self) -> None:
        if self._outbound is not None:
            outbound, self._outbound = self._outbound, None
            await outbound.close()
