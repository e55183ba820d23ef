"""One run: ask the model, call what it asks for, until it answers. Every step is in the transcript first.

A run can begin anywhere: it reads from the transcript's tail what is done. After a crash the last model
request is asked again, and a call whose end nobody saw is shown to the model as "outcome unknown".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rookery.agents import prompt, words
from rookery.agents.interruption import Interrupted, Interruption
from rookery.errors import ModelError, StorageUnavailable
from rookery.ids import EntryId, TurnId
from rookery.messages import MessageEntry, Part, Role, StopReason, TextPart, ToolCallPart, Usage
from rookery.models import (
    Key,
    Model,
    ModelEvent,
    ModelReply,
    ModelRequest,
    TextDelta,
)
from rookery.sessions import Session
from rookery.tools import Toolset


class Capacity(Protocol):
    """Who may call a model now. A slot is held for a model call, never for a turn."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Wait for a turn at the model; fairness is the giver's business."""
        ...


Emit = Callable[[ModelEvent], None]
"""Tells whoever watches what streams by. Never waits, never raises."""

Report = Callable[[ModelError], None]
"""Tells the operator why a model did not answer; its words hold no key and no prompt."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything a run is made with. `model_name` is the provider's own name for the model."""

    provider: str
    model: Model
    model_name: str
    instructions: str
    key: Key | None = None
    key_error: ModelError | None = None
    cache_salt: str | None = None
    max_steps: int = 25
    timeout_seconds: float = 120.0


async def run(
    session: Session,
    turn_id: TurnId,
    settings: RunSettings,
    tools: Toolset,
    capacity: Capacity,
    interruption: Interruption,
    emit: Emit,
    report: Report,
    now: Callable[[], datetime],
) -> MessageEntry:
    """Take the turn from its transcript's tail to its last entry, and return that entry.

    The user entry is there already. The entry returned is the reply, or says by `stop_reason` why there is
    no whole one. Raises `Interrupted`, with nothing written, when the gateway stops; `StorageUnavailable`
    when the transcript cannot be written; and what a broken tool or model raises, without an answer, but
    with a result for every call.
    """
    running = _Run(session, turn_id, settings, tools, capacity, interruption, emit, report, now)
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
    capacity: Capacity
    interruption: Interruption
    emit: Emit
    report: Report
    now: Callable[[], datetime]
    heard: list[str] = field(default_factory=list[str])

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
                self.report(error)
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
            await self._ask_model()

    async def _ask_model(self) -> None:
        self.heard.clear()
        if self.settings.key_error is not None:
            raise self.settings.key_error
        reply = await self.interruption.guard(self._stream())
        content, reason = reply.content, reply.stop_reason
        if reason in (StopReason.STOP, StopReason.TOOL_CALLS):
            calls = any(isinstance(part, ToolCallPart) for part in content)
            reason = StopReason.TOOL_CALLS if calls else StopReason.STOP
        else:
            # A reply that was cut off may hold half a call; half a call is not made.
            content = tuple(part for part in content if not isinstance(part, ToolCallPart))
        await self._write_answer(content, reason, usage=reply.usage)

    async def _stream(self) -> ModelReply:
        request = ModelRequest(
            model=self.settings.model_name,
            instructions=self.settings.instructions,
            history=prompt.history(self.session),
            tools=self.tools.specs,
            key=self.settings.key,
            timeout_seconds=self.settings.timeout_seconds,
            cache_salt=self.settings.cache_salt,
        )
        async with self.capacity.slot(), aclosing(self.settings.model.stream(request)) as stream:
            async for event in stream:
                if isinstance(event, ModelReply):
                    return event
                if isinstance(event, TextDelta):
                    self.heard.append(event.text)
                self.emit(event)
        raise AssertionError("a model's stream ends with its reply or an error")

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
        text = "".join(self.heard)
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
        self.heard.clear()
        await self.session.append(
            MessageEntry(
                id=self._next_id(),
                parent_id=self.session.last_entry_id,
                timestamp=self.now(),
                turn_id=self.turn_id,
                role=Role.ASSISTANT,
                content=tuple(content),
                provider=self.settings.provider,
                model=self.settings.model_name,
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

    def _entries(self) -> Sequence[MessageEntry]:
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
