"""Joining another address of one's own: a code, a yes where it was typed, and a yes where it was asked for."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import Connection, func, select

from rookery import users
from rookery.channels.contract import Outcome
from rookery.channels.loopback import LoopbackNetwork
from rookery.config.words import DmPolicy
from rookery.gateway import codes, linking, tables
from rookery.gateway.linking import ANSWER_LIFE, CODE_LIFE, WINDOW, WRONG_EACH, WRONG_TOGETHER
from rookery.gateway.notes import NOBODYS
from rookery.ids import UserId
from rookery.messages import Address
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

CODE = re.compile(rf"[{codes.ALPHABET}]{{4}}-[{codes.ALPHABET}]{{4}}")
STRANGER, OTHER = "w", "v"
SECOND = timedelta(seconds=1)


@pytest.fixture
async def family(house: TestHouse) -> TestHouse:
    """Alice is known on Telegram, Bob by mail; nobody yet on the webhook."""
    await house.person("alice", telegram="a")
    await house.person("bob", email="b")
    return house


async def hears(house: TestHouse, network: LoopbackNetwork, sender: str, text: str) -> str:
    """What somebody hears right after they wrote; '' when it is nothing."""
    before = len(network.heard_by(sender))
    await network.says(sender, text)
    await house.idle()
    return "\n".join(network.heard_by(sender)[before:])


async def code_of(house: TestHouse, sender: str = "a") -> str:
    """Let Alice ask for a code."""
    found = CODE.search(await hears(house, house.telegram, sender, "/link"))
    assert found is not None
    return found[0]


async def said_yes(house: TestHouse) -> None:
    """Let the webhook's address get as far as its yes."""
    await hears(house, house.webhook, STRANGER, f"/link {await code_of(house)}")
    assert "/link confirm" in await hears(house, house.webhook, STRANGER, "/link yes")


async def person_at(house: TestHouse, sender: str = STRANGER, channel: str = "webhook") -> str | None:
    """Whose an address is."""
    address = Address(channel, "default", sender)
    found = await house.database.read(lambda connection: users.identify(connection, address))
    return None if found is None else found.id


async def later(house: TestHouse, by: timedelta) -> None:
    await house.clock.passes(by.total_seconds())


# --- how it goes ----------------------------------------------------------------------------------------------


async def test_two_addresses_become_one_person(family: TestHouse) -> None:
    """A code, a yes on the other side, a yes on the first: then the same person writes on both."""
    code = await code_of(family)
    asked = await hears(family, family.webhook, STRANGER, f"/link {code}")
    assert "Alice (alice)" in asked
    assert "/link yes" in asked
    assert await person_at(family) is None

    thanked = await hears(family, family.webhook, STRANGER, "/link yes")
    assert "confirm it where you asked for the code" in thanked
    assert f"webhook@default:{STRANGER} typed your code" in family.telegram.heard_by("a")[-1]
    assert await person_at(family) is None

    assert "is yours now" in await hears(family, family.telegram, "a", "/link confirm")
    assert "I know you here as Alice (alice) now" in family.webhook.heard_by(STRANGER)[-1]
    assert await person_at(family) == "alice"
    assert "You are Alice (alice)" in await hears(family, family.webhook, STRANGER, "/whoami")
    record = [row[:4] for row in await AtTheDesk(family).record()]
    assert [(who, action) for who, _, action, _ in record] == [
        ("user:alice", "identity.code"),
        ("guest:webhook:7:default:w", "identity.claim"),
        ("guest:webhook:7:default:w", "identity.agree"),
        ("user:alice", "identity.link"),
    ]
    assert {concerned for _, concerned, _, _ in record} == {"alice"}


async def test_a_code_is_typed_as_people_type(family: TestHouse) -> None:
    """In small letters, without the hyphen, with a space in its place, with spaces around."""
    code = await code_of(family)
    for typed in (code.lower(), code.replace("-", ""), code.replace("-", " "), f" {code} "):
        assert "Alice" in await hears(family, family.webhook, STRANGER, f"/link {typed}")


