"""Coming in by name and password, choosing another one, going out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from rookery import users
from rookery.errors import (
    Busy,
    InvalidInput,
    NotFound,
    Refused,
    RookeryError,
    StorageUnavailable,
    TooManyRequests,
    WrongLogin,
)
from rookery.gateway.callers import DEVICE_IDLE, DEVICE_LIFE, NOTE_AFTER
from rookery.gateway.guessing import FROM_ONE, WINDOW
from rookery.gateway.operations import credentials, logins, people
from rookery.gateway.operations.logins import MOST_DEVICES
from rookery.gateway.shapes import CredentialNamed, PasswordSet, TokenNew, UserChange
from rookery.ids import UserId
from rookery.users import CredentialKind, passwords
from rookery.users import credentials as kept_credentials
from rookery.users.hashing import Checked, Cost, Hasher
from tests.gateway.at_the_desk import CAFE, HOME, PASSWORD, AtTheDesk
from tests.support.house import CHEAP, TestHouse

OTHER = "two red herrings"


@pytest.fixture
async def desk(house: TestHouse) -> AtTheDesk:
    """Alice, an admin, and Bob have passwords; Carol has none."""
    await house.person("alice", admin=True)
    await house.person("bob")
    await house.person("carol")
    desk = AtTheDesk(house)
    for person in ("alice", "bob"):
        await desk.password(person)
    return desk


async def refusal(coming_in: Awaitable[object]) -> tuple[type[RookeryError], str]:
    """How somebody is told that they cannot."""
    with pytest.raises(RookeryError) as error:
        await coming_in
    return type(error.value), error.value.detail


async def test_coming_in(desk: AtTheDesk) -> None:
    """The right password makes a device, whose secret is the person from then on."""
    came = await desk.login("bob", device="Firefox on\nLinux")
    assert (came.me.id, came.me.role, came.me.must_change_password) == ("bob", "member", True)

    caller = await desk.caller(came.secret)
    assert caller is not None
    assert (caller.user.id, caller.credential.id) == ("bob", came.credential_id)
    [device] = await credentials.list_devices(desk.by("bob"), "bob", came.credential_id)
    assert (device.name, device.current) == ("Firefox on Linux", True)
    assert (await desk.record())[-1] == ("user:bob", "bob", "login", HOME, "allowed")


async def test_every_login_is_a_device_of_its_own(desk: AtTheDesk) -> None:
    """No secret is used twice, so that one that was stolen before is none after."""
    first, second = await desk.login("bob"), await desk.login(" BOB ", device="")
    assert first.secret != second.secret
    assert {device.name for device in await credentials.list_devices(desk.by("bob"), "bob")} == {
        "browser",
        "unknown device",
    }


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("bob", "wrong password"),
        ("bob", ""),
        ("bob", "x" * 5000),
        ("bob", "\ud800"),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("bob\0", PASSWORD),
        ("\ud800", PASSWORD),
        ("carol", PASSWORD),
        ("dan", PASSWORD),
    ],
)
async def test_who_does_not_come_in(desk: AtTheDesk, username: str, password: str) -> None:
    """Wrong, unknown, without a password, disabled: one answer to all, and nothing that was typed is kept."""
    await desk.house.person("dan")
    await desk.password("dan")
    await people.change(desk.operator, UserChange(user_id="dan", enabled=False))

    assert await refusal(desk.login(username, password)) == await refusal(desk.login("bob", "never"))
    known = username if username in ("bob", "carol", "dan") else None
    assert (await desk.record())[-2] == ("anonymous", known, "login", HOME, "denied")


async def test_nobody_hashes_less_than_another(desk: AtTheDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked for, one hash is checked: an answer that came sooner would say that there is nobody."""
    asked: list[bool] = []
    matches = Hasher.matches

    async def counted(self: Hasher, password: str, hash: str | None) -> Checked:
        asked.append(hash is None)
        return await matches(self, password, hash)

    monkeypatch.setattr(Hasher, "matches", counted)
    for username in ("bob", "carol", "nobody", "not an id"):
        await refusal(desk.login(username, "wrong password"))
    assert asked == [False, True, True, True]


