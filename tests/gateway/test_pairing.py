"""A stranger asks to be let in, and somebody says which person that is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, update

from rookery import users
from rookery.channels.contract import Outcome
from rookery.channels.loopback import Fate
from rookery.config.words import DmPolicy, GroupPolicy
from rookery.errors import Conflict, InvalidInput, NotFound, Refused, TooManyRequests
from rookery.gateway import note_rights, notes, pairing, tables
from rookery.gateway.operations import pairings
from rookery.gateway.pairing import WELCOME
from rookery.gateway.shapes import NewUser, Nothing, Pairing, PairingApprove, PairingReject
from rookery.ids import UserId
from rookery.messages import Address, Chat, ChatKind, Route
from rookery.storage import as_agent, metadata
from rookery.users import tables as user_tables
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

SECRET = "stranger-secret"


@pytest.fixture(autouse=True)
def pairs(house: TestHouse) -> None:
    """Both accounts of telegram, and the webhook, let strangers ask."""
    for account in ("default", "second"):
        house.account_rule("telegram", account, dm_policy=DmPolicy.PAIRING)
    house.account_rule("webhook", dm_policy=DmPolicy.PAIRING)


async def asks(house: TestHouse, sender: str, *, account: str = "default") -> str:
    """A stranger writes and is told a code: as it stands in their answer."""
    receipt = await house.telegram.says(sender, SECRET, account=account)
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.turn_id is None
    await house.idle()
    [told] = house.telegram.heard_by(sender, account=account)
    found = re.search(r"\b[A-Z2-9]{4}-[A-Z2-9]{4}\b", told)
    assert found is not None
    return found[0]


async def listed(house: TestHouse) -> list[Pairing]:
    return await pairings.listed(AtTheDesk(house).operator, Nothing())


async def is_whose(
    house: TestHouse, sender: str, *, account: str = "default", channel: str = "telegram"
) -> str | None:
    def look(connection: Connection) -> str | None:
        found = users.identify(connection, Address(channel, account, sender))
        return None if found is None else found.id

    return await house.database.read(look)


async def test_a_stranger_who_is_let_in_is_that_person_from_then_on(house: TestHouse) -> None:
    """They write, are told a code, give it to the operator, are told that they are in, and write again."""
    await house.person("alice")
    code = await asks(house, "9")
    let_in = await pairings.approve(AtTheDesk(house).operator, PairingApprove(code=code, user_id="alice"))
    assert (let_in.user_id, let_in.agent_id, let_in.sender) == ("alice", "alice", "9")
    await house.idle()
    assert house.telegram.heard_by("9")[1:] == [WELCOME]
    assert await is_whose(house, "9") == "alice"
    assert (await house.telegram.says("9", "hello")).outcome is Outcome.ACCEPTED
    await house.idle()
    [request] = house.model.requests
    assert SECRET not in str(request)
    deeds = [row for row in await AtTheDesk(house).record() if row[2] in ("pairing.approve", "identity.link")]
    assert deeds == [
        ("operator", "alice", "pairing.approve", "telegram@default:9", "allowed"),
        ("operator", "alice", "identity.link", "telegram@default:9", "allowed"),
    ]


async def test_a_stranger_can_be_a_new_person(house: TestHouse) -> None:
    """Who is added in the same step; when the address cannot be theirs, nobody is added either."""
    await house.person("alice")
    code = await asks(house, "9")
    desk = AtTheDesk(house).operator
    with pytest.raises(Conflict, match="'alice'"):
        await pairings.approve(desk, PairingApprove(code=code, new_user=NewUser(id="Alice")))
    await house.link("alice", "telegram", "9", "default")
    with pytest.raises(Conflict, match="'alice'"):
        await pairings.approve(desk, PairingApprove(code=code, new_user=NewUser(id="bob")))
    assert [user.id for user in await house.database.read(users.list_users)] == ["alice"]
    await house.unlink("alice", "telegram", "9", "default")
    made = await pairings.approve(desk, PairingApprove(code=code, new_user=NewUser(id="bob", name="Bob")))
    assert (made.user_id, (await AtTheDesk(house).user("bob")).name) == ("bob", "Bob")
    assert await is_whose(house, "9") == "bob"


@pytest.mark.parametrize("written", ["{0}-{1}", "{0}{1}", " {0} {1} ", "{0}\u2013{1}", "lower"])
async def test_a_code_is_read_as_people_type_it(house: TestHouse, written: str) -> None:
    """In any case, with the hyphen, with a space in its place, or without either."""
    await house.person("alice")
    code = await asks(house, "9")
    typed = code.lower() if written == "lower" else written.format(*code.split("-"))
    await pairings.approve(AtTheDesk(house).operator, PairingApprove(code=typed, user_id="alice"))
    assert await is_whose(house, "9") == "alice"


async def test_nothing_of_a_stranger_is_processed_or_kept(house: TestHouse) -> None:
    """But the route of their message and the hash of the code: no session, no turn, no token, not a word."""
    await house.person("alice")
    code = await asks(house, "9")
    assert house.model.requests == []
    everything: list[str] = []

    def look(connection: Connection) -> None:
        for table in metadata.tables.values():
            if table.name not in ("outbox_bodies", "entries", "sessions", "attachments", "auth_profiles"):
                everything.extend(map(str, connection.execute(select(table))))
        assert connection.execute(select(tables.turns)).all() == []
        assert connection.execute(select(tables.places)).all() == []

    await house.database.read(look)
    kept = "\n".join(everything)
    assert SECRET not in kept
    assert code.replace("-", "") not in kept.replace("-", "")
    assert SECRET not in house.log_text
    assert code not in house.log_text


async def test_the_answer_names_nobody_and_is_given_once(house: TestHouse) -> None:
    """Not again for a message that comes twice, nor for further ones, nor after a restart; anew after an hour."""
    await house.person("alice", admin=True)
    await asks(house, "9")
    [first] = house.telegram.attempts
    assert "alice" not in first.message.text.lower()
    assert first.message.speaker.agent_id == notes.NOBODYS
    assert (await house.telegram.says("9", SECRET, message_id=first.message.route.message_id)).outcome is (
        Outcome.DUPLICATE
    )
    await house.telegram.says("9", "please")
    await house.restart()
    await house.telegram.says("9", "PLEASE")
    await house.idle()
    assert len(house.telegram.attempts) == 1
    await house.clock.passes(3600)
    await house.telegram.says("9", "hello?")
    await house.idle()
    first, second = house.telegram.heard_by("9")
    assert first != second
    assert len(await listed(house)) == 1


async def test_three_wait_on_an_account_and_no_more(house: TestHouse) -> None:
    """A further one is told nothing, and the operator is; on another account three more may wait."""
    for sender in ("7", "8", "9"):
        await asks(house, sender)
    receipt = await house.telegram.says("10", SECRET)
    await house.idle()
    assert "3 strangers wait there already" in receipt.reason
    assert "3 strangers wait there already" in house.log_text
    assert house.telegram.heard_by("10") == []
    await asks(house, "10", account="second")
    waiting = await listed(house)
    assert sorted((one.account, one.sender) for one in waiting) == [
        ("default", "7"),
        ("default", "8"),
        ("default", "9"),
        ("second", "10"),
    ]
    [eighth] = [one for one in waiting if one.sender == "8"]
    await pairings.reject(AtTheDesk(house).operator, PairingReject(id=eighth.id))
    await asks(house, "11")


async def test_who_is_rejected_hears_nothing_of_it(house: TestHouse) -> None:
    """Neither now nor when they write again, until the hour is over; they can ask anew then."""
    await house.person("alice")
    code = await asks(house, "9")
    desk = AtTheDesk(house).operator
    for _ in range(2):
        done = await pairings.reject(desk, PairingReject(code=code))
        assert "telegram@default:9" in done.detail
    with pytest.raises(Conflict, match="rejected"):
        await pairings.approve(desk, PairingApprove(code=code, user_id="alice"))
    assert "rejected" in (await house.telegram.says("9", "hello?")).reason
    await house.idle()
    assert len(house.telegram.attempts) == 1
    assert await listed(house) == []
    await house.clock.passes(3600)
    await house.telegram.says("9", "hello?")
    await house.idle()
    assert len(house.telegram.attempts) == 2
    assert [row[2] for row in await AtTheDesk(house).record()] == ["pairing.reject"]


async def test_an_approval_that_comes_too_late_or_again(house: TestHouse) -> None:
    """The same answers the same and is told once; another, or one after the hour, is refused and says why."""
    await house.person("alice")
    await house.person("bob")
    code = await asks(house, "9")
    desk = AtTheDesk(house).operator
    first = await pairings.approve(desk, PairingApprove(code=code, user_id="alice"))
    assert await pairings.approve(desk, PairingApprove(code=code, user_id="alice")) == first
    assert await pairings.approve(desk, PairingApprove(id=first.id, user_id="alice")) == first
    with pytest.raises(Conflict, match="rookery identity unlink alice telegram 9 --account default"):
        await pairings.approve(desk, PairingApprove(code=code, user_id="bob"))
    with pytest.raises(Conflict, match="let in already"):
        await pairings.reject(desk, PairingReject(code=code))
    await house.idle()
    assert house.telegram.heard_by("9")[1:] == [WELCOME]
    late = await asks(house, "8")
    await house.clock.passes(3600)
    with pytest.raises(Conflict, match="ran out"):
        await pairings.approve(desk, PairingApprove(code=late, user_id="alice"))
    assert await is_whose(house, "8") is None


async def test_an_address_that_somebody_took_meanwhile_is_theirs(house: TestHouse) -> None:
    """The approval is refused and says whose it is; nothing is told to it."""
    await house.person("alice")
    await house.person("bob")
    code = await asks(house, "9")
    await house.link("bob", "telegram", "9")
    with pytest.raises(Conflict, match="'bob'"):
        await pairings.approve(AtTheDesk(house).operator, PairingApprove(code=code, user_id="alice"))
    await house.idle()
    assert await is_whose(house, "9") == "bob"
    assert WELCOME not in house.telegram.heard_by("9")


async def test_somebody_who_was_unlinked_can_ask_again(house: TestHouse) -> None:
    """At once: what was approved before is over."""
    await house.person("alice")
    desk = AtTheDesk(house).operator
    code = await asks(house, "9")
    await pairings.approve(desk, PairingApprove(code=code, user_id="alice"))
    await house.idle()
    await house.unlink("alice", "telegram", "9", "default")
    with pytest.raises(Conflict, match="unlinked since"):
        await pairings.approve(desk, PairingApprove(code=code, user_id="alice"))
    await house.telegram.says("9", "hello?")
    await house.idle()
    assert len(house.telegram.heard_by("9")) == 3
    [again] = await listed(house)
    await pairings.approve(desk, PairingApprove(id=again.id, user_id="alice"))
    assert await is_whose(house, "9") == "alice"


async def test_an_approval_is_for_the_very_address(house: TestHouse) -> None:
    """The same id on another account of a network whose ids are an account's own is another stranger."""
    await house.person("alice")
    house.account_rule("webhook", "other", dm_policy=DmPolicy.PAIRING)
    await house.webhook.says("9", SECRET)
    await house.webhook.says("9", SECRET, account="other")
    await house.idle()
    default, other = sorted(await listed(house), key=lambda one: one.account)
    assert (default.account, other.account) == ("default", "other")
    await pairings.approve(AtTheDesk(house).operator, PairingApprove(id=other.id, user_id="alice"))
    assert await is_whose(house, "9", channel="webhook", account="other") == "alice"
    assert await is_whose(house, "9", channel="webhook") is None
    await house.idle()
    assert WELCOME in house.webhook.heard_by("9", account="other")
    assert WELCOME not in house.webhook.heard_by("9")


