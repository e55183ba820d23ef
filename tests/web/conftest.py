"""A real house behind a real HTTP server, opened from a `rookery.yaml`, between a bridge and a model endpoint."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rookery import users
from rookery.channels.webhook.bridge import Bridge, Callback
from rookery.config import Config, load
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import open_log
from rookery.gateway.operations import Desk, Operations
from rookery.ids import AgentId, SessionId, UserId
from rookery.messages import MessageEntry, Role, ToolCallPart
from rookery.web import serve
from rookery.web.app import App
from rookery.web.front import Front
from tests.support.fake_openai import FakeOpenAI
from tests.support.house import CHEAP
from tests.support.loop import nothing_blocks

SECRET = "a secret of more than sixteen characters"

CONFIG = """
models:
  default: local/instant
  providers:
    local: {{ api: openai, baseUrl: {models} }}
  limits: {{ timeoutSeconds: {timeout} }}
messages: {{ queue: {{ debounceMs: 0 }} }}
channels:
  webhook:
    accounts:
      default: {{ secret: {secret}, callbackUrl: {callback}, dmPolicy: allowlist }}
      other: {{ secret: {secret} too, callbackUrl: {callback}, dmPolicy: allowlist }}
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read byte by byte."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body)


class Site:
    """One running gateway on a free port; Alice and Bob are known on the webhook's default account."""

    def __init__(self, home: Path, bridge: Bridge, fake: FakeOpenAI) -> None:
        self.home = Home(home)
        self.bridge = bridge
        self.fake = fake
        self.house: House
        self.config: Config
        self.desk: Desk
        self.app: App
        self.port = 0
        self._numbers = itertools.count(1)
        self._stack: AsyncExitStack | None = None

    # --- living in it ----------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, account: str = "default") -> str:
        return f"{self.base}/api/channels/webhook/{account}"

    def message(self, sender: str = "alice", text: str = "hello", **fields: Any) -> dict[str, Any]:
        """A direct message as the bridge posts it, with an id of its own."""
        made = {
            "messageId": f"m{next(self._numbers)}",
            "senderId": sender,
            "text": text,
            "chat": {"kind": "dm", "id": sender},
        }
        return made | fields

    async def post(
        self,
        message: dict[str, Any] | bytes,
        *,
        account: str = "default",
        at: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Sign a message and post it; status and answer."""
        moment = time.time() if at is None else at
        return await self.bridge.says(self.url(account), message, moment, headers)

    async def says(self, sender: str, text: str) -> None:
        """A person writes, and it is accepted."""
        status, answer = await self.post(self.message(sender, text))
        assert (status, answer.get("accepted")) == (202, True)

    async def heard(self, sender: str, count: int) -> list[str]:
        """Wait until a person has heard that many replies, and return them."""
        async with asyncio.timeout(20):
            while len(found := [one for one in self.bridge.heard if _to(one) == sender]) < count:
                await self.bridge.hears(len(self.bridge.heard) + 1)
        return [one.text for one in found]

    async def uses(self, person: str, model: str) -> None:
        """Choose the model that answers a person."""
        await self.house.database.write(lambda c: users.set_model(c, AgentId(person), f"local/{model}"))

    async def entries(self, person: str) -> list[MessageEntry]:
        """The transcript of a person's one session."""
        async with self.house.brains.use(AgentId(person)) as brain:
            [summary] = await brain.sessions(10)
            session = await brain.session(SessionId(summary.session_id))
            return [entry for entry in session.entries if isinstance(entry, MessageEntry)]

    @property
    def log(self) -> str:
        return self.home.log.read_text() if self.home.log.exists() else ""

    async def raw(self, data: bytes, *, bodiless: bool = False) -> Reply:
        """Write bytes to the server and read its answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(10):
                return await read_reply(reader, bodiless=bodiless)
        finally:
            writer.close()

    async def get(self, path: str, *, method: str = "GET", host: str = "localhost") -> Reply:
        """One plain request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        return await self.raw(head.encode(), bodiless=method == "HEAD")

    # --- opening and ending ----------------------------------------------------------------------------------

    def configure(self, *, timeout: float = 20.0) -> None:
        """Write the configuration."""
        self.home.prepare()
        self.home.config.write_text(
            CONFIG.format(models=self.fake.base_url, callback=self.bridge.url, secret=SECRET, timeout=timeout)
        )

    async def open(self, *, grace: float = 0.05) -> None:
        """Start a gateway and its server over the state that is there."""
        stack = AsyncExitStack()
        stack.enter_context(self.home.locked())
        self.config = await asyncio.to_thread(load, self.home.config, {})
        log = open_log(self.home.log)
        stack.callback(log.close)
        self.house = await stack.enter_async_context(
            open_house(self.home, self.config, now=lambda: datetime.now(UTC), log=log, grace=grace, hashing=CHEAP)
        )
        await self.house.gateway.start()
        self.desk = Operations(self.house, self.config, address=self.base).desk
        self.app = app = App(Front.of(self.desk))
        bound = serve._bind("127.0.0.1", 0)  # pyright: ignore[reportPrivateUsage]
        stack.callback(bound.close)
        self.port = bound.getsockname()[1]
        server = serve._Server(serve._server_config(app))  # pyright: ignore[reportPrivateUsage]
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0)

        async def stop() -> None:
            self.house.gateway.accepting = False
            server.should_exit = True
            await app.close()
            await serving

        stack.push_async_callback(stop)
        self._stack = stack

    async def close(self) -> None:
        """End it as SIGTERM does."""
        if self._stack is not None:
            stack, self._stack = self._stack, None
            await stack.aclose()

    async def people(self) -> None:
        """Let Alice and Bob be known."""
        now = datetime.now(UTC)
        for person in ("alice", "bob"):
            await self.house.database.write(
                lambda c, person=person: users.add_user(c, person, name=None, role="member", now=now)
            )
            await self.house.database.write(
                lambda c, person=person: users.link(c, UserId(person), "webhook", "default", person, now=now)
            )


async def read_reply(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Reply:
    """One HTTP answer with a Content-Length, or in chunks; `bodiless` as the one to HEAD is."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name
    }
    if bodiless:
        body = b""
    elif headers.get("transfer-encoding") == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(int(head[0].split()[1]), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    return b"".join(parts)


def check_sound(entries: list[MessageEntry]) -> None:
    """A transcript any provider accepts: chained, every message answered, every call with its result."""
    open_calls: list[str] = []
    for before, one in itertools.pairwise([None, *entries]):
        assert one is not None
        assert one.parent_id == (None if before is None else before.id)
        if one.role is Role.TOOL_RESULT:
            assert one.tool_call_id is not None
            open_calls.remove(one.tool_call_id)
        else:
            assert not open_calls
            open_calls = [part.id for part in one.content if isinstance(part, ToolCallPart)]
    assert not open_calls
    assert entries[-1].role is Role.ASSISTANT


def _to(callback: Callback) -> str:
    return callback.body["to"]["senderId"]


@pytest.fixture(autouse=True)
def no_blocking_in_the_loop() -> Generator[None]:
    """Whatever of ours would hold up everybody else is an error here."""
    with nothing_blocks():
        yield


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI]:
    fake = FakeOpenAI()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def site(tmp_path: Path, fake: FakeOpenAI) -> AsyncGenerator[Site]:
    """A site that runs, with Alice and Bob."""
    async with Bridge(SECRET) as bridge:
        site = Site(tmp_path / "home", bridge, fake)
        site.configure()
        await site.open()
        await site.people()
        yield site
        await site.close()
