"""A play: people say things to a gateway that is killed under way, and what must hold when the curtain falls.

    play = Play(house, lives)
    await play.perform(scene)
    assert play.verdict == []

People behave as networks do: what was not receipted is offered again, until it is. When everything is settled
`examine` holds the tables, the transcripts' own bytes and what was heard against each other.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from rookery.channels.contract import Receipt
from rookery.channels.loopback import LoopbackNetwork
from rookery.errors import ChannelUnavailable, ModelError, ModelErrorKind, StorageUnavailable, ToolFailed
from rookery.gateway import tables
from rookery.gateway.operations import sessions
from rookery.gateway.shapes import SessionRemove
from rookery.ids import SessionId
from rookery.messages import Role, ToolCallPart, text_of
from rookery.models import ModelRequest, ToolSpec
from rookery.models.scripted import ScriptedModel, Step, Told
from rookery.tools import ToolContext
from tests.durability.examine import Said, examine
from tests.durability.lives import Killed, Lives
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse
from tests.support.postgres import Postgres

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds after which a play is taken to hang."""

Scene = Callable[["Play"], Awaitable[None]]


_QUESTION = re.compile(r"May I do this\? Mark (.+)\.\n\n/approve (\d+) ")


@dataclass(frozen=True, slots=True)
class Question:
    """What a person was asked: under which number, and about which token."""

    person: str
    number: int
    token: str


class MarkTool:
    """A tool that counts how often it was really called for each token the model thought up.

    A guarded deed needs the person's yes.
    """

    def __init__(self, name: str, *, effects: bool) -> None:
        self.spec = ToolSpec(name=name, description="Marks a token.", parameters={"type": "object"})
        self.effects = effects
        self.calls: Counter[str] = Counter()

    def approval(self, arguments: dict[str, Any], context: ToolContext) -> str | None:
        del context
        token = str(arguments["token"])
        return f"Mark {token}." if self.effects and "guarded" in token else None

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        token = str(arguments["token"])
        self.calls[token] += 1
        if "explosive" in token:
            raise RuntimeError("A tool is somebody's code, too.")
        if "broken" in token:
            raise ToolFailed("It is broken.")
        return f"marked {token}"


