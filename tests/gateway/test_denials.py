"""What the gate refused is told to the log, and nobody floods it."""

from __future__ import annotations

import asyncio
from typing import Any

from rookery.gateway.allotments import REMEMBERED
from rookery.gateway.denials import AT_MOST, WINDOW, Denials
from rookery.gateway.log import Field, SilentLog
from rookery.ids import UserId
from rookery.messages import Address
from rookery.policy import HOUSE, Action, Guest, Member, PersonResource
from tests.support.clock import Clock

ALICE, BOB = Member(UserId("alice")), Member(UserId("bob"))


class Log(SilentLog):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def warning(self, event: str, **fields: Field) -> None:
        self.told.append({"event": event, **fields})


async def test_who_was_refused_what() -> None:
    """Actor, action, sort of thing and the way they came in; no id of the thing, which may be somebody else's."""
    log = Log()
    Denials(log, Clock().now).tell(ALICE, Action.READ_PERSON, PersonResource(UserId("bob")), "web")
    assert log.told == [
        {
            "event": "access.denied",
            "actor": "user:alice",
            "action": "person.read",
            "resource": "person",
            "surface": "web",
            "untold": 0,
        }
    ]


async def test_nobody_floods_the_log() -> None:
    """After some lines an actor's refusals are only counted, and told with their next line; others' go on."""
    log, clock = Log(), Clock()
    denials = Denials(log, clock.now)
    for _ in range(1000):
        denials.tell(ALICE, Action.LIST_PEOPLE, HOUSE, "web")
    denials.tell(BOB, Action.LIST_PEOPLE, HOUSE, "web")
    assert [line["actor"] for line in log.told] == ["user:alice"] * AT_MOST + ["user:bob"]
    await clock.passes(WINDOW.total_seconds() + 1)
    denials.tell(ALICE, Action.LIST_PEOPLE, HOUSE, "web")
    assert (log.told[-1]["actor"], log.told[-1]["untold"]) == ("user:alice", 1000 - AT_MOST)
    denials.tell(ALICE, Action.LIST_PEOPLE, HOUSE, "web")
    assert log.told[-1]["untold"] == 0
    await clock.passes(-10 * WINDOW.total_seconds())
    denials.tell(ALICE, Action.LIST_PEOPLE, HOUSE, "web")
    assert len(log.told) == AT_MOST + 4


async def test_it_remembers_so_many_actors_and_no_more() -> None:
    """However many there are."""
    denials = Denials(Log(), Clock().now)
    for number in range(3 * REMEMBERED):
        denials.tell(Guest(Address("telegram", "default", str(number))), Action.LIST_PEOPLE, HOUSE, "web")
    assert len(denials) == REMEMBERED


async def test_it_is_told_from_threads_too() -> None:
    """As when the gate is asked inside a transaction: the log is written in the event loop alone."""
    log = Log()
    denials = Denials(log, Clock().now)
    await asyncio.to_thread(denials.tell, ALICE, Action.LIST_PEOPLE, HOUSE, "web")
    await asyncio.sleep(0)
    assert [line["actor"] for line in log.told] == ["user:alice"]
