"""People: who is known, under which ids."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, InvalidId, InvalidInput, NotFound
from rookery.ids import UserId
from rookery.storage import Database
from tests.users.conftest import NOW


async def test_a_person_is_kept_as_written(database: Database) -> None:
    """What was said of a person is read back; a name that was left out is the id."""
    alice = await database.read(lambda c: users.get_user(c, UserId("alice")))
    bob = await database.read(lambda c: users.get_user(c, UserId("bob")))

    assert (alice.name, alice.role, alice.timezone, alice.language) == ("Alice", "admin", "Europe/Madrid", "es")
    assert (bob.name, bob.role, bob.timezone, bob.language) == ("bob", "member", "UTC", "en")
    assert alice.enabled
    assert alice.created_at == NOW


async def test_a_person_comes_with_an_agent_of_their_own(database: Database) -> None:
    """The main agent has the person's id, belongs to them, and nobody sponsors it."""
    bob = await database.read(lambda c: users.get_user(c, UserId("bob")))
    agent = await database.read(lambda c: users.get_agent(c, bob.main_agent))
    assert (agent.id, agent.owner, agent.sponsor, agent.shared) == ("bob", "bob", None, False)


async def test_people_are_listed_by_id(database: Database) -> None:
    """Everybody, in order."""
    assert [user.id for user in await database.read(users.list_users)] == ["alice", "bob"]


async def test_an_id_is_unique_regardless_of_case(database: Database) -> None:
    """ALICE is taken by alice, and the refusal names her; the exact spelling alone finds her."""
    with pytest.raises(Conflict, match="'alice'"):
        await database.write(lambda c: users.add_user(c, "ALICE", name=None, role="member", now=NOW))
    assert await database.read(lambda c: users.is_taken(c, "Alice"))
    assert not await database.read(lambda c: users.is_taken(c, "carol"))
    with pytest.raises(NotFound, match="'Alice'"):
        await database.read(lambda c: users.get_user(c, UserId("Alice")))


async def test_an_id_that_is_an_agent_s_is_taken_too(database: Database) -> None:
    """A person's main agent would have the shared agent's id."""
    await database.write(
        lambda c: users.add_shared_agent(c, "helpdesk", sponsor=UserId("alice"), name=None, now=NOW)
    )
    with pytest.raises(Conflict, match="an agent 'helpdesk'"):
        await database.write(lambda c: users.add_user(c, "Helpdesk", name=None, role="member", now=NOW))


async def test_an_id_that_does_not_fit_is_refused(database: Database) -> None:
    """Nothing is rewritten, and nothing is kept."""
    for id in ("", "a b", "main", "x--y", "ünal", "-a", "a" * 64):
        with pytest.raises(InvalidId):
            await database.write(lambda c, wrong=id: users.add_user(c, wrong, name=None, role="member", now=NOW))
    assert len(await database.read(users.list_users)) == 2


async def test_a_time_zone_has_to_be_one(database: Database) -> None:
    """Refused with an example of what would be right; no path of the host is opened."""

    def add(connection: Connection, zone: str) -> None:
        users.add_user(connection, "carol", name=None, role="member", now=NOW, timezone=zone)

    for zone in ("Europe/Nowhere", "", "../etc/passwd", "/etc/passwd", "a\0b", "Europe", "x" * 5000):
        with pytest.raises(InvalidInput, match="Europe/Madrid"):
            await database.write(partial(add, zone=zone))


async def test_a_name_may_be_left_out_but_not_empty(database: Database) -> None:
    """An empty name would be nobody's."""
    with pytest.raises(InvalidInput, match="empty"):
        await database.write(lambda c: users.add_user(c, "carol", name=" ", role="member", now=NOW))
