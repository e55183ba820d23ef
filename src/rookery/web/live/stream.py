"""One turn while it is answered: its text so far, and what of it was not told yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from rookery.gateway.watchers import Where
from rookery.ids import TurnId
from rookery.web.markdown import Blocks

FLUSH_SECONDS = 1 / 30
"""How often a turn's text is told at most."""

SHARE = 8
"""A text that takes long to render is told so much less often: one part in so many of the time at most."""


class Running(Struct, frozen=True):
    """What a client that comes in the middle of a turn is shown of it.

    `text` is that of step `step`, counted from 0 as the turn was begun or, after a restart, taken up; `blocks` is
    the same rendered, where that was asked for. Once the step is over the transcript has it too: whoever shows
    both leaves out one. `position` is its place in line while it waits for a free model.
    """

    turn_id: str
    turn_ids: tuple[str, ...]
    step: int
    text: str
    blocks: tuple[str, ...] | None
    position: int | None = None


class Stream:
    """The text of a running turn. It belongs to the event loop and does nothing by itself."""

    def __init__(self, where: Where, turn_id: TurnId, turn_ids: Sequence[TurnId]) -> None:
        self.where = where
        self.turn_id = turn_id
        self.turn_ids = tuple(turn_ids)
        self.step = 0
        self.step_is_over = False
        self.position: int | None = None
        self.timer: asyncio.Handle | None = None
        self.told_at = 0.0
        self.cost = 0.0
        self.blocks: Blocks | None = None
        self._told: list[str] = []
        self._waiting: list[str] = []
        self._calls: set[int] = set()

    def next_step(self) -> None:
        """The model writes anew, after its tools. What it wrote before was told."""
        assert not self._waiting, "the text of a step is told before the next step begins"
        self.step += 1
        self.step_is_over = False
        self.blocks = None
        self._told.clear()
        self._calls.clear()

    def say(self, text: str) -> None:
        """The model wrote some more."""
        self._waiting.append(text)

    def call(self, index: int) -> bool:
        """The model writes its call of this number; True when that is a call not seen before."""
        if index in self._calls:
            return False
        self._calls.add(index)
        return True

    def take(self) -> str:
        """What was not told yet, which now counts as told."""
        text = "".join(self._waiting)
        self._waiting.clear()
        if text:
            self._told.append(text)
        return text

    @property
    def text(self) -> str:
        """What was told of this step."""
        if len(self._told) > 1:
            self._told = ["".join(self._told)]
        return self._told[0] if self._told else ""

    def render(self) -> Blocks:
        """The blocks of what was told of this step, kept up from now on."""
        if self.blocks is None:
            self.blocks = Blocks()
            self.blocks.add(self.text)
        return self.blocks

    @property
    def pause(self) -> float:
        """Seconds from one telling to the next."""
        return max(FLUSH_SECONDS, SHARE * self.cost)

    def quiet(self) -> None:
        """Forget the timer; what waits is told by whoever asked for quiet."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def running(self, *, rich: bool) -> Running:
        return Running(
            self.turn_id,
            self.turn_ids,
            self.step,
            self.text,
            tuple(self.render().html) if rich else None,
            self.position,
        )
