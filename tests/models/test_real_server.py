"""The wire clients against a real model server: llama.cpp, with a model small enough to know by heart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from pathlib import Path

import pytest

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models import Model, ModelReply
from rookery.models.anthropic import AnthropicModel
from rookery.models.openai import OpenAIModel
from rookery.outbound.client import Outbound
from tests.models.prompts import (
    NOON,
    TIME_TOOL,
    ask,
    assistant,
    heard,
    reply_of,
    result,
    text_in,
    text_streamed,
    user,
    with_key,
)
from tests.support.house import TestHouse
from tests.support.llama import MODEL, Llama
from tests.support.tiny_model import CONTEXT

KEY = "key-of-the-house"

CLIENTS: dict[str, Callable[[Outbound, str], Model]] = {
    "openai": lambda http, url: OpenAIModel(http, url, name="llama", now=lambda: NOON),
    "anthropic": lambda http, url: AnthropicModel(http, url, name="llama", now=lambda: NOON),
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Generator[Llama, None, None]:
    """A server with room enough, open to everybody on this machine."""
    server = Llama.start(tmp_path_factory.mktemp("llama"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Generator[Llama, None, None]:
    """A server with room for 512 tokens, that wants a key."""
    server = Llama.start(tmp_path_factory.mktemp("cramped"), context=512, key=KEY)
    yield server
    server.close()


@pytest.fixture(params=CLIENTS)
async def open_client(
    request: pytest.FixtureRequest, outbound: Outbound
) -> AsyncGenerator[Callable[[Llama], Model], None]:
    """Opens a client of each wire format."""
    opened: list[Model] = []

    def open_client(server: Llama) -> Model:
        opened.append(CLIENTS[request.param](outbound, server.base_url))
        return opened[-1]

    yield open_client
    for client in opened:
        await client.close()


@pytest.fixture
def model(open_client: Callable[[Llama], Model], llama: Llama) -> Model:
    return open_client(llama)


async def test_words_arrive_as_they_are_written(model: Model) -> None:
    """What is heard is the reply, and the reply is what the model knows."""
    events = await heard(model, ask(MODEL, user("Please count")))
    reply = events[-1]

    assert isinstance(reply, ModelReply)
    assert (text_streamed(events), reply.stop_reason) == ("one two three four five", StopReason.STOP)
    assert reply.content == (TextPart("one two three four five"),)


async def test_what_a_call_used_is_what_the_server_counted(model: Model, llama: Llama, outbound: Outbound) -> None:
    """Summed over calls, to the token; what it remembered of the prompt is known as such."""
    said, (fresh, remembered) = await llama.said(outbound), await llama.read(outbound)
    used = Usage()
    for words in ("count", "think", "hello", "count"):
        used += (await reply_of(model, ask(MODEL, user(words)))).usage
    now_said, (now_fresh, now_remembered) = await llama.said(outbound), await llama.read(outbound)

    assert not used.estimated
    assert used.output_tokens == now_said - said
    assert used.cached_tokens == now_remembered - remembered
    assert used.input_tokens - used.cached_tokens == now_fresh - fresh


async def test_a_conversation_that_goes_on_is_remembered(model: Model) -> None:
    """The second turn's prompt begins with the bytes of the first, so the server reads only what is new."""
    asked = user("count, and " + "take your time over it. " * 40 + "count")
    first = await reply_of(model, ask(MODEL, asked))
    second = await reply_of(model, ask(MODEL, asked, assistant(text_in(first)), user("count")))

    assert second.usage.cached_tokens >= 0.95 * first.usage.input_tokens
    assert second.usage.cached_tokens < second.usage.input_tokens


async def test_thoughts_are_told_from_words(model: Model) -> None:
    """And can be sent back with the next question."""
    reply = await reply_of(model, ask(MODEL, user("think")))

    assert [type(part) for part in reply.content] == [ThinkingPart, TextPart]
    assert text_in(reply) == "A thought."
    again = await reply_of(model, ask(MODEL, user("think"), assistant(*reply.content), user("count")))
    assert text_in(again) == "one two three four five"