@pytest.mark.parametrize("policy", [DmPolicy.PAIRING, DmPolicy.ALLOWLIST, DmPolicy.OPEN])
async def test_a_stranger_can_type_a_code_and_causes_nothing_else(family: TestHouse, policy: DmPolicy) -> None:
    """Whoever the account lets in: no agent, no session, no turn, no model comes of it."""
    family.account_rule("webhook", dm_policy=policy)
    await said_yes(family)
    kept = await family.database.read(_what_is_kept)
    assert kept == (0, 0, {NOBODYS, "alice"})  # the code itself was told by Alice's agent
    assert family.model.requests == []


@pytest.mark.parametrize("policy", [None, DmPolicy.DISABLED])
async def test_where_nobody_is_let_in_no_code_is_looked_at(family: TestHouse, policy: DmPolicy | None) -> None:
    """On an account that is switched off, or that is not ours, there is silence."""
    code = await code_of(family)
    if policy is None:
        family.rule(accounts={key: rules for key, rules in family.rules.accounts.items() if key[0] != "webhook"})
    else:
        family.account_rule("webhook", dm_policy=policy)
    assert await hears(family, family.webhook, STRANGER, f"/link {code}") == ""
    assert "not been typed" in await hears(family, family.telegram, "a", "/link confirm")


async def test_nobody_joins_from_a_group(family: TestHouse) -> None:
    """There everybody would read the code, and whose account it is."""
    code = await code_of(family)
    receipt = await family.webhook.says(STRANGER, f"/link {code}", group="g")
    assert receipt.outcome is Outcome.REFUSED
    await family.idle()
    assert family.webhook.attempts == []


# --- who says no, and what is late ----------------------------------------------------------------------------


async def test_the_other_side_says_no(family: TestHouse) -> None:
    """Then the first is told, and the code is worth nothing."""
    code = await code_of(family)
    await hears(family, family.webhook, STRANGER, f"/link {code}")
    assert await hears(family, family.webhook, STRANGER, "/link no") == "Nothing is joined."
    assert "said no" in family.telegram.heard_by("a")[-1]
    assert "not valid" in await hears(family, family.webhook, STRANGER, f"/link {code}")


async def test_the_person_says_no(family: TestHouse) -> None:
    """Then the other side is told, and its yes is worth nothing."""
    await said_yes(family)
    assert "Nothing is joined" in await hears(family, family.telegram, "a", "/link no")
    assert "took it back" in family.webhook.heard_by(STRANGER)[-1]
    assert "Nothing waits" in await hears(family, family.telegram, "a", "/link confirm")
    assert await person_at(family) is None


async def test_nothing_is_joined_before_both_said_yes(family: TestHouse) -> None:
    """The person's yes comes after the other side's, which they are told of."""
    await hears(family, family.webhook, STRANGER, f"/link {await code_of(family)}")
    assert "has not said yes" in await hears(family, family.telegram, "a", "/link confirm")
    assert await person_at(family) is None


async def test_a_code_that_is_late_is_wrong(family: TestHouse) -> None:
    """Ten minutes after it was asked for nobody joins by it."""
    code = await code_of(family)
    await later(family, CODE_LIFE)
    assert "not valid" in await hears(family, family.webhook, STRANGER, f"/link {code}")


async def test_a_yes_that_is_late_joins_nothing(family: TestHouse) -> None:
    """Both have ten minutes from when the code was typed."""
    await said_yes(family)
    await later(family, ANSWER_LIFE - SECOND)
    assert "nothing waits" not in (await hears(family, family.telegram, "a", "/whoami")).casefold()
    await later(family, SECOND)
    assert "Nothing waits" in await hears(family, family.telegram, "a", "/link confirm")
    assert await person_at(family) is None


async def test_a_second_code_ends_the_first(family: TestHouse) -> None:
    """Also one that an address said yes to, which is told so."""
    await said_yes(family)
    assert "earlier code does not count" in await hears(family, family.telegram, "a", "/link")
    assert "took it back" in family.webhook.heard_by(STRANGER)[-1]
    assert "not been typed" in await hears(family, family.telegram, "a", "/link confirm")


async def test_it_is_confirmed_where_it_was_asked_for(family: TestHouse) -> None:
    """Not from another address of the same person's."""
    await family.link("alice", "email", "a@example.org")
    await said_yes(family)
    assert "Nothing waits" in await hears(family, family.email, "a@example.org", "/link confirm")
    assert await person_at(family) is None


