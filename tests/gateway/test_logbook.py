"""Reading the operational log back."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rookery.gateway.log import JsonLog
from rookery.gateway.logbook import Line, Wanted, follow, kept, matching, parse

LINE = b'{"at":"2026-03-01T12:00:00.5Z","level":"info","event":"turn.end","principal":"user:alice","ms":3}'


def numbers(lines: list[bytes]) -> list[object]:
    read = [parse(line) for line in lines]
    return [None if line is None else line.fields["number"] for line in read]


def test_a_line_is_an_event_with_its_fields() -> None:
    """Its time, level and name, and what else it carries."""
    line = parse(LINE)
    assert line == Line(
        datetime(2026, 3, 1, 12, 0, 0, 500_000, UTC),
        "info",
        "turn.end",
        {"principal": "user:alice", "ms": 3},
        LINE,
    )


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b"\x00\x00\x00",
        LINE[:-1],
        LINE[1:],
        b"[]",
        b"null",
        b'{"at":"2026-03-01T12:00:00Z","level":"info"}',
        b'{"at":"2026-03-01T12:00:00","level":"info","event":"x"}',
        b'{"at":"soon","level":"info","event":"x"}',
        b'{"at":1,"level":"info","event":"x"}',
        b'{"at":"2026-03-01T12:00:00Z","level":1,"event":"x"}',
        b'{"at":"2026-03-01T12:00:00Z","level":"info","event":"\xff"}',
        b"[" * 5000,
    ],
)
def test_what_is_no_event_is_passed_over(torn: bytes) -> None:
    """A torn line, another program's, or bytes of a broken disk hide nothing of what stands around them."""
    assert parse(torn) is None
    assert [line.raw for line in matching([torn, LINE, torn], Wanted())] == [LINE]


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (Wanted(), True),
        (Wanted(level="info"), True),
        (Wanted(level="warning"), False),
        (Wanted(event="turn.end"), True),
        (Wanted(event="turn."), True),
        (Wanted(event="turn"), False),
        (Wanted(event="turn.e"), False),
        (Wanted(user="alice"), True),
        (Wanted(user="ali"), False),
        (Wanted(user="user:alice"), False),
        (Wanted(since=datetime(2026, 3, 1, 12, tzinfo=UTC)), True),
        (Wanted(since=datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)), False),
    ],
)
def test_events_are_chosen(wanted: Wanted, has: bool) -> None:
    """By level, name, person and time."""
    line = parse(LINE)
    assert line is not None
    assert wanted.has(line) is has


@pytest.mark.parametrize(
    ("field", "has"),
    [
        ('"user":"alice"', True),
        ('"actor":"user:alice"', True),
        ('"principal":"schedule:alice"', True),
        ('"agent":"alice"', True),
        ('"agent":"alice--ada"', True),
        ('"agent":"alice-2"', False),
        ('"user":"Alice"', False),
        ('"principal":"guest:telegram:7:default:alice"', False),
        ('"sender":"alice"', False),
    ],
)
def test_what_concerns_a_person(field: str, has: bool) -> None:
    """What they, their agents and their plans did; not somebody who is called alike elsewhere."""
    line = parse(f'{{"at":"2026-03-01T12:00:00Z","level":"error","event":"x",{field}}}'.encode())
    assert line is not None
    assert Wanted(user="alice").has(line) is has


def test_a_rotated_log_is_read_whole_and_in_order(tmp_path: Path) -> None:
    """From the oldest file to the newest; what is torn at the end is not shown yet."""
    path = tmp_path / "log.jsonl"
    assert list(kept(path)) == []
    log = JsonLog(path, max_bytes=1000)
    for number in range(40):
        log.error("event", number=number)
    log.close()
    with path.open("ab") as file:
        file.write(LINE[:20])
    found = numbers(list(kept(path)))
    assert found == list(range(40))[-len(found) :]
    assert len(found) > 12
    log.error("event", number=40)
    log.close()
    assert numbers(list(kept(path)))[-2:] == [None, 40]


def following(path: Path) -> Generator[list[bytes]]:
    """What is new, each time somebody looks."""
    fresh: list[bytes] = []
    for line in follow(path, lambda: None):
        if line is None:
            yield fresh
            fresh = []
        else:
            fresh.append(line)


def test_what_is_added_is_followed(tmp_path: Path) -> None:
    """Also when the log is not there yet, and when a line comes in two pieces."""
    path = tmp_path / "log.jsonl"
    looks = following(path)
    assert next(looks) == []
    log = JsonLog(path)
    log.error("event", number=1)
    assert numbers(next(looks)) == [1]
    assert next(looks) == []
    log.close()
    with path.open("ab") as file:
        file.write(LINE[:30])
    assert next(looks) == []
    with path.open("ab") as file:
        file.write(LINE[30:] + b"\n")
    assert next(looks) == [LINE]
    looks.close()


@pytest.mark.parametrize("between", [1, 7, 25, 60])
def test_rotation_is_followed(tmp_path: Path, between: int) -> None:
    """However many files came in between, as long as they are still there, each line is shown once, in order."""
    path = tmp_path / "log.jsonl"
    log = JsonLog(path, max_bytes=1000)
    log.error("event", number=-1)
    looks = following(path)
    assert numbers(next(looks)) == [-1]
    seen: list[object] = []
    for number in range(300):
        log.error("event", number=number)
        if number % between == 0:
            seen += numbers(next(looks))
    seen += numbers(next(looks))
    log.close()
    looks.close()
    assert seen == list(range(300))


def test_a_log_that_was_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    """As some do by hand."""
    path = tmp_path / "log.jsonl"
    path.write_bytes((LINE + b"\n") * 3)
    looks = following(path)
    assert len(next(looks)) == 3
    path.write_bytes(LINE + b"\n")
    assert next(looks) == []  # where it is noticed that it is shorter
    assert next(looks) == [LINE]
    looks.close()
