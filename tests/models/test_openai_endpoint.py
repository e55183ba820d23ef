"""The client on a real connection: what it sends, how it leaves, what it leaves behind."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, ToolCallPart, Usage
from rookery.models import ModelReply, TextDelta
from rookery.models.openai import OpenAIModel
from rookery.outbound.client import Outbound
from tests.models.prompts import TIME_TOOL, ask, assistant, heard, reply_of, result, text_in, user, with_key
from tests.models.recorded import ALL, OPENAI_TEXT, Recorded
from tests.support.fake_openai import DONE, Canned, FakeOpenAI


async def test_the_key_of_the_request_is_the_one_sent(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """Each call names its key; without one none is sent, whatever was sent before."""
    await reply_of(openai, ask("instant", key=with_key("sk-alice")))
    assert fake.last.headers["authorization"] == "Bearer sk-alice"

    await reply_of(openai, ask("instant"))
    assert "authorization" not in fake.last.headers
    assert fake.last.path == "/v1/chat/completions"
    assert fake.last.json["stream"] is True


@pytest.mark.parametrize("server", ALL, ids=lambda server: server.name)
async def test_each_servers_stream_over_a_connection(
    openai: OpenAIModel, fake: FakeOpenAI, server: Recorded
) -> None:
    """What the parser understands arrives through the network as well."""
    third = len(server.stream) // 3
    fake.serve("m", Canned((server.stream[:third], server.stream[third:])))

    assert server.content == (await reply_of(openai, ask("m"))).content


@pytest.mark.parametrize("behaviour", ["instant", "stream:2", "plain-json", "no-done", "no-usage"])
async def test_every_way_to_answer_is_the_same_text(openai: OpenAIModel, behaviour: str) -> None:
    """Streamed or not, in one piece or several, with the trimmings or without."""
    reply = await reply_of(openai, ask(behaviour))

    assert text_in(reply) == "word1 word2 "
    assert (behaviour == "no-usage") == reply.usage.estimated


async def test_a_tool_is_called_and_its_result_answered(openai: OpenAIModel) -> None:
    """One step of a run, and the next."""
    question = user("what time is it?")
    call = await reply_of(openai, ask("tool:time", question, tools=(TIME_TOOL,)))
    assert (ToolCallPart("call_fake", "time", {}),) == call.content
    assert StopReason.TOOL_CALLS is call.stop_reason

    answer = await reply_of(
        openai, ask("tool:time", question, assistant(*call.content), result("call_fake", "noon"))
    )
    assert text_in(answer) == "time said: noon"


async def test_a_connection_lost_after_the_last_word_costs_nothing(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """The reply is whole; only its usage has to be guessed."""
    usage_on = OPENAI_TEXT.stream.rindex(b"data: {")
    fake.serve("m", Canned((OPENAI_TEXT.stream[:usage_on],), end="cut"))
    reply = await reply_of(openai, ask("m"))

    assert reply.content in {(), OPENAI_TEXT.content}
    assert reply.usage.estimated


async def test_leaving_early_hangs_up(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """A model that nobody listens to stops costing money."""
    async with aclosing(openai.stream(ask("slow"))) as events:
        first = asyncio.ensure_future(anext(events))
        await fake.until(lambda: fake.counts["slow"] == 1)
        fake.tick()
        assert TextDelta("word1 ") == await first
    await fake.until(lambda: fake.hung_up == 1)

    assert not fake.open


@pytest.mark.parametrize("behaviour", ["slow", "hang"])
async def test_cancelling_the_reader_hangs_up(openai: OpenAIModel, fake: FakeOpenAI, behaviour: str) -> None:
    """Whether the answer has begun or not."""
    reading = asyncio.ensure_future(heard(openai, ask(behaviour)))
    await fake.until(lambda: fake.counts[behaviour] == 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await fake.until(lambda: fake.hung_up == 1)

    assert not fake.open


async def test_closing_the_client_ends_its_streams(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """A provider that was taken out of the configuration is left at once."""
    events = openai.stream(ask("slow"))
    first = asyncio.ensure_future(anext(events))
    await fake.until(lambda: fake.counts["slow"] == 1)
    fake.tick()
    await first
    rest = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    await openai.close()

    with pytest.raises(ModelError) as caught:
        await rest
    assert ModelErrorKind.BROKEN_OFF is caught.value.kind
    with pytest.raises(ModelError):
        await heard(openai, ask("instant"))


async def test_closing_the_way_out_ends_calls_not_yet_answered(
    openai: OpenAIModel, fake: FakeOpenAI, outbound: Outbound
) -> None:
    """The gateway stops without waiting for a server that does not answer."""
    waiting = asyncio.ensure_future(heard(openai, ask("hang")))
    await fake.until(lambda: fake.counts["hang"] == 1)
    await outbound.close()

    with pytest.raises(ModelError) as caught:
        await waiting
    assert ModelErrorKind.BROKEN_OFF is caught.value.kind
    with pytest.raises(ModelError) as caught:
        await heard(openai, ask("instant"))
    assert ModelErrorKind.UNREACHABLE is caught.value.kind


async def test_one_connection_serves_call_after_call(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """A new connection for each call would cost a TLS handshake each time."""
    for behaviour in ("instant", "plain-json", "echo", "instant"):
        await heard(openai, ask(behaviour))
    with pytest.raises(ModelError):
        await heard(openai, ask("429"))
    await heard(openai, ask("instant"))

    assert fake.connections == 1


async def test_a_stream_whose_end_follows_its_done_keeps_its_connection(
    openai: OpenAIModel, fake: FakeOpenAI
) -> None:
    """The body's end often comes in a packet of its own; nobody waits for it, and nobody hangs up."""
    fake.serve("m", Canned((OPENAI_TEXT.stream,), end="stay"))
    await heard(openai, ask("m"))
    fake.finish()
    for _ in range(50):
        await asyncio.sleep(0)  # the loop reads the end from the socket in one of its turns
    await heard(openai, ask("instant"))

    assert fake.connections == 1


