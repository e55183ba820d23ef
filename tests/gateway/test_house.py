"""Opening a whole house from a home and its configuration, and what stops that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from rookery import users
from rookery.channels.contract import Outcome
from rookery.channels.terminal import TerminalChannel, typed
from rookery.config import load
from rookery.errors import ConfigError, StorageCorrupt
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import silent_log
from rookery.ids import AgentId, UserId
from rookery.messages import MessageEntry, text_of
from rookery.storage.sqlite import SqliteDatabase
from tests.support.postgres import Postgres, shared_server


@asynccontextmanager
async def opened(home: Path, config: str = "") -> AsyncGenerator[House]:
    """The house of a home under this configuration, not started."""
    place = Home(home)
    place.prepare()
    place.config.write_text(config)
    read = await asyncio.to_thread(load, place.config, {})
    async with open_house(place, read, now=lambda: datetime.now(UTC), log=silent_log(), grace=0.05) as house:
        yield house


async def add(house: House, *ids: str) -> None:
    def work(connection: Connection) -> None:
        for id in ids:
            users.add_user(connection, id, name=None, role="member", now=datetime.now(UTC))

    await house.database.write(work)


async def ask(house: House, person: str, id: str, words: str) -> str:
    """Type at a person's terminal and wait for the reply."""
    terminal = house.gateway.channels["terminal"]
    assert isinstance(terminal, TerminalChannel)
    with terminal.attach(person) as line:
        receipt = await house.gateway.receive(typed(person, id, words))
        assert receipt.outcome is Outcome.ACCEPTED
        async with asyncio.timeout(20):
            reply = await anext(line)
        line.ack(reply.delivery_id)
        await house.gateway.idle()
        return reply.text


async def test_a_fresh_home_needs_nothing(tmp_path: Path) -> None:
    """An empty file, an empty directory: a person is added, asks, and is answered by the offline model."""
    async with opened(tmp_path) as house:
        await add(house, "alice")
        await house.gateway.start()
        assert await ask(house, "alice", "1", "Hello!")
    assert (tmp_path / "gateway.db").exists()
    assert list((tmp_path / "agents" / "alice" / "sessions").glob("*.jsonl"))


async def test_a_home_is_found_again_as_it_was_left(tmp_path: Path) -> None:
    """The same conversation goes on after a restart."""
    async with opened(tmp_path) as house:
        await add(house, "alice")
        await house.gateway.start()
        await ask(house, "alice", "1", "The word is heron.")
    async with opened(tmp_path) as house:
        await house.gateway.start()
        await ask(house, "alice", "2", "And now?")
        async with house.brains.use(AgentId("alice")) as brain:
            [summary] = await brain.sessions(10)
            session = await brain.session(summary.session_id)
            said = [text_of(entry) for entry in session.entries if isinstance(entry, MessageEntry)]
    assert said[::2] == ["The word is heron.", "And now?"]


async def test_nothing_lives_only_in_the_index(tmp_path: Path) -> None:
    """agent.db is deleted between two starts: sessions, titles and the conversation are all there."""
    async with opened(tmp_path) as house:
        await add(house, "alice")
        await house.gateway.start()
        await ask(house, "alice", "1", "The word is heron.")
        await ask(house, "alice", "2", "/new Holidays")
        await ask(house, "alice", "3", "Where to?")
        async with house.brains.use(AgentId("alice")) as brain:
            before = await brain.sessions(10)
    for file in (tmp_path / "agents" / "alice").glob("agent.db*"):
        file.unlink()

    async with opened(tmp_path) as house:
        await house.gateway.start()
        async with house.brains.use(AgentId("alice")) as brain:
            assert await brain.sessions(10) == before
        assert await ask(house, "alice", "4", "Are you there?")
    assert {one.title for one in before} == {None, "Holidays"}


