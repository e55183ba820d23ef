"""Agents: a person's own, shared ones, those of the configuration, and the keys they were granted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rookery import users
from rookery.errors import Conflict, InvalidId, InvalidInput, NotFound
from rookery.ids import AgentId, UserId
from rookery.storage import Database
from rookery.users import Agent, ConfiguredAgent
from tests.users.conftest import NOW

ALICE = UserId("alice")


async def shared(database: Database, id: str, sponsor: UserId = ALICE) -> Agent:
    return await database.write(lambda c: users.add_shared_agent(c, id, sponsor=sponsor, name=None, now=NOW))


async def sync(database: Database, *wanted: ConfiguredAgent) -> None:
    await database.write(lambda c: users.sync_configured_agents(c, wanted, now=NOW))


async def agent(database: Database, id: str) -> Agent:
    return await database.read(lambda c: users.get_agent(c, AgentId(id)))


def written(
    id: str, *, name: str | None = None, sponsor: UserId = ALICE, persona: str = "", model: str | None = None
) -> ConfiguredAgent:
    return ConfiguredAgent(AgentId(id), name, sponsor, persona, model)


async def test_a_shared_agent_has_a_sponsor_and_no_owner(database: Database) -> None:
    """Several people may talk to it; one answers for it."""
    made = await shared(database, "helpdesk")
    assert made == await agent(database, "helpdesk")
    assert (made.shared, made.owner, made.sponsor, made.name, made.enabled) == (
        True,
        None,
        "alice",
        "helpdesk",
        True,
    )


async def test_a_shared_agent_s_id_is_its_own(database: Database) -> None:
    """No person's, in whatever case, and not of the shape of a friend's or a space's."""
    refused = {"alice": Conflict, "ALICE": Conflict, "x--y": InvalidInput, "main": InvalidId, "": InvalidId}
    for id, error in refused.items():
        with pytest.raises(error):
            await shared(database, id)


async def test_a_sponsor_has_to_be_known(database: Database) -> None:
    """Somebody has to answer and pay for it."""
    with pytest.raises(NotFound, match="'carol'"):
        await shared(database, "helpdesk", UserId("carol"))


async def test_agents_are_listed_by_id_or_owner(database: Database) -> None:
    """All of them, or one person's; a sponsored one is nobody's own."""
    await shared(database, "helpdesk")

    def ids(found: Sequence[Agent]) -> list[str]:
        return [one.id for one in found]

    assert ids(await database.read(users.list_agents)) == ["alice", "bob", "helpdesk"]
    assert ids(await database.read(lambda c: users.list_agents(c, ALICE))) == ["alice"]


async def test_the_configured_agents_become_those_of_the_store(database: Database) -> None:
    """What the file says is added, changed when it changes, and the same file twice changes nothing."""
    await sync(database, written("helpdesk", name="Help", persona="Be brief."))
    first = await agent(database, "helpdesk")
    await sync(database, written("helpdesk", name="Help", persona="Be brief."))
    assert await agent(database, "helpdesk") == first
    assert (first.name, first.persona, first.configured) == ("Help", "Be brief.", True)

    await sync(database, written("helpdesk", sponsor=UserId("bob"), model="openai/x"))
    changed = await agent(database, "helpdesk")
    assert (changed.name, changed.persona, changed.sponsor, changed.model) == ("helpdesk", "", "bob", "openai/x")


async def test_an_agent_that_left_the_file_is_switched_off_and_can_come_back(database: Database) -> None:
    """Its brain is kept. One added by hand, and people's own, are not the file's to switch off."""
    await shared(database, "by-hand")
    await sync(database, written("helpdesk"))
    await sync(database)
    assert not (await agent(database, "helpdesk")).enabled
    assert (await agent(database, "by-hand")).enabled
    assert (await agent(database, "bob")).enabled

    await sync(database, written("helpdesk"))
    assert (await agent(database, "helpdesk")).enabled


async def test_a_file_that_does_not_fit_changes_nothing(database: Database) -> None:
    """A person's agent under agents.list, or an unknown sponsor: refused as a whole, naming the trouble."""
    with pytest.raises(Conflict, match="'bob'"):
        await sync(database, written("helpdesk"), written("bob"))
    with pytest.raises(NotFound, match="'carol'"):
        await sync(database, written("helpdesk"), written("other", sponsor=UserId("carol")))
    with pytest.raises(NotFound, match="'helpdesk'"):
        await agent(database, "helpdesk")


async def test_a_model_is_chosen_and_given_up(database: Database) -> None:
    """None is the default again; an agent that is not there is said to be not there."""
    bob = AgentId("bob")
    assert (await database.write(lambda c: users.set_model(c, bob, "openai/x"))).model == "openai/x"
    assert (await database.write(lambda c: users.set_model(c, bob, None))).model is None
    with pytest.raises(NotFound):
        await database.write(lambda c: users.set_model(c, AgentId("carol"), None))


async def test_a_key_is_used_from_grant_to_revocation(database: Database) -> None:
    """Keys are an agent's own list, in the order they were granted; granting twice is harmless."""
    bob = AgentId("bob")
    for name in ("zebra", "ant", "zebra"):
        await database.write(lambda c, name=name: users.grant_key(c, bob, name, now=NOW))
    assert await database.read(lambda c: users.granted_keys(c, bob)) == ["ant", "zebra"]
    assert await database.read(lambda c: users.granted_keys(c, AgentId("alice"))) == []

    await database.write(lambda c: users.ungrant_key(c, bob, "zebra"))
    assert await database.read(lambda c: users.granted_keys(c, bob)) == ["ant"]
    with pytest.raises(NotFound, match="'zebra' is not granted"):
        await database.write(lambda c: users.ungrant_key(c, bob, "zebra"))
    with pytest.raises(NotFound):
        await database.write(lambda c: users.grant_key(c, AgentId("carol"), "ant", now=NOW))
