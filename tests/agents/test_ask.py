"""One question to several endpoints: who is asked, who is passed over, and what the person is told in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.agents import Endpoint
from rookery.agents.ask import Asking
from rookery.agents.calling import LONG_WAIT, Answer, Question
from rookery.errors import ModelError, ModelErrorKind, StorageUnavailable
from rookery.ids import EntryId
from rookery.messages import Usage
from rookery.models import (
    Key,
    ModelEvent,
    ModelReply,
    ModelRequest,
    ModelStream,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from rookery.models.cooldown import Cooldowns
from rookery.models.scripted import Script, ScriptedModel, Step
from rookery.usage import Call, CallEnd, Purpose
from tests.agents.scene import call as tool_call
from tests.support.clock import Clock

Kind = ModelErrorKind
ENDS_IT = {Kind.CONTEXT_TOO_LONG, Kind.CONTENT_REFUSED}
"""What no other endpoint is asked after."""


def failing(kind: Kind, hint: float | None = None) -> ModelError:
    return ModelError(kind, f"it said {kind.value}", retry_after=hint)


@dataclass
class Desk:
    """Everything around a run's questions, and a note of what happened there."""

    endpoints: list[Endpoint] = field(default_factory=list[Endpoint])
    clock: Clock = field(default_factory=Clock)
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    emitted: list[ModelEvent] = field(default_factory=list[ModelEvent])
    reported: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])
    begun: list[Call] = field(default_factory=list[Call])
    ended: list[CallEnd] = field(default_factory=list[CallEnd])
    renewed: Callable[[], Awaitable[Sequence[Endpoint]]] | None = None
    keeps: bool = True
    pictured: list[int] = field(default_factory=list[int])
    slots: int = 0
    wait: float = 0.0
    seconds: float = 60.0

    def add(self, *script: Script, provider: str | None = None, **facts: Any) -> ScriptedModel:
        """One more endpoint, which answers so."""
        model = ScriptedModel(script)
        number = len(self.endpoints)
        facts = {"key": Key(f"k{number}"), "key_name": f"key{number}"} | facts
        self.endpoints.append(Endpoint(provider or f"p{number}", model, f"m{number}", **facts))
        return model

    @asynccontextmanager
    async def slot(self, provider: str, key_name: str | None, purpose: Purpose) -> AsyncGenerator[None]:
        """Waits as long as it is told to, by the clock."""
        del provider, key_name, purpose
        await self.clock.passes(self.wait)
        self.slots += 1
        try:
            yield
        finally:
            self.slots -= 1

    async def begin(self, call: Call) -> None:
        if not self.keeps:
            raise StorageUnavailable
        self.begun.append(call)

    def end(self, end: CallEnd) -> Usage:
        assert [one.call_id for one in self.begun].count(end.call_id) == 1
        self.ended.append(end)
        return end.usage

    async def ready(self) -> None:
        await asyncio.sleep(0)

    def report(self, endpoint: Endpoint, error: ModelError, asked: bool) -> None:
        self.reported.append((endpoint.provider, error.kind.value, asked))

    def asking(self, answered: Callable[[Endpoint], None] | None = None) -> Asking:
        return Asking(
            self,
            self,
            self.ready,
            self.emitted.append,
            self.report,
            self.clock.now,
            self.endpoints,
            self.renewed,
            self.cooldowns,
            answered,
        )

    async def ask(self, asking: Asking | None = None) -> Answer:
        """Ask one question; each call that was begun has one end afterwards, and no slot is held."""

        async def images() -> dict[str, bytes]:
            self.pictured.append(self.slots)
            return {"a": b"picture"}

        question = Question(EntryId("t1.1"), "Be kind.", (), (), self.seconds, images)
        try:
            return await (asking or self.asking()).ask(question)
        finally:
            assert [one.call_id for one in self.begun] == [one.call_id for one in self.ended]
            assert self.slots == 0

    async def told(self) -> ModelError:
        """Ask one question that nobody answers, and return what the person is told."""
        with pytest.raises(ModelError) as caught:
            await self.ask()
        return caught.value

    @property
    def words(self) -> str:
        return "".join(event.text for event in self.emitted if isinstance(event, TextDelta))


