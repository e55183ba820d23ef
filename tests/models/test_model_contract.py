"""What every `Model` promises, whatever is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import repeat

import pytest

from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart
from rookery.models import Model, ModelEvent, ModelReply, TextDelta, ThinkingDelta, ToolCallDelta
from rookery.models.anthropic import AnthropicModel
from rookery.models.demo import DemoModel
from rookery.models.openai import OpenAIModel
from rookery.models.scripted import EchoModel, ScriptedModel, Step
from rookery.outbound.client import Outbound
from tests.models.prompts import NOON, TIME_TOOL, ask, heard, user
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.fake_openai import FakeOpenAI

STEP = Step(thinking="Well, well.", text="A reply of words.")
CALL = ToolCallPart("call_1", "time", {"zone": "UTC"})


def _claude(http: Outbound, url: str) -> Model:
    return AnthropicModel(http, url, name="fake", now=lambda: NOON)


MODELS: dict[str, Callable[[Outbound, str], Model]] = {
    "stream:20": lambda http, url: OpenAIModel(http, url, name="fake", now=lambda: NOON),
    "split": lambda http, url: OpenAIModel(http, url, name="fake", now=lambda: NOON),
    "plain-json": lambda http, url: OpenAIModel(http, url, name="fake", now=lambda: NOON),
    "tool:time": lambda http, url: OpenAIModel(http, url, name="fake", now=lambda: NOON),
    "claude/stream:20": _claude,
    "claude/split": _claude,
    "claude/plain-json": _claude,
    "claude/think": _claude,
    "claude/tools:timex3": _claude,
    "demo": lambda _, __: DemoModel(),
    "echo": lambda _, __: EchoModel(),
    "scripted": lambda _, __: ScriptedModel(repeat(STEP)),
    "scripted-call": lambda _, __: ScriptedModel(repeat(CALL)),
}
Named = tuple[str, Model]


@pytest.fixture(params=MODELS)
async def named(
    request: pytest.FixtureRequest, fake: FakeOpenAI, claude: FakeAnthropic, outbound: Outbound
) -> AsyncGenerator[Named, None]:
    """Each model with the name it is asked by."""
    server, _, name = request.param.rpartition("/")
    model = MODELS[request.param](outbound, claude.base_url if server else fake.base_url)
    yield name, model
    await model.close()


async def events_of(named: Named) -> list[ModelEvent]:
    name, model = named
    return await heard(model, ask(name, user("what time is it?"), tools=(TIME_TOOL,)))


async def test_the_reply_comes_once_and_last(named: Named) -> None:
    """Who reads to the end has it, and needs nothing after it."""
    events = await events_of(named)

    assert isinstance(events[-1], ModelReply)
    assert not any(isinstance(event, ModelReply) for event in events[:-1])


async def test_the_deltas_are_the_reply(named: Named) -> None:
    """Who shows the deltas has shown what the transcript keeps."""
    events = await events_of(named)
    reply = events[-1]
    assert isinstance(reply, ModelReply)

    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    thinking = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    calls = {event.index: event.name for event in events if isinstance(event, ToolCallDelta)}
    assert text == "".join(part.text for part in reply.content if isinstance(part, TextPart))
    assert thinking == "".join(part.thinking for part in reply.content if isinstance(part, ThinkingPart))
    assert list(calls.values()) == [part.name for part in reply.content if isinstance(part, ToolCallPart)]


async def test_tool_calls_are_what_it_stopped_for(named: Named) -> None:
    """A reply with calls asks to be gone on with; one without is an end."""
    reply = (await events_of(named))[-1]
    assert isinstance(reply, ModelReply)

    calls = any(isinstance(part, ToolCallPart) for part in reply.content)
    assert calls == (reply.stop_reason is StopReason.TOOL_CALLS)


async def test_tokens_are_counted(named: Named) -> None:
    """No call is free of charge without somebody having said so."""
    reply = (await events_of(named))[-1]
    assert isinstance(reply, ModelReply)

    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0


async def test_leaving_early_is_clean(named: Named) -> None:
    """Closing the stream after its first event ends it; the model can be asked again."""
    name, model = named
    async with aclosing(model.stream(ask(name))) as events:
        await anext(events)
    with pytest.raises(StopAsyncIteration):
        await anext(events)

    assert await events_of(named)


async def test_many_may_ask_at_once(named: Named) -> None:
    """One model serves all conversations; none gets a piece of another's reply."""
    alone = await events_of(named)
    together = await asyncio.gather(*[events_of(named) for _ in range(8)])

    assert {_said(events) for events in together} == {_said(alone)}


async def test_a_model_can_be_closed_twice(named: Named) -> None:
    """Stopping is never the thing that fails."""
    _, model = named
    await model.close()
    await model.close()


def _said(events: list[ModelEvent]) -> tuple[object, ...]:
    """What a reply is, whatever its prompt was read from."""
    reply = events[-1]
    assert isinstance(reply, ModelReply)
    return str(reply.content), reply.stop_reason, reply.usage.input_tokens, reply.usage.output_tokens
