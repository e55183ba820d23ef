"""Rooms, rings and streams by themselves: what is kept, what is told, and to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.gateway.watchers import SessionChanged, TurnDelta, TurnFinished, TurnJoined, TurnStarted, Where
from rookery.ids import AgentId, SessionId, TurnId, UserId
from rookery.models import TextDelta
from rookery.web import markdown
from rookery.web.live.ring import Ring
from rookery.web.live.rooms import KEPT_FOR, Rooms

ALICE = UserId("alice")
HERE = Where(AgentId("alice"), SessionId("s1"), "agent:alice:main", ALICE)
THERE = Where(AgentId("alice"), SessionId("s2"), "agent:alice:chat:s2", ALICE)


class Ear:
    """A socket that takes everything."""

    def __init__(self, *, rich: bool = False) -> None:
        self.rich = rich
        self.heard: list[dict[str, Any]] = []

    def offer(self, frame: str, resync: Callable[[], str]) -> None:
        self.heard.append(msgspec.json.decode(frame))


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    markdown.warm()


def joined(rooms: Rooms, *, rich: bool = False, since: int | None = None, epoch: str | None = None) -> Ear:
    ear = Ear(rich=rich)
    first = rooms.join(ALICE, ear, since, epoch)
    ear.heard += [msgspec.json.decode(frame) for frame in first]
    return ear


def begin(rooms: Rooms, turn: str = "t1", where: Where = HERE) -> None:
    rooms.hear(where, TurnStarted(TurnId(turn), (TurnId(turn),)))


def say(rooms: Rooms, text: str, turn: str = "t1", where: Where = HERE) -> None:
    rooms.hear(where, TurnDelta(TurnId(turn), TextDelta(text)))


def finish(rooms: Rooms, text: str, turn: str = "t1", where: Where = HERE) -> None:
    rooms.hear(where, TurnFinished(TurnId(turn), (TurnId(turn),), "done", text))


def shown(frames: list[dict[str, Any]]) -> list[str]:
    """What a page makes of the patches."""
    blocks: list[str] = []
    patches: list[list[Any]] = [patch for frame in frames for patch in frame.get("patch", ())]
    for patch in patches:
        number: int = patch[0]
        if len(patch) == 3:
            end = "</code></pre>"
            blocks[number] = blocks[number].removesuffix(end) + escape(patch[2], quote=False) + end
        elif patch[1] == "":
            del blocks[number:]
        else:
            blocks[number : number + 1] = [patch[1]]
    return blocks


# --- the ring -----------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 30), max_size=60),
    st.integers(1, 20),
    st.integers(30, 200),
    st.integers(-3, 70),
)
def test_a_ring_gives_all_that_was_missed_or_says_that_it_cannot(
    sizes: list[int], events: int, characters: int, since: int
):
    """Never some of it; and it never holds more than it may."""
    ring = Ring(events=events, characters=characters)
    for size in sizes:
        ring.keep("x" * size, None)
    kept = ring.after(since, rich=False)

    if kept is not None:
        assert kept == ["x" * size for size in sizes[since:]]
    else:
        held = len(ring._kept)  # pyright: ignore[reportPrivateUsage]
        assert since > len(sizes) or since < len(sizes) - held
    assert len(ring._kept) <= events  # pyright: ignore[reportPrivateUsage]
    assert sum(one.size for one in ring._kept) <= characters  # pyright: ignore[reportPrivateUsage]


def test_two_rings_never_share_an_epoch():
    """So that numbers of one are never taken for the other's."""
    assert len({Ring(events=1, characters=1).epoch for _ in range(1_000)}) == 1_000


# --- keeping ------------------------------------------------------------------------------------------------


def test_what_happens_is_kept_a_while_after_the_last_one_left():
    """Ten minutes; who comes back later reads the state anew."""
    time = Time()
    rooms = Rooms(time)
    first = joined(rooms)
    epoch = first.heard[0]["epoch"]
    rooms.leave(ALICE, first)
    rooms.hear(HERE, SessionChanged())
    time.now += KEPT_FOR
    rooms.tidy()

    back = joined(rooms, since=0, epoch=epoch)
    assert [frame["type"] for frame in back.heard] == ["hello", "session.updated"]
    time.now += 2 * KEPT_FOR
    rooms.tidy()
    assert joined(rooms, since=0, epoch=epoch).heard[0]["epoch"] == epoch, "somebody is there"

    rooms.leave(ALICE, back)
    for ear in list(rooms._rooms[ALICE].listeners):  # pyright: ignore[reportPrivateUsage]
        rooms.leave(ALICE, ear)  # pyright: ignore[reportArgumentType]
    time.now += KEPT_FOR + timedelta(seconds=1)
    rooms.tidy()
    assert joined(rooms, since=0, epoch=epoch).heard[0]["epoch"] != epoch


