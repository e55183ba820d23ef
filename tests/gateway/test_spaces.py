"""A group that was let in: who is answered there, by whom, and until when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from rookery.channels.contract import Outcome, Receipt
from rookery.channels.loopback import LoopbackNetwork
from rookery.config.words import GroupPolicy
from rookery.gateway import turn_facts
from rookery.gateway.inbound import Wish
from rookery.gateway.turns import Status
from rookery.ids import AgentId, TurnId, UserId
from rookery.messages import Address, Chat, ChatKind
from rookery.policy import Action, Actor, AgentFacts, AgentResource, Guest, Member, may
from rookery.users import Space, spaces, tables
from tests.support.house import TestHouse

GROUP = Chat(ChatKind.GROUP, "-100")


async def admit(house: TestHouse, channel: str = "telegram", account: str | None = None, **said: Any) -> Space:
    asked: dict[str, Any] = {"chat": GROUP, "sponsor": UserId("alice"), "by": "operator"} | said
    chat = asked.pop("chat")
    return await house.database.write(
        lambda connection: spaces.admit(connection, channel, account, chat, now=house.clock.now(), **asked)
    )


async def remove(house: TestHouse) -> None:
    now = house.clock.now()
    await house.database.write(lambda c: spaces.remove(c, "telegram", None, GROUP, now=now))


async def enable(house: TestHouse, user: str, *, enabled: bool) -> None:
    change = update(tables.users).where(tables.users.c.id == user).values(enabled=enabled)
    await house.database.write(lambda connection: connection.execute(change))


async def says(network: LoopbackNetwork, sender: str, text: str, chat: Chat = GROUP) -> Receipt:
    return await network.says(sender, text, chat=chat)


async def test_a_group_that_was_let_in_is_answered_by_its_own_agent(house: TestHouse) -> None:
    """One conversation for everybody there, apart from what they say to their own agents."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    space = await admit(house)
    await house.telegram.says("1", "alice-private")
    await says(house.telegram, "1", "from alice")
    await says(house.telegram, "2", "from bob")
    await house.idle()
    _, answer = house.telegram.heard_in(GROUP.id)
    assert "from alice" in answer
    assert "from bob" in answer
    assert "alice-private" not in "".join(house.telegram.heard_in(GROUP.id))
    [own] = [one.text for one in house.telegram.heard if one.route.chat.kind is ChatKind.DM]
    assert "from bob" not in own
    [session] = await house.sessions(space.agent_id)
    assert session.session_key == f"agent:{space.agent_id}:telegram:group:-100"
    assert len(await house.sessions("alice")) == 1


async def test_a_group_that_was_not_let_in_is_told_to_the_operator(house: TestHouse) -> None:
    """With the very command that would let it in."""
    await house.person("alice", telegram="1")
    receipt = await says(house.telegram, "1", "hello", chat=Chat(ChatKind.CHANNEL, "ops room"))
    assert receipt.outcome is Outcome.REFUSED
    assert (
        "rookery space admit telegram 'ops room' --sponsor USER --account default --kind channel" in receipt.reason
    )


async def test_only_people_and_those_in_group_allow_from_are_answered(house: TestHouse) -> None:
    """Letting a group in lets in nobody; a stranger is refused, a listed one is a guest of the group alone."""
    await house.person("alice", telegram="1")
    space = await admit(house)
    assert (await says(house.telegram, "9", "hello")).outcome is Outcome.REFUSED
    house.account_rule("telegram", group_allow_from=frozenset({"9"}))
    assert (await says(house.telegram, "9", "hello")).outcome is Outcome.ACCEPTED
    assert (await house.telegram.says("9", "hello")).outcome is Outcome.REFUSED
    house.account_rule("telegram", group_policy=GroupPolicy.DISABLED)
    assert (await says(house.telegram, "1", "hello")).outcome is Outcome.REFUSED
    await house.idle()
    assert len(await house.sessions(space.agent_id)) == 1


async def test_its_agent_answers_nowhere_else(house: TestHouse) -> None:
    """Not its sponsor, not an admin who asks for it by name, not a guest: its brain is the group's."""
    await house.person("alice")
    await house.person("ann", admin=True)
    space = await admit(house)
    for person in ("alice", "ann"):
        receipt = await house.receive("webchat", person, "hello", Wish(agent_id=space.agent_id))
        assert receipt.outcome is Outcome.REFUSED
        assert "group's own" in receipt.reason


