"""What happens at the end of an interleaving: two people, one of whom is asked whether a tool may do something."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, update

from rookery.agents import Verdict
from rookery.gateway import approvals
from rookery.ids import TurnId
from rookery.messages import Role, ToolCallPart, text_of
from rookery.models import ModelRequest, ToolSpec
from rookery.models.scripted import Told, echo
from rookery.tools import ToolContext
from rookery.users import tables as user_tables
from tests.support.asgi import Client

if TYPE_CHECKING:
    from tests.isolation.world import World

_PLEASE = "please do me a favour"


class Favour:
    """A tool with effects that asks first, and counts how often it was called."""

    spec = ToolSpec("favour", "Does somebody a favour.", {"type": "object"})
    effects = True

    def __init__(self) -> None:
        self._done = 0

    def counted(self) -> int:
        """How often it was called since this was asked last."""
        done, self._done = self._done, 0
        return done

    def approval(self, arguments: dict[str, Any], context: ToolContext) -> str | None:
        """What it would do."""
        del arguments, context
        return "Do a favour."

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        """Note that it was called."""
        del arguments, context
        self._done += 1
        return "done"


def echo_or_favour(request: ModelRequest) -> Told:
    """The model's answer: its whole prompt, or the call that somebody asked for."""
    last = request.history[-1].entry
    wanted = last.role is Role.USER and text_of(last).endswith(_PLEASE)
    return ToolCallPart("call_1", "favour", {}) if wanted else echo(request)


async def asks_first(world: World) -> list[str]:
    """Let somebody be asked three times, and say what was wrong: everything is answered before and after."""
    wrong: list[str] = []
    people = sorted(world.cast.people)
    one, other = people[0], people[-1]
    ones = await world.token(one)

    turn = await _asked(ones, one)
    if other != one:
        await (await world.token(other)).ask("POST", f"/api/turns/{turn}/approvals/{await _n(ones, turn)}", _YES)
    await ones.ask("POST", f"/api/turns/{turn}/approvals/{await _n(ones, turn)}", {"allow": False})
    await world.settle()
    if world.favour.counted():
        wrong.append(f"GRANT: {other} allowed what {one} was asked")

    turn = await _asked(ones, one)
    await _allowed_and_switched_off(world, one, TurnId(turn))
    await world.settle()
    if world.favour.counted():
        wrong.append(f"GRANT: what {one} allowed was done when they were let in no more")
    await _switch(world, one, enabled=True)

    turn = await _asked(ones, one)
    await ones.ask("POST", f"/api/turns/{turn}/approvals/{await _n(ones, turn)}", _YES)
    await world.settle()
    done = world.favour.counted()
    if done != 1:
        wrong.append(f"what {one} allowed was done {done} times")
    return wrong


_YES = {"allow": True}


async def _asked(client: Client, person: str) -> str:
    """Somebody asks for a favour, and is asked; the turn that waits."""
    answer = await client.ask("POST", f"/api/sessions/agent:{person}:main/messages", {"text": _PLEASE})
    assert answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED), answer
    turn: str = answer.json["turnId"]
    while (await client.ask("GET", f"/api/turns/{turn}")).json["status"] in ("queued", "running"):
        await asyncio.sleep(0.001)
    return turn


async def _n(client: Client, turn: str) -> int:
    """The number of what is asked; 0, which is none, when nothing is asked any more."""
    waiting = (await client.ask("GET", f"/api/turns/{turn}")).json["approvals"]
    return waiting[0]["n"] if waiting else 0


async def _allowed_and_switched_off(world: World, person: str, turn_id: TurnId) -> None:
    """The yes is given, and its giver locked out before anything comes of it."""
    consent = world.gateway.consent
    asked = consent.asked(turn_id)
    assert asked is not None, "it waits"

    def allow(connection: Connection) -> None:
        now = world.clock.now()
        approvals.answer(connection, asked.approval, allow=True, by=asked.approval.principal, now=now)

    await world.database.write(allow)
    await _switch(world, person, enabled=False)
    consent.answered([replace(asked.approval, state=Verdict.ALLOWED)])


async def _switch(world: World, person: str, *, enabled: bool) -> None:
    table = user_tables.users
    change = update(table).where(table.c.id == person).values(enabled=enabled)
    await world.database.write(lambda connection: connection.execute(change))
