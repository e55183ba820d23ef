"""The calls of one step, side by side where that is safe: which may be made together, and making them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec import Struct

from rookery.messages import MessageEntry, Role, ToolCallPart
from rookery.tools import ToolOutcome, Toolset

SIDE_BY_SIDE = 8
"""How many calls without effects are made at the same time."""

BROKEN = "This did not work: something is wrong with the tool itself."


class Pending(Struct, frozen=True):
    """A call that has no result yet: the call of this place in this entry."""

    entry: MessageEntry
    place: int
    call: ToolCallPart


def pending_calls(entries: Sequence[MessageEntry]) -> list[Pending]:
    """The calls of the last assistant entry that have no result yet, in the model's order."""
    # Some servers number their calls anew in each step, or all alike, so only results after that entry count, and
    # each for one call.
    answered: list[str | None] = []
    for entry in reversed(entries):
        if entry.role is Role.ASSISTANT:
            found: list[Pending] = []
            calls = [part for part in entry.content if isinstance(part, ToolCallPart)]
            for place, call in enumerate(calls):
                if call.id in answered:
                    answered.remove(call.id)
                else:
                    found.append(Pending(entry, place, call))
            return found
        answered.append(entry.tool_call_id)
    return []


@dataclass(slots=True)
class Calls:
    """What became of the calls of one step, as far as they were made; the transcript does not know yet."""

    tools: Toolset
    begun: set[int] = field(default_factory=set[int])
    """The places of the calls that were begun."""
    outcomes: dict[int, ToolOutcome] = field(default_factory=dict[int, ToolOutcome])
    """What they came to, by their places."""

    def next_together(self, pending: Sequence[Pending]) -> Sequence[Pending]:
        """The first calls of these that may be made at the same time; what has effects, or has to be allowed
        first, is made alone."""
        for count, one in enumerate(pending):
            if self.alone(one):
                return pending[: max(count, 1)]
        return pending

    def alone(self, one: Pending) -> bool:
        """Whether nothing else may go on while this is made."""
        call = one.call
        return self.tools.has_effects(call.name) or self.tools.approval(call.name, call.arguments) is not None

    def settled(self, one: Pending, otherwise: str) -> ToolOutcome:
        """What became of a call for which nothing more is done: what may have happened is unknown."""
        outcome = self.outcomes.get(one.place)
        if outcome is not None:
            return outcome
        if one.place in self.begun and self.tools.has_effects(one.call.name):
            return ToolOutcome(f"{otherwise} Outcome unknown.", is_error=True, unknown=True)
        return ToolOutcome(otherwise, is_error=True)

    async def make(self, together: Sequence[Pending]) -> None:
        """Make these at the same time. When one breaks the others are still made, then its error is raised.

        Cancelled, it cancels what is under way and waits until that has ended.
        """
        if len(together) == 1:
            await self._make(together[0])
            return
        room = asyncio.Semaphore(SIDE_BY_SIDE)

        async def make_one(one: Pending) -> None:
            async with room:
                await self._make(one)

        tasks = [asyncio.create_task(make_one(one), name=f"tool {one.call.name}") for one in together]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            while not all(task.done() for task in tasks):
                with suppress(asyncio.CancelledError):
                    await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # being cancelled is what the caller learns
            raise
        broken = [error for task in tasks if (error := task.exception()) is not None]
        if broken:
            raise broken[0]

    async def _make(self, one: Pending) -> None:
        self.begun.add(one.place)
        task = asyncio.current_task()
        try:
            self.outcomes[one.place] = await self.tools.call(one.call.name, one.call.arguments)
        except asyncio.CancelledError as error:
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled us: something inside the tool did, and that is a mistake of the tool's.
            self.outcomes[one.place] = self._broken(one)
            raise RuntimeError(f"tool {one.call.name!r} was cancelled from within") from error
        except Exception:
            self.outcomes[one.place] = self._broken(one)
            raise

    def _broken(self, one: Pending) -> ToolOutcome:
        unknown = self.tools.has_effects(one.call.name)
        return ToolOutcome(f"{BROKEN} Outcome unknown." if unknown else BROKEN, is_error=True, unknown=unknown)
