"""One run: ask the model, call what it asks for, until it answers. Every step is in the transcript first.

The one exception is the user entry, which may still be on its way to the disk while the model reads it. What was
accepted is kept already, and nothing is told or written before the entry is there.

A run can begin anywhere: it reads from the transcript's tail what is done. After a crash the last model
request is asked again, and a call whose end nobody saw is shown to the model as "outcome unknown".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rookery.agents import prompt, words
from rookery.agents.ask import Asking, Capacity, Question
from rookery.agents.endpoint import Endpoint
from rookery.agents.interruption import Interrupted, Interruption
from rookery.agents.steering import NoSteering, Steering
from rookery.errors import ModelError, StorageUnavailable
from rookery.ids import EntryId, TurnId
from rookery.messages import MessageEntry, Part, Role, StopReason, TextPart, ToolCallPart, Usage
from rookery.models import ModelEvent, PromptMessage
from rookery.sessions import Session
from rookery.tools import Toolset
from rookery.usage import Meter

PICTURES = 8
"""How many pictures of a conversation a model is shown with each call, the newest; older ones are named."""

PICTURE_BYTES = 15 << 20
"""How many bytes they may be together."""


Emit = Callable[[ModelEvent], None]
"""Tells whoever watches what streams by. Never waits, never raises."""

Report = Callable[[Endpoint, ModelError], None]
"""Tells the operator why an endpoint did not answer; the error's words hold no key and no prompt."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything a run is made with. `endpoints`: who may answer, at least one, in the order they are asked.

    `earlier` is what the prompt holds before the session's own messages, and no transcript does. `load_image`
    gives the bytes of an attachment that is to be shown, None for one that cannot be; without it pictures are only
    named.
    """

    endpoints: Sequence[Endpoint]
    instructions: str
    earlier: Sequence[PromptMessage] = ()
    max_steps: int = 25
    timeout_seconds: float = 120.0
    load_image: Callable[[str], Awaitable[bytes | None]] | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """The user entry of a turn that has just begun, and the task that writes it.

    The task raises `StorageUnavailable` when it cannot. Whoever makes it lets it settle, also when the run ends
    early.
    """

    entry: MessageEntry
    written: asyncio.Task[None]

    async def settled(self) -> None:
        """Wait until the disk has answered, whatever it said."""
        if not self.written.done():
            await asyncio.wait({self.written})
        if not self.written.cancelled():
            self.written.exception()  # the run was told, or ended before it mattered


async def run(
    session: Session,
    turn_id: TurnId,
    settings: RunSettings,
    tools: Toolset,
    capacity: Capacity,
    meter: Meter,
    interruption: Interruption,
    emit: Emit,
    report: Report,
    now: Callable[[], datetime],
    opening: Opening | None = None,
    steering: Steering | None = None,
) -> MessageEntry:
    """Take the turn from its transcript's tail to its last entry, and return that entry.

    The user entry is there already, or is `opening`; further ones come by `steering`. The entry returned is the
    reply, or says by `stop_reason` why there is no whole one. Raises `Interrupted`, with no answer written, when
    the gateway stops; `StorageUnavailable` when the transcript cannot be written; and what a broken tool or model
    raises, without an answer, but with a result for every call.
    """
    running = _Run(session, turn_id, settings, tools, interruption, now, opening, steering or NoSteering())
    running.asking = Asking(capacity, meter, running.opened, emit, report, now)
    return await running.to_its_end()


def messages_of(session: Session, turn_id: TurnId) -> list[MessageEntry]:
    """What a turn has written so far, without changes of the session's metadata."""
    return [entry for entry in session.entries_of(turn_id) if isinstance(entry, MessageEntry)]


