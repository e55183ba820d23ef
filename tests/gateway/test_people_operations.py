"""What is done to people: by themselves, by an admin, by somebody who may not; and what it ends at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rookery import users
from rookery.errors import Conflict, InvalidInput, NotFound, Refused, RookeryError, WrongLogin
from rookery.gateway.operations import Desk, credentials, logins, me, people, setting_up
from rookery.gateway.shapes import (
    CredentialNamed,
    IdentityChange,
    IdentityList,
    MeChange,
    Nothing,
    PasswordSet,
    TokenList,
    TokenNew,
    UserAdd,
    UserChange,
    UserNamed,
)
from rookery.messages import Address
from rookery.models.scripted import ScriptedModel, Step
from rookery.policy import Schedule
from rookery.users import CredentialKind
from tests.gateway.at_the_desk import PASSWORD, AtTheDesk
from tests.support.house import TestHouse


@pytest.fixture
async def desk(house: TestHouse) -> AtTheDesk:
    """Alice is an admin; Bob and Carol are not."""
    await house.person("alice", admin=True)
    await house.person("bob", telegram="b", email="bob@example.org")
    await house.person("carol", telegram="c")
    return AtTheDesk(house)


# --- who may --------------------------------------------------------------------------------------------------

Ask = Callable[[Desk, str], Any]

ON_A_PERSON: dict[str, tuple[Ask, str]] = {
    "show": (lambda desk, name: people.shown(desk, UserNamed(user_id=name)), "person.read"),
    "change": (lambda desk, name: people.change(desk, UserChange(user_id=name, name="X")), "person.manage"),
    "disable": (lambda desk, name: people.change(desk, UserChange(user_id=name, enabled=False)), "person.manage"),
    "zone": (lambda desk, name: people.change(desk, UserChange(user_id=name, timezone="UTC")), "person.manage"),
    "me": (lambda desk, name: me.me(desk, name), "person.read"),
    "change me": (lambda desk, name: me.change_me(desk, name, MeChange(language="es")), "person.preferences"),
    "password": (
        lambda desk, name: logins.set_password(desk, PasswordSet(user_id=name, password=PASSWORD)),
        "person.password",
    ),
    "new token": (lambda desk, name: credentials.create_token(desk, TokenNew(user_id=name)), "token.create"),
    "tokens": (lambda desk, name: credentials.list_tokens(desk, TokenList(user_id=name)), "credential.read"),
    "devices": (lambda desk, name: credentials.list_devices(desk, name), "credential.read"),
    "addresses": (lambda desk, name: people.identities(desk, IdentityList(user_id=name)), "identity.read"),
    "link": (
        lambda desk, name: people.link(desk, IdentityChange(user_id=name, channel="telegram", sender="9")),
        "identity.link",
    ),
    "unlink": (
        lambda desk, name: people.unlink(desk, IdentityChange(user_id=name, channel="telegram", sender="c")),
        "identity.link",
    ),
}
ON_THE_HOUSE: dict[str, tuple[Ask, str]] = {
    "add": (lambda desk, name: people.add(desk, UserAdd(id=f"new-{name}")), "people.add"),
    "all addresses": (lambda desk, _: people.identities(desk, IdentityList()), "people.list"),
    "set-up": (lambda desk, _: setting_up.make_setup_link(desk, Nothing()), "setup.link"),
}


@pytest.mark.parametrize("what", ON_A_PERSON)
async def test_somebody_else_is_nobody(desk: AtTheDesk, what: str) -> None:
    """To Bob, Carol and a name there is not look alike; nothing is done, and that he tried to is on record."""
    ask, action = ON_A_PERSON[what]
    before = await desk.user("carol")
    for name in ("carol", "nobody", "x\0y", "CAROL"):
        with pytest.raises(NotFound) as error:
            await ask(desk.by("bob"), name)
        assert error.value.detail == f"There is no user {name!r}."
    assert await desk.user("carol") == before
    kept = [
        ("user:bob", "carol", action, "carol", "denied"),
        *3 * [("user:bob", None, action, "person", "denied")],
    ]
    assert await desk.record() == ([] if action.endswith(".read") else kept)
    assert action in desk.house.log_text


@pytest.mark.parametrize("what", ON_THE_HOUSE)
async def test_the_house_is_an_admin_s(desk: AtTheDesk, what: str) -> None:
    """It is said why not, and that he tried is on record; work that Alice planned has no such rights either."""
    ask, action = ON_THE_HOUSE[what]
    with pytest.raises(Refused, match="Only an admin"):
        await ask(desk.by("bob"), "bob")
    kept = [("user:bob", None, action, "house", "denied")]
    assert await desk.record() == ([] if action == "people.list" else kept)
    with pytest.raises(Refused):
        await ask(desk.operator.of(Schedule((await desk.user("alice")).id)), "alice")


async def test_nobody_but_oneself_makes_a_token(desk: AtTheDesk) -> None:
    """An admin can lock somebody out, never become them; the operator, who holds the disk, can."""
    with pytest.raises(NotFound):
        await credentials.create_token(desk.by("alice", admin=True), TokenNew(user_id="bob"))
    made = await credentials.create_token(desk.operator, TokenNew(name="script", user_id="bob"))
    caller = await desk.caller(made.token, CredentialKind.TOKEN)
    assert caller is not None
    assert caller.user.id == "bob"
    with pytest.raises(InvalidInput, match="userId"):
        await credentials.create_token(desk.operator, TokenNew())


@pytest.mark.parametrize("what", ["change", "add", "password", "link"])
async def test_an_admin_who_is_none_any_more(desk: AtTheDesk, what: str) -> None:
    """A request that began while Alice was an admin does nothing once she is none."""
    await people.change(desk.operator, UserChange(user_id="bob", role="admin"))
    began = desk.by("alice", admin=True)
    await people.change(desk.operator, UserChange(user_id="alice", role="member"))
    ask, _ = (ON_A_PERSON | ON_THE_HOUSE)[what]
    with pytest.raises(Refused, match="any more"):
        await ask(began, "carol")


# --- being one ------------------------------------------------------------------------------------------------


async def test_people_see_themselves(desk: AtTheDesk) -> None:
    """Members see themselves alone, an admin everybody."""
    assert [one.id for one in await people.listed(desk.by("bob"), Nothing())] == ["bob"]
    assert [one.id for one in await people.listed(desk.by("alice", admin=True), Nothing())] == [
        "alice",
        "bob",
        "carol",
    ]
    assert (await people.shown(desk.by("bob"), UserNamed(user_id="bob"))).agents == ("bob",)
    assert len(await people.identities(desk.by("bob"), IdentityList(user_id="bob"))) == 2
    with pytest.raises(NotFound, match="there is alice, bob, carol"):
        await people.shown(desk.by("alice", admin=True), UserNamed(user_id="dave"))


async def test_what_people_change_of_themselves(desk: AtTheDesk) -> None:
    """Time zone, language and how the page looks; a name is an admin's to give."""
    bob = desk.by("bob")
    changed = await me.change_me(
        bob, "bob", MeChange.of({"timezone": "Asia/Tokyo", "theme": "dark", "preferences": {"wide": True}})
    )
    assert (changed.timezone, changed.language) == ("Asia/Tokyo", "en")
    assert changed.preferences == {"theme": "dark", "wide": True}
    assert (await me.change_me(bob, "bob", MeChange.of({"theme": None}))).preferences == {"wide": True}
    assert (await people.change(bob, UserChange(user_id="bob", language="pt-BR"))).language == "pt-BR"
    assert await me.me(bob, "bob") == await me.change_me(bob, "bob", MeChange())

    with pytest.raises(Refused, match="Only an admin"):
        await me.change_me(bob, "bob", MeChange(name="Alice"))
    for change in (UserChange(user_id="bob", role="admin"), UserChange(user_id="bob", name="Alice")):
        with pytest.raises(Refused, match="Only an admin"):
            await people.change(bob, change)
    renamed = await me.change_me(desk.by("alice", admin=True), "alice", MeChange(name="Alicia"))
    assert renamed.name == "Alicia"
    assert [row[2:] for row in await desk.record() if row[-1] == "allowed"] == [
        ("user.change", "bob", "allowed"),
        ("user.change", "bob", "allowed"),
        ("user.change", "alice", "allowed"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "admin"},
        {"id": "alice"},
        {"password": "x"},
        {"mustChangePassword": False},
        {"enabled": True},
        {"timezone": 7},
        {"preferences": []},
    ],
)
def test_what_nobody_changes_of_themselves(fields: dict[str, object]) -> None:
    """What is no preference is not taken for one."""
    with pytest.raises(InvalidInput):
        MeChange.of(fields)


