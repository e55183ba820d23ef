"""`usersFile`: applied when a gateway starts and when it changes; a mistake leaves everybody as they were."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from rookery import users
from rookery.channels.contract import Outcome
from rookery.config import load
from rookery.errors import ConfigError
from rookery.gateway import people_reading
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import open_log
from rookery.gateway.reload import Reloader
from rookery.ids import UserId
from rookery.users import tables
from tests.gateway.made import message
from tests.support.clock import Clock
from tests.support.databases import fresh_database
from tests.support.edited import looked, save
from tests.support.house import CHEAP

BOTH = "users:\n  - { id: alice, role: admin }\n  - { id: bob, im: ['webhook@default:7'] }\n"

CONFIG = """
usersFile: users.yaml
channels:
  webhook: { accounts: { default: { secret: "a long random secret", dmPolicy: allowlist } } }
"""


class Place:
    """A home with a people file, and the gateways that run on it one after the other."""

    def __init__(self, path: Path, database: str) -> None:
        self.home = Home(path)
        self.home.prepare()
        self.home.config.write_text(CONFIG + database)
        self.clock = Clock()
        self._edits = 0

    def write(self, text: str) -> None:
        """Save the people file, as an editor does, with a time of its own."""
        self._edits += 1
        save(self.home.path / "users.yaml", text, self._edits)

    @asynccontextmanager
    async def gateway(self) -> AsyncGenerator[House]:
        """A gateway that runs, and looks after its files."""
        config = await asyncio.to_thread(load, self.home.config, {})
        log = open_log(self.home.log)
        async with open_house(self.home, config, now=_now, log=log, grace=0.05, hashing=CHEAP) as house:
            await house.gateway.start()
            watching = asyncio.create_task(Reloader(house, config, {}).watch(self.clock.wait))
            try:
                yield house
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
        log.close()

    async def looks(self) -> None:
        """Let the gateway look at its files, and wait until it has done what it does about them."""
        await looked(self.clock)

    @property
    def log(self) -> list[dict[str, object]]:
        """What was logged of people."""
        lines = [json.loads(line) for line in self.home.log.read_text().splitlines()]
        return [line for line in lines if line["event"].startswith(("people.", "config."))]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Place]:
    with ExitStack() as stack:
        database = ""
        if request.param == "postgresql":
            served = stack.enter_context(fresh_database())
            database = f'database: {{ url: "{served.app_url.replace("+asyncpg", "")}" }}\n'
        yield Place(tmp_path, database)


async def test_it_is_applied_at_the_start_and_when_it_changes(place: Place) -> None:
    """Who is described is there before the first message; an edit holds within seconds, without a restart."""
    place.write(BOTH)
    async with place.gateway() as house:
        first = await house.gateway.receive(message("m1", sender="7", channel="webhook"))
        assert first.outcome is Outcome.ACCEPTED
        place.write(BOTH.replace("webhook@default:7", "webhook@default:8"))
        await place.looks()
        assert (
            await house.gateway.receive(message("m2", sender="7", channel="webhook"))
        ).outcome is Outcome.REFUSED
        assert (
            await house.gateway.receive(message("m3", sender="8", channel="webhook"))
        ).outcome is Outcome.ACCEPTED
        await house.gateway.idle()
    applied = [line for line in place.log if line["event"] == "people.applied"]
    assert [(one["people"], one["changes"]) for one in applied] == [(2, 3), (2, 2)]


async def test_a_mistake_leaves_everybody_as_they_were(place: Place) -> None:
    """While it runs the mistake is in the log with its line; at a start it stops the start."""
    place.write(BOTH)
    async with place.gateway() as house:
        place.write(BOTH.replace("role: admin", "role: king"))
        await place.looks()
        alice = await house.database.read(lambda c: users.get_user(c, UserId("alice")))
        assert alice.role == "admin"
    [kept] = [line for line in place.log if line["event"] == "config.kept"]
    assert str(kept["error"]).startswith("users.yaml:2: users[0].role must be one of member, admin")
    with pytest.raises(ConfigError, match=r"users.yaml:2: users\[0\].role"):
        async with place.gateway():
            pass


async def test_an_unchanged_file_is_not_read_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart over the same file applies nothing, and takes no longer for a thousand people in it."""
    place.write(BOTH)
    async with place.gateway() as house:
        await house.database.write(lambda c: users.change_user(c, UserId("bob"), name="Robert"))
        before = await house.database.read(_everybody)

    def unwanted(*_: object) -> None:
        raise AssertionError("an unchanged file is only hashed")

    monkeypatch.setattr(people_reading, "read_people", unwanted)
    async with place.gateway() as house:
        assert await house.database.read(_everybody) == before
    assert len([line for line in place.log if line["event"] == "people.applied"]) == 1


def _everybody(connection: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(select(tables.users).order_by(tables.users.c.id))]


def _now() -> datetime:
    return datetime.now(UTC)