@dataclass(slots=True)
class _Run:
    session: Session
    turn_id: TurnId
    settings: RunSettings
    tools: Toolset
    interruption: Interruption
    now: Callable[[], datetime]
    opening: Opening | None
    steering: Steering
    asking: Asking = field(init=False)
    images: dict[str, bytes | None] = field(default_factory=dict[str, bytes | None])

    async def to_its_end(self) -> MessageEntry:
        await self._settle_calls_of_unknown_outcome()
        while True:
            last = self._entries()[-1]
            if last.role is Role.ASSISTANT and last.stop_reason is not StopReason.TOOL_CALLS:
                return last
            try:
                await self._step()
            except Interrupted:
                await self._end_early()
            except ModelError as error:
                await self._write_answer(
                    self._partial(), StopReason.ERROR, error=words.for_model_error(error), kind=error.kind.value
                )
            except StorageUnavailable:
                raise
            except Exception:
                # Ours or a tool's own mistake, told by whoever runs the turn. Providers refuse a history in
                # which a call has no result, so none may stay behind.
                await self._settle_pending("This did not work: something is wrong with the tool itself.")
                raise

    async def _step(self) -> None:
        pending = _pending_calls(self._entries())
        if pending:
            await self._call_tools(pending)
        elif self._steps() >= self.settings.max_steps:
            await self._write_answer(
                (),
                StopReason.ERROR,
                error=words.TOO_MANY_STEPS.format(steps=self.settings.max_steps),
                kind="too_many_steps",
            )
        else:
            if self._steps():
                await self._steer()
            await self._ask_model()

    async def _steer(self) -> None:
        """What the person typed meanwhile is read with the next step."""
        entry = await self.interruption.guard(self.steering.next(self._next_id()))
        if entry is not None:
            await self.opened()
            await self.session.append(entry)
            self.steering.joined(entry)

    async def _ask_model(self) -> None:
        answer = await self.interruption.guard(self.asking.ask(self._question(), self.settings.endpoints))
        content, reason = answer.reply.content, answer.reply.stop_reason
        if reason in (StopReason.STOP, StopReason.TOOL_CALLS):
            calls = any(isinstance(part, ToolCallPart) for part in content)
            reason = StopReason.TOOL_CALLS if calls else StopReason.STOP
        else:
            # A reply that was cut off may hold half a call; half a call is not made.
            content = tuple(part for part in content if not isinstance(part, ToolCallPart))
        await self._write_answer(content, reason, usage=answer.usage)

    def _question(self) -> Question:
        history = prompt.history(self.session, self.settings.earlier)
        if self.opening is not None and not self._written():
            history = (*history, PromptMessage(self.opening.entry))
        return Question(
            entry_id=self._next_id(),
            instructions=self.settings.instructions,
            history=history,
            tools=self.tools.specs,
            timeout_seconds=self.settings.timeout_seconds,
            images=lambda: self._shown(history),
        )

    async def _shown(self, history: Sequence[PromptMessage]) -> Mapping[str, bytes]:
        """The newest pictures, as many as a call may show; read once in a run."""
        load = self.settings.load_image
        shown: dict[str, bytes] = {}
        if load is None:
            return shown
        left = PICTURE_BYTES
        for part in prompt.pictures(history, PICTURES):
            if part.attachment_id not in self.images:
                self.images[part.attachment_id] = await load(part.attachment_id)
            data = self.images[part.attachment_id]
            if data is not None and len(data) <= left:
                shown[part.attachment_id] = data
                left -= len(data)
        return shown

    async def _call_tools(self, calls: Sequence[ToolCallPart]) -> None:
        for call in calls:
            outcome = await self.interruption.guard(self.tools.call(call.name, call.arguments))
            await self._write_result(call, outcome.text, is_error=outcome.is_error)

    async def _settle_calls_of_unknown_outcome(self) -> None:
        """Calls found without a result were cut off by a crash: what has effects is not repeated."""
        for call in _pending_calls(self._entries()):
            if self.tools.has_effects(call.name):
                await self._write_result(
                    call,
                    "Outcome unknown: the gateway stopped while this ran. It may or may not have happened. "
                    "Do not repeat it without asking.",
                    is_error=True,
                    outcome_unknown=True,
                )

    async def _end_early(self) -> None:
        reason = self.interruption.reason
        if reason is None:
            raise Interrupted
        await self._settle_pending("Stopped by the person.")
        await self._write_answer(self._partial(), reason)

    async def _settle_pending(self, text: str) -> None:
        """Give every call that has none a result; what has effects may have happened all the same."""
        for call in _pending_calls(self._entries()):
            unknown = self.tools.has_effects(call.name)
            told = f"{text} Outcome unknown." if unknown else text
            await self._write_result(call, told, is_error=True, outcome_unknown=unknown)

    def _partial(self) -> tuple[TextPart, ...]:
        """What the model had said of the step that did not end."""
        text = "".join(self.asking.heard)
        return (TextPart(text),) if text else ()

    async def _write_answer(
        self,
        content: Sequence[Part],
        stop_reason: StopReason,
        *,
        usage: Usage | None = None,
        error: str | None = None,
        kind: str | None = None,
    ) -> None:
        self.asking.heard.clear()
        await self.opened()
        endpoint = self.asking.last or self.settings.endpoints[0]
        await self.session.append(
            MessageEntry(
                id=self._next_id(),
                parent_id=self.session.last_entry_id,
                timestamp=self.now(),
                turn_id=self.turn_id,
                role=Role.ASSISTANT,
                content=tuple(content),
                provider=endpoint.provider,
                model=endpoint.model_name,
                usage=usage,
                stop_reason=stop_reason,
                error=error,
                error_kind=kind,
            )
        )

    async def _write_result(
        self, call: ToolCallPart, text: str, *, is_error: bool, outcome_unknown: bool = False
    ) -> None:
        await self.session.append(
            MessageEntry(
                id=self._next_id(),
                parent_id=self.session.last_entry_id,
                timestamp=self.now(),
                turn_id=self.turn_id,
                role=Role.TOOL_RESULT,
                content=(TextPart(text),),
                tool_call_id=call.id,
                tool_name=call.name,
                is_error=is_error,
                outcome_unknown=outcome_unknown,
            )
        )

    async def opened(self) -> None:
        """Wait until the user entry is on disk. Raises `StorageUnavailable` when it could not be written."""
        if self.opening is not None:
            await asyncio.shield(self.opening.written)
            self.opening = None

    def _entries(self) -> Sequence[MessageEntry]:
        """What the turn has come to so far, its user entry first, written or not."""
        written = self._written()
        return written if written or self.opening is None else [self.opening.entry]

    def _written(self) -> Sequence[MessageEntry]:
        return messages_of(self.session, self.turn_id)

    def _steps(self) -> int:
        return sum(entry.role is Role.ASSISTANT for entry in self._entries())

    def _next_id(self) -> EntryId:
        return EntryId(f"{self.turn_id}.{len(self._entries())}")


def _pending_calls(entries: Sequence[MessageEntry]) -> list[ToolCallPart]:
    """The calls of the last assistant entry that have no result yet."""
    # Some servers number their calls anew in each step, so only results after that entry count.
    answered: set[str | None] = set()
    for entry in reversed(entries):
        if entry.role is Role.ASSISTANT:
            return [part for part in entry.content if isinstance(part, ToolCallPart) and part.id not in answered]
        answered.add(entry.tool_call_id)
    return []