async def test_a_person_with_a_password(desk: AtTheDesk) -> None:
    """Who is added with one comes in by it, and is to choose another."""
    ask = UserAdd(id="dave", password=PASSWORD)
    await people.add(desk.by("alice", admin=True), ask)
    assert (await desk.login("dave")).me.must_change_password
    with pytest.raises(Conflict):
        await people.add(desk.by("alice", admin=True), ask)
    with pytest.raises(InvalidInput, match="first that anybody"):
        await people.add(desk.by("alice", admin=True), UserAdd(id="erin", password="password"))
    with pytest.raises(NotFound):
        await desk.user("erin")
    assert ("user:alice", "dave", "user.add", "dave member", "allowed") in await desk.record()


async def test_what_is_done_to_people_is_on_record(desk: AtTheDesk) -> None:
    """Who, to whom, what; the person it concerns can find out."""
    alice = desk.by("alice", admin=True)
    address = IdentityChange(user_id="bob", channel="telegram", sender="b2")
    await people.link(alice, address)
    await people.unlink(alice, address)
    await people.change(alice, UserChange(user_id="bob", role="admin", name="Bob", language="es"))
    await people.change(alice, UserChange(user_id="bob", role="admin"))
    await people.change(alice, UserChange(user_id="bob", enabled=False))
    await people.change(alice, UserChange(user_id="bob", enabled=True))
    assert await desk.record() == [
        ("user:alice", "bob", "identity.link", "telegram:b2", "allowed"),
        ("user:alice", "bob", "identity.unlink", "telegram:b2", "allowed"),
        ("user:alice", "bob", "user.role", "bob admin", "allowed"),
        ("user:alice", "bob", "user.change", "bob", "allowed"),
        ("user:alice", "bob", "user.disable", "bob", "allowed"),
        ("user:alice", "bob", "user.enable", "bob", "allowed"),
    ]