# --- who is asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("kind", Kind)
async def test_the_next_one_is_asked_where_that_may_help(kind: Kind, position: int):
    """Whatever the kind and wherever it happens; a refusal and a prompt too long end it there."""
    desk = Desk()
    for number in range(position):
        desk.add(failing(Kind.OVERLOADED), provider=f"broken{number}")
    desk.add(failing(kind), provider="it")
    last = desk.add("hello")
    if kind in ENDS_IT:
        assert (await desk.told()).kind is kind
        assert not last.requests
    else:
        answer = await desk.ask()
        assert answer.endpoint is desk.endpoints[-1]
        assert desk.words == "hello"
    assert desk.reported[-1] == ("it", kind.value, True)
    assert [end.error for end in desk.ended[: position + 1]] == ["overloaded"] * position + [kind.value]


async def test_each_endpoint_is_asked_once():
    """Three that fail: three calls, in their order."""
    desk = Desk()
    models = [desk.add(failing(Kind.OVERLOADED), "not asked") for _ in range(3)]
    await desk.told()
    assert [len(model.requests) for model in models] == [1, 1, 1]
    assert [call.provider for call in desk.begun] == ["p0", "p1", "p2"]
    assert all(call.entry_id == "t1.1" for call in desk.begun)


@pytest.mark.parametrize(
    "step",
    [
        Step(text="once upon", error=failing(Kind.OVERLOADED)),
        Step(thinking="well", error=failing(Kind.OVERLOADED)),
        Step(calls=(tool_call("look"),), error=failing(Kind.OVERLOADED)),
    ],
    ids=["words", "thoughts", "a tool call"],
)
async def test_what_has_begun_is_not_begun_anew_elsewhere(step: Step):
    """Words, thoughts or a tool call: after the first of it no other endpoint is asked."""
    desk = Desk()
    desk.add(step)
    second = desk.add("another story")
    assert (await desk.told()).kind is Kind.OVERLOADED
    assert not second.requests
    assert "another" not in desk.words
    assert desk.endpoints[0] is desk.asking().last


async def test_one_without_a_key_is_passed_over_without_a_call():
    """It is no row in the ledger, holds no slot, and the log says why."""
    desk = Desk()
    desk.add(problem=failing(Kind.NO_KEY))
    desk.add("hello")
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert [call.provider for call in desk.begun] == ["p1"]
    assert desk.reported == [("p0", "no_key", False)]


async def test_a_call_that_cannot_be_written_down_is_not_made():
    """Nor is another endpoint asked: it is our disk that fails."""
    desk = Desk(keeps=False)
    models = [desk.add("hello"), desk.add("hello")]
    with pytest.raises(StorageUnavailable):
        await desk.ask()
    assert not any(model.requests for model in models)
    assert desk.slots == 0


# --- what is told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ([failing(Kind.RATE_LIMITED, 20), failing(Kind.NO_KEY)], (Kind.RATE_LIMITED, 20)),
        ([failing(Kind.NO_KEY), failing(Kind.RATE_LIMITED, 20)], (Kind.RATE_LIMITED, 20)),
        ([failing(Kind.RATE_LIMITED, 90), failing(Kind.RATE_LIMITED, 30)], (Kind.RATE_LIMITED, 30)),
        ([failing(Kind.RATE_LIMITED), failing(Kind.RATE_LIMITED, 30)], (Kind.RATE_LIMITED, 30)),
        ([failing(Kind.OVERLOADED), failing(Kind.UNREACHABLE)], (Kind.OVERLOADED, None)),
        ([failing(Kind.WRONG_KEY), failing(Kind.TIMED_OUT)], (Kind.TIMED_OUT, None)),
        ([failing(Kind.NO_CREDIT), failing(Kind.UNKNOWN_MODEL)], (Kind.NO_CREDIT, None)),
        ([failing(Kind.NO_KEY), failing(Kind.WRONG_KEY)], (Kind.WRONG_KEY, None)),
        ([failing(Kind.NO_KEY), failing(Kind.NO_KEY)], (Kind.NO_KEY, None)),
        ([failing(Kind.RATE_LIMITED, 20), failing(Kind.CONTENT_REFUSED)], (Kind.CONTENT_REFUSED, None)),
    ],
)
async def test_the_person_is_told_what_helps_them_most(errors: list[ModelError], told: tuple[Kind, float | None]):
    """Not merely what happened last."""
    desk = Desk()
    for error in errors:
        if error.kind is Kind.NO_KEY:
            desk.add(problem=error)
        else:
            desk.add(error)
    asking = desk.asking()
    with pytest.raises(ModelError) as caught:
        await desk.ask(asking)
    assert (caught.value.kind, caught.value.retry_after) == told
    assert asking.last.provider == f"p{errors.index(caught.value)}"


