"""A group asks to be let in, by somebody of this house who speaks to the assistant there."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from rookery.channels.contract import Outcome
from rookery.channels.loopback import Fate
from rookery.config.words import DmPolicy, GroupPolicy
from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.gateway.admitting import HINT
from rookery.gateway.operations import pairings, spaces
from rookery.gateway.shapes import Nothing, Pairing, PairingApprove, PairingReject, SpaceAdmit
from rookery.messages import ChatKind
from rookery.users import tables as user_tables
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

GROUP = "-100"
LET_IN = "This group is let in. I answer people of this house here when they speak to me."


@pytest.fixture(autouse=True)
async def people(house: TestHouse) -> None:
    """Alice and an admin, both on telegram."""
    await house.person("alice", telegram="1")
    await house.person("ann", admin=True, telegram="2")


async def says(house: TestHouse, sender: str, text: str, *, group: str = GROUP, mentioned: bool = True) -> Outcome:
    receipt = await house.telegram.says(sender, text, group=group, mentioned=mentioned)
    await house.idle()
    return receipt.outcome


async def listed(house: TestHouse) -> list[Pairing]:
    return await pairings.listed(AtTheDesk(house).operator, Nothing())


async def test_a_person_who_mentions_the_assistant_asks_for_the_group(house: TestHouse) -> None:
    """Admins see the request and who made it; in the group nothing is said, and no model is asked."""
    for _ in range(3):
        assert await says(house, "1", "hello") is Outcome.REFUSED
    [one] = await listed(house)
    assert (one.kind, one.chat, one.chat_kind, one.asked_by) == ("group", GROUP, "group", "alice")
    assert house.telegram.attempts == []
    assert house.model.requests == []


@pytest.mark.parametrize("which", ["a stranger", "a listed guest", "not mentioned", "groups are off"])
async def test_nobody_else_asks_for_a_group(house: TestHouse, which: str) -> None:
    """Nor does what was not said to the assistant."""
    sender, mentioned = "1", True
    match which:
        case "a stranger":
            house.account_rule("telegram", dm_policy=DmPolicy.PAIRING)
            sender = "9"
        case "a listed guest":
            house.account_rule("telegram", group_allow_from=frozenset({"9"}))
            sender = "9"
        case "not mentioned":
            mentioned = False
        case _:
            house.account_rule("telegram", group_policy=GroupPolicy.DISABLED)
    assert await says(house, sender, "hello", mentioned=mentioned) is Outcome.REFUSED
    assert await listed(house) == []
    assert house.telegram.attempts == []


async def test_an_admin_lets_a_group_in_from_the_chat(house: TestHouse) -> None:
    """They are told how, once; they pay for it unless they name somebody else."""
    await says(house, "2", "hello")
    await says(house, "2", "hello again")
    assert house.telegram.heard_in(GROUP) == [HINT]
    assert await says(house, "2", "/admit alice", mentioned=False) is Outcome.ACCEPTED
    assert house.telegram.heard_in(GROUP)[1:] == [LET_IN]
    assert await listed(house) == []
    [space] = await spaces.listed(AtTheDesk(house).operator, Nothing())
    assert (space.chat, space.account, space.sponsor, space.admitted_by) == (GROUP, "default", "alice", "user:ann")
    assert await says(house, "1", "hello") is Outcome.ACCEPTED
    assert len(house.model.requests) == 1
    [row] = await AtTheDesk(house).record()
    assert row[:3] == ("user:ann", "alice", "space.admit")
    await says(house, "2", "/admit")
    assert "let in already" in house.telegram.heard_in(GROUP)[-1]


async def test_the_admin_pays_when_nobody_is_named(house: TestHouse) -> None:
    """And a sponsor who is not there, or is switched off, is none."""
    off = update(user_tables.users).where(user_tables.users.c.id == "alice").values(enabled=False)
    await house.database.write(lambda connection: connection.execute(off))
    await says(house, "2", "/admit bob")
    await says(house, "2", "/admit alice")
    await says(house, "2", "/admit ../../etc")
    unknown, disabled, wrong = house.telegram.heard_in(GROUP)
    assert "no user 'bob'" in unknown
    assert "disabled" in disabled
    assert "no user '../../etc'" in wrong
    await says(house, "2", "/admit")
    [space] = await spaces.listed(AtTheDesk(house).operator, Nothing())
    assert space.sponsor == "ann"


async def test_only_an_admin_lets_a_group_in(house: TestHouse) -> None:
    """What a member types asks for it, and is answered by nobody; alone with the assistant it does nothing."""
    await says(house, "1", "/admit")
    assert house.telegram.attempts == []
    [one] = await listed(house)
    assert one.asked_by == "alice"
    for sender in ("1", "2"):
        await house.telegram.says(sender, "/admit")
    await house.idle()
    assert "type it in that group" in house.telegram.heard_by("2")[-1]
    assert await spaces.listed(AtTheDesk(house).operator, Nothing()) == []


async def test_three_groups_wait_on_an_account_for_a_day(house: TestHouse) -> None:
    """A further one is not kept until one of them is decided or ran out."""
    for number in range(4):
        await says(house, "1", "hello", group=f"-{number}")
    assert sorted(one.chat for one in await listed(house)) == ["-0", "-1", "-2"]
    await house.clock.passes(24 * 3600)
    await says(house, "1", "hello", group="-3")
    assert [one.chat for one in await listed(house)] == ["-3"]


async def test_a_request_is_decided_from_the_list(house: TestHouse) -> None:
    """Approved with a sponsor, and the same again answers the same; rejected, it is silent for a day."""
    desk = AtTheDesk(house).operator
    await says(house, "1", "hello")
    [one] = await listed(house)
    with pytest.raises(InvalidInput, match="sponsor"):
        await pairings.approve(desk, PairingApprove(id=one.id, user_id="alice"))
    with pytest.raises(NotFound):
        await pairings.approve(desk, PairingApprove(id=one.id, sponsor="bob"))
    made = await pairings.approve(desk, PairingApprove(id=one.id, sponsor="alice"))
    assert (made.user_id, made.chat) == ("alice", GROUP)
    assert await pairings.approve(desk, PairingApprove(id=one.id, sponsor="alice")) == made
    with pytest.raises(Conflict, match="'alice'"):
        await pairings.approve(desk, PairingApprove(id=one.id, sponsor="ann"))
    assert await says(house, "1", "hello") is Outcome.ACCEPTED
    await says(house, "1", "hello", group="-200")
    [other] = await listed(house)
    await pairings.reject(desk, PairingReject(id=other.id))
    await says(house, "2", "hello", group="-200")
    assert await listed(house) == []
    assert house.telegram.heard_in("-200") == []


async def test_a_group_let_in_by_name_waits_no_more(house: TestHouse) -> None:
    """What was asked for is there."""
    await says(house, "1", "hello")
    ask = SpaceAdmit(channel="telegram", chat=GROUP, sponsor="alice")
    await spaces.admit(AtTheDesk(house).operator, ask)
    assert await listed(house) == []


async def test_a_group_with_a_rule_is_not_asked_for(house: TestHouse) -> None:
    """The configuration says what is answered there, rightly or wrongly; typing changes nothing of it."""
    await house.shared_agent("desk", sponsor="alice", channel="telegram", peer_kind=ChatKind.GROUP, peer_id=GROUP)
    await house.database.write(
        lambda connection: connection.execute(
            user_tables.agents.update().where(user_tables.agents.c.id == "desk").values(enabled=False)
        )
    )
    await says(house, "2", "/admit")
    assert await listed(house) == []
    assert await spaces.listed(AtTheDesk(house).operator, Nothing()) == []


async def test_who_is_no_admin_any_more_is_told_nothing(house: TestHouse) -> None:
    """What waits to be said in the group is asked about when it goes."""
    house.telegram.fails(Fate.UNAVAILABLE)
    await says(house, "2", "hello")
    demoted = update(user_tables.users).where(user_tables.users.c.id == "ann").values(role="member")
    await house.database.write(lambda connection: connection.execute(demoted))
    await house.clock.passes(1)
    await house.idle()
    assert house.telegram.heard_in(GROUP) == []
