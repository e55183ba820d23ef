"""One run: ask the model, call what it asks for, until it answers. Every step is in the transcript first.

The one exception is the user entry, which may still be on its way to the disk while the model reads it. What was
accepted is kept already, and nothing is told or written before the entry is there.

A run can begin anywhere: it reads from the transcript's tail what is done. After a crash the last model
request is asked again, calls without effects are made again, and a call with effects whose end nobody saw is
shown to the model as "outcome unknown".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from rookery.agents import prompt, words
from rookery.agents.approvals import Approvals, NobodyToAsk, Verdict, Wish
from rookery.agents.ask import Answered, Asking, Renew, Report
from rookery.agents.calling import Answer, Capacity, Question
from rookery.agents.calls import Calls, Pending, pending_calls
from rookery.agents.endpoint import Endpoint
from rookery.agents.interruption import Interrupted, Interruption
from rookery.agents.repeats import IN_A_ROW, NOT_AGAIN, streak
from rookery.agents.shortening import Shortening
from rookery.agents.steering import NoSteering, Steering
from rookery.agents.worktime import OutOfTime, Unhurried, Worktime
from rookery.errors import ModelError, ModelErrorKind, StorageUnavailable
from rookery.ids import EntryId, TurnId
from rookery.messages import MessageEntry, Part, Role, StopReason, TextPart, ToolCallPart, Usage
from rookery.models import ModelEvent, PromptMessage
from rookery.models.cooldown import Cooldowns
from rookery.sessions import Session
from rookery.tools import ToolOutcome, Toolset
from rookery.usage import Meter

PICTURES = 8
"""How many pictures of a conversation a model is shown with each call, the newest; older ones are named."""

PICTURE_BYTES = 15 << 20
"""How many bytes they may be together."""


Emit = Callable[[ModelEvent], None]
"""Tells whoever watches what streams by. Never waits, never raises."""


class RunSettings(Struct, frozen=True):
    """Everything a run is made with. `endpoints`: who may answer, at least one, in the order they are asked;
    `renew` looks that up again before each further question. `cooldowns` is what all runs know of failing ones,
    `answered` is told who answered, and `no_key` gives the person's words where there is no key to ask with.

    `earlier` is what the prompt holds before the session's own messages, and `context` gives what stands at its
    end for this turn alone; no transcript holds either. `load_image`
    gives the bytes of an attachment that is to be shown, None for one that cannot be; without it pictures are only
    named. `timeout_seconds` bounds one model call, `max_seconds` the time the turn is at work: waiting for a free
    model or for a person's yes is not counted.
    """

    endpoints: Sequence[Endpoint]
    instructions: str
    earlier: Sequence[PromptMessage] = ()
    context: Callable[[], str] | None = None
    max_steps: int = 25
    timeout_seconds: float = 120.0
    max_seconds: float = 600.0
    load_image: Callable[[str], Awaitable[bytes | None]] | None = None
    renew: Renew | None = None
    cooldowns: Cooldowns | None = None
    answered: Answered | None = None
    no_key: Callable[[Endpoint], str] | None = None


class Opening(Struct, frozen=True):
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
    approvals: Approvals | None = None,
    shortening: Shortening | None = None,
) -> MessageEntry:
    """Take the turn from its transcript's tail to its last entry, and return that entry.

    The user entry is there already, or is `opening`; further ones come by `steering`. The entry returned is the
    reply, or says by `stop_reason` why there is no whole one. Without `approvals` nobody can be asked to allow a
    call; without `shortening` a conversation that is too long for the model ends the turn. Raises `Interrupted`,
    with no answer written, when the gateway stops; `StorageUnavailable` when the transcript cannot be written; and
    what a broken tool or model raises, without an answer, but with a result for every call.
    """
    running = _Run(
        session,
        turn_id,
        settings,
        tools,
        interruption,
        now,
        opening,
        steering or NoSteering(),
        approvals or NobodyToAsk(),
        shortening,
        Worktime(settings.max_seconds),
    )
    capacity = Unhurried(capacity, running.worktime)
    running.asking = Asking(
        capacity,
        meter,
        running.opened,
        emit,
        report,
        now,
        settings.endpoints,
        settings.renew,
        settings.cooldowns,
        settings.answered,
    )
    return await running.to_its_end()


def messages_of(session: Session, turn_id: TurnId) -> list[MessageEntry]:
    """What a turn has written so far, without changes of the session's metadata."""
    return [entry for entry in session.entries_of(turn_id) if isinstance(entry, MessageEntry)]


