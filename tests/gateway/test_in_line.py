"""Waiting for a free model, through the front door: who is answered next, and what those who wait are shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from rookery.gateway import shapes
from rookery.gateway.capacity import Limits
from rookery.gateway.terminals import Terminal
from rookery.messages.transcript import text_of
from rookery.models import ModelRequest
from rookery.models.scripted import ScriptedModel, Step
from tests.support.asgi import Client, Socket
from tests.support.web_house import WebHouse


class Held:
    """A model that holds every answer until it is let go on, and says it back."""

    def __init__(self) -> None:
        self.gates: list[asyncio.Event] = []
        self.model = ScriptedModel(repeat(self._step))

    def _step(self, request: ModelRequest) -> Step:
        self.gates.append(asyncio.Event())
        return Step(text=self.said[-1].upper(), before=self.gates[-1])

    @property
    def said(self) -> list[str]:
        """What was asked, in the order in which it came to the model."""
        return [_words(request) for request in self.model.requests]

    async def goes_on(self) -> None:
        """The oldest answer that is held is given, as soon as there is one."""
        async with asyncio.timeout(10):
            await self.model.until(lambda: not all(gate.is_set() for gate in self.gates))
        next(gate for gate in self.gates if not gate.is_set()).set()


def _words(request: ModelRequest) -> str:
    return text_of(request.history[-1].entry)


@pytest.fixture
async def held() -> Held:
    return Held()


@pytest.fixture
async def house(tmp_path: Path, held: Held) -> AsyncGenerator[WebHouse]:
    """Alice and Bob, and one slot for both."""
    limits = {"capacity": Limits(total=1, per_person=None)}
    async with WebHouse(tmp_path, model=held.model, limits=limits) as house:
        await house.person("alice", telegram="a1")
        await house.person("bob", telegram="b1")
        yield house


async def says(person: Client, text: str, session: str = "main") -> str:
    """Say something in a session; the id of its turn."""
    answer = await person.ask("POST", f"/api/sessions/{session}/messages", {"text": text})
    assert answer.status == 202, answer.body
    return answer.json["turnId"]


async def place(person: Client, turn_id: str) -> int | None:
    """The place in line that a person is shown of a turn."""
    answer = await person.ask("GET", f"/api/turns/{turn_id}")
    assert answer.status == 200, answer.body
    return answer.json["queuePosition"]


async def flood(person: Client, count: int) -> list[str]:
    """A person asks something in as many sessions at once."""
    turns: list[str] = []
    for number in range(count):
        session = (await person.ask("POST", "/api/sessions/create", {})).json["sessionId"]
        turns.append(await says(person, f"{number}", session))
    return turns


async def waits(house: WebHouse, count: int) -> None:
    """Until so many calls wait for the model."""
    await until(lambda: house.gateway.capacity.waiting == count)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


async def test_one_person_s_flood_and_another_s_question(house: WebHouse, held: Held) -> None:
    """Alice asks in ten sessions at once; Bob comes last, is next in line, and is answered after one of hers."""
    alice, bob = await house.token("alice"), await house.token("bob")
    hers = await flood(alice, 10)
    await waits(house, 9)
    his = await says(bob, "bob's")
    await waits(house, 10)

    assert await place(bob, his) == 1
    assert [await place(alice, turn_id) for turn_id in hers] == [None, *range(2, 11)]
    held.gates[0].set()
    async with asyncio.timeout(10):
        await held.model.asked(2)
    assert held.said == ["0", "bob's"]
    assert await place(bob, his) is None

    for _ in range(10):
        await held.goes_on()
    await house.idle()
    assert [await place(alice, turn_id) for turn_id in hers] == [None] * 10


async def test_the_socket_tells_whose_turn_it_is(house: WebHouse, held: Held) -> None:
    """Bob's page hears where he stands, when that changes, and that his waiting is over; Alice's hears her own."""
    alice, bob = await house.token("alice"), await house.token("bob")
    async with alice.socket() as hers, bob.socket() as his:
        await says(alice, "first")
        await held.model.asked(1)
        second = await says(bob, "second")
        frame = await his.hears("turn.waiting")
        assert (frame["turnId"], frame["position"]) == (second, 1)
        assert [one["type"] for one in his.frames] == ["hello", "turn.started", "turn.waiting"]
        assert (await entries(bob))["running"]["queuePosition"] == 1

        await held.goes_on()
        assert (await his.hears("turn.waiting"))["position"] is None
        await held.goes_on()
        await his.hears("turn.finished")
        assert "turn.waiting" not in _kinds(hers), "what is free at once is waited for by nobody"
        assert second not in str(hers.frames), "and what is Bob's is Bob's"


async def entries(person: Client) -> Any:
    """What is shown of a person's main session."""
    return (await person.ask("GET", "/api/sessions/main/entries")).json


def _kinds(socket: Socket) -> list[str]:
    return [frame["type"] for frame in socket.frames]


