"""A tool is a function the model can call. Who calls is never one of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from rookery.models import ToolSpec


class ToolContext(Struct, frozen=True):
    """What a call may know of the person it is made for; `timezone` is an IANA name."""

    now: Callable[[], datetime]
    timezone: str


class Tool(Protocol):
    """One tool."""

    spec: ToolSpec

    effects: bool
    """Whether a call changes anything outside. Such a call is never repeated after a crash, and runs alone; calls
    of tools without effects run side by side."""

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        """Do it and return what the model is told. May be cancelled at any point.

        Raises `ToolRetry` when other arguments may work, `ToolFailed` when none will.
        """
        ...


class AsksFirst(Protocol):
    """A tool some of whose calls need the person's yes before they are made."""

    def approval(self, arguments: dict[str, Any], context: ToolContext) -> str | None:
        """What this call would do, in words for the person; None when it needs no yes.

        The same for the same arguments whenever it is asked, for it is asked again after a restart. Never waits.
        Raises `ToolRetry` or `ToolFailed` as a call does.
        """
        ...


class TakesItsTime(Protocol):
    """A tool that says itself how long one call may take, in seconds."""

    seconds: float
