"""Taking an address of one's own off: it reaches nothing from then on, also nothing that waited."""

from __future__ import annotations

import asyncio

import pytest

from rookery.errors import NotFound
from rookery.gateway.operations import people
from rookery.gateway.shapes import IdentityChange
from rookery.models.scripted import ScriptedModel, Step
from tests.gateway.at_the_desk import AtTheDesk
from tests.gateway.test_linking import hears
from tests.support.house import TestHouse


@pytest.fixture
async def family(house: TestHouse) -> TestHouse:
    """Alice is known on Telegram, then by mail."""
    await house.person("alice", telegram="a")
    await house.clock.passes(1)
    await house.link("alice", "email", "a@example.org")
    await house.person("bob")
    return house


async def test_addresses_are_listed_by_number(family: TestHouse) -> None:
    """The one that was linked first at the beginning, and which of them one writes from."""
    said = await hears(family, family.email, "a@example.org", "/unlink")
    assert said.splitlines()[1:3] == ["1. telegram:a", "2. email:a@example.org (where you write from)"]


@pytest.mark.parametrize("word", ["1", "telegram:a"])
async def test_an_address_is_taken_off(family: TestHouse, word: str) -> None:
    """It is nobody's then; what was said there stays with the person, and the deed is on record."""
    await hears(family, family.telegram, "a", "my cat is called Miso")
    assert "telegram:a is not yours any more" in await hears(
        family, family.email, "a@example.org", f"/unlink {word}"
    )
    assert "Miso" not in await hears(family, family.telegram, "a", "hello")
    assert "Miso" in await hears(family, family.email, "a@example.org", "hello")
    assert ("user:alice", "alice", "identity.unlink", "telegram:a", "allowed") in await AtTheDesk(family).record()


async def test_the_address_one_writes_from_needs_a_clear_word(family: TestHouse) -> None:
    """And it is told so itself, although it is nobody's by then."""
    assert "/unlink 1 yes" in await hears(family, family.telegram, "a", "/unlink 1")
    assert "You are Alice" in await hears(family, family.telegram, "a", "/whoami")
    assert "is not yours any more" in await hears(family, family.telegram, "a", "/unlink 1 yes")
    assert "You are Alice" not in await hears(family, family.telegram, "a", "/whoami")


@pytest.mark.parametrize("word", ["3", "0", "email:b", "b", "telegram:a yes please"])
async def test_only_what_is_ones_own_is_taken_off(family: TestHouse, word: str) -> None:
    """Another number, and another's address, are none of theirs."""
    await family.link("bob", "email", "b")
    assert "You have no address" in await hears(family, family.telegram, "a", f"/unlink {word}")
    assert "You are Bob" in await hears(family, family.email, "b", "/whoami")


async def test_nothing_that_waited_is_answered(family: TestHouse) -> None:
    """A turn waits behind another of Alice's; she takes the address off, which becomes Bob's: neither is answered
    there, and Bob hears nothing of it."""
    gate = asyncio.Event()
    family.model = ScriptedModel([Step(text="alice-secret", before=gate), "alice-secret", "for bob"])
    await family.restart()
    await family.telegram.says("a", "first")
    await family.model.asked(1)
    await family.telegram.says("a", "second")
    await family.email.says("a@example.org", "/unlink 1")
    await family.link("bob", "telegram", "a")
    gate.set()
    await family.idle()
    assert family.telegram.heard_by("a") == []
    assert await hears(family, family.telegram, "a", "/whoami") != ""
    assert "alice-secret" not in "\n".join(family.telegram.heard_by("a"))


async def test_nothing_that_waited_is_sent(family: TestHouse) -> None:
    """Replies and answers that their network did not take yet never go there, whosever it is then."""
    family.telegram.fails(times=1)
    await family.telegram.says("a", "alice-secret")
    await family.telegram.tried(1)
    await family.idle()
    await family.telegram.says("a", "/whoami")
    await hears(family, family.email, "a@example.org", "/unlink 1")
    await family.link("bob", "telegram", "a")
    await family.clock.passes(5)
    await family.idle()
    assert family.telegram.heard_by("a") == []
    assert "You are Bob" in await hears(family, family.telegram, "a", "/whoami")


async def test_an_answer_that_waited_goes_to_nobody_else(family: TestHouse) -> None:
    """That the address is not Alice's any more is told it while it is nobody's, and not to Bob."""
    family.telegram.fails(times=1)
    await family.telegram.says("a", "/unlink 1 yes")
    await family.telegram.tried(1)
    await family.idle()
    await family.link("bob", "telegram", "a")
    await family.clock.passes(5)
    await family.idle()
    assert family.telegram.heard_by("a") == []


async def test_people_take_their_own_addresses_off_by_themselves(family: TestHouse) -> None:
    """On the page too; nobody else's."""
    desk = AtTheDesk(family)
    mail = IdentityChange(user_id="alice", channel="email", sender="a@example.org")
    with pytest.raises(NotFound):
        await people.unlink(desk.by("bob"), mail)
    await people.unlink(desk.by("alice"), mail)
    assert ("user:alice", "alice", "identity.unlink", "email:a@example.org", "allowed") in await desk.record()