# --- what cools ------------------------------------------------------------------------------------------------


async def test_what_failed_is_passed_over_until_its_time_has_come():
    """The next question goes straight to the other one; later the first is asked again, and a success ends it.

    When it fails after that, it is for the first time.
    """
    desk = Desk()
    first = desk.add(failing(Kind.OVERLOADED), "back", failing(Kind.OVERLOADED))
    second = desk.add("here", "here too", "and again")
    await desk.ask()
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert len(first.requests) == 1
    assert desk.reported[-1] == ("p0", "overloaded", False)
    await desk.clock.passes(5)
    assert (await desk.ask()).endpoint is desk.endpoints[0]
    assert len(second.requests) == 2
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    [cooling] = desk.cooldowns.active(desk.clock.now())
    assert cooling.left(desk.clock.now()) == 5


async def test_one_person_s_exhausted_key_cools_nobody_else_s():
    """Alice's key has no credit left; Bob's, of the same provider and the same name, is asked as ever."""
    alice, bob = Desk(), Desk()
    bob.cooldowns = alice.cooldowns
    model = alice.add(failing(Kind.NO_CREDIT), "hello", provider="shared", key=Key("alice"), key_name="own")
    await alice.told()
    bob.endpoints.append(replace(alice.endpoints[0], key=Key("bob")))
    bob.add("from the fallback")
    answer = await bob.ask()
    assert answer.endpoint.provider == "shared"
    assert len(model.requests) == 2


def two_keys(desk: Desk, *script: Script) -> ScriptedModel:
    """One provider's model, which may be asked with either of two keys."""
    model = desk.add(*script)
    desk.endpoints.append(replace(desk.endpoints[-1], key=Key("second"), key_name="second", key_owner="alice"))
    return model


@pytest.mark.parametrize("kind", [Kind.WRONG_KEY, Kind.NO_CREDIT, Kind.RATE_LIMITED, Kind.UNKNOWN_MODEL])
async def test_what_is_one_key_s_trouble_is_tried_with_the_next_key(kind: Kind):
    """Another account may have credit, another limit, and a model that this one has not."""
    desk = Desk()
    model = two_keys(desk, failing(kind), "hello")
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert [request.key for request in model.requests] == [Key("k0"), Key("second")]


@pytest.mark.parametrize("kind", [Kind.OVERLOADED, Kind.UNREACHABLE, Kind.TIMED_OUT, Kind.GARBAGE])
@pytest.mark.parametrize("fallback", [False, True])
async def test_a_provider_s_trouble_is_not_tried_with_every_key(kind: Kind, fallback: bool):
    """It is asked once a question, however many keys there are, and then the next model, where there is one."""
    desk = Desk()
    model = two_keys(desk, failing(kind), failing(kind), failing(kind), "back")
    if fallback:
        desk.add("hello", "hello")
        assert (await desk.ask()).endpoint is desk.endpoints[2]
        assert (await desk.ask()).endpoint is desk.endpoints[2]
        assert len(model.requests) == 1
        return
    for number in range(1, 4):
        assert (await desk.told()).kind is kind
        assert len(model.requests) == number
    assert (await desk.ask()).endpoint is desk.endpoints[0]


async def test_a_second_key_that_cools_is_no_way_around_a_provider_s_trouble():
    """It is not tried although it would be ready soonest: what this question found out holds for all its keys."""
    desk = Desk()
    model = two_keys(desk, failing(Kind.RATE_LIMITED), failing(Kind.RATE_LIMITED), failing(Kind.OVERLOADED), "no")
    assert (await desk.told()).kind is Kind.RATE_LIMITED
    await desk.clock.passes(6)
    desk.cooldowns.failed(
        desk.endpoints[1],
        failing(Kind.WRONG_KEY),
        begun=desk.clock.now(),
        now=desk.clock.now(),
        heard=False,
    )
    assert (await desk.told()).kind is Kind.OVERLOADED
    assert len(model.requests) == 3