async def test_codes_cannot_be_guessed(house: TestHouse) -> None:
    """Ten wrong ones in an hour from all who decide, and none is looked at; the list can still be used."""
    await house.person("alice")
    await house.person("ann", admin=True)
    code = await asks(house, "9")
    at = AtTheDesk(house)
    for number in range(10):
        desk = at.by("ann", admin=True) if number % 2 else at.operator
        wrong = ["AAAA-AAAA", "", "not a code", "AAAAAAAAA", "ＡＡＡＡ-AAAA"][number % 5]
        with pytest.raises(NotFound, match="no such code"):
            await pairings.approve(desk, PairingApprove(code=wrong, user_id="alice"))
    with pytest.raises(TooManyRequests, match=r"60 min"):
        await pairings.approve(at.operator, PairingApprove(code=code, user_id="alice"))
    with pytest.raises(TooManyRequests):
        await pairings.reject(at.operator, PairingReject(code=code))
    [one] = await listed(house)
    await pairings.approve(at.operator, PairingApprove(id=one.id, user_id="alice"))
    assert await is_whose(house, "9") == "alice"


async def test_right_codes_and_other_mistakes_are_no_guesses(house: TestHouse) -> None:
    """Somebody who is not there, or two people at once, can be mended as often as it takes."""
    await house.person("alice")
    code = await asks(house, "9")
    desk = AtTheDesk(house).operator
    for _ in range(15):
        with pytest.raises(NotFound, match="no user 'alcie'"):
            await pairings.approve(desk, PairingApprove(code=code, user_id="alcie"))
    for ask in (
        PairingApprove(code=code),
        PairingApprove(code=code, user_id="alice", new_user=NewUser(id="bob")),
        PairingApprove(code=code, sponsor="alice"),
        PairingApprove(user_id="alice"),
    ):
        with pytest.raises(InvalidInput):
            await pairings.approve(desk, ask)
    with pytest.raises(NotFound):
        await pairings.approve(desk, PairingApprove(id="nothing", user_id="alice"))
    await pairings.approve(desk, PairingApprove(code=code, user_id="alice"))