def test_too_much_missed_is_a_resync():
    """Rather than a part of it."""
    rooms = Rooms(Time(), ring_events=3)
    first = joined(rooms)
    for _ in range(5):
        rooms.hear(HERE, SessionChanged())

    def back(since: int) -> list[str]:
        return [f["type"] for f in joined(rooms, since=since, epoch=first.heard[0]["epoch"]).heard]

    assert back(1) == ["hello", "resync"]
    assert back(2) == ["hello", *["session.updated"] * 3]
    assert back(5) == ["hello"]


# --- streams ------------------------------------------------------------------------------------------------


async def test_a_turn_that_nobody_watches_costs_no_event():
    """Its text is there for whoever comes, whole."""
    rooms = Rooms(Time())
    begin(rooms)
    say(rooms, "one ")
    say(rooms, "two")
    snapshot = rooms.snapshot(ALICE, SessionId("s1"))

    assert snapshot.seq == 0
    assert snapshot.running is not None
    assert snapshot.running.text == "one two"
    say(rooms, " three")
    ear = joined(rooms, since=0, epoch=snapshot.epoch)
    await asyncio.sleep(0)
    assert [(frame["type"], frame.get("text")) for frame in ear.heard] == [
        ("hello", None),
        ("turn.delta", " three"),
    ]
    rooms.close()


async def test_two_turns_at_once_are_told_apart():
    """Each session has its own text."""
    rooms = Rooms(Time())
    ear = joined(rooms)
    begin(rooms, "t1", HERE)
    begin(rooms, "t2", THERE)
    say(rooms, "here", "t1", HERE)
    say(rooms, "there", "t2", THERE)
    finish(rooms, "there", "t2", THERE)
    finish(rooms, "here", "t1", HERE)

    texts = {frame["sessionId"]: frame["text"] for frame in ear.heard if frame["type"] == "turn.delta"}
    assert texts == {"s1": "here", "s2": "there"}
    assert rooms.snapshot(ALICE, SessionId("s1")).running is None
    rooms.close()


async def test_a_turn_that_is_written_anew_begins_anew():
    """What it wrote before could not be kept; a client drops it with the second start."""
    rooms = Rooms(Time())
    ear = joined(rooms, rich=True)
    for text in ("lost", "kept"):
        begin(rooms)
        say(rooms, text)
        await asyncio.sleep(0)
    finish(rooms, "kept")

    starts = [number for number, frame in enumerate(ear.heard) if frame["type"] == "turn.started"]
    assert len(starts) == 2
    assert shown(ear.heard[starts[1] :]) == ["<p>kept</p>\n"]
    rooms.close()


async def test_what_joins_a_turn_is_told_behind_what_was_written_before():
    """The turn goes on as it was; who comes now is shown all it answers."""
    rooms = Rooms(Time())
    ear = joined(rooms, rich=True)
    begin(rooms)
    say(rooms, "before")
    rooms.hear(HERE, TurnJoined(TurnId("t1"), (TurnId("t1"), TurnId("t2"))))
    rooms.hear(THERE, TurnJoined(TurnId("t9"), (TurnId("t9"), TurnId("t10"))))  # of a turn nobody began
    say(rooms, " and after")
    await asyncio.sleep(0.1)

    told = [frame for frame in ear.heard if frame["type"].startswith("turn.")]
    assert [frame["type"] for frame in told] == ["turn.started", "turn.delta", "turn.joined", "turn.delta"]
    assert told[2]["turnIds"] == ["t1", "t2"]
    assert shown(ear.heard) == ["<p>before and after</p>\n"]
    running = rooms.snapshot(ALICE, HERE.session_id).running
    assert running is not None
    assert running.turn_ids == ("t1", "t2")
    rooms.close()


async def test_a_turn_that_ends_without_having_begun_is_told():
    """It was stopped before, or nobody may answer it."""
    rooms = Rooms(Time())
    ear = joined(rooms, rich=True)
    finish(rooms, "no")

    assert ear.heard[-1]["type"] == "turn.finished"
    assert shown(ear.heard) == ["<p>no</p>\n"]
    rooms.close()


