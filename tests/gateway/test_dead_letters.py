"""What a network never took: listed without its words, and tried again when somebody asks for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import Connection, text

from rookery.channels.loopback import Fate
from rookery.config import Config
from rookery.errors import Conflict, NotFound, Refused
from rookery.gateway.home import Home
from rookery.gateway.house import House
from rookery.gateway.operations import Desk, channels
from rookery.gateway.shapes import DeadLetterList, DeadLetterRetry, Nothing
from rookery.ids import AgentId, UserId
from rookery.outbound.lazy import LazyOutbound
from rookery.policy import Member
from rookery.storage import as_agent
from tests.support.house import TestHouse

ALL = DeadLetterRetry()


@pytest.fixture
async def desk(house: TestHouse) -> AsyncGenerator[Desk]:
    """The operator's desk of a house with Alice in it."""
    outbound = LazyOutbound()
    await house.person("alice", telegram="a1", email="a2")
    opened = House(Home(house.home), house.gateway, outbound)
    yield Desk(opened, Config.model_validate({}), None, None, house.clock.now())
    await outbound.close()


async def test_a_dead_letter_is_listed_and_sent_when_it_is_tried_again(house: TestHouse, desk: Desk) -> None:
    """The operator sees where it should have gone and why it did not, and one command sends it."""
    house.telegram.fails(Fate.FAILED)
    await house.telegram.says("a1", "the quiet word")
    await house.idle()

    [letter] = await channels.dead_letters(desk, DeadLetterList())
    assert (letter.agent_id, letter.channel, letter.chat, letter.attempts) == ("alice", "telegram", "a1", 1)
    assert "quiet" not in repr(letter)
    assert house.telegram.heard_by("a1") == []

    done = await channels.retry(desk, ALL)
    await house.idle()
    assert done.detail == "1 reply is tried again."
    [heard] = house.telegram.heard_by("a1")
    assert "the quiet word" in heard
    assert await channels.dead_letters(desk, DeadLetterList()) == []


async def test_only_what_was_named_is_tried_again(house: TestHouse, desk: Desk) -> None:
    """One delivery, or one channel; the others stay as they are."""
    house.telegram.fails(Fate.FAILED, times=2)
    house.email.fails(Fate.FAILED)
    for sender, network in (("a1", house.telegram), ("a1", house.telegram), ("a2", house.email)):
        await network.says(sender, f"to {network.name}")
        await house.idle()

    newest = (await channels.dead_letters(desk, DeadLetterList(channel="telegram", limit=1)))[0]
    await channels.retry(desk, DeadLetterRetry(delivery_id=newest.delivery_id))
    await house.idle()
    assert len(house.telegram.heard_by("a1")) == 1
    [telegram] = await channels.dead_letters(desk, DeadLetterList(channel="telegram"))
    assert telegram.delivery_id != newest.delivery_id

    await channels.retry(desk, DeadLetterRetry(channel="telegram"))
    await house.idle()
    assert [one.channel for one in await channels.dead_letters(desk, DeadLetterList())] == ["email"]
    counted = {one.name: (one.waiting, one.dead_letters) for one in await channels.listed(desk, Nothing())}
    assert counted == {"email": (0, 1), "telegram": (0, 0), "webhook": (0, 0)}


async def test_a_right_that_was_taken_back_stays_taken_back(house: TestHouse, desk: Desk) -> None:
    """Trying again is no way around the gate: whoever may not hear it any more does not."""
    house.telegram.fails(Fate.FAILED)
    await house.telegram.says("a1", "hello")
    await house.idle()
    await house.unlink("alice", "telegram", "a1")

    await channels.retry(desk, ALL)
    await house.idle()
    assert house.telegram.heard_by("a1") == []
    assert len(await channels.dead_letters(desk, DeadLetterList())) == 1


async def test_what_cannot_be_tried_again_is_said(house: TestHouse, desk: Desk) -> None:
    """No such letter, and one whose words are gone: each has its own answer, and nothing changes."""
    with pytest.raises(NotFound, match="on any channel"):
        await channels.retry(desk, ALL)
    house.telegram.fails(Fate.FAILED)
    await house.telegram.says("a1", "hello")
    await house.idle()
    with pytest.raises(NotFound, match="'nothing'"):
        await channels.retry(desk, DeadLetterRetry(delivery_id="nothing"))

    def forget(connection: Connection) -> None:
        as_agent(connection, AgentId("alice"))
        connection.execute(text("DELETE FROM outbox_bodies"))

    await house.database.write(forget)
    with pytest.raises(Conflict, match="forgotten"):
        await channels.retry(desk, ALL)
    assert len(await channels.dead_letters(desk, DeadLetterList())) == 1


async def test_a_member_sees_and_tries_nothing(house: TestHouse, desk: Desk) -> None:
    """Dead letters say who wrote to whom, which is nobody's business but the house's."""
    alice = desk.of(Member(UserId("alice")))
    for refused in (
        channels.listed(alice, Nothing()),
        channels.dead_letters(alice, DeadLetterList()),
        channels.retry(alice, ALL),
    ):
        with pytest.raises(Refused):
            await refused
