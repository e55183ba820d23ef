"""A house with its web face behind a real HTTP server, asked by the official `openai` client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from sqlalchemy import select, update

from rookery.messages import text_of
from rookery.models import ModelRequest
from rookery.models.scripted import Script, ScriptedModel
from rookery.storage import metadata
from rookery.users import CredentialKind, tables
from rookery.web import serve
from rookery.web.asgi import Receive, Scope, Send
from tests.support.web_house import WebHouse

SAYS = "stream-of-words and more"


class V1House(WebHouse):
    """A house whose `/v1` is served at `base`, to Alice and Bob; the model says what `script` holds."""

    __test__ = False

    def __init__(self, home: Path, **parts: Any) -> None:
        self.script: list[Script] = []
        super().__init__(home, model=ScriptedModel(self._steps()), **parts)
        self.base = ""

    def _steps(self) -> Iterable[Script]:
        while True:
            yield self._next

    def _next(self, request: ModelRequest) -> Any:
        told = self.script.pop(0) if self.script else SAYS
        return told(request) if callable(told) else told

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application of whatever gateway runs now."""
        await self.app(scope, receive, send)

    async def secret(self, user_id: str) -> str:
        """A new token of a person."""
        return (await self.issued(user_id, CredentialKind.TOKEN, "openai")).secret

    async def openai(self, user_id: str) -> AsyncOpenAI:
        """A person's client, as anybody would make it, but that asks once and not three times."""
        return AsyncOpenAI(base_url=self.base, api_key=await self.secret(user_id), max_retries=0)

    async def friend(self, owner: str, name: str) -> str:
        """Another agent of a person's own."""
        id, maker = f"{owner}--{name}", f"{owner}-{name}"
        await self.shared_agent(maker, sponsor=owner)
        own = update(tables.agents).where(tables.agents.c.id == maker).values(id=id, owner=owner, sponsor=None)
        await self.database.write(lambda connection: connection.execute(own))
        return id

    async def switch(self, agent_id: str, *, on: bool) -> None:
        """Switch an agent on or off."""
        set_to = update(tables.agents).where(tables.agents.c.id == agent_id).values(enabled=on)
        await self.database.write(lambda connection: connection.execute(set_to))

    async def rows(self, table: str, **where: str) -> list[Any]:
        """The rows of one of the gateway's tables."""
        query = select(metadata.tables[table])
        for column, value in where.items():
            query = query.where(metadata.tables[table].c[column] == value)
        return await self.database.read(lambda connection: list(connection.execute(query)))

    def prompt(self, number: int = -1) -> list[tuple[str, str]]:
        """What the model was shown in one of its requests: instructions first, then who said what."""
        request = self.model.requests[number]
        said = [(message.entry.role.value, text_of(message.entry)) for message in request.history]
        return [("system", request.instructions), *said]


def user(text: str) -> Any:
    """Something the user says, as a client writes it."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Any:
    """Something the assistant said."""
    return {"role": "assistant", "content": text}


def system(text: str) -> Any:
    """What a client wants its assistant to be."""
    return {"role": "system", "content": text}


@asynccontextmanager
async def served(house: V1House) -> AsyncGenerator[V1House]:
    """The house behind a real server, for the block."""
    bound = serve._bind("127.0.0.1", 0)  # pyright: ignore[reportPrivateUsage]
    config = serve._server_config(house.application)  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    server = serve._Server(config)  # pyright: ignore[reportPrivateUsage]
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started:
        await asyncio.sleep(0)
    house.base = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    try:
        yield house
    finally:
        server.should_exit = True
        await serving
        bound.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[V1House]:
    async with V1House(tmp_path / "home") as house:
        await house.person("alice")
        await house.person("bob")
        async with served(house):
            yield house
