"""Applying a people file: the difference is what is done, all of it or nothing, and once."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from rookery import users
from rookery.config import Config, WrittenAddress
from rookery.config.people_checks import Claims
from rookery.errors import RookeryError
from rookery.gateway import audit, schema
from rookery.gateway.people_file import Applied
from rookery.ids import AgentId, UserId
from rookery.sessions import MemoryBrains
from rookery.storage import Database
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.sqlite import SqliteDatabase
from rookery.users import passwords, put, tables
from rookery.users.credentials import CredentialKind, issue
from rookery.users.described import DescribedBudget, DescribedFriend, DescribedPerson, Where
from tests.config.people_files import HASH
from tests.gateway.made import NOW
from tests.gateway.people_files import Applying
from tests.support.databases import fresh_database
from tests.support.house import TestHouse

OTHER_HASH = HASH.replace("c29t", "b29t")


@pytest.fixture
async def applying(database: Database) -> Applying:
    """An empty store, on both databases, and brains in memory."""
    return Applying(database, MemoryBrains())


def person(id: str, **said: Any) -> DescribedPerson:
    return DescribedPerson(id=id, **said)


def lines(applied: Applied) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.user_id, one.key, one.before, one.after) for one in applied.changes]


async def test_rights_the_file_gave_go_with_their_line(applying: Applying) -> None:
    """What the file said and says no more: role and permissions are as if never said, its addresses are unlinked.

    What somebody else said stays, and so does what is no right.
    """
    carol = person("carol", role="admin")
    await applying([carol, person("alice", role="admin", permissions=("web",), im=("telegram:1",), name="A")])
    await applying.database.write(
        lambda c: users.link(c, UserId("alice"), "telegram", None, "2", now=NOW)  # as they would in chat
    )
    applied = await applying([carol, person("alice")])
    assert lines(applied) == [
        ("alice", "role", "admin", "member"),
        ("alice", "permissions", "web", "all"),
        ("alice", "address", "telegram:1", None),
    ]
    [left] = await applying.database.read(lambda c: users.list_identities(c, UserId("alice")))
    assert (left.sender, (await applying.database.read(lambda c: users.get_user(c, UserId("alice")))).name) == (
        "2",
        "A",
    )

    await applying.database.write(lambda c: users.set_permissions(c, UserId("alice"), ["im"]))
    assert lines(await applying([carol, person("alice")])) == []


async def test_an_address_moves_within_a_file(applying: Applying) -> None:
    """Taken from one person's line and written into another's, it is the other's; else it is nobody's to take."""
    await applying([person("alice", im=("telegram:1", "telegram:2")), person("bob")])
    applied = await applying([person("alice", im=("telegram:2",)), person("bob", im=("telegram:1",))])
    assert lines(applied) == [("alice", "address", "telegram:1", None), ("bob", "address", None, "telegram:1")]

    refused = await applying([person("bob", im=("telegram:1", "telegram@home:2"))])
    assert [(one.where, one.text) for one in refused.problems] == [
        (
            ("users", 0, "im", 1),
            (
                "is 'telegram@home:2', which belongs to 'alice'; to give it to 'bob', first: "
                "rookery identity unlink alice telegram 2 --account home"
            ),
        )
    ]


async def test_a_person_keeps_the_password_they_chose(applying: Applying) -> None:
    """The file's hash is taken when it is another than the file had before, and never puts back an older one."""
    database = applying.database

    async def kept() -> passwords.Kept | None:
        return await database.read(lambda c: passwords.get_password(c, UserId("alice")))

    await applying([person("alice", password_hash=HASH)])
    assert await kept() == passwords.Kept(HASH, must_change=False)
    own = HASH.replace("c29t", "YW5k")
    await database.write(lambda c: passwords.keep_password(c, UserId("alice"), own, must_change=False, now=NOW))
    device = await database.write(
        lambda c: issue(c, UserId("alice"), CredentialKind.DEVICE, "browser", now=NOW).credential.id
    )
    assert lines(await applying([person("alice", password_hash=HASH, name="Alice")])) == [
        ("alice", "name", "alice", "Alice")
    ]
    assert await kept() == passwords.Kept(own, must_change=False)

    applying.ended.clear()
    await applying([person("alice", password_hash=OTHER_HASH)])
    assert await kept() == passwords.Kept(OTHER_HASH, must_change=False)
    assert [one.closed for one in applying.ended] == [((UserId("alice"), device),)]

    refused = await applying([person("alice", password_hash=HASH.replace("65536", "64"))])
    assert [one.where for one in refused.problems] == [("users", 0, "passwordHash")]


