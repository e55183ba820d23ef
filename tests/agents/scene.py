"""One turn to be run: a session in memory, a model that does as it is told, and three tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from rookery.agents import Endpoint, Interruption, RunSettings, Shortening, Verdict, Wish, run
from rookery.errors import ModelError, ToolRetry
from rookery.ids import AgentId, EntryId, SessionId, TurnId
from rookery.messages import MessageEntry, Part, Role, StopReason, TextPart, ToolCallPart, Usage
from rookery.models import ModelEvent, ToolSpec
from rookery.models.scripted import Script, ScriptedModel
from rookery.policy import Decision
from rookery.sessions import Session
from rookery.sessions.brains import MemoryBrains
from rookery.tools import Tool, ToolContext, ToolLimits, Toolset
from rookery.usage import Call, CallEnd, Purpose

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURN = TurnId("t1")


class Counted:
    """A tool that counts its calls, waits at its gate when it has one, and says or raises what it is told.

    Of a call whose argument `gate` names one of its `gates` it waits there instead; `says` is what it says, where
    that is not to be counted.
    """

    def __init__(self, name: str, *, effects: bool = False, error: BaseException | None = None) -> None:
        self.spec = ToolSpec(name, f"The tool {name}.", {"type": "object"})
        self.effects = effects
        self.error = error
        self.calls: list[dict[str, Any]] = []
        self.gate: asyncio.Event | None = None
        self.gates: dict[str, asyncio.Event] = {}
        self.begun = asyncio.Event()
        self.running = 0
        self.most = 0
        self.says: str | None = None

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del context
        self.calls.append(arguments)
        self.begun.set()
        self.running += 1
        self.most = max(self.most, self.running)
        number = len(self.calls)
        try:
            gate = self.gates.get(arguments.get("gate", ""), self.gate)
            if gate is not None:
                await gate.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.running -= 1
        return f"{self.spec.name} says {number}" if self.says is None else self.says


class Guarded(Counted):
    """A tool with effects whose calls need a yes, but for those with the argument `harmless`."""

    def __init__(self, name: str, *, effects: bool = True) -> None:
        super().__init__(name, effects=effects)

    def approval(self, arguments: dict[str, Any], context: ToolContext) -> str | None:
        """What it would do."""
        del context
        if "unclear" in arguments:
            raise ToolRetry("Say to whom.")
        return None if "harmless" in arguments else f"Pay {arguments.get('to', 'somebody')}."


class Asked:
    """`Approvals` in memory, for one person: `answers` them by `says`, or finds what `stands` already."""

    def __init__(self) -> None:
        self.asked: list[Wish] = []
        self.used: list[Wish] = []
        self.withdrawn: list[Wish] = []
        self.stands: dict[tuple[str, int], Verdict] = {}
        self.word: asyncio.Future[Verdict] | None = None
        self.may_use = True

    async def ask(self, wish: Wish) -> Verdict:
        key = (wish.entry_id, wish.place)
        if key not in self.stands:
            self.asked.append(wish)
            self.stands[key] = Verdict.ASKED
        return self.stands[key]

    async def answered(self, wish: Wish) -> Verdict:
        if self.word is None:
            self.word = asyncio.get_running_loop().create_future()
        verdict = self.stands[wish.entry_id, wish.place] = await asyncio.shield(self.word)
        self.word = None
        return verdict

    async def use(self, wish: Wish) -> bool:
        key = (wish.entry_id, wish.place)
        if not self.may_use or self.stands.get(key) is not Verdict.ALLOWED:
            return False
        self.stands[key] = Verdict.USED
        self.used.append(wish)
        return True

    async def withdraw(self, wish: Wish) -> None:
        self.withdrawn.append(wish)
        self.stands[wish.entry_id, wish.place] = Verdict.EXPIRED

    def says(self, verdict: Verdict) -> None:
        """Answer what is asked now, or next."""
        if self.word is None:
            self.word = asyncio.get_running_loop().create_future()
        self.word.set_result(verdict)


class Scene:
    """A turn with its user entry written, and everything it may need."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.look = Counted("look")
        self.send = Counted("send", effects=True)
        self.refused = Counted("refused")
        self.pay = Guarded("pay")
        self.further: list[Tool] = []
        self.asks: Asked | None = Asked()
        self.shortening: Shortening | None = None
        self.tool_limits = ToolLimits()
        self.interruption = Interruption()
        self.emitted: list[ModelEvent] = []
        self.reported: list[ModelError] = []
        self.slots = 0
        self.slot_after = 0.0
        self.max_steps = 25
        self.model = ScriptedModel(())
        self.settings: dict[str, Any] = {}
        self.endpoint: dict[str, Any] = {}
        self.begun: list[Call] = []
        self.ended: list[CallEnd] = []

    @asynccontextmanager
    async def slot(self, provider: str, key_name: str | None, purpose: Purpose) -> AsyncGenerator[None]:
        """Model capacity without end, after a while when that is to be so; counts what is held."""
        del provider, key_name, purpose
        if self.slot_after:
            free = asyncio.Event()
            asyncio.get_running_loop().call_later(self.slot_after, free.set)
            await free.wait()
        self.slots += 1
        try:
            yield
        finally:
            self.slots -= 1

    async def begin(self, call: Call) -> None:
        """The meter: what is about to be asked."""
        self.begun.append(call)

    def end(self, end: CallEnd) -> Usage:
        """The meter: how it ended. Everything is free."""
        self.ended.append(end)
        return end.usage

    def reports(self, endpoint: Endpoint, error: ModelError, asked: bool) -> None:
        """Told of every endpoint that gave no answer."""
        del endpoint, asked
        self.reported.append(error)

    async def runs(self, *steps: Script) -> MessageEntry:
        """Run the turn to its end with a model that answers so."""
        self.model = ScriptedModel(steps)
        return await self.goes_on()

    async def goes_on(self) -> MessageEntry:
        """Run the turn from where its transcript stands, with the model as it is."""
        tools: list[Tool] = [self.look, self.send, self.refused, self.pay, *self.further]
        settings = RunSettings(
            endpoints=[Endpoint("test", self.model, "scripted", **self.endpoint)],
            instructions="Be kind.",
            max_steps=self.max_steps,
            **self.settings,
        )
        return await run(
            self.session,
            TURN,
            settings,
            Toolset(tools, ToolContext(lambda: NOW, "UTC"), _allowed, self.tool_limits),
            self,
            self,
            self.interruption,
            self.emitted.append,
            self.reports,
            lambda: NOW,
            approvals=self.asks,
            shortening=self.shortening,
        )

    async def wrote(self, *entries: MessageEntry) -> None:
        """Let the transcript hold these as well, as an earlier run left them."""
        for entry in entries:
            await self.session.append(entry)

    @property
    def entries(self) -> list[MessageEntry]:
        return [entry for entry in self.session.entries if isinstance(entry, MessageEntry)]

    @property
    def roles(self) -> str:
        """The transcript at a glance: u, a and r for user, assistant and result."""
        return "".join(
            {Role.USER: "u", Role.ASSISTANT: "a", Role.TOOL_RESULT: "r"}[one.role] for one in self.entries
        )