async def test_whoever_answered_is_told_of():
    """With the key it answered with; who failed is not."""
    desk = Desk()
    two_keys(desk, failing(Kind.NO_CREDIT), "hello")
    told: list[Endpoint] = []
    asking = desk.asking(told.append)
    await desk.ask(asking)
    assert [one.key_name for one in told] == ["second"]


async def test_when_all_of_them_cool_the_one_that_is_ready_soonest_is_asked():
    """Once, and the person is told what helps most when that fails too."""
    desk = Desk()
    first = desk.add(failing(Kind.NO_CREDIT), "not asked")
    second = desk.add(failing(Kind.OVERLOADED), failing(Kind.OVERLOADED), "back")
    assert (await desk.told()).kind is Kind.OVERLOADED
    assert (await desk.told()).kind is Kind.OVERLOADED
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert (len(first.requests), len(second.requests)) == (1, 3)


async def test_a_short_wait_that_the_provider_named_is_waited_and_not_tried():
    """The same words with the seconds that are left, and no call; a longer one is tried, to see."""
    desk = Desk()
    model = desk.add(failing(Kind.RATE_LIMITED, 40), "back")
    assert (await desk.told()).retry_after == 40
    await desk.clock.passes(15)
    assert (await desk.told()).retry_after == 25
    assert len(model.requests) == len(desk.begun) == 1
    await desk.clock.passes(25)
    assert (await desk.ask()).reply.content
    desk = Desk()
    desk.add(failing(Kind.RATE_LIMITED, 600), "back already")
    await desk.told()
    assert (await desk.ask()).reply.content


async def test_one_that_began_to_cool_while_a_call_waited_for_it_is_passed_over():
    """A long queue before a provider that went away is not worked through call by call."""
    desk = Desk(wait=LONG_WAIT)
    first = desk.add("not asked")
    desk.add("hello")
    failed = replace(desk.endpoints[0])

    @asynccontextmanager
    async def slot(provider: str, key_name: str | None, purpose: Purpose) -> AsyncGenerator[None]:
        del key_name, purpose
        begun = desk.clock.now()
        await desk.clock.passes(2)
        if provider == "p0":
            now = desk.clock.now()
            desk.cooldowns.failed(failed, failing(Kind.UNREACHABLE), begun=begun, now=now, heard=False)
        yield

    desk.slot = slot
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert not first.requests
    assert [call.provider for call in desk.begun] == ["p1"]


# --- what changes meanwhile ------------------------------------------------------------------------------------


async def test_who_may_answer_is_looked_up_again_for_each_further_question():
    """The first question goes by what acceptance read; a key that is revoked then stops the second."""
    desk = Desk()
    model = desk.add("one", "two")
    looked: list[int] = []

    async def renewed() -> Sequence[Endpoint]:
        looked.append(len(model.requests))
        return [replace(desk.endpoints[0], key=None, key_name=None, problem=failing(Kind.NO_KEY))]

    desk.renewed = renewed
    asking = desk.asking()
    await desk.ask(asking)
    assert not looked
    with pytest.raises(ModelError) as caught:
        await desk.ask(asking)
    assert caught.value.kind is Kind.NO_KEY
    assert (looked, len(model.requests)) == ([1], 1)


async def test_a_key_that_is_revoked_while_its_call_waits_is_not_used():
    """After a long wait for a slot it is looked again; another key in its place is not that key."""
    desk = Desk(wait=LONG_WAIT)
    model = desk.add("not asked")
    desk.add("hello")

    async def renewed() -> Sequence[Endpoint]:
        return [replace(desk.endpoints[0], key=Key("new"), key_name="another"), desk.endpoints[1]]

    desk.renewed = renewed
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert not model.requests
    assert desk.reported == [("p0", "no_key", False)]


