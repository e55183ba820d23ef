"""The Anthropic client on a real connection to a strict endpoint: what it sends, how it fails, how it leaves."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from rookery.config.words import ReplayThinking
from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models import ModelReply, ModelRequest, PromptMessage, TextDelta
from rookery.models.anthropic import AnthropicModel
from rookery.models.server import ServerOptions
from rookery.outbound.client import Outbound
from tests.models.prompts import NOON, TIME_TOOL, ask, assistant, heard, reply_of, result, text_in, user, with_key
from tests.models.recorded import Recorded
from tests.models.recorded_anthropic import ALL, TEXT
from tests.support.fake_anthropic import FakeAnthropic, error_body
from tests.support.fake_openai import JSON, Canned

Kind = ModelErrorKind


async def failure(model: AnthropicModel, request: ModelRequest) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value


async def test_the_key_of_the_request_is_the_one_sent(anthropic: AnthropicModel, claude: FakeAnthropic) -> None:
    """In the header that the format has for it, and in no other; without one none is sent."""
    await reply_of(anthropic, ask("instant", key=with_key("sk-ant-alice")))
    assert claude.last.headers["x-api-key"] == "sk-ant-alice"
    assert claude.last.headers["anthropic-version"] == "2023-06-01"

    await reply_of(anthropic, ask("instant"))
    assert not {"x-api-key", "authorization"} & claude.last.headers.keys()
    assert claude.last.path == "/v1/messages"


@pytest.mark.parametrize("server", ALL, ids=lambda server: server.name)
async def test_each_servers_stream_over_a_connection(
    anthropic: AnthropicModel, claude: FakeAnthropic, server: Recorded
) -> None:
    """What the parser understands arrives through the network as well."""
    third = len(server.stream) // 3
    claude.serve("m", Canned((server.stream[:third], server.stream[third:])))

    assert server.content == (await reply_of(anthropic, ask("m"))).content


@pytest.mark.parametrize("behaviour", ["instant", "stream:2", "plain-json", "no-usage"])
async def test_every_way_to_answer_is_the_same_text(anthropic: AnthropicModel, behaviour: str) -> None:
    """Streamed or not, in one piece or several, counted or not."""
    reply = await reply_of(anthropic, ask(behaviour))

    assert text_in(reply) == "word1 word2 "
    assert (behaviour == "no-usage") == reply.usage.estimated


async def test_a_refusal_is_told_as_one(anthropic: AnthropicModel) -> None:
    """What was said before it is kept."""
    reply = await reply_of(anthropic, ask("refusal"))

    assert (reply.stop_reason, text_in(reply)) == (StopReason.REFUSED, "word1 word2 ")


async def test_what_was_counted_is_what_was_told(anthropic: AnthropicModel, claude: FakeAnthropic) -> None:
    """By key, and with what came from the prompt cache told apart; nobody reads what another key wrote."""
    told = {"sk-a": Usage(), "sk-b": Usage()}
    said = [user("tell me")]
    for turn in range(3):
        for key in told:
            reply = await reply_of(anthropic, ask("instant:7", *said, key=with_key(key)))
            told[key] += reply.usage
            assert (reply.usage.cached_tokens > 0) == (turn > 0)
        said += [assistant("so"), user("more")]

    assert claude.counted == told


async def test_a_thought_goes_on_when_the_tool_has_answered(claude: FakeAnthropic, outbound: Outbound) -> None:
    """The endpoint takes its thoughts back only unchanged, behind the words they were thought behind."""
    options = ServerOptions(
        replay_thinking=ReplayThinking.TURN,
        extra_body={"thinking": {"type": "enabled", "budget_tokens": 2000}},
    )
    model = AnthropicModel(outbound, claude.base_url, name="house", now=lambda: NOON, options=options)
    said: list[PromptMessage] = []
    for turn in range(3):
        said.append(user(f"what time is it? {turn}", turn_id=f"t{turn}"))
        call = await reply_of(model, ask("think-tool:time", *said, tools=(TIME_TOOL,)))
        assert isinstance(call.content[0], ThinkingPart)
        assert isinstance(call.content[1], ToolCallPart)
        said.append(assistant(*call.content, turn_id=f"t{turn}", provider="house"))
        said.append(result(call.content[1].id, "noon", turn_id=f"t{turn}"))
        answer = await reply_of(model, ask("think-tool:time", *said, tools=(TIME_TOOL,)))
        assert text_in(answer) == "time said: noon"
        said.append(assistant(*answer.content, turn_id=f"t{turn}", provider="house"))


async def test_thoughts_left_behind_are_missed(claude: FakeAnthropic, outbound: Outbound) -> None:
    """What the default of this format is for: the endpoint refuses a step whose thought is gone, or changed."""
    options = ServerOptions(extra_body={"thinking": {"type": "enabled", "budget_tokens": 2000}})
    forgetful = AnthropicModel(outbound, claude.base_url, name="house", now=lambda: NOON, options=options)
    call = ToolCallPart("a", "time", {})
    request = ask("think-tool:time", user("?"), assistant(ThinkingPart("Hm.", "sig"), call), result("a", "noon"))

    assert Kind.BAD_REQUEST is (await failure(forgetful, request)).kind


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("400", Kind.BAD_REQUEST),
        ("401", Kind.WRONG_KEY),
        ("402", Kind.NO_CREDIT),
        ("403", Kind.NOT_PERMITTED),
        ("404", Kind.UNKNOWN_MODEL),
        ("413", Kind.CONTEXT_TOO_LONG),
        ("429", Kind.RATE_LIMITED),
        ("500", Kind.OVERLOADED),
        ("504", Kind.TIMED_OUT),
        ("529", Kind.OVERLOADED),
        ("context-too-long", Kind.CONTEXT_TOO_LONG),
        ("garbage-html", Kind.GARBAGE),
        ("garbage-sse", Kind.GARBAGE),
        ("error-in-stream", Kind.OVERLOADED),
        ("break-mid-stream", Kind.BROKEN_OFF),
        ("end-mid-stream", Kind.BROKEN_OFF),
        ("close-at-once", Kind.BROKEN_OFF),
    ],
)
async def test_each_failure_has_its_kind(anthropic: AnthropicModel, behaviour: str, kind: ModelErrorKind) -> None:
    """The person is told what happened, and whoever can mend it knows that it is them."""
    error = await failure(anthropic, ask(behaviour))

    assert kind is error.kind
    assert error.detail.startswith("house ")
    assert error.retry_after == (
        7.0 if kind in {Kind.RATE_LIMITED, Kind.OVERLOADED} and behaviour[0] in "45" else None
    )


@pytest.mark.parametrize(
    ("status", "kind", "message", "more", "ours"),
    [
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", {}, Kind.NO_CREDIT),
        (400, "invalid_request_error", "You have reached your specified API usage limits.", {}, Kind.NO_CREDIT),
        (
            429,
            "rate_limit_error",
            "Your organization has reached its limit.",
            {"details": {"error_code": "enforced_spend_limit_reached"}},
            Kind.NO_CREDIT,
        ),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 187254 + 20000 > 200000",
            {},
            Kind.CONTEXT_TOO_LONG,
        ),
        (400, "invalid_request_error", "Output blocked by content filtering policy", {}, Kind.CONTENT_REFUSED),
        (400, "invalid_request_error", "This organization has been disabled.", {}, Kind.WRONG_KEY),
        (400, "invalid_request_error", "messages.1.content.0: Invalid `signature`", {}, Kind.BAD_REQUEST),
        (409, "conflict_error", "Try another.", {}, Kind.BAD_REQUEST),
    ],
)
async def test_the_words_decide_where_the_status_misleads(
    anthropic: AnthropicModel,
    claude: FakeAnthropic,
    status: int,
    kind: str,
    message: str,
    more: dict[str, object],
    ours: ModelErrorKind,
) -> None:
    """A spent budget comes as a bad request, and once as a rate limit."""
    claude.serve("m", Canned((error_body(kind, message, **more),), status=status, content_type=JSON))

    assert ours is (await failure(anthropic, ask("m"))).kind


async def test_an_errors_words_hold_neither_key_nor_prompt(
    anthropic: AnthropicModel, claude: FakeAnthropic
) -> None:
    """Servers quote what they were sent; the log must not."""
    key, prompt = "very-secret-0123456789", "my locker code is 4711"
    message = f"{key} sent {prompt}, and You are Rook."
    claude.serve("m", Canned((error_body("invalid_request_error", message),), status=400, content_type=JSON))
    error = await failure(anthropic, ask("m", user(prompt), key=with_key(key)))

    assert not any(word in error.detail for word in (key, "locker", "4711", "Rook"))


@pytest.mark.parametrize("behaviour", ["slow", "hang"])
async def test_cancelling_the_reader_hangs_up(
    anthropic: AnthropicModel, claude: FakeAnthropic, behaviour: str
) -> None:
    """Whether the answer has begun or not."""
    reading = asyncio.ensure_future(heard(anthropic, ask(behaviour)))
    await claude.until(lambda: claude.counts[behaviour] == 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await claude.until(lambda: claude.hung_up == 1)

    assert not claude.open


async def test_leaving_early_hangs_up(anthropic: AnthropicModel, claude: FakeAnthropic) -> None:
    """What was heard until then is counted, and nothing after it."""
    async with aclosing(anthropic.stream(ask("slow"))) as events:
        first = asyncio.ensure_future(anext(events))
        await claude.until(lambda: claude.counts["slow"] == 1)
        claude.tick()
        assert TextDelta("word1 ") == await first
    await claude.until(lambda: claude.hung_up == 1)

    assert claude.counted[""].output_tokens == 1


async def test_a_silent_server_times_out(anthropic: AnthropicModel) -> None:
    """The deadline is of the whole call."""
    assert Kind.TIMED_OUT is (await failure(anthropic, ask("hang", timeout_seconds=0.05))).kind


async def test_closing_the_client_ends_its_streams(anthropic: AnthropicModel, claude: FakeAnthropic) -> None:
    """A provider that was taken out of the configuration is left at once."""
    waiting = asyncio.ensure_future(heard(anthropic, ask("slow")))
    await claude.until(lambda: claude.counts["slow"] == 1)
    for _ in range(50):
        await asyncio.sleep(0)  # the loop reads the beginning of the answer in one of its turns
    await anthropic.close()

    with pytest.raises(ModelError):
        await waiting


async def test_one_connection_serves_call_after_call(anthropic: AnthropicModel, claude: FakeAnthropic) -> None:
    """Also after an error; a new connection for each call would cost a TLS handshake each time."""
    for behaviour in ("instant", "plain-json", "think"):
        await heard(anthropic, ask(behaviour))
    await failure(anthropic, ask("429"))
    await heard(anthropic, ask("instant"))

    assert claude.connections == 1


async def test_a_lost_end_costs_nothing(anthropic: AnthropicModel, claude: FakeAnthropic) -> None:
    """With the reason to stop the reply is whole, whatever becomes of the connection."""
    claude.serve("m", Canned((TEXT.stream[: TEXT.stream.rindex(b"event: message_stop")],), end="cut"))
    reply = await reply_of(anthropic, ask("m"))

    assert isinstance(reply, ModelReply)
    assert reply.content in {(), (TextPart("Hello there 🐦"),)}
