"""The path of a message, seen from the networks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from unittest.mock import patch

import pytest

from rookery.channels.contract import Outcome
from rookery.config.words import QueueMode
from rookery.errors import NotFound, StorageUnavailable
from rookery.gateway.inbound import Wish
from rookery.gateway.rules import QueueRules
from rookery.ids import AgentId
from rookery.messages import Role, StopReason
from rookery.models.scripted import ScriptedModel, Step
from tests.support.house import TestHouse


async def test_reply_goes_back_where_the_message_came_from(house: TestHouse) -> None:
    """Alice writes on two networks; each answer returns to the network that asked."""
    house.model = ScriptedModel(["one!", "two!"])
    await house.restart()
    await house.person("alice", telegram="alice", email="alice")
    await house.telegram.says("alice", "one")
    await house.idle()
    await house.email.says("alice", "two")
    await house.idle()

    assert house.telegram.heard_by("alice") == ["one!"]
    assert house.email.heard_by("alice") == ["two!"]


async def test_one_person_is_one_conversation_on_every_network(house: TestHouse) -> None:
    """What Alice said on Telegram is in the prompt when she goes on by mail."""
    await house.person("alice", telegram="a1", email="alice@example.org")
    await house.telegram.says("a1", "the cat is called Mog")
    await house.idle()
    await house.email.says("alice@example.org", "and what is it called?")
    await house.idle()

    assert "the cat is called Mog" in house.email.heard_by("alice@example.org")[0]


async def test_two_people_never_share_a_prompt(house: TestHouse) -> None:
    """Alice's words are in Alice's prompts and in nobody else's."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    await house.telegram.says("1", "alice-secret")
    await house.telegram.says("2", "bob-secret")
    await house.idle()
    await house.telegram.says("1", "what do you know?")
    await house.telegram.says("2", "what do you know?")
    await house.idle()

    assert not any("bob-secret" in text for text in house.telegram.heard_by("1"))
    assert not any("alice-secret" in text for text in house.telegram.heard_by("2"))


async def test_a_stranger_gets_nothing_and_costs_nothing(house: TestHouse) -> None:
    """Somebody unknown is refused; no model is asked, nothing they said is kept."""
    receipt = await house.telegram.says("mallory", "hello, hello-canary")
    await house.idle()

    assert receipt.outcome is Outcome.REFUSED
    assert "rookery identity link" in receipt.reason
    assert house.telegram.heard_by("mallory") == []
    assert house.model.requests == []
    assert "hello-canary" not in house.log_text


async def test_the_same_message_twice_is_one_turn(house: TestHouse) -> None:
    """A network that offers a message again, also after a restart, is told it is a duplicate."""
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "hello")
    await house.idle()
    again = await house.telegram.offers(house.telegram.said[0])
    await house.crash()
    later = await house.telegram.offers(house.telegram.said[0])
    await house.idle()

    assert (again.outcome, later.outcome) == (Outcome.DUPLICATE, Outcome.DUPLICATE)
    assert len(house.telegram.heard_by("1")) == 1


async def test_what_was_accepted_before_a_crash_is_answered_after_it(house: TestHouse) -> None:
    """The gateway dies while the model thinks; the next start answers."""
    never = asyncio.Event()
    house.model = ScriptedModel([Step(text="too late", before=never), "here I am"])
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "hello")
    await house.model.asked(1)
    await house.crash()
    await house.idle()

    assert house.telegram.heard_by("1") == ["here I am"]


async def test_messages_typed_while_a_turn_runs_are_answered_together(house: TestHouse) -> None:
    """Collect: three lines in a burst make one follow-up turn, in the order they were written."""
    gate = asyncio.Event()
    house.model = ScriptedModel([Step(text="first", before=gate), "second"])
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "a")
    await house.model.asked(1)
    for line in ("b", "c", "d"):
        await house.telegram.says("1", line)
    gate.set()
    await house.idle()

    assert house.telegram.heard_by("1") == ["first", "second"]
    asked = house.model.requests[1].history[-1].entry
    assert [part.text for part in asked.content] == ["b", "c", "d"]
    assert len(asked.accepted) == 3


async def test_followup_answers_each_message_alone(house: TestHouse) -> None:
    """Followup: what arrives meanwhile gets turns of its own, in order."""
    house.rule(queue=QueueRules(mode=QueueMode.FOLLOWUP, debounce=0))
    gate = asyncio.Event()
    house.model = ScriptedModel([Step(text="1", before=gate), "2", "3"])
    await house.restart()
    await house.person("alice", telegram="1")
    for line in ("a", "b", "c"):
        await house.telegram.says("1", line)
    gate.set()
    await house.idle()

    assert house.telegram.heard_by("1") == ["1", "2", "3"]


