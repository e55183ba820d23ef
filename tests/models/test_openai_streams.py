"""The reply out of a stream's bytes, for every server and however the bytes are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart
from rookery.models import INVALID_ARGUMENTS, ModelEvent, ModelReply, TextDelta, ThinkingDelta, ToolCallDelta
from rookery.models.errors import Private
from rookery.models.openai_reply import OpenAIReply
from rookery.models.reply_parts import MOST_CALLS, REPLY_LIMIT
from tests.models.recorded import ALL, LLAMACPP, ODD, OPENAI_TEXT, OPENAI_TOOLS, Recorded
from tests.support.fake_openai import DONE, event

recorded = pytest.mark.parametrize("server", ALL, ids=lambda server: server.name)


def read(*pieces: bytes, prompt: bytes = b"p" * 40) -> tuple[list[ModelEvent], ModelReply]:
    """Feed the pieces to a fresh reply and give what came out."""
    reply = OpenAIReply("house", private=Private(None, prompt), turn_mark="1")
    events = [event for piece in pieces for event in reply.feed(piece)]
    events += reply.feed_end()
    return events, reply.whole()


def fails(*pieces: bytes) -> ModelErrorKind:
    with pytest.raises(ModelError) as caught:
        read(*pieces)
    return caught.value.kind


def calling(*deltas: list[dict[str, Any]]) -> bytes:
    """A stream in which each delta brings these tool calls on."""
    events = [event(choices=[{"index": 0, "delta": {"tool_calls": calls}}]) for calls in deltas]
    return b"".join([*events, event(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])])


@recorded
def test_each_servers_stream_is_understood(server: Recorded) -> None:
    """Text, thoughts, tool calls, usage and the reason to stop come out as the server meant them."""
    _, reply = read(server.stream)

    assert server.content == reply.content
    assert server.stop_reason == reply.stop_reason
    if server.usage is None:
        assert reply.usage.estimated
        assert reply.usage.input_tokens == 10
        assert reply.usage.output_tokens > 0
    else:
        assert server.usage == reply.usage


@given(st.data())
def test_a_stream_cut_anywhere_is_the_same_reply(data: st.DataObject) -> None:
    """Where the network cuts the bytes changes neither the reply nor the deltas joined."""
    server = data.draw(st.sampled_from(ALL))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(server.stream) - 1), max_size=40)))
    pieces = [server.stream[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]

    events, reply = read(*pieces)

    assert read(server.stream)[1] == reply
    _assert_deltas_make(events, reply)


@recorded
def test_a_stream_dribbled_byte_by_byte_is_the_same_reply(server: Recorded) -> None:
    """The harshest cut of all."""
    events, reply = read(*(bytes([byte]) for byte in server.stream))

    assert read(server.stream)[1] == reply
    _assert_deltas_make(events, reply)


@recorded
def test_line_ends_do_not_matter(server: Recorded) -> None:
    """CRLF and LF streams say the same."""
    unix = server.stream.replace(b"\r\n", b"\n")

    assert read(unix)[1] == read(unix.replace(b"\n", b"\r\n"))[1]


def test_deltas_that_arrive_together_are_one() -> None:
    """A network read that holds many tokens costs its reader one event."""
    events, _ = read(OPENAI_TEXT.stream)

    assert [TextDelta("Hello there 🐦")] == events


def test_a_tool_call_is_shown_while_it_is_written() -> None:
    """Its name is known from the delta that brings it on; arguments come as the model writes them."""
    events, _ = read(*OPENAI_TOOLS.stream.splitlines(keepends=True))

    assert ToolCallDelta(0, "time", "") == events[0]
    assert {0, 1} == {event.index for event in events if isinstance(event, ToolCallDelta)}


def test_calls_that_all_have_number_0_are_kept_apart() -> None:
    """Some endpoints number every parallel call 0; another id with another name is another call."""
    first = {"index": 0, "id": "a", "function": {"name": "x", "arguments": "{}"}}
    second = {"index": 0, "id": "b", "function": {"name": "y", "arguments": "{}"}}

    assert (ToolCallPart("a", "x", {}), ToolCallPart("b", "y", {})) == read(calling([first], [second]))[1].content


def test_one_id_for_two_calls_is_mended() -> None:
    """Results are matched by id, so no two calls of a reply share one."""
    calls = [{"index": index, "id": "same", "function": {"name": "x", "arguments": ""}} for index in (0, 1)]

    assert (ToolCallPart("same", "x", {}), ToolCallPart("call_1_1", "x", {})) == read(calling(calls))[1].content


def test_an_id_and_a_name_that_come_late_are_taken() -> None:
    """The arguments began before the server knew how to name the call."""
    early = {"index": 0, "function": {"arguments": "{"}}
    late = {"index": 0, "id": "late", "function": {"name": "x", "arguments": "}"}}

    assert (ToolCallPart("late", "x", {}),) == read(calling([early], [late]))[1].content


def test_a_tool_call_without_a_name_is_garbage() -> None:
    """There is nothing to call, and nothing to answer."""
    assert ModelErrorKind.GARBAGE is fails(calling([{"index": 0, "id": "a", "function": {"arguments": "{}"}}]))


@pytest.mark.parametrize("written", ["{oops", "[1]", "7", '"text"', "{" * 5000])
def test_arguments_that_are_no_object_are_kept_as_written(written: str) -> None:
    """Whoever runs the tool can tell the model what was wrong with them."""
    call = {"index": 0, "id": "a", "function": {"name": "x", "arguments": written}}

    assert (ToolCallPart("a", "x", {INVALID_ARGUMENTS: written}),) == read(calling([call]))[1].content


@pytest.mark.parametrize(
    ("reason", "ours"),
    [("content_filter", StopReason.REFUSED), ("length", StopReason.LENGTH), ("eos", StopReason.STOP)],
)
def test_why_it_stopped_is_told_in_our_words(reason: str, ours: StopReason) -> None:
    """Words we do not know mean that the model was done."""
    stream = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"%b"}]}\n\n' % reason.encode()

    assert ours is read(stream)[1].stop_reason


def test_a_refusal_is_words_and_a_reason() -> None:
    """OpenAI streams refusals in a field of their own; the person still reads them."""
    stream = b'data: {"choices":[{"delta":{"refusal":"I cannot."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    _, reply = read(stream)

    assert (TextPart("I cannot."),) == reply.content
    assert StopReason.REFUSED is reply.stop_reason


def test_a_last_event_without_its_blank_line_counts() -> None:
    """Some servers end with the line itself."""
    assert read(LLAMACPP.stream.rstrip())[1].usage == LLAMACPP.usage


def test_usage_of_zeros_is_estimated_instead() -> None:
    """A server that does not count says 0; money is not counted by that."""
    stream = (
        b'data: {"choices":[{"delta":{"content":"12345"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":0,"completion_tokens":0}}\n\n'
    )
    usage = read(stream)[1].usage

    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (10, 2, True)


@pytest.mark.parametrize("cut", [100, 320, 500, 800])
def test_a_stream_that_ends_before_its_end_is_broken_off(cut: int) -> None:
    """Neither finish_reason nor [DONE] came: what came is not the reply."""
    assert ModelErrorKind.BROKEN_OFF is fails(OPENAI_TEXT.stream[:cut])


def test_nothing_at_all_is_broken_off() -> None:
    """A 200 with an empty body."""
    assert ModelErrorKind.BROKEN_OFF is fails()


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {no json\n\n",
        b"<!doctype html><p>Log in first</p>\n\n",
        b"data: [1, 2]\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices":[{"delta":{"content":{"a":1}}}]}\n\n',
        b"\xff\xfe\x00\n\n",
        b"data: \xff\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_what_is_no_reply_is_garbage(stream: bytes) -> None:
    """Whatever a captive portal or a wrong port sends."""
    assert ModelErrorKind.GARBAGE is fails(stream)


def test_a_reply_without_end_is_hung_up_on() -> None:
    """A server that never stops does not fill our memory; what it counted so far, it counted."""
    piece = event(choices=[{"index": 0, "delta": {"content": "x" * (1 << 20)}}])
    enough = REPLY_LIMIT // len(piece)

    assert read(*[piece] * enough, DONE)[1].content
    assert ModelErrorKind.BROKEN_OFF is fails(*[piece] * (enough + 1), DONE)


def test_a_reply_with_more_calls_than_anybody_needs_is_hung_up_on() -> None:
    """A stream of nothing but calls is left at once, and holds up nobody while it is read."""
    calls = [
        [{"index": number, "function": {"name": "time", "arguments": "{}"}}] for number in range(MOST_CALLS + 1)
    ]
    assert len(read(calling(*calls[:-1]), DONE)[1].content) == MOST_CALLS
    assert ModelErrorKind.BROKEN_OFF is fails(calling(*calls), DONE)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_a_model_error(noise: bytes) -> None:
    """No server can raise anything else in us."""
    for stream in (noise, b"data: " + noise + b"\n\n", ODD.stream + noise):
        try:
            read(stream)
        except ModelError:
            continue


def _assert_deltas_make(events: list[ModelEvent], reply: ModelReply) -> None:
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    thinking = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    assert "".join(part.text for part in reply.content if isinstance(part, TextPart)) == text
    assert "".join(part.thinking for part in reply.content if isinstance(part, ThinkingPart)) == thinking