def _say_nothing_of_the_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tasks of a killed gateway end with `Killed`, and nobody is left to ask them why."""
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


class Play:
    """One gateway, its people, and the model that answers them. Open it as an asynchronous context manager."""

    def __init__(self, home: Path, lives: Lives, *, postgres: Postgres | None = None) -> None:
        self.lives = lives
        self.model = ScriptedModel(map(self._in_character, itertools.count(1)))
        self.deed = MarkTool("deed", effects=True)
        self.look = MarkTool("look", effects=False)
        self.house = TestHouse(
            home,
            model=self.model,
            postgres=postgres,
            tools=[self.deed, self.look],
            wrap_database=lives.wrap_database,
            wrap_brains=lives.wrap_brains,
        )
        self.curtain = asyncio.Event()
        """Opens the model's mouth where it was told to hold."""
        self.time_stands = False
        """While this is True nobody's wait for a later moment ends."""
        self.said: list[Said] = []
        self.purged: set[SessionId] = set()
        """The sessions of which nothing is to be left."""
        self._standing = asyncio.Event()

    async def perform(self, scene: Scene) -> list[str]:
        """Play a scene to its end, whatever happens meanwhile, and say what was wrong then."""
        asyncio.get_running_loop().set_exception_handler(_say_nothing_of_the_dead)
        async with self.house:
            await self.house.person("alice", telegram="alice", email="alice", webhook="alice")
            await self.house.person("bob", telegram="bob", email="bob")
            self.lives.count()
            self._standing.set()
            helpers = [asyncio.create_task(self._revive()), asyncio.create_task(self._let_time_pass())]
            try:
                async with asyncio.timeout(PATIENCE):
                    await scene(self)
                    settled = await self._settle()
            except TimeoutError:
                return ["hung: the play did not come to its end"]
            finally:
                for helper in helpers:
                    helper.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(*helpers)
            return settled + await examine(self)

    # --- what people do --------------------------------------------------------------------------------------

    async def says(self, person: str, text: str, *, network: LoopbackNetwork | None = None) -> Receipt:
        """Say something and get a receipt for it, however long that takes. Texts are said once each."""
        network = network or self.house.telegram
        number = len(self.said)
        said = Said(network.name, network.accounts[0], "", person, text)
        self.said.append(said)
        speaking = asyncio.create_task(network.says(person, text))
        await asyncio.sleep(0)
        message = next(one for one in reversed(network.said) if one.text == text)
        self.said[number] = said = said.by(message.message_id)
        while True:
            try:
                receipt = await speaking
            except (Killed, ChannelUnavailable, StorageUnavailable):
                await self._standing.wait()
                speaking = asyncio.create_task(network.offers(message))
            else:
                self.said[number] = said.receipted(receipt)
                return receipt

    async def is_asked(self, person: str, number: int) -> None:
        """Wait until somebody was asked, under this number, whether a deed may be done."""
        while (person, number) not in {(one.person, one.number) for one in self.questions()}:
            await asyncio.sleep(0.001)

    def questions(self) -> list[Question]:
        """What people were asked so far, as they heard it."""
        heard = (
            (one.route.sender_id, _QUESTION.match(one.text)) for it in self.house.networks for one in it.heard
        )
        return [Question(person, int(found[2]), found[1]) for person, found in heard if found is not None]

    async def session_of(self, person: str) -> SessionId:
        """The session in which somebody's latest message was accepted."""
        query = select(tables.turns.c.session_id).where(
            tables.turns.c.principal == f"user:{person}", tables.turns.c.kind == "message"
        )
        latest = query.order_by(tables.turns.c.seq.desc()).limit(1)
        return await self._however_often(
            lambda: self.house.database.read(lambda c: SessionId(c.execute(latest).scalar_one()))
        )

    async def deletes(self, person: str, session_id: SessionId, *, purge: bool = False) -> None:
        """Put a session of theirs in the bin, or purge it, and do so again until that is answered."""
        if purge:
            self.purged.add(session_id)
        ask = SessionRemove(session=session_id, purge=purge)
        await self._however_often(lambda: sessions.remove(AtTheDesk(self.house).by(person), ask))

    async def _however_often(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            doing = asyncio.ensure_future(work())
            try:
                return await doing
            except (Killed, ChannelUnavailable, StorageUnavailable):
                await self._standing.wait()
                await asyncio.sleep(0.001)

    async def comes_to_a_stand(self) -> None:
        """Wait until nothing goes on without more time passing."""
        while self._at_work() and not self._somebody_waits():
            await asyncio.sleep(0.001)

    # --- what the model says ---------------------------------------------------------------------------------

    def _in_character(self, number: int) -> Callable[[ModelRequest], Told]:
        """The model's answer to its `number`-th request; no two are alike, so a repeated one can be told."""

        def answer(request: ModelRequest) -> Told:
            last = request.history[-1].entry
            words = text_of(last)
            if last.role is Role.TOOL_RESULT:
                return f"The tool said: {words} (#{number})"
            if "fail" in words:
                return ModelError(ModelErrorKind.OVERLOADED, "Too much to do.")
            if "deed" in words or "look" in words:
                names = [name for name in ("deed", "look") if name in words]
                calls = [ToolCallPart(f"call_{name}", name, {"token": f"{words}/{number}"}) for name in names]
                gate = self.curtain if "hold" in words else None
                return Step(text="Let me see.", calls=tuple(calls), after=gate)
            # Both may be one batch: a gateway killed before it wrote the first has it wait for the second.
            if "endless" in words and "no, wait" not in words:
                return Step(text=f"And so on (#{number})", after=asyncio.Event())
            if "long" in words:
                return "\n\n".join(f"Paragraph {count} of #{number}. " + "word " * 300 for count in range(6))
            gate = self.curtain if "hold" in words else None
            return Step(text=f"Re: {words} (#{number})", before=gate)

        return answer

    # --- what happens to the house ---------------------------------------------------------------------------

    async def _revive(self) -> None:
        """Bury a gateway that was killed, and start another."""
        while True:
            await self.lives.death.wait()
            self._standing.clear()
            starting: asyncio.Task[None] | None = None
            while starting is None or self.lives.death.is_set():
                self.lives.bury()
                if starting is not None:
                    with suppress(Killed):
                        await starting
                await self.house.kill()
                starting = asyncio.create_task(self.house.open())
                death = asyncio.create_task(self.lives.death.wait())
                await asyncio.wait([starting, death], return_when=asyncio.FIRST_COMPLETED)
                death.cancel()
            await starting
            self._standing.set()

    async def _let_time_pass(self) -> None:
        """Let everybody who waits for a short while go on; a scene is not about time."""
        while True:
            await asyncio.sleep(0.002)
            if not self.time_stands and self._somebody_waits():
                await self.house.clock.passes(5)

    async def _settle(self) -> list[str]:
        """Wait until nothing is left to do; what then still is, will not be done any more."""
        for _ in range(200):
            await self._standing.wait()
            kills = self.lives.kills
            idle = asyncio.create_task(self.house.idle())
            death = asyncio.create_task(self.lives.death.wait())
            await asyncio.wait([idle, death], return_when=asyncio.FIRST_COMPLETED)
            for task in (idle, death):
                task.cancel()
            await asyncio.gather(idle, death, return_exceptions=True)
            if self._standing.is_set() and kills == self.lives.kills and self._at_rest():
                return []
            await asyncio.sleep(0.001)
        return ["unsettled: something is still waiting"]

    def _at_rest(self) -> bool:
        refilling = any(task.get_name() == "refill" for task in asyncio.all_tasks())
        return not self._at_work() and not refilling and not self._somebody_waits()

    def _at_work(self) -> bool:
        gateway = self.house.gateway
        return bool(gateway.lanes.running or gateway.lanes.waiting or gateway.outbox.waiting)

    def _somebody_waits(self) -> bool:
        """Whether there is a wait that is not the maintenance's."""
        return any(left < 60 for left in self.house.clock.waited_for)