# --- once, and only what is nobody's --------------------------------------------------------------------------


async def test_a_code_is_used_once(family: TestHouse) -> None:
    """Whoever types it after another hears that it is wrong; who typed it may again, and is asked again."""
    code = await code_of(family)
    await hears(family, family.webhook, STRANGER, f"/link {code}")
    assert "not valid" in await hears(family, family.webhook, OTHER, f"/link {code}")
    assert "Alice" in await hears(family, family.webhook, STRANGER, f"/link {code}")
    await hears(family, family.webhook, STRANGER, "/link yes")
    await hears(family, family.telegram, "a", "/link confirm")
    assert "not valid" in await hears(family, family.webhook, OTHER, f"/link {code}")
    assert await person_at(family, OTHER) is None


async def test_an_address_that_is_somebodys_is_refused(family: TestHouse) -> None:
    """Bob's, and one's own: the code is not even looked at, so that nobody learns whether it is right."""
    code = await code_of(family)
    for text in (f"/link {code}", "/link AAAA-BBBB"):
        assert "I know you here already" in await hears(family, family.email, "b", text)
    assert "not been typed" in await hears(family, family.telegram, "a", "/link confirm")


async def test_an_address_that_became_somebodys_in_between_is_not_joined(family: TestHouse) -> None:
    """An admin gave it to Bob while Alice was asked; it is not said whose it is."""
    await said_yes(family)
    await family.link("bob", "webhook", STRANGER, "default")
    told = await hears(family, family.telegram, "a", "/link confirm")
    assert "belongs to somebody already" in told
    assert "bob" not in told.casefold()
    assert await person_at(family) == "bob"
    assert "Nothing waits" in await hears(family, family.telegram, "a", "/link confirm")


async def test_whoever_was_switched_off_gives_no_code_away(family: TestHouse) -> None:
    """Their code is wrong from then on."""
    code = await code_of(family)

    def off(connection: Connection) -> None:
        users.change_user(connection, UserId("alice"), enabled=False)

    await family.database.write(off)
    assert "not valid" in await hears(family, family.webhook, STRANGER, f"/link {code}")


# --- guessing -------------------------------------------------------------------------------------------------


async def test_an_address_guesses_five_times(family: TestHouse) -> None:
    """Then not even the right code is looked at from there, for ten minutes; elsewhere it is."""
    code = await code_of(family)
    for _ in range(WRONG_EACH):
        assert "not valid" in await hears(family, family.webhook, OTHER, "/link AAAA-BBBB")
    assert await hears(family, family.webhook, OTHER, f"/link {code}") == ""
    assert "Alice" in await hears(family, family.webhook, STRANGER, f"/link {code}")
    await later(family, WINDOW + SECOND)
    assert "not valid" in await hears(family, family.webhook, OTHER, "/link AAAA-BBBB")


async def test_many_addresses_guess_no_more_than_one_house_allows(family: TestHouse) -> None:
    """A hundred wrong codes from all together, however many addresses they have."""
    code = await code_of(family)
    for number in range(WRONG_TOGETHER):
        await family.webhook.says(f"bot-{number}", "/link AAAA-BBBB")
    assert await hears(family, family.webhook, STRANGER, f"/link {code}") == ""
    await later(family, WINDOW + SECOND)
    code = await code_of(family)
    assert "Alice" in await hears(family, family.webhook, STRANGER, f"/link {code}")


async def test_what_is_no_code_is_no_guess(family: TestHouse) -> None:
    """A stranger's other words go the way of all strangers' words."""
    family.account_rule("webhook", dm_policy=DmPolicy.ALLOWLIST)
    for text in ("/link", "/link me please", "/link yes", "/link no", "/link confirm", "/unlink 1", "hello"):
        assert await hears(family, family.webhook, STRANGER, text) == ""
    guesses = await family.database.read(_guesses)
    assert guesses == 0


# --- again, and after a crash ---------------------------------------------------------------------------------