async def test_a_code_given_with_an_id_has_to_be_its_own(house: TestHouse) -> None:
    """So an admin who picked one from the list cannot let in another by the code they were told."""
    await house.person("alice")
    await asks(house, "8")
    code = await asks(house, "9")
    [eighth] = [one for one in await listed(house) if one.sender == "8"]
    with pytest.raises(NotFound):
        await pairings.approve(AtTheDesk(house).operator, PairingApprove(id=eighth.id, code=code, user_id="alice"))
    assert await is_whose(house, "8") is None
    assert await is_whose(house, "9") is None


async def test_only_admins_decide(house: TestHouse) -> None:
    """Nobody else is shown who waits either."""
    await house.person("bob")
    code = await asks(house, "9")
    bob = AtTheDesk(house).by("bob")
    with pytest.raises(Refused):
        await pairings.listed(bob, Nothing())
    with pytest.raises(Refused):
        await pairings.approve(bob, PairingApprove(code=code, user_id="bob"))
    with pytest.raises(Refused):
        await pairings.reject(bob, PairingReject(code=code))
    assert await is_whose(house, "9") is None


async def test_nobody_who_is_disabled_is_let_in(house: TestHouse) -> None:
    """And somebody disabled who writes is told nothing."""
    await house.person("alice", telegram="1")
    code = await asks(house, "9")
    change = update(user_tables.users).values(enabled=False)
    await house.database.write(lambda connection: connection.execute(change))
    with pytest.raises(Conflict, match="disabled"):
        await pairings.approve(AtTheDesk(house).operator, PairingApprove(code=code, user_id="alice"))
    await house.telegram.says("1", "hello")
    await house.idle()
    assert house.telegram.heard_by("1") == []