async def test_a_key_that_was_changed_while_its_call_waits_is_the_new_one():
    """The same name with another secret."""
    desk = Desk(wait=LONG_WAIT)
    model = desk.add("hello")

    async def renewed() -> Sequence[Endpoint]:
        return [replace(desk.endpoints[0], key=Key("new"))]

    desk.renewed = renewed
    await desk.ask()
    assert [request.key for request in model.requests] == [Key("new")]


async def test_pictures_are_read_when_the_call_is_made_and_not_while_it_waits():
    """A thousand calls in line hold no megabytes; and it counts whether the endpoint is shown pictures by then."""
    desk = Desk(wait=LONG_WAIT)
    model = desk.add("hello", "hello", vision=True)
    await desk.ask()
    assert desk.pictured == [1]

    async def renewed() -> Sequence[Endpoint]:
        return [replace(desk.endpoints[0], vision=False)]

    desk.renewed = renewed
    await desk.ask()
    assert desk.pictured == [1]
    assert [bool(request.images) for request in model.requests] == [True, False]


# --- deadlines -------------------------------------------------------------------------------------------------


class Deaf:
    """A model that knows no deadline: it says so many words, and then nothing, for ever."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.asked: list[ModelRequest] = []
        self.left = 0

    async def stream(self, request: ModelRequest) -> ModelStream:
        self.asked.append(request)
        try:
            for word in self.words:
                yield TextDelta(word)
            await asyncio.get_running_loop().create_future()
        finally:
            self.left += 1

    async def close(self) -> None:
        pass


def deaf(desk: Desk, *words: str, **facts: Any) -> Deaf:
    """One more endpoint, of a model like that."""
    model = Deaf(*words)
    desk.add(**facts)
    desk.endpoints[-1] = replace(desk.endpoints[-1], model=model)
    return model


async def test_one_that_says_nothing_is_left_for_the_next():
    """After the seconds it is given for its first token; its slot is free, and it cools."""
    desk = Desk()
    model = deaf(desk, first_token_seconds=0.02)
    desk.add("hello")
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert model.left == 1
    assert [end.error for end in desk.ended] == ["timed_out", None]
    assert desk.cooldowns.cooling(desk.endpoints[0], desk.clock.now()) is not None


async def test_without_a_limit_of_its_own_a_silent_one_leaves_time_to_the_others():
    """Half of what there is; the last one may have all the rest."""
    desk = Desk(seconds=0.2)
    deaf(desk)
    second = desk.add("hello")
    await desk.ask()
    [request] = second.requests
    assert 0.02 < request.timeout_seconds <= 0.11


async def test_a_question_has_one_deadline_for_all_of_them():
    """When it has passed nobody else is asked, though nobody answered."""
    desk = Desk(seconds=0.02)
    first = desk.add(Step(text="late", before=asyncio.Event()), first_token_seconds=5.0)
    second = desk.add("not asked")
    assert (await desk.told()).kind is Kind.TIMED_OUT
    assert (len(first.requests), len(second.requests)) == (1, 0)


async def test_a_call_has_a_deadline_of_its_own_provider_s():
    """Shorter than the question's, where the operator says so for that provider; the next one has the rest."""
    desk = Desk()
    first = desk.add(Step(text="late", before=asyncio.Event()), timeout_seconds=0.01, first_token_seconds=5.0)
    second = desk.add("hello")
    assert (await desk.ask()).endpoint is desk.endpoints[1]
    assert first.requests[0].timeout_seconds == 0.01
    assert 55 < second.requests[0].timeout_seconds < 60


async def test_an_answer_that_stops_in_the_middle_is_given_up_at_its_deadline():
    """Also when the client knows of none; what was heard is kept and counted."""
    desk = Desk(seconds=0.01)
    model = deaf(desk, "once ", "upon ")
    desk.add("not asked")
    asking = desk.asking()
    with pytest.raises(ModelError) as caught:
        await desk.ask(asking)
    assert caught.value.kind is Kind.TIMED_OUT
    assert asking.heard == ["once ", "upon "]
    assert model.left == 1
    [end] = desk.ended
    assert end.usage == Usage(desk.begun[0].projected.input_tokens, 3, estimated=True)