async def test_guessing_is_slowed_where_it_comes_from(desk: AtTheDesk) -> None:
    """Ten wrong ones, then no more from there for a while, not even the right one; Bob comes in from elsewhere."""
    for _ in range(FROM_ONE):
        assert (await refusal(desk.login("bob", "guess guess", source=CAFE)))[0] is WrongLogin
    with pytest.raises(TooManyRequests) as error:
        await desk.login("bob", source=CAFE)
    assert error.value.retry_after == WINDOW.total_seconds()
    assert (await desk.login("bob", source=HOME)).me.id == "bob"

    await desk.house.clock.passes(error.value.retry_after)
    assert (await desk.login("bob", source=CAFE)).me.id == "bob"


async def test_guesses_at_once_are_no_more(desk: AtTheDesk) -> None:
    """A hundred at the same moment: ten are looked at."""
    done = await asyncio.gather(*(desk.login("bob", "guess guess") for _ in range(100)), return_exceptions=True)
    assert sum(isinstance(one, WrongLogin) for one in done) == FROM_ONE
    assert sum(isinstance(one, TooManyRequests) for one in done) == 100 - FROM_ONE


async def test_ten_thousand_guesses(desk: AtTheDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a thousand addresses of one IPv6 network they are ten; from a thousand networks a thousand at most."""
    looked_at = 0

    async def wrong(_self: Hasher, _password: str, _hash: str | None) -> Checked:
        nonlocal looked_at
        looked_at += 1
        return Checked(right=False)

    monkeypatch.setattr(Hasher, "matches", wrong)
    for number in range(1000):
        await refusal(desk.login("bob", "guess guess", source=f"2001:db8::{number:x}"))
    assert looked_at == FROM_ONE
    desk.house.gateway.guesses._from_all = 50  # pyright: ignore[reportPrivateUsage]
    for number in range(200):
        await refusal(desk.login("bob", "guess guess", source=f"2001:db8:0:{number + 1:x}::1"))
    assert looked_at == 50


async def test_who_is_sent_away_because_it_is_busy_has_not_guessed(desk: AtTheDesk) -> None:
    """A full line, or a disk that is, is nobody's guess."""

    async def busy(password: str, hash: str | None) -> Checked:
        raise Busy(retry_after=3)

    matches = desk.house.gateway.hasher.matches
    desk.house.gateway.hasher.matches = busy
    for _ in range(2 * FROM_ONE):
        assert (await refusal(desk.login("bob")))[0] is Busy
    desk.house.gateway.hasher.matches = matches
    assert (await desk.login("bob")).me.id == "bob"


async def test_a_hash_is_made_anew_when_the_cost_rose(desk: AtTheDesk) -> None:
    """At the first login after; the password stays the same, and so does what is to be done about it."""
    house = desk.house
    before = await house.database.read(lambda c: passwords.get_password(c, UserId("bob")))
    house.gateway.hasher = Hasher(Cost(memory=128, passes=1))
    assert (await desk.login("bob")).me.must_change_password
    after = await house.database.read(lambda c: passwords.get_password(c, UserId("bob")))
    assert before is not None
    assert after is not None
    assert (before.hash != after.hash, "m=128," in after.hash, after.must_change) == (True, True, True)

    house.gateway.hasher = Hasher(CHEAP)
    await refusal(desk.login("bob", "wrong password"))
    assert after == await house.database.read(lambda c: passwords.get_password(c, UserId("bob")))


async def test_a_password_that_changes_while_it_is_looked_at(desk: AtTheDesk) -> None:
    """Whoever was right a moment ago is not any more: nothing is made with the old password once it is gone."""
    hasher = desk.house.gateway.hasher
    matches = hasher.matches

    async def meanwhile(password: str, hash: str | None) -> Checked:
        checked = await matches(password, hash)
        hasher.matches = matches
        await desk.password("bob", OTHER)
        return checked

    hasher.matches = meanwhile
    assert (await refusal(desk.login("bob")))[0] is WrongLogin
    assert await credentials.list_devices(desk.by("bob"), "bob") == []


async def test_a_device_ends_by_itself(desk: AtTheDesk) -> None:
    """Unused for twelve hours, or seven days old; then it is not listed any more either."""
    clock = desk.house.clock
    idle, busy = await desk.login("bob"), await desk.login("bob", device="busy")
    for _ in range(int(DEVICE_LIFE / timedelta(hours=6))):
        await clock.passes(timedelta(hours=6).total_seconds())
        caller = await desk.caller(busy.secret)
        assert caller is not None
        assert abs(clock.now() - caller.credential.used_at) > NOTE_AFTER
        now = clock.now()
        await desk.house.database.write(lambda c, now=now: kept_credentials.used(c, busy.credential_id, now=now))
        if clock.now() - caller.credential.created_at > DEVICE_IDLE:
            assert await desk.caller(idle.secret) is None
    assert [one.name for one in await credentials.list_devices(desk.by("bob"), "bob")] == ["busy"]
    await clock.passes(1)
    assert await desk.caller(busy.secret) is None
    assert await credentials.list_devices(desk.by("bob"), "bob") == []


async def test_only_so_many_devices(desk: AtTheDesk) -> None:
    """One more logs out the one of longest ago, and what is open there is told."""
    first = await desk.login("bob")
    await desk.house.clock.passes(1)
    for _ in range(MOST_DEVICES - 1):
        await desk.login("bob")
    assert await desk.caller(first.secret) is not None
    with desk.told() as told:
        await desk.login("bob")
    assert told == [("bob", first.credential_id)]
    assert await desk.caller(first.secret) is None


# --- going out ----------------------------------------------------------------------------------------------


async def test_going_out(desk: AtTheDesk) -> None:
    """The device is nobody's from that moment, and what is open on it is told in the same one; others stay."""
    here, there = await desk.login("bob"), await desk.login("bob", source=CAFE)
    caller = await desk.caller(here.secret)
    assert caller is not None
    with desk.told() as told:
        await logins.logout(desk.by("bob"), caller)
        assert told == [("bob", here.credential_id)]
    assert await desk.caller(here.secret) is None
    assert await desk.caller(there.secret) is not None
    assert (await desk.record())[-1] == ("user:bob", "bob", "logout", here.credential_id, "allowed")


async def test_a_token_is_not_logged_out(desk: AtTheDesk) -> None:
    """It is ended by its name."""
    made = await credentials.create_token(desk.by("bob"), TokenNew())
    caller = await desk.caller(made.token, CredentialKind.TOKEN)
    assert caller is not None
    with pytest.raises(InvalidInput, match="DELETE /api/tokens"):
        await logins.logout(desk.by("bob"), caller)


# --- another password -----------------------------------------------------------------------------------------


async def test_choosing_another_password(desk: AtTheDesk) -> None:
    """With the current one. Whoever else is in as Bob is out at once; this device stays, and so do tokens."""
    here, there = await desk.login("bob"), await desk.login("bob", source=CAFE)
    token = await credentials.create_token(desk.by("bob"), TokenNew())
    caller = await desk.caller(here.secret)
    ask = PasswordSet(user_id="bob", password=OTHER, current=PASSWORD)
    with desk.told() as told:
        await logins.set_password(desk.by("bob"), ask, caller)
        assert told == [("bob", there.credential_id)]

    assert await desk.caller(here.secret) is not None
    assert await desk.caller(there.secret) is None
    assert await desk.caller(token.token, CredentialKind.TOKEN) is not None
    assert (await refusal(desk.login("bob")))[0] is WrongLogin
    assert not (await desk.login("bob", OTHER)).me.must_change_password
    assert ("user:bob", "bob", "password.set", "bob", "allowed") in await desk.record()


async def test_what_an_admin_chose_is_changed_without_it(desk: AtTheDesk) -> None:
    """Who has just come in by it need not say it again; after that one's own is asked for."""
    came = await desk.login("bob")
    caller = await desk.caller(came.secret)
    await logins.set_password(desk.by("bob"), PasswordSet(user_id="bob", password=OTHER), caller)
    with pytest.raises(InvalidInput, match="current"):
        await logins.set_password(desk.by("bob"), PasswordSet(user_id="bob", password=PASSWORD), caller)


async def test_a_token_alone_chooses_no_password(desk: AtTheDesk) -> None:
    """Whoever found a token must not make a way in of their own of it."""
    token = await credentials.create_token(desk.by("bob"), TokenNew())
    caller = await desk.caller(token.token, CredentialKind.TOKEN)
    with pytest.raises(InvalidInput, match="current"):
        await logins.set_password(desk.by("bob"), PasswordSet(user_id="bob", password=OTHER), caller)
    with pytest.raises(Refused, match="an admin gives you the first one"):
        await logins.set_password(desk.by("carol"), PasswordSet(user_id="carol", password=OTHER), None)


async def test_a_wrong_current_password(desk: AtTheDesk) -> None:
    """At somebody's open device it can be guessed no faster than at a login; their logins do not suffer by it."""
    caller = await desk.caller((await desk.login("bob")).secret)
    ask = PasswordSet(user_id="bob", password=OTHER, current="guess guess")
    for _ in range(FROM_ONE):
        with pytest.raises(WrongLogin, match="current"):
            await logins.set_password(desk.by("bob"), ask, caller)
    with pytest.raises(TooManyRequests):
        await logins.set_password(desk.by("bob"), ask, caller)
    assert (await desk.login("bob")).me.id == "bob"


@pytest.mark.parametrize("password", ["short", "password1", "bob", "x" * 2000])
async def test_a_password_that_is_not_taken(desk: AtTheDesk, password: str) -> None:
    """The old one stays, and nobody is logged out."""
    came = await desk.login("bob")
    ask = PasswordSet(user_id="bob", password=password, current=PASSWORD)
    with pytest.raises(InvalidInput):
        await logins.set_password(desk.by("bob"), ask, await desk.caller(came.secret))
    assert await desk.caller(came.secret) is not None
    assert (await desk.login("bob")).me.id == "bob"


async def test_an_admin_gives_a_password(desk: AtTheDesk) -> None:
    """Bob is out everywhere, and is to choose another; nobody but an admin can."""
    came = await desk.login("bob")
    with desk.told() as told:
        await logins.set_password(desk.by("alice", admin=True), PasswordSet(user_id="bob", password=OTHER))
        assert told == [("bob", came.credential_id)]
    assert await desk.caller(came.secret) is None
    assert (await desk.login("bob", OTHER)).me.must_change_password

    for victim in ("alice", "nobody"):
        with pytest.raises(NotFound, match=f"There is no user '{victim}'.$"):
            await logins.set_password(desk.by("bob"), PasswordSet(user_id=victim, password=OTHER))
    denied = [row for row in await desk.record() if row[-1] == "denied"]
    assert denied == [
        ("user:bob", "alice", "person.password", "alice", "denied"),
        ("user:bob", None, "person.password", "person", "denied"),
    ]


async def test_an_admin_too_says_their_own(desk: AtTheDesk) -> None:
    """Their role is no proof of who sits there."""
    came = await desk.login("alice")
    await logins.set_password(
        desk.by("alice", admin=True),
        PasswordSet(user_id="alice", password=OTHER, current=PASSWORD),
        await desk.caller(came.secret),
    )
    with pytest.raises(InvalidInput, match="current"):
        await logins.set_password(desk.by("alice", admin=True), PasswordSet(user_id="alice", password=PASSWORD))


async def test_a_disk_that_is_full_lets_nobody_in(desk: AtTheDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept did not happen, and the right password is still no guess."""
    gateway = desk.house.gateway

    async def full(*_: object, **__: object) -> None:
        raise StorageUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(gateway.database, "write", full)
        for _ in range(2 * FROM_ONE):
            assert (await refusal(desk.login("bob")))[0] is StorageUnavailable
    assert await desk.house.database.read(lambda c: users.get_user(c, UserId("bob")))
    assert (await desk.login("bob")).me.id == "bob"


async def test_the_log_holds_no_secret(desk: AtTheDesk) -> None:
    """Neither passwords nor secrets, in the log or in the audit trail."""
    came = await desk.login("bob")
    await refusal(desk.login("bob", "a wrong password"))
    token = await credentials.create_token(desk.by("bob"), TokenNew(name="script"))
    await credentials.revoke_token(desk.by("bob"), CredentialNamed(id=token.id))
    kept = desk.house.log_text + repr(await desk.record())
    for secret in (PASSWORD, "a wrong password", came.secret, token.token):
        assert secret not in kept