@pytest.mark.parametrize("meanwhile", ["it ran out", "rejected", "linked", "policy"])
async def test_a_code_that_waits_to_be_sent_goes_only_while_it_is_good(house: TestHouse, meanwhile: str) -> None:
    """What would be of no use any more, or would reach somebody else, becomes a dead letter."""
    await house.person("alice")
    house.telegram.fails(Fate.UNAVAILABLE)
    await house.telegram.says("9", SECRET)
    await house.idle()
    [one] = await listed(house)
    match meanwhile:
        case "it ran out":
            house.clock.passes_by = None  # type: ignore[attr-defined]
        case "rejected":
            await pairings.reject(AtTheDesk(house).operator, PairingReject(id=one.id))
        case "linked":
            await house.link("alice", "telegram", "9")
        case "policy":
            house.account_rule("telegram", dm_policy=DmPolicy.ALLOWLIST)
        case _:
            pass
    await house.clock.passes(3600 if meanwhile == "it ran out" else 1)
    await house.idle()
    assert house.telegram.heard_by("9") == []


async def test_what_waits_to_be_sent_outlives_a_crash(house: TestHouse) -> None:
    """The code, and the word that they are in."""
    await house.person("alice")
    house.telegram.fails(Fate.UNAVAILABLE)
    await house.telegram.says("9", SECRET)
    await house.idle()
    await house.crash()
    await house.clock.passes(1)
    await house.idle()
    assert len(house.telegram.heard_by("9")) == 1
    house.telegram.fails(Fate.UNAVAILABLE)
    [one] = await listed(house)
    await pairings.approve(AtTheDesk(house).operator, PairingApprove(id=one.id, user_id="alice"))
    await house.idle()
    await house.crash()
    await house.clock.passes(1)
    await house.idle()
    assert house.telegram.heard_by("9")[1:] == [WELCOME]


