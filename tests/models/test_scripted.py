"""The models of the tests do exactly what they are told, and remember what they were asked."""

from __future__ import annotations

import asyncio

import pytest

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import SenderNote, StopReason, ToolCallPart, Usage
from rookery.models.scripted import EchoModel, ScriptedModel, Step
from tests.models.prompts import TIME_TOOL, ask, assistant, heard, reply_of, result, text_in, text_streamed, user


async def test_steps_are_taken_in_order() -> None:
    """A text, a tool call, an error, and whatever a function makes of the request."""
    call = ToolCallPart("call_1", "time", {})
    broken = ModelError(ModelErrorKind.OVERLOADED, "busy")
    model = ScriptedModel(["one", call, broken, lambda request: f"asked of {request.model}"])

    assert text_in(await reply_of(model, ask("m"))) == "one"
    assert (await reply_of(model, ask("m"))).content == (call,)
    with pytest.raises(ModelError, match="busy"):
        await heard(model, ask("m"))
    assert text_in(await reply_of(model, ask("m"))) == "asked of m"
    assert len(model.requests) == 4
    assert (model.running, model.abandoned) == (0, 0)


async def test_a_script_that_ends_too_early_is_a_failed_test() -> None:
    """More calls than expected are a finding, not a reply."""
    model = ScriptedModel([])

    with pytest.raises(AssertionError, match="no step left for request 1"):
        await heard(model, ask("m"))


async def test_a_gate_holds_a_step_until_the_test_opens_it() -> None:
    """So two turns can be made to overlap, without any sleep."""
    gate = asyncio.Event()
    model = ScriptedModel([Step(text="late", before=gate), "soon"])
    late = asyncio.ensure_future(reply_of(model, ask("m")))
    await model.asked(1)

    assert text_in(await reply_of(model, ask("m"))) == "soon"
    assert not late.done()
    gate.set()
    assert text_in(await late) == "late"


async def test_a_step_can_break_off_after_its_words() -> None:
    """What a provider that fails in mid-stream looks like."""
    model = ScriptedModel([Step(text="half a", error=ModelError(ModelErrorKind.BROKEN_OFF, "gone"))])
    events = model.stream(ask("m"))

    assert text_streamed([await anext(events), await anext(events)]) == "half a"
    with pytest.raises(ModelError, match="gone"):
        await anext(events)


async def test_usage_and_stop_reason_can_be_told() -> None:
    """Tests of money need exact tokens."""
    reply = await reply_of(ScriptedModel([Step(usage=Usage(7, 3, 2), stop_reason=StopReason.LENGTH)]), ask("m"))

    assert reply.usage == Usage(7, 3, 2)
    assert reply.stop_reason is StopReason.LENGTH


async def test_a_reader_that_leaves_is_counted() -> None:
    """How a test sees that a stop reached the model."""
    model = ScriptedModel([Step(text="never", before=asyncio.Event())])
    reading = asyncio.ensure_future(heard(model, ask("m")))
    await model.asked(1)
    assert model.running == 1
    reading.cancel()
    await model.until(lambda: model.abandoned == 1)

    assert model.running == 0
    assert reading.cancelling()


async def test_a_gate_that_stays_shut_times_out() -> None:
    """A deadline holds for this model as for a real one."""
    with pytest.raises(ModelError) as caught:
        await heard(ScriptedModel([Step(before=asyncio.Event())]), ask("m", timeout_seconds=0.01))

    assert caught.value.kind is ModelErrorKind.TIMED_OUT


async def test_closing_ends_streams_that_wait() -> None:
    """As it does for a real one."""
    model = ScriptedModel([Step(before=asyncio.Event()), "more"])
    reading = asyncio.ensure_future(heard(model, ask("m")))
    await model.asked(1)
    await model.close()

    with pytest.raises(ModelError):
        await reading
    with pytest.raises(ModelError):
        await heard(model, ask("m"))


async def test_an_echo_holds_everything_that_reached_the_model() -> None:
    """Whatever leaks into a prompt is seen in the reply."""
    alice = SenderNote(channel="telegram", account="a", id="sender-id", name="sender-name")
    history = (
        user("user words", sender=alice),
        assistant("own words", ToolCallPart("call_1", "tool-name", {"key": "argument-value"})),
        result("call_1", "result words"),
    )
    reply = text_in(await reply_of(EchoModel(), ask("m", *history, context="context words", tools=(TIME_TOOL,))))

    for word in (
        "You are Rook.",
        "sender-id",
        "sender-name",
        "user words",
        "own words",
        "tool-name",
        "argument-value",
        "result words",
        "context words",
        "The current time.",
    ):
        assert word in reply


async def test_an_echo_does_not_grow_by_its_own_echoes() -> None:
    """A long conversation with it stays as long as what was put in."""
    model, history = EchoModel(), [user("line 0")]
    for number in range(1, 30):
        history += [assistant(text_in(await reply_of(model, ask("m", *history)))), user(f"line {number}")]
    reply = text_in(await reply_of(model, ask("m", *history)))

    assert reply.splitlines() == ["You are Rook.", *(f"line {number}" for number in range(30))]
