"""A whole gateway for tests: real stores, real lanes and outbox, loopback networks and a model that obeys.

    async with TestHouse(tmp_path) as house:
        await house.person("alice", telegram="a1")
        await house.telegram.says("a1", "hello")
        await house.idle()
        assert house.telegram.heard_by("a1") == ["…"]

`restart` ends the gateway as SIGTERM does, `crash` as a power cut would, and both start another one over the
same state; the networks outlive it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection

from rookery import users
from rookery.channels.contract import Channel, Ids, Receipt
from rookery.channels.loopback import LoopbackNetwork
from rookery.config.words import DmPolicy
from rookery.gateway import schema
from rookery.gateway.attachments import Web
from rookery.gateway.bind import Binding, Bindings
from rookery.gateway.equipment import RunLimits
from rookery.gateway.gateway import Gateway, Settings
from rookery.gateway.inbound import NO_WISH, Wish
from rookery.gateway.log import Logger, open_log
from rookery.gateway.master_key import FileKey
from rookery.gateway.providers import Provider, Providers
from rookery.gateway.rules import AccountRules, QueueRules, Rules
from rookery.gateway.vault import Vault
from rookery.ids import AgentId, UserId
from rookery.messages import Chat, ChatKind, InboundMessage, MessageEntry
from rookery.models import Model
from rookery.models.scripted import EchoModel
from rookery.sessions import Brains, FileBrains, RowBrains
from rookery.storage import Database
from rookery.storage.postgres import PostgresDatabase, role_of
from rookery.storage.sqlite import SqliteDatabase
from rookery.storage.threads import WriterThreads
from rookery.tools import TimeTool, Tool
from rookery.users.hashing import Cost, Hasher
from tests.support.clock import Clock
from tests.support.postgres import Postgres

MODEL = "test/model"

CHEAP = Cost(memory=64, passes=1)
"""What the hash of a password costs in tests."""


class TestHouse:
    """One gateway over one state, in this process."""

    __test__ = False

    def __init__(
        self,
        home: Path,
        *,
        model: Model | None = None,
        postgres: Postgres | None = None,
        rules: Rules | None = None,
        tools: Sequence[Tool] = (),
        networks: Iterable[LoopbackNetwork] = (),
        clock: Clock | None = None,
        wrap_database: Callable[[Database], Database] = lambda database: database,
        wrap_brains: Callable[[Brains], Brains] = lambda brains: brains,
        limits: Mapping[str, Any] | None = None,
        web: Web | None = None,
        vision: bool = False,
    ) -> None:
        self.home = home
        self.web = web
        self.vision = vision
        self.clock = clock or Clock()
        self.model: Any = model if model is not None else EchoModel()
        self.telegram = LoopbackNetwork("telegram", accounts=("default", "second"))
        self.email = LoopbackNetwork("email")
        self.webhook = LoopbackNetwork("webhook", ids=Ids.ACCOUNT, accounts=("default", "other"), idempotent=True)
        self.networks = [self.telegram, self.email, self.webhook, *networks]
        self.tools = [TimeTool(), *tools]
        self.rules = rules if rules is not None else self._open_rules()
        self.limits = limits or {}
        self._postgres = postgres
        self._wrap_database = wrap_database
        self._wrap_brains = wrap_brains
        self._threads: WriterThreads | None = None
        self._received = 0
        self._log_handler: Any = None
        self.gateway: Gateway

    # --- living in it ----------------------------------------------------------------------------------------

    async def person(self, id: str, *, admin: bool = False, account: str | None = None, **addresses: str) -> None:
        """Add a person; each keyword is a network, its value their sender id there (on `account`, or all)."""

        def work(connection: Connection) -> None:
            now = self.clock.now()
            users.add_user(connection, id, name=id.title(), role="admin" if admin else "member", now=now)
            for channel, sender in addresses.items():
                on = (account or "default") if channel == "webhook" else account
                users.link(connection, UserId(id), channel, on, sender, now=now)

        await self.database.write(work)

    async def link(self, id: str, channel: str, sender: str, account: str | None = None) -> None:
        """Make an address a person's."""
        now = self.clock.now()
        await self.database.write(lambda c: users.link(c, UserId(id), channel, account, sender, now=now))

    async def unlink(self, id: str, channel: str, sender: str, account: str | None = None) -> None:
        """Take an address from a person."""
        await self.database.write(lambda c: users.unlink(c, UserId(id), channel, account, sender))

    async def shared_agent(self, id: str, *, sponsor: str, **binding: Any) -> None:
        """Add a shared agent; keywords are those of a `Binding` for it."""

        def work(connection: Connection) -> None:
            users.add_shared_agent(connection, id, sponsor=UserId(sponsor), name=id, now=self.clock.now())

        await self.database.write(work)
        if binding:
            self.bind(Binding(AgentId(id), **binding))

    def bind(self, binding: Binding) -> None:
        """Add a binding."""
        self._bindings.append(binding)
        self.rule(bindings=Bindings(self._bindings))

    def rule(self, **changes: Any) -> None:
        """Change the rules, at once when the gateway runs."""
        self.rules = replace(self.rules, **changes)
        if hasattr(self, "gateway"):
            self.gateway.configure(self._settings())

    def account_rule(self, channel: str, account: str = "default", **changes: Any) -> None:
        """Change the rules of one account."""
        known = self.rules.accounts.get((channel, account), AccountRules())
        self.rule(accounts={**self.rules.accounts, (channel, account): replace(known, **changes)})

    async def idle(self) -> None:
        """Wait until every accepted message is answered and every answer was tried."""
        await self.gateway.idle()
        for _ in range(3):  # whoever waits for a later moment has told the clock
            await asyncio.sleep(0)

    async def receive(self, channel: str, sender: str, text: str, wish: Wish = NO_WISH) -> Receipt:
        """A direct message with a wish, as only channels of our own can bring."""
        self._received += 1
        message = InboundMessage(
            channel=channel,
            account="default",
            message_id=f"received-{self._received}",
            sender_id=sender,
            chat=Chat(ChatKind.DM, sender),
            text=text,
        )
        return await self.gateway.receive(message, wish)

    async def entries(self, agent_id: str, session_id: str) -> list[MessageEntry]:
        """What a session's transcript holds."""
        async with self.gateway.brains.use(AgentId(agent_id)) as brain:
            session = await brain.session(session_id)  # pyright: ignore[reportArgumentType]
            return [entry for entry in session.entries if isinstance(entry, MessageEntry)]

    async def sessions(self, agent_id: str) -> list[Any]:
        """The sessions of an agent, latest first."""
        async with self.gateway.brains.use(AgentId(agent_id)) as brain:
            return list(await brain.sessions(1000))

    @property
    def database(self) -> Database:
        return self.gateway.database

    @property
    def log_text(self) -> str:
        """Everything in the operational log so far."""
        self._log_handler.flush()
        path = self.home / "rookery.jsonl"
        return path.read_text() if path.exists() else ""

    # --- opening and ending ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Start a gateway over the state that is there."""
        self.home.mkdir(parents=True, exist_ok=True)
        database = await self._open_database()
        brains: Brains
        if self._postgres is None:
            self._threads = WriterThreads(2)
            brains = FileBrains(self.home / "agents", self._threads)
        else:
            brains = RowBrains(database)
        log = self._log_handler = open_log(self.home / "rookery.jsonl")
        self.gateway = self._gateway(self._wrap_database(database), self._wrap_brains(brains), log)
        await self.gateway.start()

    async def close(self, grace: float = 0.05) -> None:
        """End the gateway as SIGTERM does."""
        await self.gateway.close(grace)
        await self._close_rest()

    async def restart(self) -> None:
        """End the gateway as SIGTERM does, and start another."""
        await self.close()
        await self.open()

    async def kill(self) -> None:
        """End the gateway in the middle of whatever it does, telling nobody."""
        gateway = self.gateway
        gateway.accepting = False
        ours = asyncio.current_task()
        names = ("lane ", "outbox ", "maintenance", "refill", "start ")
        doomed = [task for task in asyncio.all_tasks() if task is not ours and task.get_name().startswith(names)]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        for network in self.networks:
            network.disconnect()
        with suppress(Exception):
            await gateway.brains.close()
        with suppress(Exception):
            await gateway.database.close()
        await self._close_rest()

    async def crash(self) -> None:
        """Kill the gateway, and start another."""
        await self.kill()
        await self.open()

    # --- parts -----------------------------------------------------------------------------------------------

    def _gateway(self, database: Database, brains: Brains, log: Logger) -> Gateway:
        provider = Provider("test", lambda: self.model, keyless=True, vision=self.vision)
        channels: list[Channel] = [*(network.channel() for network in self.networks), *self.own_channels()]
        return Gateway(
            database=database,
            brains=brains,
            providers=Providers({"test": provider}, {}, MODEL),
            channels=channels,
            settings=self._settings(),
            now=self.clock.now,
            log=log,
            tools=self.tools,
            wait=self.clock.wait,
            hasher=Hasher(CHEAP),
            web=self.web,
            vault=Vault(FileKey(self.home), hide=log.hide),
        )

    def own_channels(self) -> list[Channel]:
        """Channels of our own beside the networks, made anew for each start; some kinds of house have them."""
        return []

    def _settings(self) -> Settings:
        run = RunLimits(
            tools=frozenset(tool.spec.name for tool in self.tools), max_steps=25, timeout_seconds=60, persona=""
        )
        return Settings(rules=self.rules, run=run, **self.limits)

    def _open_rules(self) -> Rules:
        self._bindings: list[Binding] = []
        accounts = {
            (network.name, account): AccountRules(dm_policy=DmPolicy.ALLOWLIST, require_mention=False)
            for network in self.networks
            for account in network.accounts
        }
        return Rules(accounts=accounts, queue=QueueRules(debounce=0))

    async def _open_database(self) -> Database:
        if self._postgres is None:
            database = SqliteDatabase(self.home / "gateway.db")
            await database.write(schema.prepare)
            return database
        owner = PostgresDatabase(self._postgres.owner_url, connections=1)
        await owner.write(schema.prepare)
        await owner.write(lambda connection: schema.grant(connection, role_of(self._postgres_url)))
        await owner.close()
        return PostgresDatabase(self._postgres_url)

    @property
    def _postgres_url(self) -> str:
        assert self._postgres is not None, "only asked on PostgreSQL"
        return self._postgres.app_url

    async def _close_rest(self) -> None:
        if self._threads is not None:
            await self._threads.close()
        self._log_handler.close()


@asynccontextmanager
async def a_house(home: Path, **parts: Any) -> AsyncGenerator[TestHouse]:
    """A house, open for the block."""
    async with TestHouse(home, **parts) as house:
        yield house
