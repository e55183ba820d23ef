"""One turn to be run: a session in memory, a model that does as it is told, and three tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from rookery.agents import Endpoint, Interruption, RunSettings, run
from rookery.errors import ModelError
from rookery.ids import AgentId, EntryId, SessionId, TurnId
from rookery.messages import MessageEntry, Part, Role, StopReason, TextPart, ToolCallPart, Usage
from rookery.models import ModelEvent, ToolSpec
from rookery.models.scripted import Script, ScriptedModel
from rookery.policy import Decision
from rookery.sessions import Session
from rookery.sessions.brains import MemoryBrains
from rookery.tools import Tool, ToolContext, Toolset
from rookery.usage import Call, CallEnd

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURN = TurnId("t1")


class Counted:
    """A tool that counts its calls, waits at its gate when it has one, and says or raises what it is told."""

    def __init__(self, name: str, *, effects: bool = False, error: Exception | None = None) -> None:
        self.spec = ToolSpec(name, f"The tool {name}.", {"type": "object"})
        self.effects = effects
        self.error = error
        self.calls: list[dict[str, Any]] = []
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del context
        self.calls.append(arguments)
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return f"{self.spec.name} says {len(self.calls)}"


class Scene:
    """A turn with its user entry written, and everything it may need."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.look = Counted("look")
        self.send = Counted("send", effects=True)
        self.refused = Counted("refused")
        self.interruption = Interruption()
        self.emitted: list[ModelEvent] = []
        self.reported: list[ModelError] = []
        self.slots = 0
        self.max_steps = 25
        self.model = ScriptedModel(())
        self.settings: dict[str, Any] = {}
        self.endpoint: dict[str, Any] = {}
        self.begun: list[Call] = []
        self.ended: list[CallEnd] = []

    @asynccontextmanager
    async def slot(self, provider: str, key_name: str | None) -> AsyncGenerator[None]:
        """Model capacity without end; counts what is held."""
        del provider, key_name
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

    def reports(self, endpoint: Endpoint, error: ModelError) -> None:
        """Told of every call that failed."""
        del endpoint
        self.reported.append(error)

    async def runs(self, *steps: Script) -> MessageEntry:
        """Run the turn to its end with a model that answers so."""
        self.model = ScriptedModel(steps)
        return await self.goes_on()

    async def goes_on(self) -> MessageEntry:
        """Run the turn from where its transcript stands, with the model as it is."""
        tools: list[Tool] = [self.look, self.send, self.refused]
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
            Toolset(tools, ToolContext(lambda: NOW, "UTC"), _allowed),
            self,
            self,
            self.interruption,
            self.emitted.append,
            self.reports,
            lambda: NOW,
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