async def test_a_tool_is_called_and_its_result_is_read(model: Model) -> None:
    """The server takes our tools, our call when it comes back, and the result."""
    request = ask(MODEL, user("look"), tools=(TIME_TOOL,))
    reply = await reply_of(model, request)
    (call,) = reply.content
    assert isinstance(call, ToolCallPart)
    assert (call.name, call.arguments, reply.stop_reason) == ("time", {"zone": "UTC"}, StopReason.TOOL_CALLS)

    answer = await reply_of(
        model, ask(MODEL, user("look"), assistant(call), result(call.id, "12:00"), tools=(TIME_TOOL,))
    )
    assert (text_in(answer), answer.stop_reason) == ("It is noon somewhere.", StopReason.STOP)
    assert answer.usage.cached_tokens >= 0.95 * reply.usage.input_tokens


async def test_the_next_question_may_follow_at_once(model: Model) -> None:
    """This server closes each connection behind a streamed answer, although it says that it keeps it."""
    for _ in range(30):
        assert text_in(await reply_of(model, ask(MODEL))) == "Hello there."


async def test_many_ask_at_once(model: Model) -> None:
    """The server answers one after another; none gets a piece of another's reply."""
    wanted = {"count": "one two three four five", "think": "A thought.", "hello": "Hello there."}
    replies = await asyncio.gather(*(reply_of(model, ask(MODEL, user(words))) for words in [*wanted] * 4))

    assert [text_in(reply) for reply in replies] == [*wanted.values()] * 4


async def test_a_reply_that_filled_the_room_says_so(open_client: Callable[[Llama], Model], cramped: Llama) -> None:
    """Who reads it knows that it is not the whole reply."""
    reply = await reply_of(open_client(cramped), ask(MODEL, user("sing"), key=with_key(KEY)))

    assert reply.stop_reason is StopReason.LENGTH
    assert set(text_in(reply).split()) == {"la"}


async def test_a_prompt_that_does_not_fit_is_told_as_that(
    open_client: Callable[[Llama], Model], cramped: Llama
) -> None:
    """So that the session can be shortened, and no other endpoint is bothered with it."""
    with pytest.raises(ModelError) as caught:
        await heard(open_client(cramped), ask(MODEL, user("word " * 600), key=with_key(KEY)))

    assert caught.value.kind is ModelErrorKind.CONTEXT_TOO_LONG
    assert "word word" not in str(caught.value)


@pytest.mark.parametrize("given", [None, "another-key-altogether"])
async def test_a_wrong_key_is_told_as_that(
    open_client: Callable[[Llama], Model], cramped: Llama, given: str | None
) -> None:
    """And the key is not in the words."""
    with pytest.raises(ModelError) as caught:
        await heard(open_client(cramped), ask(MODEL, key=None if given is None else with_key(given)))

    assert caught.value.kind is ModelErrorKind.WRONG_KEY
    assert "another-key" not in str(caught.value)


async def test_hanging_up_ends_the_work_at_the_server(model: Model, llama: Llama, outbound: Outbound) -> None:
    """It writes a song without an end for nobody; the next in line is answered instead."""
    before = await llama.said(outbound)
    async with aclosing(model.stream(ask(MODEL, user("sing")))) as events:
        await anext(events)
        assert await llama.busy(outbound)

    assert text_in(await reply_of(model, ask(MODEL, user("count")))) == "one two three four five"
    assert not await llama.busy(outbound)
    assert await llama.said(outbound) - before < CONTEXT // 2


async def test_a_turn_goes_all_the_way(model: Model, tmp_path: Path) -> None:
    """From one network to a real server, to a tool, back to the server, and back to the network."""
    async with TestHouse(tmp_path, model=model) as house:
        await house.person("alice", telegram="a1")
        await house.telegram.says("a1", "look")
        await house.idle()
        await house.telegram.says("a1", "count")
        await house.idle()

        assert house.telegram.heard_by("a1") == ["It is noon somewhere.", "one two three four five"]