@pytest.mark.parametrize(
    ("channel", "sender", "kept"),
    [("email", "Bob@New.Example.ORG", "bob@new.example.org"), ("sms", "+49 (123) 456-78", "+4912345678")],
)
async def test_an_address_is_linked_as_its_channel_writes_it(
    desk: AtTheDesk, channel: str, sender: str, kept: str
) -> None:
    """However it was typed: or who writes from there would not be known; it is unlinked however it is typed."""
    alice = desk.by("alice", admin=True)
    typed = IdentityChange(user_id="bob", channel=channel, sender=sender)
    assert (await people.link(alice, typed)).sender == kept
    found = await desk.house.database.read(lambda c: users.identify(c, Address(channel, "default", kept)))
    assert found is not None
    assert found.id == "bob"
    with pytest.raises(Conflict):
        await people.link(alice, IdentityChange(user_id="carol", channel=channel, sender=kept))
    assert kept in (await people.unlink(alice, typed)).detail
    with pytest.raises(InvalidInput):
        await people.link(alice, IdentityChange(user_id="bob", channel=channel, sender="bob"))


async def test_an_address_from_before_can_be_unlinked_as_it_is_written(desk: AtTheDesk) -> None:
    """Also where no such address would be linked today."""
    await desk.house.link("bob", "email", "Bob")
    await people.unlink(desk.operator, IdentityChange(user_id="bob", channel="email", sender="Bob"))
    left = await people.identities(desk.operator, IdentityList(user_id="bob"))
    assert [one.sender for one in left] == ["bob@example.org", "b"]


async def test_an_address_linked_twice_at_once_is_one_persons(desk: AtTheDesk) -> None:
    """On one account and on all of them, at the same moment: one of the two is told whose it is."""
    for number in range(8):
        asked = [
            IdentityChange(user_id=whose, channel="telegram", account=account, sender=f"n{number}")
            for whose, account in (("bob", None), ("carol", "default"), ("alice", None))
        ]
        ended = await asyncio.gather(*(people.link(desk.operator, one) for one in asked), return_exceptions=True)
        wrong = [one for one in ended if isinstance(one, BaseException)]
        assert [type(one) for one in wrong] == [Conflict, Conflict]


