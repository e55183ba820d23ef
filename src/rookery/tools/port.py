"""A tool is a function the model can call. Who calls is never one of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rookery.errors import ToolFailed, ToolRetry
from rookery.models import INVALID_ARGUMENTS, ToolSpec
from rookery.policy import Decision


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a call may know of the person it is made for; `timezone` is an IANA name."""

    now: Callable[[], datetime]
    timezone: str


class Tool(Protocol):
    """One tool."""

    spec: ToolSpec

    effects: bool
    """Whether a call changes anything outside. Such a call is never repeated after a crash."""

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        """Do it and return what the model is told. May be cancelled at any point.

        Raises `ToolRetry` when other arguments may work, `ToolFailed` when none will.
        """
        ...


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a call came to, as the model is told."""

    text: str
    is_error: bool = False


class Toolset:
    """The tools of one run, each call behind the gate."""

    def __init__(self, tools: Iterable[Tool], context: ToolContext, allowed: Callable[[str], Decision]) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}
        self._context = context
        self._allowed = allowed

    @property
    def specs(self) -> list[ToolSpec]:
        """The tools this actor may call, as the model is told of them, in the order of their names."""
        return [self._tools[name].spec for name in sorted(self._tools) if self._allowed(name)]

    def has_effects(self, name: str) -> bool:
        """Whether a call of this tool may have changed something; an unknown tool never ran."""
        tool = self._tools.get(name)
        return tool is not None and tool.effects

    async def call(self, name: str, arguments: dict[str, Any]) -> ToolOutcome:
        """Call a tool if the gate allows it. Everything that can go wrong is an outcome the model can read."""
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(sorted(self._tools)) or "none"
            return ToolOutcome(f"There is no tool {name!r}; there are: {known}.", is_error=True)
        decision = self._allowed(name)
        if not decision:
            return ToolOutcome(decision.reason, is_error=True)
        if INVALID_ARGUMENTS in arguments:
            return ToolOutcome(f"The arguments of {name} are not a JSON object; call it again.", is_error=True)
        try:
            return ToolOutcome(await tool.call(arguments, self._context))
        except (ToolRetry, ToolFailed) as error:
            return ToolOutcome(error.detail, is_error=True)
