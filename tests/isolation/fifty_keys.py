"""Many people with keys of their own at once: who asked with which key, and where a key can be read afterwards.

Every key is a canary. What people say names them, so each request that came to the endpoint tells whose it is, and
the key that came with it has to be one that agent had at that moment.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from rookery import users
from rookery.gateway.inbound import Wish
from rookery.gateway.operations import keys
from rookery.gateway.providers import Provider
from rookery.gateway.shapes import KeyNamed, KeySet
from rookery.ids import AgentId, UserId
from rookery.models import Model, ToolSpec
from rookery.models.openai import OpenAIModel
from rookery.outbound.lazy import LazyOutbound
from rookery.storage.postgres import PostgresDatabase
from rookery.tools import ToolContext
from tests.gateway.at_the_desk import AtTheDesk
from tests.isolation import canaries
from tests.support.fake_openai import FakeOpenAI
from tests.support.house import TestHouse
from tests.support.postgres import Postgres

MODEL = "main/tool:look"
"""Each turn asks twice: for the call of a tool, and with its result."""

_SPEAKER = re.compile(r"I am (p\d+(?:--pal)?)\.")


class Looking:
    """A tool in whose call something may happen."""

    spec = ToolSpec("look", "Looks.", {"type": "object"})
    effects = False

    def __init__(self) -> None:
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del arguments, context
        if self.meanwhile is not None:
            await self.meanwhile()
        return "looked"


@dataclass
class Fifty:
    """The house, its endpoint, and an account of whose keys are whose that is kept apart from both."""

    house: TestHouse
    endpoint: FakeOpenAI
    outbound: LazyOutbound
    tool: Looking
    people: list[str]
    has: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By agent: its keys, in their order."""
    wrong: list[str] = field(default_factory=list[str])
    made: set[str] = field(default_factory=set[str])
    rng: Random = field(default_factory=lambda: Random(5))

    async def move_in(self) -> None:
        """Everybody has two keys of their own, and a friend; every other friend has one too."""
        for number, person in enumerate(self.people):
            await self.house.person(person, telegram=f"t-{person}")
            await self.house.database.write(lambda c, p=person: self._befriend(c, p))
            await self.give(person, "first")
            await self.give(person, "second")
            if number % 2:
                await self.give(f"{person}--pal", "first")

    def _befriend(self, connection: Any, person: str) -> None:
        users.add_friend(
            connection,
            UserId(person),
            "pal",
            name="Pal",
            now=self.house.clock.now(),
        )

    async def give(self, agent: str, profile: str) -> None:
        key = canaries.fresh(self.rng)
        self.made.add(key)
        desk = AtTheDesk(self.house).operator
        await keys.set_key(desk, KeySet(agent_id=agent, provider="main", key=key, profile=profile))
        self.has.setdefault(agent, []).append(key)

    async def take(self, agent: str, profile: str) -> None:
        """Take a key away; from here on it may come with no request."""
        desk = AtTheDesk(self.house).operator
        await keys.revoke(desk, KeyNamed(agent_id=agent, provider="main", profile=profile))
        self.has[agent].pop(0 if profile == "first" else -1)

    async def everybody_speaks(self, *, to_friends: bool = False) -> None:
        """All at once, each to their agent; then look at what came to the endpoint."""
        await asyncio.gather(*(self.speaks(person, to_friend=to_friends) for person in self.people))
        await self.house.idle()
        self.look()

    async def speaks(self, person: str, *, to_friend: bool = False) -> None:
        agent = f"{person}--pal" if to_friend else person
        wish = Wish(AgentId(agent)) if to_friend else None
        said = f"I am {agent}."
        if wish is None:
            await self.house.telegram.says(f"t-{person}", said)
        else:
            await self.house.receive("telegram", f"t-{person}", said, wish)

    def look(self, *, had: dict[str, list[str]] | None = None) -> int:
        """Note every request that came with a key that is not its agent's; returns how many requests came."""
        has, count = had or self.has, len(self.endpoint.requests)
        for request in self.endpoint.requests:
            spoke = {name for message in request.json["messages"] for name in _SPEAKER.findall(str(message))}
            if len(spoke) != 1:
                self.wrong.append(f"a request of {sorted(spoke)}")
                continue
            [agent] = spoke
            if request.key not in has.get(agent, []):
                whose = next((name for name, its in self.has.items() if request.key in its), "nobody now")
                self.wrong.append(f"{agent} asked with a key of {whose}")
        self.endpoint.requests.clear()
        return count

    async def revoke_in_the_middle(self, person: str) -> None:
        """Take both keys away while the first step's tool runs: the second step asks with neither."""

        async def both() -> None:
            self.tool.meanwhile = None
            await self.take(person, "first")
            await self.take(person, "second")

        had = {name: list(its) for name, its in self.has.items()}
        self.tool.meanwhile = both
        await self.speaks(person)
        await self.house.idle()
        if (count := self.look(had=had)) != 1:
            self.wrong.append(f"{count} requests of {person}, whose keys were taken away after the first")


