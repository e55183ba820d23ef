"""A message typed while a turn runs joins it before its next step; through the front door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from rookery.config.words import QueueMode
from rookery.gateway import turn_facts
from rookery.gateway.operations import sessions, turns
from rookery.gateway.rules import QueueRules
from rookery.gateway.shapes import EntriesAsk, TurnNamed
from rookery.gateway.turn_facts import TurnState
from rookery.gateway.turns import Status
from rookery.gateway.watchers import TurnEvent, TurnFinished, TurnJoined, TurnStarted
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import Attachment, ChatKind, MessageEntry, Role, ToolCallPart, text_of
from rookery.messages.transcript import ImagePart
from rookery.models import ToolSpec
from rookery.models.scripted import ScriptedModel, Step, Told
from rookery.tools import ToolContext
from tests.gateway.at_the_desk import AtTheDesk
from tests.gateway.test_attachments import PNG
from tests.gateway.test_own_sessions import nowhere
from tests.support.databases import fresh_database
from tests.support.house import TestHouse

STEER = QueueRules(mode=QueueMode.STEER, debounce=0)

CALL = ToolCallPart("c1", "errand", {})


class Errand:
    """A tool that is back when the test says so."""

    spec = ToolSpec(name="errand", description="Takes its time.", parameters={"type": "object"})
    effects = False

    def __init__(self) -> None:
        self.away = asyncio.Event()
        self.back = asyncio.Event()

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del arguments, context
        self.away.set()
        await self.back.wait()
        return "done"


class Asking(Errand):
    """The same, when she has said yes to it."""

    effects = True

    def approval(self, arguments: dict[str, Any], context: ToolContext) -> str | None:
        return "Run an errand."


class Scene:
    """Alice, and an agent of hers that is on an errand."""

    def __init__(self, house: TestHouse, errand: Errand) -> None:
        self.house = house
        self.errand = errand

    @property
    def model(self) -> ScriptedModel:
        return self.house.model

    def plays(self, *steps: Told) -> None:
        """What the model says from now on."""
        self.house.model = ScriptedModel(steps)

    async def sets_out(self, *then: Told, text: str = "go", **said: Any) -> TurnId:
        """Alice asks for the errand, which is under way on return; `then` the model says these."""
        self.plays(CALL, *then)
        await self.house.restart()
        receipt = await self.house.telegram.says("1", text, **said)
        await self.errand.away.wait()
        assert receipt.turn_id is not None
        return TurnId(receipt.turn_id)

    async def says(self, text: str, **said: Any) -> TurnId:
        """Alice says something more."""
        receipt = await self.house.telegram.says("1", text, **said)
        assert receipt.turn_id is not None
        return TurnId(receipt.turn_id)

    async def ends(self) -> None:
        """The errand is done, and everything that follows."""
        self.errand.back.set()
        await self.house.idle()

    async def state(self, turn_id: TurnId) -> TurnState:
        found = await self.house.database.read(lambda connection: turn_facts.state(connection, turn_id))
        assert found is not None
        return found

    async def written(self, agent: str = "alice") -> list[MessageEntry]:
        [session] = await self.house.sessions(agent)
        return await self.house.entries(agent, session.session_id)

    async def told(self, agent: str = "alice") -> list[str]:
        """What is in the transcript, as role and words."""
        return [f"{entry.role.value}: {text_of(entry)}" for entry in await self.written(agent)]


@pytest.fixture(params=["sqlite", "postgresql"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Scene]:
    """The scene on the embedded and on the served database."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(fresh_database()) if request.param == "postgresql" else None
        yield await stack.enter_async_context(_scene(tmp_path, postgres=postgres))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene]:
    async with _scene(tmp_path) as opened:
        yield opened


def _scene(home: Path, errand: Errand | None = None, **parts: Any) -> _Opened:
    return _Opened(home, errand or Errand(), parts)