async def test_who_was_let_in_and_unlinked_is_not_told_that_they_are_in(house: TestHouse) -> None:
    """The word waits, and is asked about when it goes."""
    await house.person("alice")
    await asks(house, "9")
    [one] = await listed(house)
    house.telegram.fails(Fate.UNAVAILABLE)
    await pairings.approve(AtTheDesk(house).operator, PairingApprove(id=one.id, user_id="alice"))
    await house.idle()
    await house.unlink("alice", "telegram", "9", "default")
    await house.clock.passes(1)
    await house.idle()
    assert WELCOME not in house.telegram.heard_by("9")


@pytest.mark.parametrize("sender", [" 9", "9\u200b", "9" * 501])
async def test_an_id_that_cannot_be_shown_gets_no_code(house: TestHouse, sender: str) -> None:
    """Nobody could say whom they let in."""
    receipt = await house.telegram.says(sender, SECRET)
    await house.idle()
    assert "cannot be shown" in receipt.reason
    assert house.telegram.attempts == []
    assert await listed(house) == []


async def test_what_is_over_is_forgotten(house: TestHouse) -> None:
    """What nobody decided after its hour, what was approved some days later."""
    await house.person("alice")
    await asks(house, "8")
    code = await asks(house, "9")
    await pairings.approve(AtTheDesk(house).operator, PairingApprove(code=code, user_id="alice"))

    async def kept(later: timedelta) -> int:
        def look(connection: Connection) -> int:
            pairing.forget_old(connection, house.clock.now() + later)
            return len(connection.execute(select(tables.pairings)).all())

        return await house.database.write(look)

    assert await kept(timedelta(minutes=59)) == 2
    assert await kept(timedelta(hours=1)) == 1
    assert await kept(timedelta(days=4)) == 0


STRANGER, LISTED, USER, DISABLED = "9", "5", "1", "2"
IN, OUT, CODE = "let in", "nothing", "a code"
POLICIES = {
    # dmPolicy, allowFrom: what the stranger, a listed sender, a user and a disabled user come to.
    (DmPolicy.PAIRING, ()): (CODE, CODE, IN, OUT),
    (DmPolicy.PAIRING, (LISTED,)): (CODE, IN, IN, OUT),
    (DmPolicy.PAIRING, ("*",)): (IN, IN, IN, OUT),
    (DmPolicy.ALLOWLIST, ()): (OUT, OUT, IN, OUT),
    (DmPolicy.ALLOWLIST, (LISTED,)): (OUT, IN, IN, OUT),
    (DmPolicy.ALLOWLIST, ("*",)): (IN, IN, IN, OUT),
    (DmPolicy.OPEN, ()): (IN, IN, IN, OUT),
    (DmPolicy.DISABLED, ("*",)): (OUT, OUT, OUT, OUT),
}


async def test_every_policy_for_direct_messages(house: TestHouse) -> None:
    """By the table: who is let in, who is told a code, and that nobody else hears anything."""
    await _everybody(house)
    await house.shared_agent("desk", sponsor="alice", channel="telegram")
    for (policy, listed_ones), expected in POLICIES.items():
        house.account_rule("telegram", dm_policy=policy, allow_from=frozenset(listed_ones))
        await house.database.write(lambda connection: connection.execute(tables.pairings.delete()))
        for sender, comes_to in zip((STRANGER, LISTED, USER, DISABLED), expected, strict=True):
            before = len(house.telegram.heard_by(sender))
            receipt = await house.telegram.says(sender, "hello")
            await house.idle()
            heard = house.telegram.heard_by(sender)[before:]
            found = IN if receipt.outcome is Outcome.ACCEPTED else CODE if heard else OUT
            assert (policy, listed_ones, sender, found) == (policy, listed_ones, sender, comes_to)
            assert len(heard) == (0 if comes_to == OUT else 1)
            assert (comes_to == CODE) == any("give this code" in text for text in heard)


GROUP_POLICIES = {
    (GroupPolicy.ALLOWLIST, ()): (OUT, OUT, IN, OUT),
    (GroupPolicy.ALLOWLIST, (LISTED,)): (OUT, IN, IN, OUT),
    (GroupPolicy.ALLOWLIST, ("*",)): (IN, IN, IN, OUT),
    (GroupPolicy.OPEN, ()): (IN, IN, IN, OUT),
    (GroupPolicy.DISABLED, ("*",)): (OUT, OUT, OUT, OUT),
}


