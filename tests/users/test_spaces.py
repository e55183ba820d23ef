"""Groups that were let in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, update

from rookery import users
from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.gateway import schema
from rookery.ids import AgentId, UserId
from rookery.messages import Chat, ChatKind
from rookery.storage import Database
from rookery.storage.sqlite import SqliteDatabase
from rookery.users import Space, spaces, tables

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE, BOB = UserId("alice"), UserId("bob")
GROUP = Chat(ChatKind.GROUP, "-100")


def admit(connection: Connection, channel: str = "telegram", account: str | None = None, **said: Any) -> Space:
    asked: dict[str, Any] = {"chat": GROUP, "sponsor": ALICE, "by": "operator", "now": NOW} | said
    return spaces.admit(connection, channel, account, asked.pop("chat"), **asked)


async def test_a_group_gets_an_agent_of_its_own(database: Database) -> None:
    """With a sponsor and no owner; it is what a message of that chat finds, on every account."""

    def work(connection: Connection) -> None:
        space = admit(connection)
        agent = users.get_agent(connection, space.agent_id)
        assert (agent.owner, agent.sponsor, agent.name, agent.enabled) == (None, ALICE, "Rookery", True)
        assert agent.of_a_group
        assert len(agent.id) == len("space--") + 12
        for account in ("default", "second"):
            assert spaces.find(connection, "telegram", account, GROUP) == space
        assert spaces.list_spaces(connection) == [space]
        assert str(space) == "telegram:-100"

    await database.write(work)


@pytest.mark.parametrize(
    ("channel", "account", "chat"),
    [
        ("discord", "work", GROUP),
        ("telegram", "Work", GROUP),
        ("telegram", "", GROUP),
        ("telegram", "home", GROUP),
        ("telegram", "work", Chat(ChatKind.CHANNEL, "-100")),
        ("telegram", "work", Chat(ChatKind.DM, "-100")),
        ("telegram", "work", Chat(ChatKind.GROUP, "-1000")),
        ("telegram", "work", Chat(ChatKind.GROUP, "100")),
        ("telegram", "work", Chat(ChatKind.GROUP, "-100 ")),
    ],
)
async def test_no_other_chat_is_taken_for_it(database: Database, channel: str, account: str, chat: Chat) -> None:
    """Channel, account, kind and id are compared exactly; a direct message is no group."""

    def work(connection: Connection) -> None:
        space = admit(connection, account="work")
        assert spaces.find(connection, "telegram", "work", GROUP) == space
        assert spaces.find(connection, channel, account, chat) is None

    await database.write(work)


async def test_a_group_put_out_keeps_its_brain_for_when_it_comes_back(database: Database) -> None:
    """Its own agent is switched off, and on again with who sponsors it then; a shared one goes on."""

    def work(connection: Connection) -> None:
        first = admit(connection)
        assert spaces.remove(connection, "telegram", None, GROUP, now=NOW) == first
        assert not users.get_agent(connection, first.agent_id).enabled
        assert spaces.find(connection, "telegram", "default", GROUP) is None
        assert spaces.list_spaces(connection) == []

        users.add_shared_agent(connection, "desk", sponsor=BOB, name=None, now=NOW)
        second = admit(connection, agent_id=AgentId("desk"), now=NOW + timedelta(days=1))
        assert (second.agent_id, second.admitted_at) == ("desk", NOW + timedelta(days=1))
        spaces.remove(connection, "telegram", None, GROUP, now=NOW)
        assert users.get_agent(connection, AgentId("desk")).enabled

        third = admit(connection, sponsor=BOB, name="Ada")
        assert third.agent_id == first.agent_id
        agent = users.get_agent(connection, third.agent_id)
        assert (agent.name, agent.sponsor, agent.enabled) == ("Ada", BOB, True)

    await database.write(work)


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"sponsor": UserId("carl")}, NotFound, "'carl'"),
        ({"account": "home", "agent_id": AgentId("desk")}, NotFound, "'desk'"),
        ({"account": "home", "agent_id": AgentId("bob")}, InvalidInput, "shared agent"),
        ({"chat": Chat(ChatKind.DM, "-7")}, InvalidInput, "group"),
        ({"chat": Chat(ChatKind.GROUP, "")}, InvalidInput, "group"),
        ({"account": ""}, InvalidInput, "group"),
        ({}, Conflict, "'telegram@work:-100' is let in already"),
        ({"account": "work"}, Conflict, "already"),
        ({"sponsor": BOB, "account": "home"}, Conflict, "'bob' is disabled"),
    ],
)
async def test_what_cannot_be_let_in(
    database: Database, said: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A chat is one space at most, whichever account is named; its sponsor is there and may come in."""

    def work(connection: Connection) -> None:
        admit(connection, account="work")
        connection.execute(update(tables.users).where(tables.users.c.id == BOB).values(enabled=False))
        with pytest.raises(error, match=words):
            admit(connection, **said)
        assert len(spaces.list_spaces(connection)) == 1

    await database.write(work)


async def test_a_group_s_agent_is_nobody_else_s(database: Database) -> None:
    """Another group cannot be given it, nor can the configuration describe it."""

    def work(connection: Connection) -> None:
        space = admit(connection)
        with pytest.raises(InvalidInput, match="group's own agent"):
            admit(connection, chat=Chat(ChatKind.GROUP, "8"), agent_id=space.agent_id)
        configured = users.ConfiguredAgent(space.agent_id, None, BOB, "", None)
        with pytest.raises(Conflict, match="group's own agent"):
            users.sync_configured_agents(connection, [configured], now=NOW)
        with pytest.raises(NotFound, match="not let in"):
            spaces.remove(connection, "telegram", "work", GROUP, now=NOW)

    await database.write(work)


ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
chats = st.tuples(
    st.sampled_from(["telegram", "webhook"]),
    st.one_of(st.none(), st.sampled_from(["a", "A", "b"])),
    st.sampled_from([ChatKind.GROUP, ChatKind.CHANNEL]),
    st.one_of(ids, st.sampled_from(["1", "1:2", "a", "A", "À", "A\u0300"])),
)


@given(st.lists(chats, unique=True, max_size=12))
def test_each_chat_has_its_own_brain(wanted: list[tuple[str, str | None, ChatKind, str]]) -> None:
    """Whatever chats are let in, every one finds its own agent and no two the same."""

    async def check() -> None:
        database = SqliteDatabase(None)
        await database.write(schema.prepare)

        def work(connection: Connection) -> None:
            users.add_user(connection, "alice", name=None, role="member", now=NOW)
            admitted: dict[AgentId, tuple[str, str | None, Chat]] = {}
            for channel, account, kind, id in wanted:
                chat = Chat(kind, id)
                try:
                    space = admit(connection, channel, account, chat=chat)
                except Conflict:
                    continue
                assert space.agent_id not in admitted
                admitted[space.agent_id] = (channel, account, chat)
            for agent_id, (channel, account, chat) in admitted.items():
                found = spaces.find(connection, channel, account or "b", chat)
                assert found is not None
                assert found.agent_id == agent_id

        await database.write(work)
        await database.close()

    asyncio.run(check())
