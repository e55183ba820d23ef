"""By which kinds of channel a person may come in: asked as they come, as a turn starts, and as a reply goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from rookery import users
from rookery.channels.contract import Outcome
from rookery.config.addresses import CHANNEL_NAMES
from rookery.errors import Conflict, InvalidInput, Refused
from rookery.gateway.callers import still
from rookery.gateway.operations import people
from rookery.gateway.shapes import UserChange, UserNamed
from rookery.ids import UserId
from rookery.messages.permission import Permission
from rookery.models.scripted import ScriptedModel, Step
from rookery.policy import let_in, permission_for
from rookery.users import CredentialKind, credentials
from tests.gateway.at_the_desk import AtTheDesk
from tests.gateway.test_linking import hears
from tests.support.house import TestHouse

KINDS = {
    "webchat": "web",
    "terminal": "web",
    "api": "api",
    "email": "email",
    "sms": "phone",
    "voice": "phone",
}


@pytest.fixture
async def family(house: TestHouse) -> TestHouse:
    """Alice is an admin; Bob writes on Telegram and by mail."""
    await house.person("alice", admin=True)
    await house.person("bob", telegram="b", email="b@example.org")
    return house


async def permit(house: TestHouse, person: str, words: Iterable[Permission] | None) -> None:
    """Let an admin say by which kinds of channel somebody may come in."""
    ask = UserChange(user_id=person, permissions=None if words is None else tuple(words))
    await people.change(AtTheDesk(house).by("alice", admin=True), ask)


def test_every_channel_is_of_one_kind() -> None:
    """The contract's words; every network that is none of the others is a chat network."""
    assert {name: permission_for(name) for name in (*CHANNEL_NAMES, "api")} == {
        name: KINDS.get(name, "im") for name in (*CHANNEL_NAMES, "api")
    }
    assert permission_for("webchat", "token") is Permission.API
    assert permission_for("telegram", "token") is Permission.IM


def test_none_is_all_and_empty_is_none() -> None:
    """Nothing is allowed because a list was empty."""
    assert all(let_in(None, one) for one in Permission)
    assert not any(let_in((), one) for one in Permission)
    assert [one for one in Permission if let_in(("email", "web"), one)] == [Permission.EMAIL, Permission.WEB]


@pytest.mark.parametrize("allowed", [None, (), (Permission.IM,), (Permission.EMAIL, Permission.WEB)])
async def test_who_may_not_come_this_way_is_not_let_in(
    family: TestHouse, allowed: tuple[Permission, ...] | None
) -> None:
    """Each of a person's ways is open or closed by its kind."""
    await permit(family, "bob", allowed)
    outcomes = {
        Permission.IM: (await family.telegram.says("b", "hello")).outcome,
        Permission.EMAIL: (await family.email.says("b@example.org", "hello")).outcome,
        Permission.WEB: (await family.receive("terminal", "bob", "hello")).outcome,
    }
    expected = {kind: Outcome.ACCEPTED if let_in(allowed, kind) else Outcome.REFUSED for kind in outcomes}
    assert outcomes == expected
    await family.idle()


async def test_the_refusal_says_why(family: TestHouse) -> None:
    """In words a person can read, where there is somebody to read them."""
    await permit(family, "bob", [Permission.IM])
    receipt = await family.receive("terminal", "bob", "hello")
    assert receipt.reason == (
        "You may not use this assistant on the web page and in the terminal; an admin can allow it."
    )


async def test_it_is_asked_again_when_a_turn_starts(family: TestHouse) -> None:
    """What waited when the way was closed is not answered, and no model is asked."""
    gate = asyncio.Event()
    family.model = ScriptedModel([Step(text="1", before=gate), "2", "3"])
    await family.restart()
    await family.telegram.says("b", "first")
    await family.model.asked(1)
    await family.telegram.says("b", "second")

    def close(connection: object) -> None:
        users.set_permissions(connection, UserId("bob"), ["email"])  # pyright: ignore[reportArgumentType]

    await family.database.write(close)  # by another gateway, which tells this one nothing
    gate.set()
    await family.idle()
    assert family.telegram.heard_by("b") == []
    assert len(family.model.requests) == 1


