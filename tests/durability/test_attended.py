"""Messages for whose answer somebody holds a line, when the gateway is killed or the disk fails at each write."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from rookery.channels.contract import Receipt
from rookery.errors import StorageUnavailable
from rookery.gateway import tables
from rookery.gateway.inbound import Wish
from rookery.ids import AgentId, SessionId
from rookery.messages import MessageEntry, Role, ToolCallPart
from rookery.models import ModelRequest
from rookery.models.scripted import ScriptedModel, Step, Told
from rookery.sessions.key import Api
from rookery.sessions.scope import Ephemeral
from tests.durability.lives import KILLS, Blow, Killed, Lives
from tests.durability.play import MarkTool
from tests.durability.sweeps import directory
from tests.support.house import TestHouse

PLACES = {"named": Api("diary"), "nameless": Ephemeral()}


def _speaks(request: ModelRequest) -> Told:
    """Does one deed for each question, and tells of it."""
    last = request.history[-1].entry
    if last.role is Role.TOOL_RESULT:
        return "Done."
    return Step(text="I will.", calls=(ToolCallPart("c", "deed", {"token": last.id}),))


class Drama:
    """One question, with a blow planned for one of its writes."""

    def __init__(self, home: Path, blow: Blow, at: int) -> None:
        self.lives = Lives({at: blow})
        self.model = ScriptedModel(itertools.repeat(_speaks))
        self.deed = MarkTool("deed", effects=True)
        self.house = TestHouse(
            home,
            model=self.model,
            tools=[self.deed],
            wrap_database=self.lives.wrap_database,
            wrap_brains=self.lives.wrap_brains,
        )

    async def asks(self, text: str, place: Any) -> Receipt | None:
        """Ask, and hold the line until it is answered, or the gateway is killed, or the disk says no."""
        wish = Wish(AgentId("alice"), place=place, attended=True)
        asking = asyncio.create_task(self.house.receive("api", "alice", text, wish))
        death = asyncio.create_task(self.lives.death.wait())
        await asyncio.wait([asking, death], return_when=asyncio.FIRST_COMPLETED)
        settled = asyncio.create_task(self._settle())
        await asyncio.wait([settled, death], return_when=asyncio.FIRST_COMPLETED)
        if self.lives.death.is_set():
            self.lives.bury()
            await asyncio.gather(settled, return_exceptions=True)
            await self.house.crash()
            await self._settle()
        death.cancel()
        try:
            return await asking
        except (StorageUnavailable, Killed):
            return None

    async def _settle(self) -> None:
        idle = asyncio.create_task(self.house.idle())
        while not idle.done() or any(task.get_name() == "refill" for task in asyncio.all_tasks()):
            if self.lives.death.is_set():
                idle.cancel()
                return
            await self.house.clock.passes(2)
            await asyncio.sleep(0.001)
        await self.house.idle()

    async def turns(self) -> list[Any]:
        query = select(tables.turns).order_by(tables.turns.c.seq)
        return await self.house.database.read(lambda connection: list(connection.execute(query)))

    async def transcript(self, session_id: str) -> list[MessageEntry]:
        async with self.house.gateway.brains.use(AgentId("alice")) as brain:
            session = await brain.open_session(
                SessionId(session_id), "agent:alice:api:diary", self.house.clock.now()
            )
            return [entry for entry in session.entries if isinstance(entry, MessageEntry)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("blow", Blow)
async def test_a_blow_at_every_write(blow: Blow, place: str) -> None:
    """What was killed is never run again; all is at an end, told soundly, and the next question is answered."""
    asyncio.get_running_loop().set_exception_handler(_say_nothing_of_the_dead)
    at = 0
    while at := at + 1:
        with directory(in_memory=True) as home:
            drama = Drama(home, blow, at)
            async with drama.house, asyncio.timeout(20):
                await drama.house.person("alice")
                drama.lives.count()
                receipt = await drama.asks("one", PLACES[place])
                if not drama.lives.met:
                    break  # beyond the last write
                await _check(drama, receipt, blow)
                before = len(drama.model.requests)
                await drama.asks("two", PLACES[place])
                assert (await drama.turns())[-1].status == "done", f"{blow} at write {at}"
                assert len(drama.model.requests) == before + 2
    assert at > 5, "a question is more than five writes when a tool is called"


async def _check(drama: Drama, receipt: Receipt | None, blow: Blow) -> None:
    turns = await drama.turns()
    assert len(turns) <= 1
    assert receipt is None or turns, "what was accepted is there"
    assert all(count == 1 for count in drama.deed.calls.values())
    if blow in KILLS:
        assert len(drama.model.requests) <= 2, "nobody asks the model for who is gone"
    query = select(tables.outbox)
    assert not await drama.house.database.read(lambda connection: list(connection.execute(query)))
    for turn in turns:
        assert turn.status in (("cancelled", "done") if blow in KILLS or receipt is None else ("done",))
        entries = await drama.transcript(turn.session_id)
        assert not entries or entries[-1].role is Role.ASSISTANT
        calls = [part.id for entry in entries for part in entry.content if isinstance(part, ToolCallPart)]
        assert len(calls) == sum(entry.role is Role.TOOL_RESULT for entry in entries)


def _say_nothing_of_the_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)
