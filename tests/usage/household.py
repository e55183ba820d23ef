"""A house whose people ask real endpoints over real sockets, each with a key of their own.

Two providers: `sure` counts every call to its end, and is what is asked when the other fails; with `shaky`
something always goes wrong.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Self

from sqlalchemy import Connection, select

from rookery import users
from rookery.channels.terminal import typed
from rookery.config import load
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import silent_log
from rookery.ids import AgentId
from rookery.messages import Usage
from rookery.usage.ledger import ledger
from tests.support.fake_openai import FakeOpenAI

EXACT = ("instant:3", "stream:6", "split", "tool:time", "echo")
INEXACT = ("429", "500", "break-mid-stream", "no-usage", "end-mid-stream", "close-at-once", "garbage-html")
ENDLESS = "slow"

INPUT, OUTPUT = 1_250, 6_789
"""What a token costs here, in nano-dollars."""

PRICE = {"input": INPUT / 1000, "output": OUTPUT / 1000}


class Household:
    """People, their keys, and what the endpoints saw of them."""

    def __init__(self, house: House, sure: FakeOpenAI, shaky: FakeOpenAI, people: Sequence[str]) -> None:
        self._house = house
        self._numbers = itertools.count(1)
        self.endpoints = {"sure": sure, "shaky": shaky}
        self.people = people

    @classmethod
    @asynccontextmanager
    async def open(cls, home: Path, people: int) -> AsyncGenerator[Self]:
        """A house with so many people, for the block."""
        names = [f"p{number}" for number in range(people)]
        sure, shaky = FakeOpenAI(keep=100_000), FakeOpenAI(keep=100_000)
        await sure.start()
        await shaky.start()
        place = Home(home)
        place.prepare()
        place.config.write_text(json.dumps(_settings(names, sure.base_url, shaky.base_url)))
        config = load(place.config, {name.replace("-", "_"): f"{name}-secret" for name in _keys(names)})
        try:
            async with open_house(
                place, config, now=lambda: datetime.now(UTC), log=silent_log(), grace=1
            ) as house:
                await house.database.write(lambda connection: _move_in(connection, names))
                await house.gateway.start()
                yield cls(house, sure, shaky, names)
        finally:
            await sure.stop()
            await shaky.stop()

    async def says(self, person: str, text: str, model: str | None = None) -> None:
        """Say something to one's own agent, which is to ask this model, and do not wait for the answer."""
        if model is not None:
            agent = AgentId(person)
            await self._house.database.write(lambda c: users.set_model(c, agent, model))
            self._house.gateway.providers.cooldowns.forget_provider("shaky")
        await self._house.gateway.receive(typed(person, str(next(self._numbers)), text))

    async def hears_out(self) -> None:
        """Wait until everything is answered."""
        await self._house.gateway.idle()

    async def plays(self, chance: Random, rounds: int) -> None:
        """Everybody asks for something, round after round; now and then somebody's call comes to nothing.

        Conversations begin anew now and then: what is echoed doubles each time.
        """
        for number in range(rounds):
            if number % 8 == 7:
                await asyncio.gather(*(self.says(person, "/new", "sure/echo") for person in self.people))
            asked = [
                self.says(person, "hello", chance.choice([f"sure/{name}" for name in EXACT]))
                for person in self.people
            ]
            await asyncio.gather(*asked)
            await self.hears_out()
            person = self.people[number % len(self.people)]
            await self.says(person, "hello", f"shaky/{INEXACT[number % len(INEXACT)]}")
            await self.hears_out()

    async def stops(self, person: str) -> None:
        """Ask for an answer without an end, and stop it when some of it was heard."""
        shaky = self.endpoints["shaky"]
        before = shaky.counts[ENDLESS]
        await self.says(person, "tell me everything", f"shaky/{ENDLESS}")
        await shaky.until(lambda: shaky.counts[ENDLESS] > before)
        shaky.tick()
        await asyncio.sleep(0)
        await self.says(person, "/stop")
        await self.hears_out()

    async def rows(self) -> list[dict[str, Any]]:
        """The ledger."""

        def look(connection: Connection) -> list[dict[str, Any]]:
            return [{**row} for row in connection.execute(select(ledger)).mappings()]

        return await self._house.database.read(look)

    async def wrong(self) -> list[str]:
        """What the ledger says otherwise than the endpoints, which counted by the keys they were sent."""
        rows = await self.rows()
        found: list[str] = []
        for provider, endpoint in self.endpoints.items():
            seen = Counter((request.key, request.json["model"]) for request in endpoint.requests)
            kept = Counter(
                (f"{row['key_name']}-secret", row["model"]) for row in rows if row["provider"] == provider
            )
            if seen != kept:
                found.append(f"{provider}: saw {seen - kept} that are not in the ledger, not {kept - seen}")
        for row in rows:
            if row["key_name"] != f"{row['user_id']}-{row['provider']}":
                found.append(f"LEAK: {row['user_id']} pays for a call with {row['key_name']}")
            if row["provider"] == "sure" and row["status"] != "settled":
                found.append(f"a call that was heard to its end is {row['status']}: {row['error']}")
            if row["provider"] == "shaky" and row["status"] not in ("failed", "estimated"):
                found.append(f"a call that came to nothing is {row['status']}")
        for person in self.people:
            mine = [row for row in rows if row["user_id"] == person and row["provider"] == "sure"]
            counted = self.endpoints["sure"].counted.get(f"{person}-sure-secret", Usage())
            said = [sum(row[name] for row in mine) for name in ("input_tokens", "output_tokens", "nano_usd")]
            cost = counted.input_tokens * INPUT + counted.output_tokens * OUTPUT
            if said != [counted.input_tokens, counted.output_tokens, cost]:
                found.append(f"{person}: {said} in the ledger, {counted} counted, {cost} nano-dollars")
        return found


def _settings(people: Sequence[str], sure: str, shaky: str) -> dict[str, Any]:
    models = {"sure": (sure, EXACT), "shaky": (shaky, (*INEXACT, ENDLESS))}
    return {
        "models": {
            "default": "sure/instant:3",
            "fallbacks": ["sure/instant:3"],
            "providers": {
                name: {"api": "openai", "baseUrl": url, "prices": dict.fromkeys(offered, PRICE)}
                for name, (url, offered) in models.items()
            },
            "sharedKeys": {
                name: {"provider": name.partition("-")[2], "keyFrom": f"env:{name.replace('-', '_')}"}
                for name in _keys(people)
            },
        },
    }


def _keys(people: Sequence[str]) -> list[str]:
    return [f"{person}-{provider}" for person in people for provider in ("sure", "shaky")]


def _move_in(connection: Connection, people: Sequence[str]) -> None:
    now = datetime.now(UTC)
    for person in people:
        users.add_user(connection, person, name=person.title(), role="member", now=now)
        for provider in ("sure", "shaky"):
            users.grant_key(connection, AgentId(person), f"{person}-{provider}", now=now)
