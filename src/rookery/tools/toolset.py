"""The tools of one run, each call behind the gate and within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from rookery.errors import ToolFailed, ToolRetry
from rookery.models import INVALID_ARGUMENTS, ToolSpec
from rookery.policy import Decision
from rookery.tools.port import Tool, ToolContext

MOST_ARGUMENT_BYTES = 200_000
"""How long the arguments of one call may be, as JSON."""


class ToolLimits(Struct, frozen=True):
    """What bounds one call: `seconds`, where the tool says nothing itself, and the characters of its result."""

    seconds: float = 60.0
    result_chars: int = 50_000


class ToolOutcome(Struct, frozen=True):
    """What a call came to, as the model is told; `unknown` when it may have happened, or not.

    `kind` is the transcript's word for why it was not made, where a person had to allow it.
    """

    text: str
    is_error: bool = False
    unknown: bool = False
    kind: str | None = None


_USUAL = ToolLimits()


class Toolset:
    """The tools of one run. Everything that can go wrong with a call is an outcome that the model can read."""

    def __init__(
        self,
        tools: Iterable[Tool],
        context: ToolContext,
        allowed: Callable[[str], Decision],
        limits: ToolLimits = _USUAL,
    ) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}
        self._context = context
        self._allowed = allowed
        self._limits = limits

    @property
    def specs(self) -> list[ToolSpec]:
        """The tools this actor may call, as the model is told of them, in the order of their names."""
        return [self._tools[name].spec for name in sorted(self._tools) if self._allowed(name)]

    def has_effects(self, name: str) -> bool:
        """Whether a call of this tool may have changed something; an unknown tool never ran."""
        tool = self._tools.get(name)
        return tool is not None and tool.effects

    def refusal(self, name: str, arguments: dict[str, Any]) -> ToolOutcome | None:
        """Why this call cannot be made at all; None when it can."""
        if name not in self._tools:
            known = ", ".join(sorted(self._tools)) or "none"
            return ToolOutcome(f"There is no tool {name!r}; there are: {known}.", is_error=True)
        decision = self._allowed(name)
        if not decision:
            return ToolOutcome(decision.reason, is_error=True)
        if INVALID_ARGUMENTS in arguments:
            return ToolOutcome(f"The arguments of {name} are not a JSON object; call it again.", is_error=True)
        size = len(msgspec.json.encode(arguments))
        if size > MOST_ARGUMENT_BYTES:
            told = f"The arguments of {name} are {size} bytes long; at most {MOST_ARGUMENT_BYTES} are taken."
            return ToolOutcome(told, is_error=True)
        return None

    def approval(self, name: str, arguments: dict[str, Any]) -> str | ToolOutcome | None:
        """What this call would do, when it needs the person's yes; None when it needs none, and an outcome when
        it cannot be made."""
        refusal = self.refusal(name, arguments)
        if refusal is not None:
            return refusal
        asks_first = _approval_of(self._tools[name])
        if asks_first is None:
            return None
        try:
            return asks_first(arguments, self._context)
        except (ToolRetry, ToolFailed) as error:
            return ToolOutcome(error.detail, is_error=True)

    async def call(self, name: str, arguments: dict[str, Any]) -> ToolOutcome:
        """Call a tool if the gate allows it, for as long as it may take. Whether somebody had to allow it was
        asked before. Raises what a broken tool raises."""
        refusal = self.refusal(name, arguments)
        if refusal is not None:
            return refusal
        tool = self._tools[name]
        seconds: float = getattr(tool, "seconds", self._limits.seconds)  # see `TakesItsTime`
        bound = asyncio.timeout(seconds)
        try:
            async with bound:
                return ToolOutcome(self._told(await tool.call(arguments, self._context)))
        except (ToolRetry, ToolFailed) as error:
            return ToolOutcome(self._told(error.detail), is_error=True)
        except TimeoutError:
            if not bound.expired():
                raise
            told = f"This took longer than {seconds:g} seconds and was cut off."
            more = " It may or may not have happened: do not repeat it without asking." if tool.effects else ""
            return ToolOutcome(told + more, is_error=True, unknown=tool.effects)

    def _told(self, text: object) -> str:
        if not isinstance(text, str):
            raise TypeError(f"a tool says text, and not {type(text).__name__}")
        whole = text if text.isascii() else text.encode("utf-8", "replace").decode()  # no lone surrogates
        return shortened(whole, self._limits.result_chars)


def _approval_of(tool: Tool) -> Callable[[dict[str, Any], ToolContext], str | None] | None:
    """How a tool that `AsksFirst` is asked; `isinstance` would take ten times as long, for every call."""
    return getattr(tool, "approval", None)


def shortened(text: str, most: int) -> str:
    """The text, its middle left out where it is longer than that many characters; it says so there."""
    if len(text) <= most:
        return text
    head = most - most // 2
    left_out = len(text) - most
    return f"{text[:head]}\n\n[… {left_out} characters are left out here …]\n\n{text[len(text) - most // 2 :]}"