async def test_every_step_offered_again_does_nothing_again(family: TestHouse) -> None:
    """Networks deliver twice, also late: no code is counted as wrong, nobody is asked twice, nothing is undone."""
    await said_yes(family)
    await hears(family, family.telegram, "a", "/link confirm")
    before = len(family.webhook.attempts), len(family.telegram.attempts)
    for network in (family.webhook, family.telegram):
        for message in list(network.said):
            assert (await network.offers(message)).outcome is Outcome.DUPLICATE
    await family.idle()
    assert (len(family.webhook.attempts), len(family.telegram.attempts)) == before
    assert (await person_at(family), await family.database.read(_guesses)) == ("alice", 0)


async def test_a_crash_after_any_step_loses_nothing(family: TestHouse) -> None:
    """What was said stands, and what was to be told is told after the next start."""
    code = await code_of(family)
    for network, sender, text in (
        (family.webhook, STRANGER, f"/link {code}"),
        (family.webhook, STRANGER, "/link yes"),
        (family.telegram, "a", "/link confirm"),
    ):
        await network.says(sender, text)
        await family.crash()
        await family.idle()
    assert await person_at(family) == "alice"
    heard = "\n".join(family.webhook.heard_by(STRANGER))
    assert "/link yes" in heard
    assert "I know you here as Alice" in heard
    assert "typed your code" in "\n".join(family.telegram.heard_by("a"))


async def test_an_address_of_a_kind_they_may_not_use_is_joined_with_a_warning(family: TestHouse) -> None:
    """What is written there is not answered, and whoever says yes hears so at once."""
    await family.link("alice", "email", "alice@example.org")
    await family.database.write(lambda c: users.set_permissions(c, UserId("alice"), ["email"]))
    mail = family.email
    found = CODE.search(await hears(family, mail, "alice@example.org", "/link"))
    assert found is not None
    await hears(family, family.webhook, STRANGER, f"/link {found[0]}")
    await hears(family, family.webhook, STRANGER, "/link yes")
    said = await hears(family, mail, "alice@example.org", "/link confirm")
    assert "is yours now, but is not answered" in said
    assert await person_at(family) == "alice"


# --- what still waits to be told ------------------------------------------------------------------------------


async def test_what_is_over_is_told_nobody(family: TestHouse) -> None:
    """The question to the other side waits for its network; Alice says no meanwhile; it is never asked."""
    code = await code_of(family)
    family.webhook.fails(times=1)
    await family.webhook.says(STRANGER, f"/link {code}")
    await family.webhook.tried(1)
    await family.idle()
    await hears(family, family.telegram, "a", "/link no")
    await later(family, timedelta(seconds=5))
    await family.idle()
    assert "account of Alice" not in "\n".join(family.webhook.heard_by(STRANGER))


async def test_what_was_for_a_stranger_is_not_told_whoever_has_the_address_then(family: TestHouse) -> None:
    """The question waits for its network, and the address becomes Bob's: he does not hear of Alice."""
    code = await code_of(family)
    family.webhook.fails(times=1)
    await family.webhook.says(STRANGER, f"/link {code}")
    await family.webhook.tried(1)
    await family.idle()
    await family.link("bob", "webhook", STRANGER, "default")
    await later(family, timedelta(seconds=5))
    await family.idle()
    assert family.webhook.heard_by(STRANGER) == []


async def test_old_codes_are_forgotten(family: TestHouse) -> None:
    """A day after, nothing of them is kept; the code itself never was."""
    code = codes.read(await code_of(family))
    assert code is not None
    rows = await family.database.read(lambda c: [tuple(row) for row in c.execute(select(tables.link_codes))])
    assert code not in str(rows)
    await later(family, timedelta(days=2))
    now = family.clock.now()
    await family.database.write(lambda connection: linking.prune(connection, now))
    assert await family.database.read(lambda c: c.execute(select(tables.link_codes)).all()) == []


def _what_is_kept(connection: Connection) -> tuple[int, int, set[str]]:
    """How many turns and guests there are, and in whose name something was told."""
    turns = connection.execute(select(func.count()).select_from(tables.turns)).scalar_one()
    guests = connection.execute(select(func.count()).select_from(tables.guest_days)).scalar_one()
    return turns, guests, set(connection.execute(select(tables.outbox.c.agent_id)).scalars())


def _guesses(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(tables.link_guesses)).scalar_one()
