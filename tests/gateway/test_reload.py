"""A changed `rookery.yaml` is taken up while the gateway runs; one that does not load changes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rookery import users
from rookery.channels.contract import Outcome
from rookery.config import load
from rookery.errors import ConfigError, StorageUnavailable
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import open_log
from rookery.gateway.reload import LOOK_EVERY, Reloader
from tests.gateway.made import ShakyDatabase, message
from tests.support.clock import Clock

WEBHOOK = """
channels:
  webhook: {{ accounts: {{ default: {{ secret: "a long random secret", dmPolicy: {policy} }} }} }}
"""


@dataclass
class Place:
    """A running house with a file somebody edits."""

    house: House
    reloader: Reloader
    clock: Clock = field(default_factory=Clock)
    edits: int = 0

    def write(self, text: str) -> None:
        """Save the file, as an editor does, with a time of its own."""
        self.edits += 1
        path = self.house.home.config
        draft = path.with_suffix(".new")
        draft.write_text(text)
        os.utime(draft, (self.edits, self.edits))
        draft.rename(path)

    async def looks(self) -> None:
        """Let the watcher look at the file, and wait until it has done what it does about it."""
        while not self.clock.waited_for:
            await asyncio.sleep(0.001)
        await self.clock.passes(LOOK_EVERY)
        while not self.clock.waited_for:
            await asyncio.sleep(0.001)

    @property
    def log(self) -> str:
        return self.house.home.log.read_text() if self.house.home.log.exists() else ""


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Place]:
    home = Home(tmp_path)
    home.prepare()
    home.config.write_text(WEBHOOK.format(policy="allowlist"))
    config = await asyncio.to_thread(load, home.config, {})
    log = open_log(home.log)
    async with open_house(home, config, now=lambda: datetime.now(UTC), log=log, grace=0.05) as house:
        await house.database.write(
            lambda c: users.add_user(c, "alice", name=None, role="member", now=datetime.now(UTC))
        )
        await house.gateway.start()
        place = Place(house, Reloader(house, config, {}))
        watching = asyncio.create_task(place.reloader.watch(place.clock.wait))
        yield place
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    log.close()


async def test_a_good_change_takes_effect_without_a_restart(place: Place) -> None:
    """Agents, bindings, policies and limits: the next message is decided by the new file."""
    stranger = message("1", sender="7", channel="webhook")
    refused = await place.house.gateway.receive(stranger)
    assert refused.outcome is Outcome.REFUSED

    place.write(
        WEBHOOK.format(policy="open")
        + "agents: { list: [ { id: helpdesk, sponsor: alice } ] }\n"
        + "bindings: [ { agentId: helpdesk, match: { channel: webhook } } ]\n"
        + "models: { limits: { maxConcurrent: 2 } }\n"
    )
    await place.looks()
    assert place.house.gateway.settings.max_concurrent == 2
    accepted = await place.house.gateway.receive(message("2", sender="7", channel="webhook"))
    assert accepted.outcome is Outcome.ACCEPTED


async def test_a_file_that_does_not_load_keeps_the_old(place: Place) -> None:
    """Whatever is wrong with it: said in the log with line and key, and everything goes on as before."""
    before = place.house.gateway.settings
    for text, words in (
        ("gateway: [", "rookery.yaml:1"),
        ("models: { default: 7 }\n", "models.default"),
        ("agents: { list: [ { id: helpdesk, sponsor: nobody } ] }\n", "'nobody'"),
        ("agents: { list: [ { id: alice, sponsor: alice } ] }\n", "'alice'"),
        ("models: { default: anthropic/x }\n", "anthropic/x"),
    ):
        place.write(text)
        await place.looks()
        assert words in place.log.splitlines()[-1]
        assert "config.kept" in place.log.splitlines()[-1]
        assert place.house.gateway.settings is before

    place.write(WEBHOOK.format(policy="pairing"))
    await place.looks()
    assert place.house.gateway.settings is not before


async def test_a_problem_is_told_once(place: Place) -> None:
    """Not every two seconds, until the file changes again."""
    place.write("gateway: [")
    for _ in range(3):
        await place.looks()
    assert place.log.count("config.kept") == 1
    place.write("gateway: [[")
    await place.looks()
    assert place.log.count("config.kept") == 2


async def test_a_file_that_is_gone_for_a_moment_changes_nothing(place: Place) -> None:
    """Between an editor's delete and its write; read as an empty file it shut everybody out."""
    before = place.house.gateway.settings
    place.house.home.config.unlink()
    await place.looks()
    assert place.house.gateway.settings is before


async def test_a_change_that_came_while_the_storage_was_away_is_taken_up_later(place: Place) -> None:
    """The look after the storage is back finds it, although the file did not change again."""
    gateway = place.house.gateway
    shaky = ShakyDatabase(gateway.database)
    gateway.database = shaky
    shaky.failing_writes = 1
    place.write("models: { limits: { maxConcurrent: 2 } }\n")
    await place.looks()
    assert gateway.settings.max_concurrent == 16
    await place.looks()
    assert gateway.settings.max_concurrent == 2


async def test_what_needs_a_restart_is_said(place: Place) -> None:
    """The answer of `reload` names what the file changed that only a start reads."""
    place.write(WEBHOOK.format(policy="pairing"))
    assert await place.reloader.reload() == "The configuration is in force."
    place.write(WEBHOOK.format(policy="pairing") + "gateway: { port: 9999 }\nstorage: { openBrains: 3 }\n")
    told = await place.reloader.reload()
    assert told.startswith("The configuration is in force; gateway, database")
    assert told.endswith("change with the next start.")
    assert place.reloader.config.gateway.port == 9999


async def test_reload_by_hand_raises_what_is_wrong(place: Place) -> None:
    """So that whoever asked for it reads it."""
    place.write("gateway: { prot: 1 }\n")
    with pytest.raises(ConfigError, match=r"rookery\.yaml:1: gateway\.prot"):
        await place.reloader.reload()
    shaky = ShakyDatabase(place.house.gateway.database)
    place.house.gateway.database, shaky.failing_writes = shaky, 1
    place.write("")
    with pytest.raises(StorageUnavailable):
        await place.reloader.reload()