async def test_a_group_with_a_shared_agent_is_kept_by_its_own_sponsor(house: TestHouse) -> None:
    """The agent's sponsor pays for the agent; in the group it is the group's who begins conversations anew."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    await house.shared_agent("desk", sponsor="bob")
    await admit(house, agent_id=AgentId("desk"))
    await says(house.telegram, "2", "/new")
    await says(house.telegram, "1", "/new")
    await house.idle()
    refused, done = house.telegram.heard_in(GROUP.id)
    assert "only its sponsor or an admin" in refused
    assert "begins here" in done


async def test_a_rule_of_the_configuration_wins(house: TestHouse) -> None:
    """Where it names the group; a rule for the whole account says nothing about groups that were let in."""
    await house.person("alice", telegram="1")
    space = await admit(house)
    await house.shared_agent("club", sponsor="alice", channel="telegram", account="default")
    await says(house.telegram, "1", "first words")
    await house.idle()
    assert len(await house.sessions(space.agent_id)) == 1
    await house.shared_agent(
        "desk", sponsor="alice", channel="telegram", peer_kind=ChatKind.GROUP, peer_id=GROUP.id
    )
    await says(house.telegram, "1", "two")
    await house.idle()
    assert len(await house.sessions("desk")) == 1
    assert "first words" not in house.telegram.heard_in(GROUP.id)[-1]


async def test_a_group_is_silent_while_its_sponsor_is_disabled(house: TestHouse) -> None:
    """Nobody would pay; it goes on where it was when they are back."""
    await house.person("alice")
    await house.person("bob", telegram="2")
    await admit(house)
    await enable(house, "alice", enabled=False)
    receipt = await says(house.telegram, "2", "hello")
    assert receipt.outcome is Outcome.REFUSED
    assert "'alice', is disabled" in receipt.reason
    await enable(house, "alice", enabled=True)
    assert (await says(house.telegram, "2", "hello")).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("agent", [None, AgentId("desk")])
async def test_a_group_put_out_is_answered_no_more_at_once(house: TestHouse, agent: AgentId | None) -> None:
    """A reply that was to be tried again is not sent, a turn that waits is not run; the transcript is kept."""
    await house.person("alice", telegram="1")
    await house.shared_agent("desk", sponsor="alice")
    space = await admit(house, agent_id=agent)
    gate = house.telegram.holds()
    house.telegram.fails(times=1)
    await says(house.telegram, "1", "first words")
    await house.telegram.holding()
    house.gateway.lanes.hold()
    waiting = await says(house.telegram, "1", "two")
    await remove(house)
    gate.set()
    await house.telegram.tried(1)
    await house.restart()
    await house.clock.passes(2)
    await house.idle()
    assert house.telegram.heard_in(GROUP.id) == []
    state = await house.database.read(
        lambda connection: turn_facts.state(connection, TurnId(waiting.turn_id or ""))
    )
    assert state is not None
    assert (state.status, state.error) == (Status.FAILED, "refused")
    assert (await says(house.telegram, "1", "three")).outcome is Outcome.REFUSED
    assert len(await house.sessions(space.agent_id)) == 1


async def test_a_group_that_another_agent_answers_now(house: TestHouse) -> None:
    """What the one before it had not said yet is not said any more."""
    await house.person("alice", telegram="1")
    await house.shared_agent("club", sponsor="alice")
    await admit(house, agent_id=AgentId("club"))
    gate = house.telegram.holds()
    house.telegram.fails(times=1)
    await says(house.telegram, "1", "first words")
    await house.telegram.holding()
    await remove(house)
    await house.shared_agent("desk", sponsor="alice")
    await admit(house, agent_id=AgentId("desk"))
    gate.set()
    await house.telegram.tried(1)
    await house.clock.passes(2)
    await house.idle()
    assert house.telegram.heard_in(GROUP.id) == []
    await says(house.telegram, "1", "two")
    await house.idle()
    [answer] = house.telegram.heard_in(GROUP.id)
    assert "first words" not in answer


FACTS = AgentFacts(enabled=True, owner=None, sponsor=UserId("alice"), of_a_group=True)
_SORTS = {"agent", "session", "turn", "status", "attachment"}
ASKED = [action for action in Action if action.partition(".")[0] in _SORTS]
OWN_SETTINGS = {Action.CHANGE_AGENT, Action.SET_KEY, Action.READ_AGENT_KEYS}
SETTINGS = OWN_SETTINGS | {Action.REMOVE_AGENT, Action.GRANT_KEY, Action.CHECK_AGENT}
FILES = {Action.READ_FILES, Action.CHANGE_FILES}
KNOWN = {Action.READ_AGENT, Action.LIST_SESSIONS}


@pytest.mark.parametrize(
    ("actor", "allowed"),
    [
        (Member(UserId("bob")), set[Action]()),
        (Guest(Address("telegram", "default", "1")), set[Action]()),
        (Member(UserId("alice")), KNOWN | OWN_SETTINGS | FILES),
        (Member(UserId("ann"), admin=True), KNOWN | SETTINGS),
    ],
)
def test_what_a_group_s_agent_may_be_asked_outside_the_group(actor: Actor, allowed: set[Action]) -> None:
    """That it is there, by its sponsor and the admins, who look after it; nobody talks to it alone."""
    resource = AgentResource(FACTS, ChatKind.DM, guests=True, own_session=False)
    assert {action for action in ASKED if may(actor, action, resource)} == allowed
    in_group = replace(resource, chat=ChatKind.GROUP)
    assert may(actor, Action.TALK, in_group)
    assert may(actor, Action.HEAR, in_group)