async def test_what_a_server_says_after_done_is_not_waited_for(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """The reply is there with [DONE], even when the server keeps the line open."""
    fake.serve("m", Canned((OPENAI_TEXT.stream,), end="stay"))

    assert OPENAI_TEXT.content == (await reply_of(openai, ask("m"))).content
    assert OPENAI_TEXT.stream.endswith(DONE)


async def test_many_streams_run_at_once(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """No stream waits for another's connection."""
    readers = [asyncio.ensure_future(heard(openai, ask("slow"))) for _ in range(64)]
    await fake.until(lambda: fake.counts["slow"] == 64)
    for reader in readers:
        reader.cancel()
    ended = await asyncio.gather(*readers, return_exceptions=True)

    assert all(isinstance(end, asyncio.CancelledError) for end in ended)


async def test_what_was_heard_before_the_break_was_delivered(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """The partial text of a reply that broke off can be kept."""
    async with aclosing(openai.stream(ask("slow"))) as events:
        first = asyncio.ensure_future(anext(events))
        await fake.until(lambda: fake.counts["slow"] == 1)
        fake.tick()
        assert TextDelta("word1 ") == await first
        for connection in list(fake.open):
            connection.hang_up()
        with pytest.raises(ModelError) as caught:
            await anext(events)

    assert ModelErrorKind.BROKEN_OFF is caught.value.kind


async def test_a_reply_may_be_empty(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """A model that says nothing has still answered."""
    fake.serve("m", Canned((DONE,)))
    [reply] = await heard(openai, ask("m"))

    assert isinstance(reply, ModelReply)
    assert reply.content == ()


async def test_the_endpoint_counts_by_key_what_it_tells(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """Also the words of an answer that nobody heard to its end."""
    told = Usage()
    for behaviour in ("instant:3", "stream:2", "echo", "tool:time"):
        told += (await reply_of(openai, ask(behaviour, key=with_key("sk-a")))).usage
    assert fake.counted == {"sk-a": told}

    async with aclosing(openai.stream(ask("slow", key=with_key("sk-b")))) as events:
        first = asyncio.ensure_future(anext(events))
        await fake.until(lambda: fake.counts["slow"] == 1)
        fake.tick()
        await first
    assert fake.counted["sk-b"] == Usage(10, 1)
