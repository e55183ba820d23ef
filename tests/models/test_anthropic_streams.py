"""The reply out of a stream of Anthropic's format, for every server and however the bytes are cut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models import ModelEvent, ModelReply, TextDelta, ThinkingDelta, ToolCallDelta
from rookery.models.anthropic_reply import AnthropicReply
from rookery.models.errors import Private
from rookery.models.reply_parts import MOST_CALLS
from tests.models.recorded import Recorded
from tests.models.recorded_anthropic import ALL, ODD, TEXT, THINKING_TOOL
from tests.support.fake_anthropic import error_body, event

recorded = pytest.mark.parametrize("server", ALL, ids=lambda server: server.name)


def read(*pieces: bytes, prompt: bytes = b"p" * 40) -> tuple[list[ModelEvent], ModelReply]:
    """Feed the pieces to a fresh reply and give what came out."""
    reply = AnthropicReply("house", private=Private(None, prompt), turn_mark="1")
    events = [event for piece in pieces for event in reply.feed(piece)]
    events += reply.feed_end()
    return events, reply.whole()


def fails(*pieces: bytes) -> ModelErrorKind:
    with pytest.raises(ModelError) as caught:
        read(*pieces)
    return caught.value.kind


@recorded
def test_each_servers_stream_is_understood(server: Recorded) -> None:
    """Parts in their order, thoughts with signatures, usage and the reason to stop come out as they were meant."""
    _, reply = read(server.stream)

    assert server.content == reply.content
    assert server.stop_reason == reply.stop_reason
    if server.usage is None:
        assert reply.usage.estimated
        assert (reply.usage.input_tokens, reply.usage.output_tokens > 0) == (10, True)
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


def test_deltas_that_arrive_together_are_one() -> None:
    """A network read that holds many tokens costs its reader one event of each kind."""
    events, _ = read(THINKING_TOOL.stream)

    assert events == [
        ThinkingDelta("They ask for the time."),
        TextDelta("Let me look."),
        ToolCallDelta(0, "time", '{"zone": "Europe/Paris"}'),
        ToolCallDelta(1, "time", ""),
    ]


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("end_turn", StopReason.STOP),
        ("stop_sequence", StopReason.STOP),
        ("max_tokens", StopReason.LENGTH),
        ("model_context_window_exceeded", StopReason.LENGTH),
        ("pause_turn", StopReason.LENGTH),
        ("refusal", StopReason.REFUSED),
        ("something_new", StopReason.STOP),
    ],
)
def test_why_it_stopped_is_told_in_our_words(reason: str, ours: StopReason) -> None:
    """Words we do not know mean that the model was done."""
    assert ours is read(event("message_delta", delta={"stop_reason": reason}))[1].stop_reason


def test_what_was_counted_before_the_answer_is_not_its_length() -> None:
    """The beginning tells a first guess; a server that never counts again is estimated."""
    began = event("message_start", message={"usage": {"input_tokens": 9, "output_tokens": 1}})
    said = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "12345"})
    usage = read(began, said, event("message_delta", delta={"stop_reason": "end_turn"}))[1].usage

    assert (usage.output_tokens, usage.estimated) == (2, True)


def test_an_answer_that_is_not_streamed_is_the_same_reply() -> None:
    """A server behind a proxy that gathers streams still answers."""
    whole = msgspec.json.encode(
        {
            "type": "message",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                {"type": "text", "text": "Noon."},
                {"type": "tool_use", "id": "a", "name": "time", "input": {"zone": "UTC"}},
            ],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5},
        }
    )
    reply = AnthropicReply("house", private=Private(None, b""), turn_mark="1")
    events = reply.feed_whole(whole)

    assert reply.whole() == ModelReply(
        (ThinkingPart("Hm.", "sig"), TextPart("Noon."), ToolCallPart("a", "time", {"zone": "UTC"})),
        StopReason.TOOL_CALLS,
        Usage(7, 5, 4),
    )
    assert [type(event) for event in events] == [ThinkingDelta, TextDelta, ToolCallDelta]


@pytest.mark.parametrize(
    ("kind", "message", "ours"),
    [
        ("overloaded_error", "Overloaded", ModelErrorKind.OVERLOADED),
        ("api_error", "Internal server error", ModelErrorKind.OVERLOADED),
        ("timeout_error", "Request timed out", ModelErrorKind.TIMED_OUT),
        ("rate_limit_error", "Slow down", ModelErrorKind.RATE_LIMITED),
        ("invalid_request_error", "messages: what is this", ModelErrorKind.BAD_REQUEST),
        ("invalid_request_error", "Output blocked by content filtering policy", ModelErrorKind.CONTENT_REFUSED),
    ],
)
def test_an_error_in_mid_stream_has_its_kind(kind: str, message: str, ours: ModelErrorKind) -> None:
    """The status was 200 long before the server found out."""
    assert ours is fails(event("message_start", message={}), b"data: " + error_body(kind, message) + b"\n\n")


@pytest.mark.parametrize("cut", [100, 400, 700, 1000])
def test_a_stream_that_ends_before_its_end_is_broken_off(cut: int) -> None:
    """Without a reason to stop, what came is not the reply."""
    assert ModelErrorKind.BROKEN_OFF is fails(TEXT.stream[:cut])


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {no json\n\n",
        b"<!doctype html><p>Log in first</p>\n\n",
        b"data: [1, 2]\n\n",
        b"data: {}\n\n",
        b'data: {"choices":[{"delta":{"content":"I speak another format"}}]}\n\n',
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":{"a":1}}}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        event("content_block_start", index=0, content_block={"type": "tool_use"}) + event("message_stop"),
    ],
)
def test_what_is_no_reply_is_garbage(stream: bytes) -> None:
    """Whatever a captive portal, a wrong port or a server of the other format sends."""
    assert ModelErrorKind.GARBAGE is fails(stream)


def test_a_reply_with_more_calls_than_anybody_needs_is_hung_up_on() -> None:
    """A stream of nothing but calls is left at once."""
    calls = [
        event(
            "content_block_start",
            index=number,
            content_block={"type": "tool_use", "id": f"c{number}", "name": "time"},
        )
        for number in range(MOST_CALLS + 1)
    ]
    end = event("message_stop")
    assert len(read(*calls[:-1], end)[1].content) == MOST_CALLS
    assert ModelErrorKind.BROKEN_OFF is fails(*calls, end)


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
