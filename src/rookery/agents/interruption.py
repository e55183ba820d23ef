"""Ending a run from outside: because the person said so, or because the gateway stops.

Only what may be cut off is run under `guard`: waiting for capacity, the model's stream, a tool at work. The
writes between them always finish, so a transcript is never left between two states.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from rookery.messages import StopReason

T = TypeVar("T")


class Interrupted(Exception):
    """The guarded work was cut off; `Interruption.reason` says why, None when the gateway stops."""


class Interruption:
    """The one switch of one run."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.asked = False
        self._guarded: asyncio.Task[Any] | None = None

    def ask(self, reason: StopReason | None) -> None:
        """End the run: with the reason the person is answerable for, or None to leave it for the next start.

        Harmless when the run has ended; the first word stands.
        """
        if self.asked:
            return
        self.asked, self.reason = True, reason
        if self._guarded is not None:
            self._guarded.cancel()

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` so that it can be cut off. Raises `Interrupted`, also when it was asked for before."""
        if self.asked:
            work.close()
            raise Interrupted
        task = asyncio.ensure_future(work)
        self._guarded = task
        try:
            return await task
        except asyncio.CancelledError:
            if self.asked and task.cancelled():
                raise Interrupted from None
            task.cancel()
            raise
        finally:
            self._guarded = None
