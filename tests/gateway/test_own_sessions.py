"""A person's own sessions at the desk, on both databases, and over crashes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rookery.errors import IdempotencyKeyReused, NotFound, Refused
from rookery.gateway.idempotency import KEPT, Once, Repeated
from rookery.gateway.operations import Desk, agents, sessions, shelf, spaces, turns
from rookery.gateway.shapes import (
    AgentChange,
    AgentNamed,
    EntriesAsk,
    MessageSend,
    Moment,
    SessionChange,
    SessionExport,
    SessionOpen,
    SessionQuery,
    SessionRef,
    SessionRemove,
    SpaceAdmit,
    TurnNamed,
)
from rookery.ids import SessionId, UserId
from rookery.messages import Chat, ChatKind
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

ALICE = UserId("alice")


def nowhere(user_id: UserId, session_id: SessionId) -> Moment:
    """Nobody watches."""
    del user_id, session_id
    return Moment(epoch="e", seq=0, running=None)


@pytest.fixture
async def house(house: TestHouse) -> TestHouse:
    """Alice and Bob live here, and Carol keeps the house."""
    for person in ("alice", "bob"):
        await house.person(person)
    await house.person("carol", admin=True)
    return house


def keyed(house: TestHouse, ask: MessageSend, key: str = "k") -> Desk:
    """Alice's desk, for a message that is sent once."""
    return replace(AtTheDesk(house).by("alice"), once=turns.once(ALICE, key, ask))


async def test_the_life_of_a_session(house: TestHouse):
    """It begins, is talked to, called something, read, exported, put in the bin, and purged."""
    desk = AtTheDesk(house).by("alice")
    opened = await sessions.create(desk, SessionOpen(title="Rome", tags=("trip",)))
    name = opened.session.session_id
    turn = await turns.send(desk, MessageSend(session=name, text="hello", wait=20))
    assert turn.status == "done"
    assert turn.reply
    assert await turns.state(desk, TurnNamed(turn_id=turn.turn_id)) == turn
    changed = await sessions.change(desk, SessionChange(session=name, title=None, label="l"))
    assert (changed.title, changed.label, changed.tags) == (None, "l", ("trip",))
    read = await sessions.entries(desk, EntriesAsk(session=name), nowhere)
    assert [one["type"] for one in read.items] == ["info", "message", "message", "info"]
    for form in ("jsonl", "markdown"):
        assert b"hello" in (await sessions.exported(desk, SessionExport(session=name, format=form))).data
    for purge, left in ((False, 1), (True, 0)):
        await sessions.remove(desk, SessionRemove(session=name, purge=purge))
        assert (await shelf.page(desk, SessionQuery())).items == ()
        assert len((await shelf.page(desk, SessionQuery(status="all"))).items) == left
    with pytest.raises(NotFound):
        await sessions.get(desk, SessionRef(session=name))


async def test_a_message_is_one_over_a_crash(house: TestHouse):
    """Whoever did not hear the answer asks again, of the next process too, and is told of the same turn."""
    ask = MessageSend(session="main", text="hello")
    first = await turns.send(keyed(house, ask), ask)
    await house.crash()
    again = await turns.send(keyed(house, ask), ask)
    assert again.turn_id == first.turn_id
    await house.idle()
    assert len(await house.entries("alice", first.session_id)) == 2
    other = MessageSend(session="main", text="other")
    with pytest.raises(IdempotencyKeyReused):
        await turns.send(keyed(house, other), other)


async def test_after_a_day_the_key_is_for_another_message(house: TestHouse):
    """And no message is lost for having the key of an old one."""
    ask = MessageSend(session="main", text="hello", wait=20)
    first = await turns.send(keyed(house, ask), ask)
    await house.clock.passes(KEPT.total_seconds() + 1)
    again = await turns.send(keyed(house, ask), ask)
    assert again.turn_id != first.turn_id
    assert again.status == "done"


async def test_what_was_begun_once_is_begun_once(house: TestHouse):
    """The same key again names the session of before."""
    once = Once.of(ALICE, "POST /api/sessions/create", "k", b"")
    desk = replace(AtTheDesk(house).by("alice"), once=once)
    opened = await sessions.create(desk, SessionOpen())
    with pytest.raises(Repeated) as repeated:
        await sessions.create(desk, SessionOpen())
    assert repeated.value.object_id == opened.session.session_id
    assert len((await shelf.page(desk, SessionQuery())).items) == 1