async def test_people_of_one_id_added_at_once_are_one_person(desk: AtTheDesk) -> None:
    """The others are told that the id is taken, whatever the database says of it."""
    ids = ["dave", "Dave", "DAVE"]
    ended = await asyncio.gather(
        *(people.add(desk.operator, UserAdd(id=id)) for id in ids), return_exceptions=True
    )
    assert [type(one) for one in ended if isinstance(one, BaseException)] == [Conflict, Conflict]


# --- tokens and devices -----------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_ended(desk: AtTheDesk) -> None:
    """It is listed without its secret; ended, it is nobody's from that moment, and what is open on it is told."""
    bob = desk.by("bob")
    first = await credentials.create_token(bob, TokenNew(name="script"))
    await desk.house.clock.passes(1)
    second = await credentials.create_token(bob, TokenNew(name="phone"))
    assert first.token.startswith("rk_")
    assert [one.name for one in await credentials.list_tokens(bob, TokenList())] == ["phone", "script"]
    assert [one.id for one in await credentials.list_tokens(desk.operator, TokenList())] == [second.id, first.id]

    with desk.told() as told:
        await credentials.revoke_token(bob, CredentialNamed(id=first.id))
        assert told == [("bob", first.id)]
    assert await desk.caller(first.token, CredentialKind.TOKEN) is None
    assert await desk.caller(second.token, CredentialKind.TOKEN) is not None
    with pytest.raises(NotFound, match="There is no token"):
        await credentials.revoke_token(bob, CredentialNamed(id=first.id))
    assert [row[2:4] for row in await desk.record()] == [
        ("token.create", first.id),
        ("token.create", second.id),
        ("token.revoke", first.id),
    ]


async def test_a_token_is_no_device(desk: AtTheDesk) -> None:
    """Neither shows as the other, comes in as the other, nor is ended as the other."""
    await desk.password("bob")
    token = await credentials.create_token(desk.by("bob"), TokenNew())
    device = await desk.login("bob")
    assert await desk.caller(token.token, CredentialKind.DEVICE) is None
    assert await desk.caller(device.secret, CredentialKind.TOKEN) is None
    with pytest.raises(NotFound, match="There is no device"):
        await credentials.end_device(desk.by("bob"), CredentialNamed(id=token.id))
    with pytest.raises(NotFound, match="There is no token"):
        await credentials.revoke_token(desk.by("bob"), CredentialNamed(id=device.credential_id))


async def test_what_is_somebody_else_s_is_not_there(desk: AtTheDesk) -> None:
    """Carol's token and one there is not look alike to Bob, whoever he says it is."""
    token = await credentials.create_token(desk.by("carol"), TokenNew())
    heard: set[str] = set()
    for id in (token.id, "01m7wq9m6ps24tgz26dsxztytz", "", "x\0y", "' OR 1=1"):
        for whose in (None, "bob", "carol", "nobody"):
            with pytest.raises(NotFound) as error:
                await credentials.revoke_token(desk.by("bob"), CredentialNamed(id=id, user_id=whose))
            heard.add(error.value.detail.replace(repr(id), "…"))
    assert heard == {"There is no token …."}
    assert await desk.caller(token.token, CredentialKind.TOKEN) is not None


async def test_an_admin_ends_somebody_s_device(desk: AtTheDesk) -> None:
    """And the operator anybody's, by its id alone."""
    await desk.password("bob")
    one, other = await desk.login("bob"), await desk.login("bob")
    with desk.told() as told:
        await credentials.end_device(
            desk.by("alice", admin=True), CredentialNamed(id=one.credential_id, user_id="bob")
        )
        await credentials.end_device(desk.operator, CredentialNamed(id=other.credential_id))
    assert told == [("bob", one.credential_id), ("bob", other.credential_id)]
    assert await desk.caller(one.secret) is None
    assert await desk.caller(other.secret) is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\0"])
async def test_a_token_s_name_is_a_line(desk: AtTheDesk, name: str) -> None:
    """Or there is no token."""
    with pytest.raises(InvalidInput, match="one line"):
        await credentials.create_token(desk.by("bob"), TokenNew(name=name))


# --- being switched off -----------------------------------------------------------------------------------------


