"""Server-sent events out of bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rookery.models.sse import EventStream


def events(*pieces: bytes) -> list[bytes]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)] + stream.end()


def test_an_event_is_its_data() -> None:
    """One space after the colon belongs to the format; other fields and comments say nothing to us."""
    assert events(b": hello\nevent: x\nid: 1\nretry: 5\ndata: one\n\ndata:two\n\n") == [b"one", b"two"]


def test_data_over_several_lines_is_joined() -> None:
    """By a line feed, as the format says."""
    assert events(b"data: a\ndata:\ndata:  b\n\n") == [b"a\n\n b"]


def test_events_without_data_are_none() -> None:
    """Blank lines and pings come to nothing."""
    assert events(b"\n\n: ping\n\nevent: ping\n\n") == []


def test_the_last_event_needs_no_blank_line() -> None:
    """A server that stops right after its last line has still sent it."""
    assert events(b"data: one\n\ndata: two") == [b"one", b"two"]


lines = st.lists(st.binary(max_size=12).filter(lambda line: not set(line) & {10, 13}), max_size=6)


@given(st.lists(lines.filter(bool), max_size=5), st.sampled_from([b"\n", b"\r\n"]), st.data())
def test_what_was_written_is_read(written: list[list[bytes]], end: bytes, data: st.DataObject) -> None:
    """Any data, any line end, any cut."""
    stream = b"".join(b"".join(b"data: " + line + end for line in event) + end for event in written)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]

    assert events(*pieces) == [b"\n".join(event) for event in written]