async def test_it_is_asked_again_when_a_reply_is_sent(family: TestHouse) -> None:
    """A reply that its network did not take goes nowhere once the way is closed, nor when it is opened again."""
    family.telegram.fails(times=1)
    await family.telegram.says("b", "hello")
    await family.telegram.tried(1)
    await family.idle()
    await permit(family, "bob", [Permission.EMAIL])
    await family.clock.passes(5)
    await family.idle()
    await permit(family, "bob", None)
    await family.clock.passes(500)
    await family.idle()
    assert family.telegram.heard_by("b") == []


async def test_what_is_being_answered_that_way_stops_at_once(family: TestHouse) -> None:
    """And only that: what came by a way that stays open goes on."""
    gate = asyncio.Event()
    family.model = ScriptedModel([Step(text="late", before=gate)] * 2)
    await family.restart()
    await family.telegram.says("b", "one")
    await family.model.asked(1)
    await permit(family, "bob", [Permission.EMAIL])
    await family.idle()
    assert family.telegram.heard_by("b") == []
    gate.set()
    assert await hears(family, family.email, "b@example.org", "two") == "late"


async def test_tokens_and_devices_stand_for_their_own_kind(family: TestHouse) -> None:
    """Whoever holds something open by one that is closed is told so, and by no other."""
    now = family.clock.now()
    made = {
        kind: await family.database.write(
            lambda connection, kind=kind: credentials.issue(connection, UserId("bob"), kind, "x", now=now)
        )
        for kind in CredentialKind
    }
    token, device = made[CredentialKind.TOKEN], made[CredentialKind.DEVICE]
    desk = AtTheDesk(family)
    by_token = await desk.caller(token.secret, CredentialKind.TOKEN)
    by_device = await desk.caller(device.secret)
    assert by_token is not None
    assert by_device is not None
    with desk.told() as told:
        await permit(family, "bob", [Permission.API])
    assert told == [("bob", device.credential.id)]
    assert await family.database.read(lambda connection: still(connection, by_token, now)) is not None
    assert await family.database.read(lambda connection: still(connection, by_device, now)) is None
    await permit(family, "bob", None)
    assert await family.database.read(lambda connection: still(connection, by_device, now)) is not None


async def test_nobody_logs_in_on_a_page_they_may_not_use(family: TestHouse) -> None:
    """They are told why; whoever does not know the password learns nothing of it."""
    desk = AtTheDesk(family)
    await desk.password("bob")
    await permit(family, "bob", [Permission.API])
    with pytest.raises(Refused, match="on the web page"):
        await desk.login("bob")


async def test_the_last_admin_keeps_the_page(family: TestHouse) -> None:
    """From there the house is kept, so nobody takes it from the last who may; who may not use it is none left."""
    for words in ((), (Permission.IM, Permission.API)):
        with pytest.raises(Conflict, match="last admin"):
            await permit(family, "alice", words)
    await permit(family, "alice", [Permission.WEB])
    await family.person("carol", admin=True)
    await permit(family, "carol", [Permission.IM])
    with pytest.raises(Conflict, match="last admin"):
        await people.change(AtTheDesk(family).operator, UserChange(user_id="alice", role="member"))


async def test_only_an_admin_says_it(family: TestHouse) -> None:
    """It is on record, and shown to the person."""
    desk = AtTheDesk(family)
    with pytest.raises(Refused):
        await people.change(desk.by("bob"), UserChange(user_id="bob", permissions=None))
    await permit(family, "bob", [Permission.WEB, Permission.EMAIL, Permission.WEB])
    assert (await people.shown(desk.by("bob"), UserNamed(user_id="bob"))).permissions == ("email", "web")
    await permit(family, "bob", [])
    await permit(family, "bob", None)
    rows = [row[3] for row in await desk.record() if row[2] == "user.permissions"]
    assert rows == ["bob email,web", "bob none", "bob all"]


async def test_only_known_words_are_kept(family: TestHouse) -> None:
    """Another word is refused by naming those there are."""
    with pytest.raises(InvalidInput, match="there is im, email, phone, web, api"):
        await family.database.write(
            lambda connection: users.set_permissions(connection, UserId("bob"), ["im", "fax"])
        )