class _Opened:
    def __init__(self, home: Path, errand: Errand, parts: dict[str, Any]) -> None:
        self._errand = errand
        self._house = TestHouse(home, tools=[self._errand], **parts)

    async def __aenter__(self) -> Scene:
        await self._house.open()
        self._house.rule(queue=STEER)
        await self._house.person("alice", telegram="1", email="a@x")
        return Scene(self._house, self._errand)

    async def __aexit__(self, *_: object) -> None:
        self._errand.back.set()
        await self._house.close()


# --- what joins ----------------------------------------------------------------------------------------------


async def test_a_message_typed_during_a_tool_call_is_read_with_its_result(either: Scene) -> None:
    """The next step sees it; one reply answers both, by the route of the last; both turns end with it."""
    first = await either.sets_out("as you wish")
    second = await either.says("and hurry", message_id="hurry")
    await either.ends()

    [reply] = either.house.telegram.heard
    assert (reply.text, reply.route.message_id) == ("as you wish", "hurry")
    assert await either.told() == [
        "user: go",
        "assistant: ",
        "toolResult: done",
        "user: and hurry",
        "assistant: as you wish",
    ]
    entries = await either.written()
    assert [entry.id for entry in entries] == [f"{first}.{number}" for number in range(5)]
    assert [entry.accepted for entry in entries if entry.role is Role.USER] == [(first,), (second,)]
    assert [text_of(message.entry) for message in either.model.requests[1].history][-2:] == ["done", "and hurry"]
    states = [await either.state(first), await either.state(second)]
    assert [(one.status, one.answered_by) for one in states] == [(Status.DONE, first)] * 2


async def test_what_comes_during_the_last_step_is_the_next_turn(scene: Scene) -> None:
    """No step follows that could read it; it is answered as what is collected is."""
    gate = asyncio.Event()
    first = await scene.sets_out(Step(text="first", after=gate), "second")
    scene.errand.back.set()
    await scene.model.until(lambda: scene.model.holding == 1)
    late = [await scene.says("b"), await scene.says("c")]
    gate.set()
    await scene.house.idle()

    assert scene.house.telegram.heard_by("1") == ["first", "second"]
    assert [(await scene.state(one)).answered_by for one in (first, *late)] == [first, late[0], late[0]]


async def test_what_comes_before_the_first_step_ended_joins_before_the_second(scene: Scene) -> None:
    """The first question is not held up, and not asked again."""
    gate = asyncio.Event()
    scene.plays(Step(calls=(CALL,), before=gate), "both")
    await scene.house.restart()
    scene.errand.back.set()
    await scene.says("a")
    await scene.model.asked(1)
    await scene.says("b")
    gate.set()
    await scene.house.idle()

    assert [text_of(message.entry) for message in scene.model.requests[0].history] == ["a"]
    assert await scene.told() == ["user: a", "assistant: ", "toolResult: done", "user: b", "assistant: both"]


async def test_a_burst_beyond_the_cap_goes_on_in_the_next_turn(scene: Scene) -> None:
    """A turn answers as many messages as it may; nothing is dropped, nothing overtakes."""
    scene.house.rule(queue=QueueRules(mode=QueueMode.STEER, debounce=0, cap=3))
    await scene.sets_out("one", "two", "three")
    for number in range(6):
        await scene.says(f"m{number}")
    await scene.ends()

    assert scene.house.telegram.heard_by("1") == ["one", "two", "three"]
    accepted = [entry for entry in await scene.written() if entry.role is Role.USER]
    assert [len(entry.accepted) for entry in accepted] == [1, 2, 3, 1]
    said = [part.text for entry in accepted for part in entry.content if not isinstance(part, ImagePart)]  # pyright: ignore
    assert said == ["go", *(f"m{number}" for number in range(6))]


