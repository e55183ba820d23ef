"""How much a guest of a shared agent may write in a day of its sponsor's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select, update

from rookery import users
from rookery.channels.contract import Outcome
from rookery.config.words import DmPolicy
from rookery.gateway import guests, settings, tables
from rookery.ids import UserId
from rookery.users import tables as user_tables
from tests.gateway.test_spaces import GROUP, admit
from tests.support.house import TestHouse

LIMIT = 3
TOLD = "As a guest you can write 3 messages a day here, and that was it for today. Write again tomorrow."


@pytest.fixture(autouse=True)
async def desk(house: TestHouse) -> None:
    """A shared agent for everybody who writes on telegram, with a small limit."""
    await house.person("alice", telegram="1")
    await house.shared_agent("desk", sponsor="alice", channel="telegram")
    house.rule(guest_limits={"desk": LIMIT})
    for account in ("default", "second"):
        house.account_rule("telegram", account, dm_policy=DmPolicy.OPEN)


async def says(house: TestHouse, sender: str, count: int, *, account: str = "default", text: str = "hello") -> int:
    """Somebody writes so often; how many of it were taken in."""
    taken = 0
    for _ in range(count):
        receipt = await house.telegram.says(sender, text, account=account)
        taken += receipt.outcome is Outcome.ACCEPTED
        assert receipt.outcome is Outcome.ACCEPTED or "a guest may write" in receipt.reason
        await house.idle()
    return taken


async def test_a_guest_is_told_once_and_then_nothing_until_tomorrow(house: TestHouse) -> None:
    """What is beyond the limit opens no session and costs no token; the next day begins anew."""
    assert await says(house, "9", LIMIT + 3) == LIMIT
    assert house.telegram.heard_by("9")[LIMIT:] == [TOLD]
    assert len(house.model.requests) == LIMIT
    await house.restart()
    assert await says(house, "9", 1) == 0
    await house.clock.passes(12 * 3600)
    assert await says(house, "9", LIMIT + 1) == LIMIT
    assert house.telegram.heard_by("9").count(TOLD) == 2


async def test_nobody_is_a_guest_of_somebody_who_is_disabled(house: TestHouse) -> None:
    """Nothing is spent on their account, and strangers hear nothing of it; it goes on when they are back."""
    await house.database.write(lambda c: users.change_user(c, UserId("alice"), enabled=False))
    for text in ("hello", "/help"):
        receipt = await house.telegram.says("9", text)
        assert receipt.outcome is Outcome.REFUSED
        assert "'alice'" in receipt.reason
    await house.idle()
    assert house.telegram.heard_by("9") == []
    assert house.model.requests == []
    await house.database.write(lambda c: users.change_user(c, UserId("alice"), enabled=True))
    assert await says(house, "9", 1) == 1


async def test_each_guest_has_a_day_of_their_own(house: TestHouse) -> None:
    """Nobody's limit is used up by another; people of the house have none."""
    assert await says(house, "9", LIMIT + 1) == LIMIT
    assert await says(house, "8", LIMIT) == LIMIT
    assert await says(house, "1", LIMIT + 2) == LIMIT + 2
    assert house.telegram.heard_by("8").count(TOLD) == 0


async def test_a_guest_is_the_same_on_every_account_of_a_network(house: TestHouse) -> None:
    """Where the network has one id for them; where ids are an account's own it is somebody else."""
    assert await says(house, "9", LIMIT) == LIMIT
    assert await says(house, "9", 1, account="second") == 0
    await house.shared_agent("club", sponsor="alice", channel="webhook")
    house.rule(guest_limits={"club": 1})
    for account in ("default", "other"):
        house.account_rule("webhook", account, dm_policy=DmPolicy.OPEN)
        assert (await house.webhook.says("9", "hello", account=account)).outcome is Outcome.ACCEPTED
        assert (await house.webhook.says("9", "hello", account=account)).outcome is Outcome.REFUSED