async def scene() -> Scene:
    """A new session in which a person has just said hello."""
    async with MemoryBrains().use(AgentId("alice")) as brain:
        opened = Scene(await brain.open_session(SessionId("s1"), "agent:alice:main", NOW))
    await opened.wrote(entry(0, Role.USER, TextPart("Hello.")))
    return opened


def entry(number: int, role: Role, *content: Part, **fields: Any) -> MessageEntry:
    """The turn's entry of this number."""
    return MessageEntry(
        id=EntryId(f"{TURN}.{number}"), timestamp=NOW, turn_id=TURN, role=role, content=content, **fields
    )


def asked(number: int, *calls: ToolCallPart) -> MessageEntry:
    """The model's wish to call tools."""
    return entry(number, Role.ASSISTANT, *calls, stop_reason=StopReason.TOOL_CALLS)


def result(number: int, of: ToolCallPart) -> MessageEntry:
    """What a call came to."""
    return entry(number, Role.TOOL_RESULT, TextPart("done"), tool_call_id=of.id, tool_name=of.name)


def call(name: str, id: str = "c1", **arguments: Any) -> ToolCallPart:
    """A tool call as the model asks for it."""
    return ToolCallPart(id, name, arguments)


def check_grammar(entries: Iterable[MessageEntry]) -> None:
    """A transcript every provider accepts: each call has its result before anything else is said."""
    previous: str | None = None
    open_calls: list[str] = []
    for number, one in enumerate(entries):
        assert one.id == f"{TURN}.{number}"
        assert one.parent_id == previous
        previous = one.id
        if one.role is Role.TOOL_RESULT:
            assert one.tool_call_id in open_calls, "a result of no call"
            open_calls.remove(one.tool_call_id)
        else:
            assert not open_calls, f"{open_calls} have no result before {one.id}"
            open_calls = [part.id for part in one.content if isinstance(part, ToolCallPart)]
    assert not open_calls, f"{open_calls} never got a result"


def _allowed(name: str) -> Decision:
    return Decision(name != "refused", "You may not.")