T = TypeVar("T")


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
    approvals: Approvals
    shortening: Shortening | None
    worktime: Worktime
    asking: Asking = field(init=False)
    calls: Calls = field(init=False)
    """What became of the calls of this step so far."""
    wish: Wish | None = None
    """What the person is being asked to allow."""
    images: dict[str, bytes | None] = field(default_factory=dict[str, bytes | None])

    async def to_its_end(self) -> MessageEntry:
        self.calls = Calls(self.tools)
        await self._settle_a_call_of_unknown_outcome()
        while True:
            last = self._entries()[-1]
            if last.role is Role.ASSISTANT and last.stop_reason is not StopReason.TOOL_CALLS:
                return last
            try:
                await self._step()
            except Interrupted:
                if self.interruption.reason is None:
                    raise
                await self._end(words.STOPPED, self.interruption.reason)
            except OutOfTime:
                told = words.took_too_long(self.settings.max_seconds)
                await self._end(words.OUT_OF_TIME, StopReason.ERROR, told, "turn_too_long")
            except ModelError as error:
                await self._end(words.GIVEN_UP, StopReason.ERROR, self._told(error), error.kind.value)
            except StorageUnavailable:
                raise
            except Exception:
                # Ours or a tool's own mistake, told by whoever runs the turn. Providers refuse a history in
                # which a call has no result, so none may stay behind.
                if settled := self._settled(words.NOT_MADE):
                    await self._append(settled)
                raise

    async def _step(self) -> None:
        pending = pending_calls(self._entries())
        if pending:
            await self._call_tools(pending)
        elif self._steps() >= self.settings.max_steps:
            told = words.TOO_MANY_STEPS.format(steps=self.settings.max_steps)
            await self._end(words.GIVEN_UP, StopReason.ERROR, told, "too_many_steps")
        else:
            self.calls = Calls(self.tools)
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

    # --- asking the model ------------------------------------------------------------------------------------

    async def _ask_model(self) -> None:
        answer = await self._answer()
        content, reason = answer.reply.content, answer.reply.stop_reason
        if reason in (StopReason.STOP, StopReason.TOOL_CALLS):
            calls = any(isinstance(part, ToolCallPart) for part in content)
            reason = StopReason.TOOL_CALLS if calls else StopReason.STOP
        else:
            # A reply that was cut off may hold half a call; half a call is not made.
            content = tuple(part for part in content if not isinstance(part, ToolCallPart))
        await self._append([self._assistant(content, reason, usage=answer.usage)])

    async def _answer(self) -> Answer:
        """The model's answer; a conversation that is too long for it may be shortened, and is asked once more."""
        shortening = self.shortening
        if shortening is not None:
            await self.opened()
            await self.interruption.guard(shortening.filling(self.session, prompt.tokens(self.session)))
        try:
            return await self._ask()
        except ModelError as error:
            if error.kind is not ModelErrorKind.CONTEXT_TOO_LONG or self.asking.heard or shortening is None:
                raise
            if not await self.interruption.guard(shortening.overflowed(self.session)):
                raise
        return await self._ask()

    async def _ask(self) -> Answer:
        question = self._question()
        return await self._spend(lambda: self.asking.ask(question))

    def _question(self) -> Question:
        history = prompt.history(self.session, self.settings.earlier)
        if self.opening is not None and not self._written():
            history = (*history, PromptMessage(self.opening.entry))
        return Question(
            entry_id=self._next_id(),
            instructions=self.settings.instructions,
            history=history,
            context="" if self.settings.context is None else self.settings.context(),
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

    async def _spend(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what may be cut off, by the person, by the gateway's end, or because time is over."""
        return await self.interruption.guard(self.worktime.spend(work))

    # --- calling tools ---------------------------------------------------------------------------------------

    async def _call_tools(self, pending: Sequence[Pending]) -> None:
        """Make those that come next, and write what came of them; the rest is another step of the run."""
        entries = self._entries()
        streaks = {one.place: streak(entries, one.call) for one in pending}
        if any(known.warned for known in streaks.values()):
            await self._end(NOT_AGAIN, StopReason.ERROR, words.IN_CIRCLES, "in_circles")
            return
        for one in pending:
            if streaks[one.place].same >= IN_A_ROW:
                self.calls.outcomes[one.place] = ToolOutcome(NOT_AGAIN, is_error=True)
        together = self.calls.next_together(pending)
        if self.calls.alone(together[0]) and together[0].place not in self.calls.outcomes:
            await self._call_alone(together[0])
        else:
            await self._make([one for one in together if one.place not in self.calls.outcomes])
        await self._append(self._results(together, words.NOT_MADE))

    async def _call_alone(self, one: Pending) -> None:
        """A call that has effects, or has to be allowed first."""
        needed = self.tools.approval(one.call.name, one.call.arguments)
        refused = needed if isinstance(needed, ToolOutcome) else None
        if isinstance(needed, str):
            refused = await self._refused(Wish(one.entry.id, one.place, one.call, needed))
        if refused is None:
            await self._make([one])
        else:
            self.calls.outcomes[one.place] = refused

    async def _make(self, together: Sequence[Pending]) -> None:
        if together:
            await self._spend(lambda: self.calls.make(together))

    async def _refused(self, wish: Wish) -> ToolOutcome | None:
        """Wait for the person's word; None when they allowed it, and what the model is told otherwise."""
        if self.interruption.asked:
            raise Interrupted
        verdict = await self.approvals.ask(wish)
        if verdict is Verdict.ASKED:
            self.wish = wish
            verdict = await self.interruption.guard(self.approvals.answered(wish))
            self.wish = None
        if verdict is Verdict.ALLOWED:
            if self.interruption.asked:
                raise Interrupted
            if await self.approvals.use(wish):
                return None
            return ToolOutcome(words.NO_LONGER_ALLOWED, is_error=True, kind="no_longer_allowed")
        return _UNALLOWED[verdict]

    async def _settle_a_call_of_unknown_outcome(self) -> None:
        """A call found without a result may have been cut off by a crash: what has effects is not repeated.

        Only the first one can have been begun, for results are written before the next call is made. Of one that
        has to be allowed it is known whether it was begun.
        """
        for one in pending_calls(self._entries())[:1]:
            call = one.call
            if self.tools.has_effects(call.name) and self.tools.approval(call.name, call.arguments) is None:
                self.calls.outcomes[one.place] = _UNALLOWED[Verdict.USED]
                await self._append(self._results([one], words.OUTCOME_UNKNOWN))

    # --- what is written -------------------------------------------------------------------------------------

    async def _end(
        self, unmade: str, reason: StopReason, error: str | None = None, kind: str | None = None
    ) -> None:
        """Write the last answer: what the model had said of the step that did not end, with a result for every
        call that has none."""
        wish, self.wish = self.wish, None
        if wish is not None:
            await self.approvals.withdraw(wish)
        results = self._settled(unmade)
        text = "".join(self.asking.heard)
        content = (TextPart(text),) if text else ()
        await self._append(
            [*results, self._assistant(content, reason, error=error, kind=kind, after=len(results))]
        )

    def _settled(self, otherwise: str) -> list[MessageEntry]:
        """A result for every call that has none; what has effects may have happened all the same."""
        return self._results(pending_calls(self._entries()), otherwise)

    def _results(self, calls: Sequence[Pending], otherwise: str) -> list[MessageEntry]:
        return [
            self._result(number, one.call, self.calls.settled(one, otherwise)) for number, one in enumerate(calls)
        ]

    def _result(self, number: int, call: ToolCallPart, outcome: ToolOutcome) -> MessageEntry:
        return MessageEntry(
            id=self._next_id(number),
            timestamp=self.now(),
            turn_id=self.turn_id,
            role=Role.TOOL_RESULT,
            content=(TextPart(outcome.text),),
            tool_call_id=call.id,
            tool_name=call.name,
            is_error=outcome.is_error,
            error_kind=outcome.kind,
            outcome_unknown=outcome.unknown,
        )

    def _assistant(
        self,
        content: Sequence[Part],
        stop_reason: StopReason,
        *,
        usage: Usage | None = None,
        error: str | None = None,
        kind: str | None = None,
        after: int = 0,
    ) -> MessageEntry:
        endpoint = self.asking.last
        return MessageEntry(
            id=self._next_id(after),
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

    async def _append(self, entries: Sequence[MessageEntry]) -> None:
        """Write entries in one go; they are on disk on return."""
        await self.opened()
        await self.session.append(*entries)
        self.asking.heard.clear()

    def _told(self, error: ModelError) -> str:
        no_key = self.settings.no_key
        if error.kind is ModelErrorKind.NO_KEY and no_key is not None:
            return no_key(self.asking.last)
        return words.for_model_error(error)

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

    def _next_id(self, after: int = 0) -> EntryId:
        return EntryId(f"{self.turn_id}.{len(self._entries()) + after}")


_UNALLOWED = {
    Verdict.DENIED: ToolOutcome(words.DENIED, is_error=True, kind="denied"),
    Verdict.EXPIRED: ToolOutcome(words.UNANSWERED, is_error=True, kind="expired"),
    Verdict.NOBODY: ToolOutcome(words.NOBODY_TO_ASK, is_error=True, kind="nobody_to_ask"),
    Verdict.USED: ToolOutcome(words.OUTCOME_UNKNOWN, is_error=True, unknown=True),
}
"""What the model is told of a call that was not allowed, or is not made once more."""