async def test_the_day_is_the_sponsors(house: TestHouse) -> None:
    """At noon in Greenwich it is just midnight in Auckland, in summer an hour past."""
    zone = update(user_tables.users).where(user_tables.users.c.id == "alice").values(timezone="Pacific/Auckland")
    await house.database.write(lambda connection: connection.execute(zone))
    await house.clock.passes((datetime(2026, 6, 1, 11, 59, tzinfo=UTC) - house.clock.now()).total_seconds())
    assert await says(house, "9", LIMIT + 1) == LIMIT
    await house.clock.passes(60)
    assert await says(house, "9", 1) == 1


async def test_a_clock_set_back_gives_nothing_away(house: TestHouse) -> None:
    """The day that was counted goes on until it is over."""
    assert await says(house, "9", LIMIT) == LIMIT
    await house.clock.passes(-24 * 3600)
    assert await says(house, "9", 1) == 0


async def test_commands_are_free_up_to_a_point(house: TestHouse) -> None:
    """They are answered after the last message of the day too, a hundred of them; then there is silence."""
    assert await says(house, "9", LIMIT + 1) == LIMIT
    commands = guests.COMMANDS_PER_DAY
    assert await says(house, "9", commands + 2, text="/help") == commands
    heard = house.telegram.heard_by("9")
    assert len(heard) == LIMIT + 1 + commands
    assert await says(house, "8", 1) == 1
    assert len(house.model.requests) == LIMIT + 1


async def test_none_may_where_the_limit_is_nought(house: TestHouse) -> None:
    """They are told so once, in other words."""
    house.rule(guest_limits={"desk": 0})
    assert await says(house, "9", 2) == 0
    assert house.telegram.heard_by("9") == ["Guests are not answered here at the moment."]
    assert house.model.requests == []


async def test_guests_of_a_group_have_a_limit_too(house: TestHouse) -> None:
    """Each of them; it is said in the group, once, and its sponsor's day is what counts."""
    space = await admit(house)
    house.rule(guest_limits={space.agent_id: 1})
    house.account_rule("telegram", group_allow_from=frozenset({"8", "9"}))
    outcomes = [
        (await house.telegram.says(sender, "hello", chat=GROUP)).outcome
        for sender in ("9", "9", "9", "8", "1", "1")
    ]
    await house.idle()
    assert [outcome is Outcome.ACCEPTED for outcome in outcomes] == [True, False, False, True, True, True]
    told = [text for text in house.telegram.heard_in(GROUP.id) if text.startswith("As a guest")]
    assert told == [TOLD.replace("3 messages", "one message")]


async def test_a_message_that_comes_twice_counts_once(house: TestHouse) -> None:
    """And what is beyond the limit is not told again for it."""
    for _ in range(LIMIT + 2):
        await house.telegram.says("9", "hello", message_id="m1")
    assert await says(house, "9", LIMIT) == LIMIT - 1
    await house.telegram.offers(house.telegram.said[-1])
    await house.idle()
    assert house.telegram.heard_by("9").count(TOLD) == 1


async def test_days_that_are_over_are_forgotten(house: TestHouse) -> None:
    """Nothing stays behind of guests who wrote once."""
    await says(house, "9", 1)

    def left(connection: Connection) -> list[int]:
        found: list[int] = []
        for days in (0, 2, 5):
            guests.prune(connection, house.clock.now() + timedelta(days=days))
            found.append(len(connection.execute(select(tables.guest_days)).all()))
        return found

    assert await house.database.write(left) == [1, 1, 0]


def test_the_limit_is_said_in_the_configuration() -> None:
    """For each shared agent; fifty where nothing is said."""
    from rookery.config import Config

    config = Config.model_validate(
        {
            "agents": {
                "list": [
                    {"id": "desk", "sponsor": "alice", "guestMessagesPerDay": 7},
                    {"id": "club", "sponsor": "alice"},
                ]
            }
        }
    )
    rules = settings.settings_from(config).rules
    assert [rules.guest_limit(agent) for agent in ("desk", "club", "added-by-hand")] == [7, 50, 50]
