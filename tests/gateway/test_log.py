"""The operational log: facts about what happened, never what anybody said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from rookery.gateway.log import BACKUPS, FLUSH_AFTER, JsonLog, open_log, silent_log
from tests.support.house import TestHouse


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_an_event_is_one_line_of_json(tmp_path: Path) -> None:
    """With its time in UTC, its level and its fields; a line break in a field stays inside the line."""
    log = open_log(tmp_path / "log.jsonl")
    log.info("one", user="alice", tries=2, odd='a\n"b"\u2028', none=None)
    log.warning("two")
    log.error("three")
    log.close()
    one, two, three = lines(tmp_path / "log.jsonl")
    assert {key: one[key] for key in ("level", "event", "user", "tries", "none")} == {
        "level": "info",
        "event": "one",
        "user": "alice",
        "tries": 2,
        "none": None,
    }
    assert one["odd"] == 'a\n"b"\u2028'
    assert one["at"].endswith("Z")
    assert [two["level"], three["level"]] == ["warning", "error"]


def test_an_exception_is_told_without_its_words(tmp_path: Path) -> None:
    """Where it came from and what it is; its message may hold what somebody said."""
    log = open_log(tmp_path / "log.jsonl")

    def breaks() -> None:
        raise KeyError("alice-canary")

    try:
        breaks()
    except KeyError:
        log.exception("turn.broke", turn="t1")
    log.close()
    [line] = lines(tmp_path / "log.jsonl")
    assert (line["exception"], line["turn"], line["level"]) == ("KeyError", "t1", "error")
    assert line["trace"][-1].endswith("breaks")
    assert "canary" not in (tmp_path / "log.jsonl").read_text()


def test_the_log_is_rotated_and_bounded(tmp_path: Path) -> None:
    """The newest lines are in the file itself; no more than five older ones are kept, none torn."""
    path = tmp_path / "log.jsonl"
    log = JsonLog(path, max_bytes=1000)
    for number in range(400):
        log.error("event", number=number)
    log.close()
    files = sorted(tmp_path.iterdir(), key=lambda one: one.name)
    assert [one.name for one in files] == [
        "log.jsonl",
        *(f"log.jsonl.{number}" for number in range(1, BACKUPS + 1)),
    ]
    assert all(one.stat().st_size <= 1000 for one in files)
    numbers = [line["number"] for one in reversed(files) for line in lines(one)]
    assert numbers == list(range(numbers[0], 400))
    assert len(numbers) > 50  # each file is filled before the next is begun


def test_a_log_is_its_owner_s_alone_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """Opened again, it appends."""
    path = tmp_path / "log.jsonl"
    for number in range(2):
        log = open_log(path)
        log.error("event", number=number)
        log.close()
    assert [line["number"] for line in lines(path)] == [0, 1]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_busy_log_writes_many_lines_at_once_and_none_late(tmp_path: Path) -> None:
    """Info waits a moment in memory; a warning takes everything before it along, in order."""
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.info("one")
    log.info("two")
    assert not path.exists()
    log.warning("three")
    assert [line["event"] for line in lines(path)] == ["one", "two", "three"]
    log.info("four")
    async with asyncio.timeout(20 * FLUSH_AFTER):
        while len(lines(path)) < 4:
            await asyncio.sleep(FLUSH_AFTER / 4)
    log.close()


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    """The directory is gone, or something else stands there."""
    log = open_log(tmp_path / "gone" / "log.jsonl")
    log.error("one")
    log.close()
    (tmp_path / "file").mkdir()
    log = open_log(tmp_path / "file")
    log.error("two")
    log.close()
    silent_log().error("three")


async def test_what_people_say_is_never_in_it(house: TestHouse) -> None:
    """Answered, commanded or refused; what is there are ids and durations."""
    await house.person("alice", telegram="1")
    for text in ("turn-canary", "/whoami canary", "/nonsense-canary", "/new title-canary"):
        await house.telegram.says("1", text)
    await house.telegram.says("mallory", "stranger-canary")
    await house.idle()
    assert "canary" not in house.log_text
    assert "mallory" in house.log_text


async def test_a_turn_that_broke_says_where_and_not_what(house: TestHouse) -> None:
    """A mistake of ours in the middle of a turn: the person is told, the log has the place in the code."""

    class Broken:
        def stream(self, request: object) -> object:
            raise KeyError("model-canary")

        async def close(self) -> None: ...

    house.model = Broken()
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "turn-canary")
    await house.idle()
    assert "Something went wrong on our side" in house.telegram.heard_by("1")[0]
    assert '"event":"turn.broke"' in house.log_text.replace(" ", "")
    assert "KeyError" in house.log_text
    assert "canary" not in house.log_text
