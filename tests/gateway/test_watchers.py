"""Watching an answer while it is written."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from rookery.gateway import places
from rookery.gateway.watchers import BACKLOG, TurnDelta, TurnEvent, TurnFinished, TurnStarted, Watchers, Where
from rookery.ids import AgentId, SessionId, TurnId
from rookery.models import ModelReply, TextDelta
from rookery.models.scripted import ScriptedModel
from tests.support.house import TestHouse

ALICE, BOB, S1, S2 = AgentId("alice"), AgentId("bob"), SessionId("s1"), SessionId("s2")
HERE = Where(ALICE, S1, "agent:alice:main", None)
STARTED = TurnStarted(TurnId("t1"), (TurnId("t1"),))


def seen(queue: asyncio.Queue[TurnEvent]) -> list[TurnEvent]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def test_an_event_reaches_who_watches_that_session_and_nobody_else() -> None:
    """Not the same session id of another agent, nor another session of the same one."""
    watchers = Watchers()
    with (
        watchers.watch(ALICE, S1) as one,
        watchers.watch(ALICE, S1) as two,
        watchers.watch(BOB, S1) as other_agent,
        watchers.watch(ALICE, S2) as other_session,
    ):
        watchers.tell(HERE, STARTED)
        assert [seen(queue) for queue in (one, two, other_agent, other_session)] == [[STARTED], [STARTED], [], []]


async def test_whoever_left_is_told_nothing_more() -> None:
    """And nothing of the watching stays behind, also when it ended in an error."""
    watchers = Watchers()
    queues: list[asyncio.Queue[TurnEvent]] = []

    def breaks() -> None:
        with watchers.watch(ALICE, S1) as queue:
            queues.append(queue)
            assert watchers.watched(ALICE, S1)
            raise KeyError

    with pytest.raises(KeyError):
        breaks()
    watchers.tell(HERE, STARTED)
    assert seen(queues[0]) == []
    assert not watchers.watched(ALICE, S1)


async def test_a_slow_watcher_loses_the_oldest_and_delays_nobody() -> None:
    """It can read the whole from the transcript."""
    watchers = Watchers()
    with watchers.watch(ALICE, S1) as queue:
        for number in range(BACKLOG + 5):
            watchers.tell(HERE, TurnDelta(TurnId("t1"), TextDelta(str(number))))
        found = seen(queue)
    assert len(found) == BACKLOG
    assert found[-1] == TurnDelta(TurnId("t1"), TextDelta(str(BACKLOG + 4)))


async def test_the_first_who_listens_is_told_of_the_turns_that_run() -> None:
    """After a start turns go on before there is a page to show them; what has ended meanwhile is told nobody."""
    watchers = Watchers()
    word = TurnDelta(TurnId("t1"), TextDelta("one"))
    ended = Where(ALICE, S2, "agent:alice:other", None)
    told: list[object] = []
    again: list[object] = []
    for where, event in (
        (HERE, STARTED),
        (ended, TurnStarted(TurnId("t2"), (TurnId("t2"),))),
        (HERE, word),
        (ended, TurnFinished(TurnId("t2"), (TurnId("t2"),), "done", "")),
        (ended, word),
    ):
        watchers.tell(where, event)
    with watchers.listen(lambda where, event: told.append((where, event))):
        assert told == [(HERE, STARTED), (HERE, word)]
        watchers.tell(HERE, word)
        with watchers.listen(lambda where, event: again.append((where, event))):
            assert again == []
    assert told == [(HERE, STARTED), (HERE, word), (HERE, word)]


async def test_a_turn_is_told_from_its_start_to_its_end(house: TestHouse) -> None:
    """Started, every word as it streams, finished with the whole text."""
    house.model = ScriptedModel(["one two"])
    await house.restart()
    await house.person("alice", telegram="1")
    await house.telegram.says("1", "/whoami")
    [place] = await house.database.read(_sessions)
    with house.gateway.watchers.watch(ALICE, place) as queue:
        await house.telegram.says("1", "hello")
        await house.idle()
        events = seen(queue)

    assert isinstance(events[0], TurnStarted)
    *words, whole = [event.event for event in events if isinstance(event, TurnDelta)]
    assert words == [TextDelta("one "), TextDelta("two")]
    assert isinstance(whole, ModelReply)
    assert isinstance(events[-1], TurnFinished)
    assert (events[-1].status, events[-1].text) == ("done", "one two")


def _sessions(connection: Connection) -> list[SessionId]:
    return [place.session_id for place in places.of_agent(connection, ALICE)]