# --- what it used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "used"),
    [
        (Step(error=failing(Kind.RATE_LIMITED)), Usage()),
        (Step(error=failing(Kind.UNREACHABLE)), Usage()),
        (Step(error=failing(Kind.BROKEN_OFF)), Usage(2, 0, estimated=True)),
        (Step(error=failing(Kind.TIMED_OUT)), Usage(2, 0, estimated=True)),
        (Step(text="eight ch", error=failing(Kind.BROKEN_OFF)), Usage(2, 2, estimated=True)),
        (Step(thinking="eight ch", text="four", error=failing(Kind.OVERLOADED)), Usage(2, 3, estimated=True)),
        (
            Step(calls=(tool_call("look", where="there"),), error=failing(Kind.OVERLOADED)),
            Usage(2, 5, estimated=True),
        ),
        (Step(text="whole", usage=Usage(7, 5, 3)), Usage(7, 5, 3)),
    ],
)
async def test_every_call_ends_with_what_it_used(step: Step, used: Usage):
    """Nothing where the provider said no; what was read and heard where it broke off; else what it counted."""
    desk = Desk()
    desk.add(step)
    if step.error is None:
        assert (await desk.ask()).usage == used
    else:
        await desk.told()
    assert [end.usage for end in desk.ended] == [used]


async def test_a_call_that_we_hang_up_is_counted_too():
    """The person said stop: what was read and heard until then, and the model's stream is closed."""
    desk = Desk()
    gate = asyncio.Event()
    model = desk.add(Step(text="once upon", after=gate))
    asking = asyncio.create_task(desk.ask())
    await model.until(lambda: model.holding == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    [end] = desk.ended
    assert (end.error, end.usage) == ("cancelled", Usage(2, 3, estimated=True))
    assert (model.running, model.abandoned) == (0, 1)
    assert not desk.cooldowns.active(desk.clock.now())


# --- whatever happens ------------------------------------------------------------------------------------------


def outcome(thinking: str, text: str, calls: int, error: ModelError | None) -> Step:
    return Step(thinking=thinking, text=text, calls=(tool_call("look"),) * calls, error=error)


outcomes = st.builds(
    outcome,
    st.sampled_from(["", "well "]),
    st.sampled_from(["", "words here "]),
    st.integers(0, 1),
    st.none() | st.builds(failing, st.sampled_from(Kind), st.none() | st.sampled_from([0.0, 20.0, 90.0])),
)


def silent(step: Step) -> bool:
    return not (step.thinking or step.text or step.calls)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.lists(outcomes, min_size=3, max_size=3), st.booleans()), min_size=1, max_size=4),
    st.lists(st.floats(0, 100), min_size=3, max_size=3),
)
def test_whatever_the_endpoints_do_there_is_one_answer_or_one_error(
    plans: list[tuple[list[Step], bool]], pauses: list[float]
):
    """Nothing after the first token is replaced, nobody is asked twice, and each begun call has one end."""

    async def three_questions() -> None:
        desk = Desk()
        models = [desk.add(*plan, problem=None if has_key else failing(Kind.NO_KEY)) for plan, has_key in plans]
        for pause in pauses:
            before = [len(model.requests) for model in models]
            desk.emitted.clear()
            begun = len(desk.begun)
            answer: Answer | None = None
            with suppress(ModelError):
                answer = await desk.ask()
            asked = [len(model.requests) - count for model, count in zip(models, before, strict=True)]
            assert max(asked) <= 1
            assert sum(asked) == len(desk.begun) - begun
            done = [
                plan[count] for (plan, _), count, one in zip(plans, before, asked, strict=True) if one
            ]  # in the order of the endpoints, but for a probe
            loud = [step for step in done if not silent(step)]
            assert len(loud) <= 1
            replies = [event for event in desk.emitted if isinstance(event, ModelReply)]
            assert len(replies) == (answer is not None)
            heard = "".join(event.text for event in desk.emitted if isinstance(event, TextDelta))
            thought = "".join(event.text for event in desk.emitted if isinstance(event, ThinkingDelta))
            calls = sum(isinstance(event, ToolCallDelta) for event in desk.emitted)
            [step] = loud or [Step()]
            assert (heard, thought, calls) == (step.text, step.thinking, len(step.calls))
            if answer is not None:
                assert answer.reply is desk.emitted[-1]
            await desk.clock.passes(pause)

    asyncio.run(three_questions())