async def test_a_first_password_is_taken_once(applying: Applying) -> None:
    """It is hashed, has to be changed, and is never read again; an easy one only where the file may hold it."""
    first = await applying([person("alice", password="a green heron")])
    assert ("alice", "password", None, "(set)") in lines(first)
    kept = await applying.database.read(lambda c: passwords.get_password(c, UserId("alice")))
    assert kept is not None
    assert kept.must_change
    assert kept.hash.startswith("$argon2id$")
    again = await applying([person("alice", password="a blue heron")])
    assert (lines(again), again.notes) == (
        [],
        ("alice: has a password already; the one in the file is not read again",),
    )
    refused = await applying([person("bob", password="sunshine1")])
    assert [one.where for one in refused.problems] == [("users", 0, "password")]
    easy = await applying([person("bob", password="easy", any_password=True)])
    assert ("bob", "password", None, "(set)") in lines(easy)


async def test_somebody_keeps_the_house(applying: Applying) -> None:
    """A file that would leave nobody an admin who may use the page is refused, at the line that does it."""
    await applying([person("alice", role="admin")])
    for said in ({"role": "member"}, {"role": "admin", "permissions": ("im",)}, {}):
        refused = await applying([person("bob"), person("alice", **said)])
        assert [one.where for one in refused.problems] == [("users", 1, "role")]
    assert not (await applying([person("bob", role="admin"), person("alice", role="member")])).problems


async def test_people_who_left_the_file_stay(applying: Applying) -> None:
    """They are named, and nothing is taken from them."""
    await applying([person("alice"), person("bob", im=("telegram:1",))])
    before = await applying.state()
    applied = await applying([person("alice")])
    assert (applied.left, applied.changes) == (("bob",), ())
    assert await applying.state() == before


async def test_friends_are_added_and_changed(applying: Applying) -> None:
    """A friend is an agent of its person's; what is not said of it stays, and one that left the file stays too."""
    ann = DescribedFriend(name="Ann", relation="friend", who={"language": "zh"}, model="offline/demo")
    await applying([person("alice", friends=(ann, DescribedFriend(name="Bo")))])
    agent = await applying.database.read(lambda c: users.get_agent(c, AgentId("alice--Ann")))
    assert (agent.name, agent.relation, agent.who, agent.model, agent.from_file) == (
        "Ann",
        "friend",
        {"language": "zh"},
        "offline/demo",
        True,
    )
    changed = await applying([person("alice", friends=(DescribedFriend(name="Anna", id="Ann"),))])
    assert lines(changed) == [("alice", "friends.Ann.name", "Ann", "Anna")]
    assert [one.id for one in await applying.database.read(lambda c: users.friends_of(c, UserId("alice")))] == [
        "alice--Ann",
        "alice--Bo",
    ]
    refused = await applying([person("alice", friends=(DescribedFriend(name="BO", id="other"),))])
    assert [one.where for one in refused.problems] == [("users", 0, "friends", 0, "name")]
    refused = await applying([person("alice", friends=(DescribedFriend(name="ANN"),))])
    assert [one.where for one in refused.problems] == [("users", 0, "friends", 0, "id")]


async def test_what_rookery_yaml_names_is_not_taken(applying: Applying) -> None:
    """Nobody is given the id of a guest or shared agent of the configuration, nor a model it does not allow."""
    applying.config = Config.model_validate(
        {
            "agents": {"list": [{"id": "desk", "sponsor": "alice"}]},
            "session": {"identityLinks": {"grandma": ["telegram:9"]}},
            "models": {"allowed": ["offline/demo"]},
        }
    )
    refused = await applying([person("Desk"), person("Grandma"), person("alice", model="openai/gpt-x")])
    assert [one.where for one in refused.problems] == [
        ("users", 0, "id"),
        ("users", 1, "id"),
        ("users", 2, "model"),
    ]


async def test_a_friends_text_is_copied_once(house: TestHouse) -> None:
    """It lies in the friend's workspace when the friend is there; what somebody makes of it then is theirs."""
    applying = Applying(house.database, house.gateway.brains)

    def with_text(text: str) -> tuple[list[DescribedPerson], dict[str, str]]:
        digest = hashlib.sha256(text.encode()).hexdigest()
        return [person("alice", friends=(DescribedFriend(name="Ann", identity=digest),))], {digest: text}

    async def lies_there() -> bytes:
        async with house.gateway.brains.use(AgentId("alice--Ann")) as brain:
            return await brain.workspace.read("identity.md")

    def gone(_: Connection) -> None:
        raise KilledError

    applying.still = gone
    with pytest.raises(KilledError):
        await applying(*with_text("Born in Chengdu."))
    applying.still = lambda _: None
    await applying(*with_text("Born in Lima."))
    assert await lies_there() == b"Born in Lima."

    async with house.gateway.brains.use(AgentId("alice--Ann")) as brain:
        await brain.workspace.write("identity.md", b"Born in Rome.")
    assert lines(await applying(*with_text("Born in Oslo."))) == []
    assert await lies_there() == b"Born in Rome."