async def prove(fifty: Fifty) -> list[str]:
    """Everything in turn; what was wrong."""
    await fifty.move_in()
    await fifty.everybody_speaks()
    await fifty.everybody_speaks(to_friends=True)
    # The server refuses the first key of every second, and says it once more while it does.
    for number, person in enumerate(fifty.people):
        if number % 2:
            fifty.endpoint.refuse(fifty.has[person][0], (401, 402, 429)[number % 3])
    await fifty.everybody_speaks()
    await fifty.revoke_in_the_middle(fifty.people[0])
    # While everybody is answered, a third of them lose the key they are answered with.
    losing = fifty.people[1::3]
    had = {name: list(its) for name, its in fifty.has.items()}
    await asyncio.gather(
        *(fifty.speaks(person) for person in fifty.people),
        *(fifty.take(person, "first") for person in losing),
    )
    await fifty.house.idle()
    fifty.look(had=had)
    await fifty.house.crash()
    await provide(fifty)
    await fifty.everybody_speaks()
    await fifty.everybody_speaks(to_friends=True)
    return fifty.wrong


async def provide(fifty: Fifty) -> None:
    """Let the gateway know its one provider, which wants a key."""

    def open_client() -> Model:
        return OpenAIModel(fifty.outbound, fifty.endpoint.base_url, name="main", now=fifty.house.clock.now)

    provider = Provider("main", open_client, keyless=False, made_from="here")
    await fifty.house.gateway.providers.replace({"main": provider}, {}, MODEL)


@asynccontextmanager
async def a_house_of(count: int, home: Path, postgres: Postgres | None = None) -> AsyncGenerator[Fifty]:
    """A house for that many people, on either database."""
    endpoint, outbound, tool = FakeOpenAI(keep=10_000), LazyOutbound(), Looking()
    await outbound.warm()
    await endpoint.start()
    try:
        async with TestHouse(home, postgres=postgres, tools=[tool]) as house:
            fifty = Fifty(house, endpoint, outbound, tool, [f"p{number}" for number in range(count)])
            await provide(fifty)
            yield fifty
    finally:
        await outbound.close()
        await endpoint.stop()


def found_in_files(home: Path) -> dict[str, set[str]]:
    """The canaries in each file of a home, as it is, whatever the encoding."""
    found = {str(path): canaries.found_in(path.read_bytes()) for path in home.rglob("*") if path.is_file()}
    return {path: those for path, those in found.items() if those}


async def found_in_rows(postgres: Postgres) -> dict[str, set[str]]:
    """The canaries in each table of a PostgreSQL database, of every agent."""
    database = PostgresDatabase(postgres.owner_url, connections=1)
    try:
        return await database.write(_look_through)
    finally:
        await database.close()


def _look_through(connection: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    tables = connection.execute(
        text(
            "SELECT relname, relrowsecurity FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
    ).all()
    agents = list(connection.execute(text("SELECT id FROM agents")).scalars())
    for table, secured in tables:
        for agent in agents if secured else [""]:
            connection.execute(text("SELECT set_config('rookery.agent', :id, true)"), {"id": agent})
            for row in connection.execute(text(f'SELECT t::text FROM "{table}" t')).scalars():
                if those := canaries.found_in(row):
                    found.setdefault(table, set()).update(those)
    return found