async def test_a_turn_that_was_stopped_keeps_what_it_had_written():
    """There is no reply; the text so far is rendered as it stands."""
    rooms = Rooms(Time())
    ear = joined(rooms, rich=True)
    begin(rooms)
    say(rooms, "half a *sentence* with [a link][x]\n\n[x]: https://x.example\n")
    rooms.hear(HERE, TurnFinished(TurnId("t1"), (TurnId("t1"),), "cancelled", ""))

    assert ear.heard[-1]["reply"] == ""
    assert shown(ear.heard) == markdown.rendered("half a *sentence* with [a link](https://x.example)")
    rooms.close()


async def test_the_end_of_a_long_turn_comes_before_what_follows_it():
    """It is rendered in a thread; whatever happens in the session waits for it, and other sessions do not."""
    rooms = Rooms(Time())
    ear = joined(rooms, rich=True)
    text = "```python\n" + "x = 1\n" * 3_000 + "```\n"
    begin(rooms)
    say(rooms, text)
    finish(rooms, text)
    begin(rooms, "t2")
    say(rooms, "next", "t2")
    rooms.hear(THERE, SessionChanged())
    finish(rooms, "next", "t2")
    async with asyncio.timeout(20):
        while ear.heard[-1].get("turnId") != "t2" or ear.heard[-1]["type"] != "turn.finished":
            await asyncio.sleep(0.001)

    told = [(frame["type"], frame.get("turnId")) for frame in ear.heard]
    assert told.index(("session.updated", None)) < told.index(("turn.finished", "t1"))
    assert told.index(("turn.finished", "t1")) < told.index(("turn.started", "t2"))
    first = [frame for frame in ear.heard if frame.get("turnId") == "t1"]
    assert shown(first) == markdown.rendered(text)
    assert [frame["seq"] for frame in ear.heard[1:]] == list(range(1, len(ear.heard)))
    rooms.close()


words = st.sampled_from(
    [
        "# ",
        "one ",
        "two\n",
        "\n",
        "- ",
        "```py\n",
        "```\n",
        "`",
        "*",
        "| a |\n",
        "--|--\n",
        "> ",
        "[a]: http://x.y\n",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(words, st.booleans(), st.booleans()), max_size=40), st.integers(0, 40), st.booleans())
def test_a_page_that_comes_at_any_moment_shows_the_whole(
    told: list[tuple[str, bool, bool]], comes_at: int, watched: bool
):
    """Snapshot, then events, with or without a break of the line: text and blocks are those of the reply."""

    async def play() -> None:
        rooms = Rooms(Time())
        if watched:
            joined(rooms)
        begin(rooms)
        blocks: list[str] = []
        text = ""
        seq, epoch, ear = 0, "", None
        for number, (word, flush, breaks) in enumerate(told):
            if number == comes_at:
                snapshot = rooms.snapshot(ALICE, SessionId("s1"), rich=True)
                assert snapshot.running is not None
                assert snapshot.running.blocks is not None
                text, blocks = snapshot.running.text, list(snapshot.running.blocks)
                seq, epoch = snapshot.seq, snapshot.epoch
                ear = joined(rooms, rich=True, since=seq, epoch=epoch)
            elif breaks and ear is not None:
                text, blocks, seq = read(ear, text, blocks, seq)
                rooms.leave(ALICE, ear)
                ear = None
            elif ear is None and number > comes_at:
                ear = joined(rooms, rich=True, since=seq, epoch=epoch)
            say(rooms, word)
            if flush:
                await asyncio.sleep(0)
        if comes_at >= len(told):
            rooms.close()
            return
        whole = "".join(word for word, _, _ in told)
        finish(rooms, whole)
        ear = ear or joined(rooms, rich=True, since=seq, epoch=epoch)
        text, blocks, _ = read(ear, text, blocks, seq)
        assert text == whole
        assert blocks == markdown.rendered(whole)
        rooms.close()

    asyncio.run(play())


def read(ear: Ear, text: str, blocks: list[str], seq: int) -> tuple[str, list[str], int]:
    """What a page knows after it has read its socket."""
    frames = [frame for frame in ear.heard if frame["type"].startswith("turn.")]
    assert "resync" not in {frame["type"] for frame in ear.heard}
    for frame in frames:
        assert frame["seq"] == seq + 1, "no gap, and nothing twice"
        seq = frame["seq"]
    text += "".join(frame.get("text", "") for frame in frames)
    first = {"patch": [[number, html] for number, html in enumerate(blocks)]}
    return text, shown([first, *frames]), seq