async def test_interrupt_ends_the_running_answer_and_keeps_its_beginning(house: TestHouse) -> None:
    """Interrupt: the newer message cuts the answer short; what was said of it stays in the transcript."""
    house.rule(queue=QueueRules(mode=QueueMode.INTERRUPT, debounce=0))
    never = asyncio.Event()
    house.model = ScriptedModel([Step(text="a long story", after=never), "fine"])
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "tell me a story")
    await house.model.asked(1)
    await house.telegram.says("1", "no, wait")
    await house.idle()

    assert house.telegram.heard_by("1") == ["fine"]
    [session] = await house.sessions("alice")
    cut = (await house.entries("alice", session.session_id))[1]
    assert cut.stop_reason is StopReason.INTERRUPTED


async def test_debounce_waits_only_before_a_follow_up(house: TestHouse) -> None:
    """The first message is answered at once; what came meanwhile waits until the typing stops."""
    house.rule(queue=QueueRules(debounce=0.5))
    gate = asyncio.Event()
    house.model = ScriptedModel([Step(text="1", before=gate), "2"])
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "a")
    await house.model.asked(1)
    await house.telegram.says("1", "b")
    gate.set()
    await house.telegram.hears("1", 1)
    assert len(house.model.requests) == 1

    while 0.5 not in house.clock.waited_for:
        await asyncio.sleep(0)
    await house.clock.passes(0.5)
    assert await house.telegram.hears("1", 2) == ["1", "2"]


async def test_stop_ends_the_answer_and_what_waits_behind_it(house: TestHouse) -> None:
    """/stop acts at once, says what it did, and is remembered over a crash."""
    never = asyncio.Event()
    house.model = ScriptedModel([Step(text="endless", after=never), "after"])
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "a")
    await house.model.asked(1)
    await house.telegram.says("1", "b")
    await house.telegram.says("1", "/stop")
    await house.idle()
    assert house.telegram.heard_by("1") == ["Stopped. 1 more message was waiting; not answered either."]

    await house.crash()
    await house.telegram.says("1", "c")
    await house.idle()
    assert house.telegram.heard_by("1")[1:] == ["after"]


async def test_new_begins_another_conversation_and_keeps_the_old(house: TestHouse) -> None:
    """After /new the prompt no longer holds what was said before; the old session is still there."""
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "remember the zebra")
    await house.idle()
    await house.telegram.says("1", "/new Holidays")
    await house.telegram.says("1", "hello again")
    await house.idle()

    assert "zebra" not in house.telegram.heard_by("1")[2]
    titles = {session.title for session in await house.sessions("alice")}
    assert titles == {None, "Holidays"}


@pytest.mark.parametrize("text", ["/etc/hosts is a file", "1/2", "// comment", "/ "])
async def test_what_only_looks_like_a_command_is_said_to_the_agent(house: TestHouse, text: str) -> None:
    """A path is not a command."""
    await house.person("alice", telegram="1")
    await house.telegram.says("1", text)
    await house.idle()
    assert text.strip() in house.telegram.heard_by("1")[0]


async def test_rights_are_asked_again_when_the_turn_starts(house: TestHouse) -> None:
    """An address that was unlinked after the message was accepted is not answered."""
    gate = asyncio.Event()
    house.model = ScriptedModel([Step(text="1", before=gate), "2"])
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "a")
    await house.model.asked(1)
    await house.telegram.says("1", "b")
    await house.unlink("alice", "telegram", "1")
    gate.set()
    await house.idle()

    assert house.telegram.heard_by("1") == []
    assert len(house.model.requests) == 1


async def test_what_was_hers_never_reaches_the_address_s_next_owner(house: TestHouse) -> None:
    """Alice's number becomes Bob's while a reply waits: Bob does not get it."""
    await house.person("alice", telegram="1")
    await house.person("bob")
    gate = house.telegram.holds()
    house.telegram.fails(times=1)
    await house.telegram.says("1", "alice-secret")
    await house.telegram.holding()
    await house.unlink("alice", "telegram", "1")
    await house.link("bob", "telegram", "1")
    gate.set()
    await house.telegram.tried(1)
    await house.clock.passes(2)
    await house.idle()

    assert house.telegram.heard_by("1") == []


