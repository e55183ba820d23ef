"""The first admin: made by whoever has the set-up link, once, while there is none."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rookery import users
from rookery.config import Config
from rookery.errors import Conflict, InvalidId, InvalidInput, NotFound, Refused, TooManyRequests
from rookery.gateway import setup_codes, tables
from rookery.gateway.guessing import FROM_ONE
from rookery.gateway.operations import people, setting_up
from rookery.gateway.operations.logins import LoggedIn
from rookery.gateway.shapes import Nothing, Setup, UserAdd
from rookery.users import tables as user_tables
from tests.gateway.at_the_desk import CAFE, HOME, PASSWORD, AtTheDesk
from tests.support.house import TestHouse


@pytest.fixture
async def desk(house: TestHouse) -> AtTheDesk:
    """Bob is known; there is no admin."""
    await house.person("bob")
    return AtTheDesk(house)


async def code_of(desk: AtTheDesk) -> str:
    link = await setting_up.make_setup_link(desk.operator, Nothing())
    return link.url.partition("#")[2]


async def setup(desk: AtTheDesk, code: str, username: str = "alice", source: str = HOME, **more: Any) -> LoggedIn:
    ask = Setup(**({"code": code, "username": username, "password": PASSWORD} | more))
    return await setting_up.setup(desk.operator, ask, source=source, device_name="browser")


async def test_the_first_admin(desk: AtTheDesk) -> None:
    """Whoever opens the link is the admin they say, is in, and comes in again by what they chose."""
    code = await code_of(desk)
    came = await setup(desk, code, name="Alice", timezone="Europe/Madrid", language="es")
    me = came.me
    assert (me.id, me.name, me.role, me.timezone, me.language) == (
        "alice",
        "Alice",
        "admin",
        "Europe/Madrid",
        "es",
    )
    assert not me.must_change_password
    caller = await desk.caller(came.secret)
    assert caller is not None
    assert caller.actor.admin
    assert (await desk.login("alice")).me == me
    assert [row for row in await desk.record() if row[2] != "login"] == [
        ("operator", None, "setup.link", "house", "allowed"),
        ("user:alice", "alice", "setup", HOME, "allowed"),
    ]


async def test_a_link_works_once(desk: AtTheDesk) -> None:
    """And there is no other once there is an admin."""
    code = await code_of(desk)
    await setup(desk, code)
    with pytest.raises(Refused, match="rookery setup-link"):
        await setup(desk, code, "mallory")
    with pytest.raises(Conflict, match=r"There is an admin already: alice\. .*rookery user passwd alice"):
        await code_of(desk)


async def test_two_at_the_same_moment(desk: AtTheDesk) -> None:
    """One of them is the admin."""
    code = await code_of(desk)
    done = await asyncio.gather(
        *(setup(desk, code, username, source) for username, source in (("alice", HOME), ("mallory", CAFE))),
        return_exceptions=True,
    )
    assert [type(one) for one in done if isinstance(one, Exception)] == [Refused]
    assert len(await desk.house.database.read(users.admins)) == 1


async def test_a_link_ends_after_a_quarter_of_an_hour(desk: AtTheDesk) -> None:
    """To the second; and a clock that is set back gives it no more time."""
    code = await code_of(desk)
    await desk.house.clock.passes(15 * 60 - 1)
    with pytest.raises(InvalidInput):
        await setup(desk, code, password="short")
    await desk.house.clock.passes(1)
    with pytest.raises(Refused):
        await setup(desk, code)
    code = await code_of(desk)
    await desk.house.clock.passes(-timedelta(days=1).total_seconds())
    with pytest.raises(Refused):
        await setup(desk, code)


async def test_a_new_link_ends_the_one_before(desk: AtTheDesk) -> None:
    """Only the last one printed works."""
    first, second = await code_of(desk), await code_of(desk)
    with pytest.raises(Refused):
        await setup(desk, first)
    assert (await setup(desk, second)).me.id == "alice"


async def test_an_admin_of_another_making_ends_it(desk: AtTheDesk) -> None:
    """Once somebody is an admin, however, the link makes nobody one."""
    code = await code_of(desk)
    await people.add(desk.operator, UserAdd(id="carol", role="admin"))
    with pytest.raises(Refused):
        await setup(desk, code)
    with pytest.raises(NotFound):
        await desk.user("alice")


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"username": "bob"}, Conflict, "already a user 'bob'; choose another id"),
        ({"username": "BOB"}, Conflict, "already a user 'bob'"),
        ({"username": "a b"}, InvalidId, "'a-b'"),
        ({"username": "guest"}, Conflict, "session.identityLinks"),
        ({"password": "password"}, InvalidInput, "first that anybody"),
        ({"password": "alice"}, InvalidInput, "at least 8"),
        ({"timezone": "Mars/Olympus"}, InvalidInput, "'Mars/Olympus'"),
        ({"language": "?"}, InvalidInput, "BCP 47"),
        ({"name": "\n"}, InvalidInput, "name"),
    ],
)
async def test_what_does_not_fit(
    desk: AtTheDesk, wrong: dict[str, str], error: type[Exception], words: str
) -> None:
    """Is said, makes nobody, and leaves the link as good as it was: also the name of somebody who is known."""
    linked = Config.model_validate({"session": {"identityLinks": {"guest": ["telegram:1"]}}})
    desk = AtTheDesk(desk.house, config=linked)
    code = await code_of(desk)
    with pytest.raises(error, match=words):
        await setup(desk, code, **wrong)
    assert (await desk.user("bob")).role == "member"
    assert [one.id for one in await desk.house.database.read(users.list_users)] == ["bob"]
    assert (await setup(desk, code)).me.id == "alice"


async def test_codes_are_not_guessed(desk: AtTheDesk) -> None:
    """Wrong codes are slowed as wrong passwords are, and cost no hash."""
    await code_of(desk)
    for wrong in ["", "x", "\0", "\ud800", *["guess"] * (FROM_ONE - 4)]:
        with pytest.raises(Refused):
            await setup(desk, wrong)
    with pytest.raises(TooManyRequests):
        await setup(desk, await code_of(desk))
    assert (await setup(desk, await code_of(desk), source=CAFE)).me.role == "admin"


async def test_the_code_itself_is_not_kept(desk: AtTheDesk) -> None:
    """Whoever reads the database finds no way in."""
    code = await code_of(desk)
    rows = await desk.house.database.read(lambda c: c.execute(user_tables.setup_codes.select()).all())
    audit = await desk.house.database.read(lambda c: c.execute(tables.audit.select()).all())
    assert len(rows) == 1
    assert code not in repr([*rows, *audit])
    assert len(code) >= 43  # 256 bits
    assert code not in desk.house.log_text
    assert await desk.house.database.read(lambda c: setup_codes.is_valid(c, code, desk.house.clock.now()))


@pytest.mark.parametrize(
    ("web", "address", "begins"),
    [
        ({}, "http://127.0.0.1:8484", "http://127.0.0.1:8484/setup#"),
        ({}, "http://0.0.0.0:9000", "http://127.0.0.1:9000/setup#"),
        ({}, "http://[::]:9000", "http://[::1]:9000/setup#"),
        ({"host": "0.0.0.0", "port": 7000}, None, "http://127.0.0.1:7000/setup#"),
        ({"host": "::1", "port": 7000}, None, "http://[::1]:7000/setup#"),
        ({"publicUrl": "https://rookery.example.org/"}, "http://0.0.0.0:1", "https://rookery.example.org/setup#"),
    ],
)
async def test_where_the_link_leads(
    desk: AtTheDesk, web: dict[str, object], address: str | None, begins: str
) -> None:
    """To the address people open, or to where the gateway listens, in a form that a browser opens."""
    desk = AtTheDesk(desk.house, address=address, config=Config.model_validate({"gateway": web}))
    link = await setting_up.make_setup_link(desk.operator, Nothing())
    assert link.url.startswith(begins)
    assert link.expires_at - desk.house.clock.now() == timedelta(minutes=15)