@pytest.mark.parametrize("purge", [False, True])
async def test_a_session_that_is_deleted_stays_deleted_over_a_crash(house: TestHouse, purge: bool):
    """Once it was said, it is done, by the next process where this one does not come to it."""
    desk = AtTheDesk(house).by("alice")
    turn = await turns.send(desk, MessageSend(session="main", text="hello", wait=20))
    house.gateway.lanes.hold()  # nothing new begins any more
    await sessions.remove(desk, SessionRemove(session=turn.session_id, purge=purge))
    with pytest.raises(NotFound):
        await turns.send(desk, MessageSend(session=turn.session_id, text="again"))
    await house.crash()
    await house.idle()
    desk = AtTheDesk(house).by("alice")
    found = (await shelf.page(desk, SessionQuery(status="all"))).items
    assert [one.status for one in found] == ([] if purge else ["deleted"])


async def test_nobody_sees_another_ones(house: TestHouse):
    """Neither a member nor an admin; and the operator only for the person, on the record."""
    turn = await turns.send(AtTheDesk(house).by("alice"), MessageSend(session="main", text="hello", wait=20))
    for other in (AtTheDesk(house).by("bob"), AtTheDesk(house).by("carol", admin=True)):
        for name in (turn.session_id, turn.session_key):
            with pytest.raises(NotFound):
                await sessions.get(other, SessionRef(session=name))
            with pytest.raises(NotFound):
                await turns.send(other, MessageSend(session=name, text="x"))
            with pytest.raises(NotFound):
                await turns.stop(other, SessionRef(session=name))
        with pytest.raises(NotFound):
            await turns.state(other, TurnNamed(turn_id=turn.turn_id))
        assert (await shelf.page(other, SessionQuery(status="all"))).items == ()
    with pytest.raises(Refused):
        await turns.send(AtTheDesk(house).operator, MessageSend(session="main", text="x"))


async def test_an_agent_shows_only_who_may_change_it_what_it_is_like(house: TestHouse):
    """Its persona is its owner's; an agent that is somebody else's is none."""
    desk = AtTheDesk(house).by("alice")
    changed = await agents.alter(desk, AgentChange(agent_id="alice", persona="Be kind.", name="Ada"))
    assert (changed.persona, changed.name) == ("Be kind.", "Ada")
    with pytest.raises(NotFound):
        await agents.shown(AtTheDesk(house).by("bob"), AgentNamed(agent_id="alice"))


async def test_a_groups_session_is_its_keepers(house: TestHouse):
    """Its sponsor finds it on their shelf and an admin by its agent's name; those who talk there do not."""
    await house.link("bob", "telegram", "b1")
    await house.shared_agent(
        "desk", sponsor="alice", channel="telegram", account="default", peer_kind=ChatKind.GROUP, peer_id="-1"
    )
    await house.telegram.says("b1", "hello", chat=Chat(ChatKind.GROUP, "-1"), mentioned=True)
    await house.idle()
    keeper, admin, talker = (
        AtTheDesk(house).by(person, admin=person == "carol") for person in ("alice", "carol", "bob")
    )
    [found] = (await shelf.page(keeper, SessionQuery())).items
    assert found.kind == "group"
    assert (await shelf.page(admin, SessionQuery())).items == ()
    assert (await shelf.page(admin, SessionQuery(agent_id="desk"))).items == (found,)
    assert (await shelf.page(talker, SessionQuery(agent_id="desk"))).items == ()
    for desk in (keeper, admin):
        read = await sessions.entries(desk, EntriesAsk(session=found.session_id), nowhere)
        assert len(read.items) == 2
        with pytest.raises(NotFound):
            await turns.send(desk, MessageSend(session=found.session_id, text="x"))
    with pytest.raises(NotFound):
        await sessions.get(talker, SessionRef(session=found.session_key))
    looked = [row for row in await AtTheDesk(house).record() if row[2] == "session.show"]
    assert looked == [("user:carol", "alice", "session.show", found.session_id, "allowed")]
    await sessions.remove(admin, SessionRemove(session=found.session_id, purge=True))
    assert (await shelf.page(keeper, SessionQuery(status="all"))).items == ()


async def test_a_groups_sponsor_keeps_it_also_with_a_shared_agent(house: TestHouse):
    """What was said in a group that Bob answers for is his to read, not the agent's sponsor's."""
    await house.link("bob", "telegram", "b1")
    await house.shared_agent("desk", sponsor="alice")
    ask = SpaceAdmit(channel="telegram", chat="-1", sponsor="bob", agent_id="desk")
    await spaces.admit(AtTheDesk(house).by("carol", admin=True), ask)
    await house.telegram.says("b1", "hello", chat=Chat(ChatKind.GROUP, "-1"), mentioned=True)
    await house.idle()
    assert (await shelf.page(AtTheDesk(house).by("alice"), SessionQuery())).items == ()
    [found] = (await shelf.page(AtTheDesk(house).by("bob"), SessionQuery())).items
    read = await sessions.entries(AtTheDesk(house).by("bob"), EntriesAsk(session=found.session_id), nowhere)
    assert len(read.items) == 2
    with pytest.raises(NotFound):
        await sessions.get(AtTheDesk(house).by("alice"), SessionRef(session=found.session_id))
