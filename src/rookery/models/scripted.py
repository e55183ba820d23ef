"""Models that do as they are told: complete twins of the real ones, for tests.

Both keep every request they were asked, and can be asked for what is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat

import msgspec

from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.models.port import (
    ModelReply,
    ModelRequest,
    ModelStream,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from rookery.models.words import estimated, everything_said, pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer.

    `thinking`, `text` and `calls` are streamed in this order; then `error`, when given, is raised instead of
    the reply. The step waits for `before` before it says anything, and for `after` before it ends. Usage and
    stop reason are worked out where they are not given.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[ToolCallPart, ...] = ()
    error: ModelError | None = None
    before: asyncio.Event | None = None
    after: asyncio.Event | None = None
    usage: Usage | None = None
    stop_reason: StopReason | None = None


Told = str | Step | ToolCallPart | ModelError
"""How a step may be written: a text, a whole step, one tool call, or an error."""

Script = Told | Callable[[ModelRequest], Told]
"""A step, or what makes one out of the request."""


class ScriptedModel:
    """Answers its first request by the first step, the second by the second, and so on."""

    def __init__(self, steps: Iterable[Script]) -> None:
        """`steps` may be endless. A request beyond the last step fails with `AssertionError`."""
        self._steps = iter(steps)
        self._closed = asyncio.Event()
        self._changed: list[asyncio.Future[None]] = []
        self.requests: list[ModelRequest] = []
        """Every request, in the order they began."""
        self.running = 0
        """Streams that have begun and not ended."""
        self.holding = 0
        """Streams that have come to a gate of their step, and wait there."""
        self.abandoned = 0
        """Streams that were closed or cancelled before they came to their end."""

    async def stream(self, request: ModelRequest) -> ModelStream:
        """Answer by the next step, as `Model` promises."""
        self._note(request)
        finished = False
        try:
            step = self._step(request)
            await self._wait(step.before, request.timeout_seconds)
            for piece in pieces(step.thinking):
                yield ThinkingDelta(piece)
            for piece in pieces(step.text):
                yield TextDelta(piece)
            for index, call in enumerate(step.calls):
                yield ToolCallDelta(index, call.name, msgspec.json.encode(call.arguments).decode())
            await self._wait(step.after, request.timeout_seconds)
            if step.error is not None:
                raise step.error
            finished = True
            yield _reply(request, step)
        except (ModelError, AssertionError):
            finished = True
            raise
        finally:
            self.running -= 1
            self.abandoned += not finished
            self._wake()

    async def close(self) -> None:
        """End the streams that wait with `ModelError`; later ones fail likewise."""
        self._closed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds; it is asked again whenever a stream begins, comes to a gate, or ends."""
        while not holds():
            change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._changed.append(change)
            await change

    async def asked(self, count: int) -> None:
        """Wait until this many requests have come in all."""
        await self.until(lambda: len(self.requests) >= count)

    def _note(self, request: ModelRequest) -> None:
        self.requests.append(request)
        self.running += 1
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)

    def _step(self, request: ModelRequest) -> Step:
        script = next(self._steps, None)
        assert script is not None, f"The script has no step left for request {len(self.requests)}; add one."
        told = script if isinstance(script, str | Step | ToolCallPart | ModelError) else script(request)
        match told:
            case Step():
                return told
            case str():
                return Step(text=told)
            case ToolCallPart():
                return Step(calls=(told,))
            case ModelError():
                return Step(error=told)

    async def _wait(self, gate: asyncio.Event | None, seconds: float) -> None:
        if gate is not None and not self._closed.is_set():
            opened = [asyncio.ensure_future(event.wait()) for event in (gate, self._closed)]
            self.holding += 1
            self._wake()
            try:
                done, _ = await asyncio.wait(opened, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.holding -= 1
                for future in opened:
                    future.cancel()
            if not done:
                raise ModelError(ModelErrorKind.TIMED_OUT, f"The gate did not open within {seconds} s.")
        if self._closed.is_set():
            raise ModelError(ModelErrorKind.BROKEN_OFF, "The model is closed.")


class EchoModel(ScriptedModel):
    """Answers with its whole prompt, so that whatever reached it is seen in the reply."""

    def __init__(self) -> None:
        super().__init__(repeat(echo))


def echo(request: ModelRequest) -> str:
    """Every line of the prompt, each once: replies that hold earlier replies would double otherwise."""
    lines = (line for text in everything_said(request) for line in text.splitlines())
    return "\n".join(dict.fromkeys(line for line in lines if line))


def _reply(request: ModelRequest, step: Step) -> ModelReply:
    content: list[TextPart | ThinkingPart | ToolCallPart] = []
    if step.thinking:
        content.append(ThinkingPart(step.thinking))
    if step.text:
        content.append(TextPart(step.text))
    content += step.calls
    whole = tuple(content)
    reason = step.stop_reason or (StopReason.TOOL_CALLS if step.calls else StopReason.STOP)
    return ModelReply(whole, reason, step.usage or estimated(request, whole))
