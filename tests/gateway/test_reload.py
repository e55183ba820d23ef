"""A changed `rookery.yaml` is taken up while the gateway runs; one that does not load changes nothing."""

from __future__ import annotations

import asyncio
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
from rookery.gateway.reload import Reloader
from rookery.ids import AgentId, SessionId
from rookery.messages import MessageEntry, text_of
from tests.gateway.made import ShakyDatabase, message
from tests.support.clock import Clock
from tests.support.edited import looked, save
from tests.support.fake_openai import FakeOpenAI

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
        save(self.house.home.config, text, self.edits)

    async def looks(self) -> None:
        """Let the watcher look at the file, and wait until it has done what it does about it."""
        await looked(self.clock)

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
    assert place.house.gateway.settings.capacity.total == 2
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
        ("models: { default: opnai/x }\n", "'opnai'"),
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
    assert gateway.settings.capacity.total == 16
    await place.looks()
    assert gateway.settings.capacity.total == 2


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


MODELS = """
channels:
  webhook: { accounts: { default: { secret: "a long random secret", dmPolicy: open } } }
agents: { list: [ { id: helpdesk, sponsor: alice, model: local/MODEL } ] }
bindings: [ { agentId: helpdesk, match: { channel: webhook } } ]
models:
  providers:
    local: { api: openai, baseUrl: "URL" }
"""

HEARD = "word1 word2 "


@dataclass
class Served(Place):
    """A running house whose one agent is answered by servers of models."""

    environ: dict[str, str] = field(default_factory=dict[str, str])
    written: int = 0

    async def serves(self, url: str, model: str = "instant", more: str = "") -> None:
        """Take up a file in which the agent's model is at this address."""
        self.write(MODELS.replace("URL", url).replace("MODEL", model) + more)
        await self.reloader.reload()

    async def writes(self) -> None:
        """Somebody writes to the agent."""
        self.written += 1
        made = message(str(self.written), sender="7", channel="webhook")
        assert (await self.house.gateway.receive(made)).outcome is Outcome.ACCEPTED

    async def heard(self) -> str:
        """Wait until everything is answered, and read the last answer."""
        await self.house.gateway.lanes.idle()
        async with self.house.brains.use(AgentId("helpdesk")) as brain:
            [summary] = await brain.sessions(10)
            last = (await brain.session(SessionId(summary.session_id))).entries[-1]
            assert isinstance(last, MessageEntry)
            return text_of(last) or str(last.error_kind)


@pytest.fixture
async def served(place: Place) -> Served:
    environ: dict[str, str] = {}
    return Served(place.house, Reloader(place.house, place.reloader.config, environ), environ=environ)


@pytest.fixture
async def fakes() -> AsyncGenerator[tuple[FakeOpenAI, FakeOpenAI]]:
    old, new = FakeOpenAI(), FakeOpenAI()
    await old.start()
    await new.start()
    yield old, new
    await old.stop()
    await new.stop()


async def test_a_call_under_way_ends_where_it_began(served: Served, fakes: tuple[FakeOpenAI, FakeOpenAI]) -> None:
    """Its provider moves: it is heard to its end there, and the next message finds the new address."""
    old, new = fakes
    await served.serves(old.base_url, "paced:40x8")
    await served.writes()
    await old.until(lambda: old.counts["paced:40x8"] == 1)
    await served.serves(new.base_url)
    assert len((await served.heard()).split()) == 8
    await served.writes()
    assert await served.heard() == HEARD
    assert (len(old.requests), len(new.requests), old.hung_up) == (1, 1, 0)


async def test_fallbacks_take_effect_with_the_next_question(
    served: Served, fakes: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    """Added, and taken away again."""
    first, second = fakes
    spare = f'    spare: {{ api: openai, baseUrl: "{second.base_url}" }}\n'
    for fallbacks, heard in (("", "overloaded"), ("  fallbacks: [spare/instant]\n", HEARD), ("", "overloaded")):
        await served.serves(first.base_url, "500", spare + fallbacks)
        await served.writes()
        assert await served.heard() == heard


async def test_a_shared_key_is_changed_and_taken_away(
    served: Served, fakes: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    """The next call goes with the new secret; without the key it is not made."""
    fake, _ = fakes
    house, other = (f"{name}: {{ provider: local, keyFrom: env:KEY }}" for name in ("house", "other"))
    keys = f"  sharedKeys: {{ {house}, {other} }}\n"
    served.environ["KEY"] = "sk-first"
    await served.serves(fake.base_url, more=keys)
    now = datetime.now(UTC)
    await served.house.database.write(lambda c: users.grant_key(c, AgentId("helpdesk"), "house", now=now))
    for secret in ("sk-first", "sk-second"):
        served.environ["KEY"] = secret
        await served.serves(fake.base_url, more=keys)
        await served.writes()
        assert await served.heard() == HEARD
        assert fake.last.key == secret
    await served.serves(fake.base_url, more=f"  sharedKeys: {{ {other} }}\n")
    await served.writes()
    assert await served.heard() == "no_key"
    assert len(fake.requests) == 2
    assert "sk-" not in served.log


async def test_what_cools_goes_on_cooling_unless_it_changed(
    served: Served, fakes: tuple[FakeOpenAI, FakeOpenAI]
) -> None:
    """A change of something else asks nobody too early; a changed provider is asked at once."""
    fake, _ = fakes
    await served.serves(fake.base_url, "429")
    await served.writes()
    assert await served.heard() == "rate_limited"
    await served.serves(fake.base_url, more="  limits: { maxConcurrent: 3 }\n")
    assert served.house.gateway.settings.capacity.total == 3
    await served.writes()
    assert await served.heard() == "rate_limited"
    await served.serves(fake.base_url.replace("127.0.0.1", "localhost"))
    await served.writes()
    assert await served.heard() == HEARD