async def test_files_that_came_with_it_are_read_too(tmp_path: Path) -> None:
    """As with a first message: kept with the agent, and shown."""
    async with _scene(tmp_path, vision=True) as scene:
        async with scene.house.gateway.brains.use(AgentId("alice")) as brain:

            async def data() -> AsyncGenerator[bytes]:
                yield PNG

            stored = await brain.attachments.add(
                "cat.png", "image/png", data(), added_by="user:alice", created_at=scene.house.clock.now()
            )
        await scene.sets_out("a cat")
        await scene.says("look", attachments=[Attachment("cat.png", "image/png", attachment_id=stored.id)])
        await scene.ends()

        joined = (await scene.written())[3]
        assert joined.attachments == (stored.id,)
        assert [type(part) for part in joined.content][1:] == [ImagePart]
        assert scene.model.requests[1].images == {stored.id: PNG}


async def test_what_is_said_instead_of_a_yes_is_read_after_the_answer(tmp_path: Path) -> None:
    """A call waits for approval: words are no yes, and join when the call was made."""
    errand = Asking()
    async with _scene(tmp_path, errand) as scene:
        scene.plays(CALL, "done, and yes")
        await scene.house.restart()
        await scene.says("go")
        [question] = await scene.house.telegram.hears("1", 1)
        await scene.says("yes, and hurry")
        assert not errand.away.is_set()
        await scene.says(next(word for word in question.split("\n") if word.startswith("/approve")).split(" –")[0])
        await scene.ends()

        lines = ["user: go", "assistant: ", "toolResult: done", "user: yes, and hurry", "assistant: done, and yes"]
        assert await scene.told() == lines


async def test_the_mode_is_changed_while_a_turn_runs(scene: Scene) -> None:
    """What waits then goes by the new rule, without a restart."""
    scene.house.rule(queue=QueueRules(debounce=0))
    await scene.sets_out("both")
    await scene.says("b")
    scene.house.rule(queue=STEER)
    await scene.ends()
    assert scene.house.telegram.heard_by("1") == ["both"]


async def test_without_steering_it_waits_for_the_next_turn(scene: Scene) -> None:
    """Collected, as long as nobody asked for anything else."""
    scene.house.rule(queue=QueueRules(debounce=0))
    await scene.sets_out("first", "second")
    await scene.says("b")
    await scene.ends()
    assert scene.house.telegram.heard_by("1") == ["first", "second"]


# --- what does not -------------------------------------------------------------------------------------------


async def test_in_a_group_only_who_began_the_turn_joins_it(scene: Scene) -> None:
    """Bob's words wait for a turn of their own, and nothing overtakes them."""
    await scene.house.person("bob", telegram="2")
    await scene.house.shared_agent(
        "helpdesk", sponsor="alice", channel="telegram", peer_kind=ChatKind.GROUP, peer_id="-100"
    )
    await scene.sets_out("to alice", "to bob", "to alice again", group="-100")
    await scene.says("alice adds", group="-100")
    await scene.house.telegram.says("2", "bob asks", group="-100")
    await scene.says("alice is late", group="-100")
    await scene.ends()

    told = [line for line in await scene.told("helpdesk") if line.startswith("user")]
    assert told == ["user: go", "user: alice adds", "user: bob asks", "user: alice is late"]
    turns = [entry.turn_id for entry in await scene.written("helpdesk") if entry.role is Role.USER]
    assert [turns.index(turn) for turn in turns] == [0, 0, 2, 3]
    assert scene.house.telegram.heard_in("-100") == ["to alice", "to bob", "to alice again"]


async def test_another_route_of_the_same_person_waits(scene: Scene) -> None:
    """What she asks by mail while she is answered in the chat is answered by mail."""
    await scene.sets_out("in the chat", "by mail")
    await scene.house.email.says("a@x", "from elsewhere")
    await scene.ends()
    assert scene.house.telegram.heard_by("1") == ["in the chat"]
    assert scene.house.email.heard_by("a@x") == ["by mail"]


async def test_who_was_unlinked_meanwhile_does_not_get_in_by_a_running_turn(scene: Scene) -> None:
    """Rights are asked again for a message that waited; what it said never reaches the model."""
    await scene.sets_out("unheard")
    late = await scene.says("alice-late")
    await scene.house.unlink("alice", "telegram", "1")
    await scene.ends()

    state = await scene.state(late)
    assert (state.status, state.error, state.answered_by) == (Status.FAILED, "refused", late)
    assert not any("alice-late" in str(request.history) for request in scene.model.requests)
    assert scene.house.telegram.heard_by("1") == []