async def test_who_is_disabled_is_out_at_once(desk: AtTheDesk) -> None:
    """What is answered stops, what waits is not answered, nothing is let in, in whatever session; others go on."""
    house = desk.house
    never = asyncio.Event()
    house.model = ScriptedModel(
        [Step(text="for ever", after=never), Step(text="for carol", after=asyncio.Event())]
    )
    await house.restart()
    desk = AtTheDesk(house)
    await desk.password("bob")
    came = await desk.login("bob")
    token = await credentials.create_token(desk.by("bob"), TokenNew())
    await house.telegram.says("b", "first")
    await house.model.asked(1)
    await house.telegram.says("c", "mine goes on")
    await house.model.asked(2)
    await house.telegram.says("b", "waits")

    with desk.told() as told:
        await people.change(desk.by("alice", admin=True), UserChange(user_id="bob", enabled=False))
        assert told == [("bob", None)]
    assert await desk.caller(came.secret) is None
    assert await desk.caller(token.token, CredentialKind.TOKEN) is None
    async with asyncio.timeout(20):  # well before a turn ends because it took too long
        while house.gateway.lanes.running > 1 or house.gateway.lanes.waiting:
            await asyncio.sleep(0)
    await house.telegram.says("b", "more")
    assert house.gateway.lanes.running == 1
    assert house.telegram.heard_by("b") == []
    with pytest.raises(WrongLogin):
        await desk.login("bob")


async def test_who_is_enabled_again_is_back(desk: AtTheDesk) -> None:
    """Their tokens and devices count again, and what was stopped stays stopped."""
    await desk.password("bob")
    came = await desk.login("bob")
    alice = desk.by("alice", admin=True)
    await people.change(alice, UserChange(user_id="bob", enabled=False))
    with desk.told() as told:
        await people.change(alice, UserChange(user_id="bob", enabled=True))
    assert told == []
    assert await desk.caller(came.secret) is not None
    await desk.house.telegram.says("b", "hello")
    await desk.house.idle()
    assert len(desk.house.telegram.heard_by("b")) == 1


async def test_turns_that_waited_when_the_power_went(desk: AtTheDesk) -> None:
    """A disabled person's turns stay stopped over a crash."""
    house = desk.house
    house.model = ScriptedModel([Step(text="for ever", after=asyncio.Event())])
    await house.restart()
    await house.telegram.says("b", "first")
    await house.model.asked(1)
    await people.change(AtTheDesk(house).operator, UserChange(user_id="bob", enabled=False))
    await house.crash()
    await house.idle()
    assert len(house.model.requests) == 1
    assert house.telegram.heard_by("b") == []


async def test_the_last_admin(desk: AtTheDesk) -> None:
    """Is neither switched off nor made a member, not even by the operator; it is said what to do first."""
    for change in (UserChange(user_id="alice", enabled=False), UserChange(user_id="alice", role="member")):
        for whose in (desk.operator, desk.by("alice", admin=True)):
            with pytest.raises(Conflict, match="last admin who may use the page; make somebody else"):
                await people.change(whose, change)
    await people.change(desk.operator, UserChange(user_id="bob", role="admin"))
    await people.change(desk.by("alice", admin=True), UserChange(user_id="alice", role="member"))
    caller_role = (await desk.user("alice")).role
    assert caller_role == "member"


async def test_a_new_role_holds_from_the_next_request(desk: AtTheDesk) -> None:
    """A role is read with each request: what Bob's token could do as an admin it cannot any more."""
    token = await credentials.create_token(desk.by("bob"), TokenNew())
    roles: list[bool] = []
    for role in ("admin", "member"):
        await people.change(desk.operator, UserChange(user_id="bob", role=role))
        caller = await desk.caller(token.token, CredentialKind.TOKEN)
        assert caller is not None
        roles.append(caller.actor.admin)
    assert roles == [True, False]


async def test_every_refusal_is_one_of_ours(desk: AtTheDesk) -> None:
    """Whatever is asked about whoever, by a guest of the house in the end: an error that can be answered."""
    for ask, _ in (ON_A_PERSON | ON_THE_HOUSE).values():
        for id in ("", "a--b", "\0", "ü", "x" * 500):
            with pytest.raises(RookeryError):
                await ask(desk.by("bob"), id)