async def test_a_database_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """With the remedy, and the file is left alone."""
    (tmp_path / "gateway.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageCorrupt, match="Restore it from a backup"):
        async with opened(tmp_path):
            pass
    assert (tmp_path / "gateway.db").read_bytes() == b"not a database" * 1000


# --- configuration and state that do not fit together --------------------------------------------------------

HELPDESK = "agents: { list: [ { id: helpdesk, sponsor: alice } ] }\n"
TELEGRAM = 'channels: { telegram: { accounts: { default: { botToken: "t" } } } }\n'


def bound(agent: str, match: str) -> str:
    return TELEGRAM + f"bindings: [ {{ agentId: {agent}, match: {{ channel: telegram{match} }} }} ]\n"


GROUP = ', peer: { kind: group, id: "-100" }'

REFUSED = {
    HELPDESK.replace(
        "alice", "carol"
    ): r"agents\.list names a sponsor that is no user: .*'carol'.*rookery user add",
    HELPDESK.replace("helpdesk", "bob"): r"agents\.list names an agent that cannot be: .*'bob'",
    HELPDESK.replace("helpdesk", "BOB"): r"agents\.list names an agent that cannot be: .*'bob'",
    HELPDESK.replace("helpdesk", "a--b"): r"agents\.list names an agent that cannot be: .*'a--b'",
    bound("nobody", GROUP): r"bindings\[0\] names the agent 'nobody', which does not exist",
    bound("bob", GROUP): r"bindings\[0\] binds 'bob', 'bob''s own agent, to a group",
    bound("bob", ""): r"bindings\[0\] binds 'bob', 'bob''s own agent, to a whole account",
    "session: { identityLinks: { Bob: ['telegram:7'] } }\n": r"identityLinks names 'Bob', which is also a user's",
    "models: { default: nobody/some }\n": r"models\.default names the provider 'nobody'",
}


async def test_what_does_not_fit_together_stops_the_start(tmp_path: Path) -> None:
    """Each names the place in the file and what would be right; nothing of it is taken over."""
    async with opened(tmp_path) as house:
        await add(house, "alice", "bob")
    for config, words in REFUSED.items():
        with pytest.raises(ConfigError, match=words):
            async with opened(tmp_path, config):
                pass
    async with opened(tmp_path) as house:
        assert [agent.id for agent in await house.database.read(users.list_agents)] == ["alice", "bob"]


async def test_what_fits_together_starts(tmp_path: Path) -> None:
    """A shared agent in a group, a person's own for a chat of theirs, a guest's linked addresses."""
    async with opened(tmp_path) as house:
        await add(house, "alice", "bob")
    peer = ', peer: { kind: dm, id: "7" }'
    for config in (
        HELPDESK + bound("helpdesk", GROUP),
        HELPDESK + bound("helpdesk", ""),
        bound("bob", peer),
        "session: { identityLinks: { carol: ['telegram:7'] } }\n",
    ):
        async with opened(tmp_path, config):
            pass


# --- PostgreSQL ----------------------------------------------------------------------------------------------


@pytest.fixture
async def empty() -> AsyncGenerator[Postgres]:
    """A database with nothing in it, not even our tables."""
    fresh = shared_server().fresh()
    yield fresh
    shared_server().drop(fresh)


def served(url: str, owner: str | None = None) -> str:
    written = url.replace("postgresql+asyncpg", "postgresql")
    lines = [f"database:\n  url: {written!r}\n"]
    if owner is not None:
        lines.append(f"  ownerUrl: {owner.replace('postgresql+asyncpg', 'postgresql')!r}\n")
    return "".join(lines)


async def test_a_house_on_postgresql(tmp_path: Path, empty: Postgres) -> None:
    """The owner makes the schema once; afterwards the application's role alone is enough. No file is written."""
    async with opened(tmp_path, served(empty.app_url, empty.owner_url)) as house:
        await add(house, "alice")
        await house.gateway.start()
        assert await ask(house, "alice", "1", "The word is heron.")
    async with opened(tmp_path, served(empty.app_url)) as house:
        await house.gateway.start()
        assert await ask(house, "alice", "2", "And now?")
        async with house.brains.use(AgentId("alice")) as brain:
            assert [one.entry_count for one in await brain.sessions(10)] == [4]
        # What people said is behind row-level security: without naming an agent nobody sees a row.
        assert (
            await house.database.read(lambda c: c.execute(text("SELECT count(*) FROM turn_bodies")).scalar()) == 0
        )
    assert not (tmp_path / "gateway.db").exists()
    assert list((tmp_path / "agents").iterdir()) == []


async def test_a_second_gateway_on_one_database_is_refused(tmp_path: Path, empty: Postgres) -> None:
    """Both would run the same rows."""
    from rookery.errors import Conflict

    async with opened(tmp_path / "one", served(empty.app_url, empty.owner_url)):
        with pytest.raises(Conflict, match="another gateway"):
            async with opened(tmp_path / "two", served(empty.app_url)):
                pass


async def test_a_role_that_sees_everybody_s_rows_is_refused(tmp_path: Path, empty: Postgres) -> None:
    """A superuser, and the owner of the tables, would be let past row-level security."""
    async with opened(tmp_path, served(empty.app_url, empty.owner_url)):
        pass
    superuser = empty.app_url.replace("rookery_app@", "postgres@")
    with pytest.raises(ConfigError, match=r"'postgres'.*past row-level security"):
        async with opened(tmp_path, served(superuser)):
            pass
    with pytest.raises(ConfigError, match="'rookery_owner', which owns table"):
        async with opened(tmp_path, served(empty.owner_url)):
            pass


async def test_an_empty_database_without_its_owner_is_refused_with_the_remedy(
    tmp_path: Path, empty: Postgres
) -> None:
    """The application's role may not make tables."""
    with pytest.raises(ConfigError, match=r"no schema yet.*Set database\.ownerUrl"):
        async with opened(tmp_path, served(empty.app_url)):
            pass


async def test_a_user_s_own_database_file_is_not_touched_by_another_home(tmp_path: Path) -> None:
    """Two homes are two houses."""
    async with opened(tmp_path / "one") as house:
        await add(house, "alice")
    async with opened(tmp_path / "two") as house:
        assert await house.database.read(users.list_users) == []
    database = SqliteDatabase(tmp_path / "one" / "gateway.db")
    assert await database.read(lambda c: users.get_user(c, UserId("alice"))) is not None
    await database.close()