# --- stopping ------------------------------------------------------------------------------------------------


async def test_a_stop_after_it_joined_ends_both(scene: Scene) -> None:
    """One answer was under way, and it is stopped; neither is answered later."""
    never = asyncio.Event()
    first = await scene.sets_out(Step(text="endless", after=never))
    second = await scene.says("b")
    scene.errand.back.set()
    await scene.model.until(lambda: scene.model.holding == 1)
    await scene.says("/stop")
    await scene.house.idle()

    [answer] = scene.house.telegram.heard_by("1")
    assert answer.startswith("Stopped.")
    states = [await scene.state(first), await scene.state(second)]
    assert [(one.status, one.answered_by) for one in states] == [(Status.CANCELLED, first)] * 2


async def test_a_stop_before_it_joined_ends_both_too(scene: Scene) -> None:
    """The message waits while the tool is at work: it is not answered, and the model never sees it."""
    await scene.sets_out()
    second = await scene.says("b")
    await scene.says("/stop")
    await scene.house.idle()
    state = await scene.state(second)
    assert (state.status, state.answered_by) == (Status.CANCELLED, second)
    assert scene.house.telegram.heard_by("1") == ["Stopped. 1 more message was waiting; not answered either."]


# --- after a crash -------------------------------------------------------------------------------------------


async def test_after_a_crash_the_turn_still_answers_what_had_joined(either: Scene) -> None:
    """The model was reading both when the gateway died; the next start asks it again, with both, for one reply."""
    never = asyncio.Event()
    first = await either.sets_out(Step(before=never), "both")
    second = await either.says("b")
    either.errand.back.set()
    await either.model.asked(2)
    third = await either.says("c")  # and this one had only been accepted
    either.model.requests.clear()
    await either.house.crash()
    await either.house.idle()

    # It joins at the first chance: the step that is asked again has not been answered.
    assert either.house.telegram.heard_by("1") == ["both"]
    [asked] = either.model.requests
    assert [text_of(message.entry) for message in asked.history] == ["go", "", "done", "b", "c"]
    assert [(await either.state(one)).answered_by for one in (first, second, third)] == [first] * 3


async def test_what_joined_waits_no_more_for_who_looks(scene: Scene) -> None:
    """A page is shown each message once: among what waits, or in the transcript."""

    async def looks() -> tuple[list[str], list[str]]:
        desk = AtTheDesk(scene.house).by("alice")
        read = await sessions.entries(desk, EntriesAsk(session="main"), nowhere)
        said = [one["content"][0]["text"] for one in read.items if one.get("role") == "user"]
        return said, [one.text for one in read.waiting]

    never = asyncio.Event()
    await scene.sets_out(Step(text="both", before=never))
    second = await scene.says("b")
    assert await looks() == (["go"], ["b"])
    scene.errand.back.set()
    await scene.model.until(lambda: scene.model.holding == 1)
    assert await looks() == (["go", "b"], [])
    assert (await turns.state(AtTheDesk(scene.house).by("alice"), TurnNamed(turn_id=second))).status == "running"
    never.set()
    await scene.house.idle()


# --- who watches ---------------------------------------------------------------------------------------------


async def test_who_watches_is_told_what_joined(scene: Scene) -> None:
    """After it is in the transcript, and with the end of all of them."""
    heard: list[TurnEvent] = []
    first = await scene.sets_out("both")
    [session] = await scene.house.sessions("alice")
    follow = scene.house.gateway.watchers.follow
    leave = follow(AgentId("alice"), SessionId(session.session_id), heard.append)
    second = await scene.says("b")
    await scene.ends()
    leave()

    both = (first, second)
    told: Sequence[object] = [event for event in heard if isinstance(event, TurnStarted | TurnJoined)]
    assert told == [TurnJoined(first, both)]
    assert [event.turn_ids for event in heard if isinstance(event, TurnFinished)] == [both]