async def test_a_delivery_that_fails_is_tried_again_in_order(house: TestHouse) -> None:
    """A network that is down for a moment hears everything later, in order, under the same delivery ids."""
    house.model = ScriptedModel(["one", "two"])
    await house.restart()
    await house.person("alice", telegram="1")
    house.telegram.fails(times=2)
    await house.telegram.says("1", "a")
    await house.telegram.says("1", "b")
    await house.telegram.tried(1)
    await house.idle()
    await house.clock.passes(1)
    await house.telegram.tried(2)
    await house.idle()
    await house.clock.passes(2)
    await house.telegram.hears("1", 2)

    assert house.telegram.heard_by("1") == ["one", "two"]
    assert len({attempt.message.delivery_id for attempt in house.telegram.attempts}) == 2


async def test_a_group_is_answered_by_its_shared_agent_only(house: TestHouse) -> None:
    """A group bound to a shared agent is its conversation; a member's own assistant never answers there."""
    from rookery.messages import ChatKind

    await house.person("alice", telegram="1")
    unbound = await house.telegram.says("1", "hi all", group="-100")
    await house.shared_agent("frontdesk", sponsor="alice", channel="telegram")
    unnamed = await house.telegram.says("1", "hi anybody", group="-100")
    await house.shared_agent(
        "helpdesk", sponsor="alice", channel="telegram", peer_kind=ChatKind.GROUP, peer_id="-100"
    )
    await house.telegram.says("1", "hi again", group="-100")
    await house.idle()

    assert (unbound.outcome, unnamed.outcome) == (Outcome.REFUSED, Outcome.REFUSED)
    assert len(house.telegram.heard_in("-100")) == 1
    [session] = await house.sessions("helpdesk")
    assert session.session_key == "agent:helpdesk:telegram:group:-100"
    said = (await house.entries("helpdesk", session.session_id))[0]
    assert said.role is Role.USER
    assert said.sender is not None


async def test_nobody_names_somebody_else_s_session_on_a_shared_agent(house: TestHouse) -> None:
    """On a shared agent people reach their own conversations by name, and no place of anybody else's."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    await house.shared_agent("helpdesk", sponsor="alice")
    theirs = Wish(agent_id=AgentId("helpdesk"))
    await house.receive("telegram", "2", "bob-secret", theirs)
    await house.idle()
    [bobs] = await house.sessions("helpdesk")

    for name in (bobs.session_id, bobs.session_key, "agent:helpdesk:telegram:default:dm:~carol", "nonsense"):
        with pytest.raises(NotFound):
            await house.receive("telegram", "1", "show me", replace(theirs, session=name))
    await house.receive("telegram", "2", "mine again", replace(theirs, session=bobs.session_id))
    await house.idle()

    assert house.telegram.heard_by("1") == []
    assert "bob-secret" in house.telegram.heard_by("2")[1]


async def test_a_session_of_one_s_own_is_reached_by_every_name_it_has(house: TestHouse) -> None:
    """`sessionId`, full key and short form lead to the same conversation of one's own agent."""
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "the word is heron")
    await house.idle()
    [session] = await house.sessions("alice")
    for name in (session.session_id, session.session_key, "internal:main:main", "main"):
        await house.receive("telegram", "1", f"by {name}", Wish(session=name))
    await house.idle()
    with pytest.raises(NotFound):
        await house.receive("telegram", "1", "x", Wish(session="agent:bob:main"))

    assert len(await house.sessions("alice")) == 1


async def test_a_reply_that_waits_behind_another_is_asked_about_again(house: TestHouse) -> None:
    """Only a reply that goes the moment it is made goes by the answer that was given then."""
    house.model = ScriptedModel(["one", "two"])
    await house.restart()
    await house.person("alice", telegram="1")
    sends = house.telegram.holds()
    await house.telegram.says("1", "a")
    await house.telegram.holding()
    await house.telegram.says("1", "b")
    await house.gateway.lanes.idle()
    await house.unlink("alice", "telegram", "1")
    sends.set()
    await house.idle()

    assert house.telegram.heard_by("1") == ["one"], "it was on its way already; the next was not"


async def test_the_gateway_is_not_ready_while_its_storage_fails(house: TestHouse) -> None:
    """From a message that could not be kept until the storage was read again, nobody is told that all is well."""
    await house.person("alice", telegram="a1")
    with patch.object(house.database, "write", side_effect=StorageUnavailable), pytest.raises(StorageUnavailable):
        await house.telegram.says("a1", "hello")
    assert not house.gateway.ready

    await asyncio.sleep(0)  # whoever looks after it begins to wait
    await house.clock.passes(2)
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "refill"))
    assert house.gateway.ready
    await house.telegram.offer_kept()
    await house.idle()
    assert len(house.telegram.heard_by("a1")) == 1
