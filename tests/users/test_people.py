"""People: who is known, under which ids."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, InvalidId, InvalidInput, NotFound
from rookery.ids import UserId
from rookery.storage import Database
from rookery.users import UserRole
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


async def test_what_is_said_of_a_person_is_changed(database: Database) -> None:
    """What is left out stays."""
    changed = await database.write(
        lambda c: users.change_user(c, UserId("bob"), name="Bobby", role="admin", timezone="Asia/Tokyo")
    )
    assert (changed.name, changed.role, changed.timezone, changed.language) == (
        "Bobby",
        "admin",
        "Asia/Tokyo",
        "en",
    )
    assert changed == await database.read(lambda c: users.get_user(c, UserId("bob")))
    assert changed == await database.write(lambda c: users.change_user(c, UserId("bob")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus'"),
        ({"timezone": "Europe"}, "'Europe'"),
        ({"timezone": "../../etc/passwd"}, "time zone"),
        ({"language": "español"}, "'español'"),
        ({"language": "e"}, "'e'"),
        ({"language": "en_US"}, "'en_US'"),
        ({"language": "en-" + "x" * 40}, "BCP 47"),
        ({"language": ""}, "BCP 47"),
    ],
)
async def test_what_cannot_be_said_of_a_person(database: Database, change: dict[str, str], words: str) -> None:
    """It is refused when they are changed, and when they are added."""
    with pytest.raises(InvalidInput, match=words):
        await database.write(lambda c: users.change_user(c, UserId("bob"), **change))  # pyright: ignore[reportArgumentType]
    made = {"name": None, "role": "member", "now": NOW} | change
    with pytest.raises(InvalidInput, match=words):
        await database.write(lambda c: users.add_user(c, "carol", **made))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("language", ["es", "pt-BR", "zh-Hant-TW", "sr-Latn-RS", "de-CH-1996", "gsw"])
async def test_languages(database: Database, language: str) -> None:
    """Tags of any length that is in use."""
    assert (
        await database.write(lambda c: users.change_user(c, UserId("bob"), language=language))
    ).language == language


@pytest.mark.parametrize("loss", [{"role": "member"}, {"enabled": False}])
async def test_there_is_an_admin_for_ever(database: Database, loss: dict[str, object]) -> None:
    """The last one stays one; with a second one the first may go, and then the second is the last."""
    alice, bob = UserId("alice"), UserId("bob")
    with pytest.raises(Conflict, match="'alice' is the last admin who may use the page; make somebody else"):
        await database.write(lambda c: users.change_user(c, alice, **loss))  # pyright: ignore[reportArgumentType]
    await database.write(lambda c: users.change_user(c, bob, role="admin"))
    await database.write(lambda c: users.change_user(c, alice, **loss))  # pyright: ignore[reportArgumentType]
    assert await database.read(users.admins) == ["bob"]
    with pytest.raises(Conflict, match="'bob' is the last admin"):
        await database.write(lambda c: users.change_user(c, bob, **loss))  # pyright: ignore[reportArgumentType]


async def test_two_admins_who_step_down_at_once(database: Database) -> None:
    """One of them stays, whatever the order in which their transactions meet."""
    people = (UserId("alice"), UserId("bob"))

    async def become(one: UserId, role: UserRole) -> object:
        return await database.write(lambda c: users.change_user(c, one, role=role))

    for _ in range(20):
        for one in people:
            await become(one, "admin")
        done = await asyncio.gather(*(become(one, "member") for one in people), return_exceptions=True)
        assert sum(isinstance(one, Conflict) for one in done) == 1
        assert len(await database.read(users.admins)) == 1


async def test_preferences_are_changed_one_by_one(database: Database) -> None:
    """What is not named stays, null takes one out, and any JSON is kept."""
    bob = UserId("bob")
    await database.write(lambda c: users.prefer(c, bob, {"theme": "dark", "wide": True, "open": [1, {"a": "ü"}]}))
    changed = await database.write(lambda c: users.prefer(c, bob, {"theme": None, "wide": False}))
    assert json.loads(changed.preferences) == {"wide": False, "open": [1, {"a": "ü"}]}


@pytest.mark.parametrize(
    "changes",
    [
        {"": 1},
        {"a b": 1},
        {"x" * 65: 1},
        {"theme": "x" * 9000},
        {f"p{number}": 1 for number in range(101)},
    ],
)
async def test_preferences_are_bounded(database: Database, changes: dict[str, object]) -> None:
    """In their names, in number and in size; nothing of a change that does not fit is kept."""
    bob = UserId("bob")
    await database.write(lambda c: users.prefer(c, bob, {"theme": "dark"}))
    with pytest.raises(InvalidInput, match="preference"):
        await database.write(lambda c: users.prefer(c, bob, changes))
    assert (await database.read(lambda c: users.get_user(c, bob))).preferences == '{"theme":"dark"}'