async def test_every_policy_for_groups(house: TestHouse) -> None:
    """In a group that is let in; nobody is ever told a code there, whatever holds for direct messages."""
    from tests.gateway.test_spaces import GROUP, admit, says

    await _everybody(house)
    await admit(house)
    for (policy, listed_ones), expected in GROUP_POLICIES.items():
        house.account_rule("telegram", group_policy=policy, group_allow_from=frozenset(listed_ones))
        for sender, comes_to in zip((STRANGER, LISTED, USER, DISABLED), expected, strict=True):
            before = len(house.telegram.heard_in(GROUP.id))
            receipt = await says(house.telegram, sender, "hello")
            await house.idle()
            heard = house.telegram.heard_in(GROUP.id)[before:]
            found = IN if receipt.outcome is Outcome.ACCEPTED else OUT
            assert (policy, listed_ones, sender, found) == (policy, listed_ones, sender, comes_to)
            assert len(heard) == (1 if comes_to == IN else 0)
    assert await listed(house) == []


async def _everybody(house: TestHouse) -> None:
    await house.person("alice", telegram=USER)
    await house.person("bob", telegram=DISABLED)
    off = update(user_tables.users).where(user_tables.users.c.id == UserId("bob")).values(enabled=False)
    await house.database.write(lambda connection: connection.execute(off))


async def words_of_notes(house: TestHouse) -> list[str]:
    """What is kept of what strangers were told, in words."""

    def look(connection: Connection) -> list[str]:
        as_agent(connection, notes.NOBODYS)
        bodies = tables.outbox_bodies
        return list(connection.execute(select(bodies.c.text).where(bodies.c.agent_id == notes.NOBODYS)).scalars())

    return await house.database.read(look)


async def test_the_words_of_a_note_go_with_its_end(house: TestHouse) -> None:
    """A code is kept in words only until it is sent, or can be of no use any more; that it was made stays."""
    await asks(house, "9")
    assert await words_of_notes(house) == []
    house.telegram.fails(Fate.UNAVAILABLE)
    await house.telegram.says("8", SECRET)
    await house.idle()
    assert len(await words_of_notes(house)) == 1
    [one] = [one for one in await listed(house) if one.sender == "8"]
    await pairings.reject(AtTheDesk(house).operator, PairingReject(id=one.id))
    await house.clock.passes(1)
    await house.idle()
    assert await words_of_notes(house) == []
    kept = await house.database.read(lambda c: c.execute(select(tables.outbox.c.status)).scalars().all())
    assert sorted(kept) == ["dead", "sent"]


async def test_a_way_in_that_stays_closed_is_said_to_who_approves(house: TestHouse) -> None:
    """The address is theirs, but they may not use chat networks: who lets them in hears so, and they do not."""
    await house.person("alice")
    await house.database.write(lambda c: users.set_permissions(c, UserId("alice"), ["web"]))
    code = await asks(house, "9")
    ask = PairingApprove(code=code, user_id="alice")
    for _ in range(2):
        let_in = await pairings.approve(AtTheDesk(house).operator, ask)
        assert let_in.closed is not None
        assert "in chat networks" in let_in.closed
    await house.idle()
    assert len(house.telegram.heard_by("9")) == 1
    await house.database.write(lambda c: users.set_permissions(c, UserId("alice"), None))
    assert (await pairings.approve(AtTheDesk(house).operator, ask)).closed is None


@pytest.mark.parametrize(
    "topic",
    [
        notes.Topic(notes.Kind.PAIRING, pairing.Step.ASKED.value, "an-id"),
        notes.Topic(notes.Kind.PAIRING, pairing.Step.APPROVED.value, "an-id"),
        notes.Topic(notes.Kind.LINK, "address-wrong"),
        notes.Topic(notes.Kind.UNLINK, "done"),
    ],
)
async def test_no_note_but_an_admins_goes_to_a_group(house: TestHouse, topic: notes.Topic) -> None:
    """Whatever made it: a code, or whose account an address joins, is for one person."""
    route = Route("telegram", "default", Chat(ChatKind.GROUP, "g"), None, "9", "m")
    rules, now = house.gateway.settings.rules, house.clock.now()
    decision = await house.database.read(lambda c: note_rights.may_go(c, topic, route, rules, now))
    assert decision.reason == "That is told to one person alone."