async def test_the_place_is_told_again_when_it_has_changed(house: WebHouse, held: Held) -> None:
    """About once a second: in between, nobody is bothered."""
    alice, bob = await house.token("alice"), await house.token("bob")
    await flood(bob, 3)
    await waits(house, 2)
    async with bob.socket() as his:
        turn_id = await says(bob, "last")
        assert await told(his, turn_id) == 3
        await says(alice, "alice's")
        await waits(house, 4)
        assert await place(bob, turn_id) == 4
        places = [one["position"] for one in his.frames if one.get("turnId") == turn_id and "position" in one]
        assert places == [3]
        await house.clock.passes(1.0)
        assert await told(his, turn_id) == 4
    for _ in range(5):
        await held.goes_on()
    await house.idle()


async def told(socket: Socket, turn_id: str) -> int | None:
    """The next place that is told of a turn."""
    while (frame := await socket.hears("turn.waiting"))["turnId"] != turn_id:
        pass
    return frame["position"]


async def test_a_stranger_sees_no_place(house: WebHouse, held: Held) -> None:
    """Where Bob stands is told to Bob: to Alice his turn is not there at all."""
    alice, bob = await house.token("alice"), await house.token("bob")
    await says(alice, "first")
    await held.model.asked(1)
    turn_id = await says(bob, "second")
    await waits(house, 1)
    foreign = await alice.ask("GET", f"/api/turns/{turn_id}")
    absent = await alice.ask("GET", "/api/turns/01m7wfaw8s8ed1dbqhz94qy1xp")
    assert (foreign.status, foreign.code) == (absent.status, absent.code) == (404, "not_found")
    assert await place(bob, turn_id) == 1


async def test_status_says_it_in_words(house: WebHouse, held: Held) -> None:
    """Whoever asks with /status reads where their own message stands, and nothing of anybody else's."""
    await house.telegram.says("a1", "first")
    await held.model.asked(1)
    await house.telegram.says("b1", "second")
    await waits(house, 1)
    await house.telegram.says("b1", "/status")
    await house.telegram.says("a1", "/status")
    await house.gateway.outbox.idle()
    assert "waits for a free model: next in line." in house.telegram.heard_by("b1")[0]
    assert "in line" not in house.telegram.heard_by("a1")[0]
    await held.goes_on()
    await waits(house, 0)
    await held.goes_on()
    await house.idle()
    assert house.telegram.heard_by("b1")[-1] == "SECOND"


async def test_a_terminal_is_told(house: WebHouse, held: Held) -> None:
    """Whoever chats in a terminal hears where their answer stands, between its beginning and its words."""
    told: list[shapes.TerminalEvent] = []

    async def tell(event: shapes.TerminalEvent) -> None:
        told.append(event)

    await house.telegram.says("a1", "first")
    await held.model.asked(1)
    terminal = Terminal(house.gateway, tell)
    await terminal.attach(shapes.Attach(user_id="bob"))
    await terminal.say(shapes.Say(message_id="m1", text="second"))
    await until(lambda: any(isinstance(event, shapes.InLine) for event in told))
    await held.goes_on()
    await held.goes_on()
    await until(lambda: any(isinstance(event, shapes.Finished) for event in told))
    await terminal.close()
    waited = [event.position for event in told if isinstance(event, shapes.InLine)]
    assert waited == [1, None]
    assert isinstance(told[0], shapes.Started)


async def test_who_waits_when_the_gateway_stops_is_answered_by_the_next(house: WebHouse, held: Held) -> None:
    """The wait ends with the gateway; the message is kept, and goes on waiting in the next one."""
    await house.telegram.says("a1", "first")
    await held.model.asked(1)
    await house.telegram.says("b1", "second")
    await waits(house, 1)
    later = Held()
    house.model = later.model
    await house.restart()
    await waits(house, 1)
    assert house.gateway.capacity.running == 1
    await later.goes_on()
    await later.goes_on()
    await house.idle()
    assert [house.telegram.heard_by(one) for one in ("a1", "b1")] == [["FIRST"], ["SECOND"]]


async def test_a_stopped_wait_gives_its_place_away(house: WebHouse, held: Held) -> None:
    """Bob stops what waits: nothing of it is asked, and who stood behind him moves up."""
    alice, bob = await house.token("alice"), await house.token("bob")
    await says(alice, "first")
    await held.model.asked(1)
    await says(bob, "second")
    await waits(house, 1)
    third = (await flood(alice, 1))[0]
    await waits(house, 2)
    assert await place(alice, third) == 2
    assert (await bob.ask("POST", "/api/sessions/main/stop")).status == 200
    await waits(house, 1)
    assert await place(alice, third) == 1
    await held.goes_on()
    await waits(house, 0)
    await held.goes_on()
    await house.idle()
    assert held.said == ["first", "0"]


async def test_limits_change_while_calls_run_and_wait(house: WebHouse, held: Held) -> None:
    """A configuration that is read anew lets those who wait begin, without a restart."""
    alice, bob = await house.token("alice"), await house.token("bob")
    await says(alice, "first")
    await held.model.asked(1)
    turn_id = await says(bob, "second")
    await waits(house, 1)
    house.limits = {"capacity": Limits(total=2, per_person=1)}
    house.rule()
    await held.model.asked(2)
    assert await place(bob, turn_id) is None
    await held.goes_on()
    await held.goes_on()
    await house.idle()