class KilledError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("name", ["unlink", "people", "agents", "link", "budgets", "passwords", "says"])
async def test_an_end_in_the_middle_leaves_all_or_nothing(
    applying: Applying, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whenever the process ends, the file is not applied at all; applied again, it is whole."""
    await applying([person("alice", im=("telegram:1",), role="admin")])
    after = [
        person("alice", role="admin", budget=DescribedBudget(per_day_tokens=5), password_hash=HASH),
        person("bob", im=("telegram:1",), friends=(DescribedFriend(name="Ann"),)),
    ]
    before = await applying.state()
    real: Callable[..., Any] = getattr(put, name)

    def dies(*arguments: Any) -> None:
        real(*arguments)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(put, name, dies)
        with pytest.raises(KilledError):
            await applying(after)
    assert await applying.state() == before
    assert len(lines(await applying(after))) == 6
    assert lines(await applying(after)) == []


async def test_what_was_done_is_on_record(applying: Applying) -> None:
    """One row for the file and one for each thing done, in one chain, which the person concerned can see."""
    await applying([person("alice", role="admin", im=("telegram:1",)), person("bob", password_hash=HASH)])

    def look(connection: Connection) -> list[tuple[str, str, str | None]]:
        rows = audit.rows(connection, audit.Wanted(), 100)
        return [(one.row.action, one.row.object, one.row.on_behalf_of) for one in reversed(rows)]

    assert await applying.database.read(look) == [
        ("people.apply", "2 people", None),
        ("user.add", "alice admin", "alice"),
        ("identity.link", "telegram:1", "alice"),
        ("user.add", "bob member", "bob"),
        ("password.set", "bob", "bob"),
    ]
    found = await applying.database.read(lambda c: audit.verify(c, []))
    assert found is None


async def test_a_thousand_people_are_quick(applying: Applying) -> None:
    """A thousand people with friends and addresses go in at once, and looking whether they changed is short."""
    people = [
        person(
            f"u{n}",
            im=(f"telegram:{n}",),
            email=(f"email:u{n}@example.org",),
            friends=(DescribedFriend(name="Ann"),),
        )
        for n in range(1000)
    ]
    began = time.perf_counter()
    assert len((await applying(people)).changes) == 4000
    applied = time.perf_counter()
    assert (await applying(people)).changes == ()
    assert applied - began < 20
    assert time.perf_counter() - applied < 10


# --- any file ---------------------------------------------------------------------------------------------------

_ids = st.sampled_from(["alice", "bob", "carol", "dave"])
_some = st.sampled_from


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_friends = st.lists(
    st.builds(
        DescribedFriend,
        name=_some(["Ann", "Bo", "Cy", "ann"]),
        id=_maybe(_some(["ann", "bo", "x"])),
        relation=_maybe(_some(["friend", "coach"])),
        who=_maybe(_some([{"language": "zh"}, {"roles": ["friend"]}])),
        persona=_maybe(_some(["", "Kind."])),
        model=_maybe(_some([*["offline/demo"] * 9, "nobody/x"])),
    ),
    max_size=2,
).map(tuple)

_people = st.lists(
    st.builds(
        DescribedPerson,
        id=_ids,
        name=_maybe(_some(["A", "B"])),
        role=_maybe(_some(["admin", "member"])),
        timezone=_maybe(_some(["UTC", "Europe/Madrid"])),
        language=_maybe(_some(["en", "es"])),
        password_hash=_maybe(_some([HASH, OTHER_HASH])),
        im=st.lists(
            _some(["telegram:1", "telegram:2", "telegram@a:1", "telegram@b:1", "matrix:@x:y"]), max_size=3
        ).map(tuple),
        email=st.lists(_some(["email:a@b.c", "email:A@B.C"]), max_size=1).map(tuple),
        permissions=_maybe(_some([(), ("web",), ("im", "web"), ("web", "im")])),
        model=_maybe(_some(["offline/demo"])),
        skills=_maybe(_some([(), ("weather",)])),
        budget=_maybe(st.builds(DescribedBudget, per_day_tokens=_maybe(st.integers(0, 2)))),
        friends=_friends,
    ),
    max_size=3,
).map(tuple)

_by_hand = st.lists(
    st.tuples(_some(["link", "unlink", "role", "permissions", "add", "password"]), _ids, _some(["1", "2"])),
    max_size=3,
)


async def check_file(applying: Applying, people: Sequence[DescribedPerson]) -> None:
    """What is promised of applying any file to any store."""
    before = await applying.state()
    rehearsed = await applying(people, rehearsal=True)
    assert await applying.state() == before, "a rehearsal changes nothing"
    applied = await applying(people)
    after = await applying.state()
    assert (applied.changes, applied.problems) == (rehearsed.changes, rehearsed.problems), "it did what it said"
    if applied.problems:
        assert after == before, "a file with a problem changes nothing"
        return
    again = await applying(people)
    assert (again.changes, again.problems) == ((), ()), "the same file twice changes nothing"
    assert await applying.state() == after

    def look(connection: Connection) -> None:
        seen: dict[tuple[str, str], set[str]] = {}
        for row in connection.execute(select(tables.identities)):
            seen.setdefault((row.channel, row.sender), set())
            if row.account == "":
                seen[row.channel, row.sender].add(row.user_id)
        for row in connection.execute(select(tables.identities)):
            everywhere = seen[row.channel, row.sender]
            assert everywhere <= {row.user_id}, "an address is one person's, on every account"
        for one in people:
            user = users.get_user(connection, UserId(one.id))
            assert user.from_file
            for key in ("name", "role", "timezone", "language"):
                assert getattr(one, key) in (None, getattr(user, key))
            if one.permissions is not None:
                assert set(one.permissions) == set(user.permissions or ())
            mine = {(i.channel, i.account, i.sender) for i in users.list_identities(connection, user.id)}
            for text in (*one.email, *one.im):
                head, _, sender = text.partition(":")
                channel, _, account = head.partition("@")
                sender = sender.lower() if channel == "email" else sender
                assert {(channel, account or None, sender), (channel, None, sender)} & mine
            names = {agent.name for agent in users.friends_of(connection, user.id)}
            assert {friend.name for friend in one.friends} <= names

    await applying.database.read(look)


def _do_by_hand(connection: Connection, what: str, id: str, word: str) -> None:
    """What people and operators do between two files."""
    try:
        with connection.begin_nested():
            match what:
                case "link":
                    users.link(connection, UserId(id), "telegram", None, word, now=NOW)
                case "unlink":
                    users.unlink(connection, UserId(id), "telegram", None, word)
                case "role":
                    users.change_user(connection, UserId(id), role="admin" if word == "1" else "member")
                case "permissions":
                    users.set_permissions(connection, UserId(id), None if word == "1" else ["im"])
                case "add":
                    users.add_user(connection, id, name=None, role="member", now=NOW)
                case _:
                    users.get_user(connection, UserId(id))
                    passwords.keep_password(connection, UserId(id), OTHER_HASH, must_change=False, now=NOW)
    except RookeryError:
        pass  # what cannot be is not done


async def _play(database: Database, script: Sequence[tuple[Sequence[DescribedPerson], Any]]) -> None:
    applying = Applying(database, MemoryBrains())
    for people, edits in script:
        await check_file(applying, people)
        for edit in edits:
            await database.write(lambda connection, edit=edit: _do_by_hand(connection, *edit))


_scripts = st.lists(st.tuples(_people, _by_hand), min_size=1, max_size=3)


async def _on_sqlite(script: Any) -> None:
    database = SqliteDatabase(None)
    try:
        await database.write(schema.prepare)
        await _play(database, script)
    finally:
        await database.close()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_scripts)
def test_any_file_on_any_store(script: Any) -> None:
    """Rehearsal and deed are the same, twice is once, no address is two people's, whatever was done by hand."""
    asyncio.run(_on_sqlite(script))


def test_any_file_on_postgresql() -> None:
    """The same on the served database, one file after the other on one store."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database()).app_url

        @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(_scripts)
        def play(script: Any) -> None:
            async def run() -> None:
                database = PostgresDatabase(url, connections=2)
                try:
                    await _play(database, script)
                finally:
                    await database.close()

            asyncio.run(run())

        play()


async def test_an_address_taken_by_the_last_would_be_seen(
    applying: Applying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were an address of two people in a file the last one's, what is promised of any file would not hold."""

    def whoever(self: Claims, address: WrittenAddress, where: Where) -> None:
        del self, address, where

    monkeypatch.setattr(Claims, "claim", whoever)
    people = [person("alice", im=("telegram:1",)), person("bob", im=("telegram@a:1",))]
    with pytest.raises(AssertionError, match="the same file twice changes nothing"):
        await check_file(applying, people)
