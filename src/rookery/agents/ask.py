"""One question: the endpoints that may answer it are asked in order, until one begins to speak.

Each call is written down before it is made, and holds a slot only while it runs. Once something was heard, no
other endpoint is asked: what a person has read is not taken back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rookery import ids
from rookery.agents.endpoint import Endpoint
from rookery.errors import ModelError, ModelErrorKind
from rookery.ids import EntryId
from rookery.messages import Usage
from rookery.models import ModelEvent, ModelReply, ModelRequest, PromptMessage, TextDelta, ToolSpec
from rookery.models.words import estimated
from rookery.usage import Call, CallEnd, Meter, Purpose


class Capacity(Protocol):
    """Who may call a model now. A slot is held for a model call, never for a turn."""

    def slot(self, provider: str, key_name: str | None) -> AbstractAsyncContextManager[None]:
        """Wait for a turn at the model; fairness is the giver's business."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, whoever answers. `entry_id` is the entry that the answer will become."""

    entry_id: EntryId
    instructions: str
    history: Sequence[PromptMessage]
    tools: Sequence[ToolSpec]
    timeout_seconds: float
    images: Callable[[], Awaitable[Mapping[str, bytes]]]
    purpose: Purpose = Purpose.CHAT


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered, what, and what it used and costs."""

    endpoint: Endpoint
    reply: ModelReply
    usage: Usage


@dataclass(slots=True)
class Asking:
    """Asks one question after another for one run.

    `ready` is awaited before anything that was heard is passed on. `report` is told of every call that failed.
    """

    capacity: Capacity
    meter: Meter
    ready: Callable[[], Awaitable[None]]
    emit: Callable[[ModelEvent], None]
    report: Callable[[Endpoint, ModelError], None]
    now: Callable[[], datetime]
    heard: list[str] = field(default_factory=list[str])
    """The words of the answer that is being heard."""
    last: Endpoint | None = None
    """Who was asked last."""

    async def ask(self, question: Question, endpoints: Sequence[Endpoint]) -> Answer:
        """Ask, and return the whole answer. Raises `ModelError` of the last endpoint that was tried."""
        self.heard.clear()
        for left in range(len(endpoints) - 1, -1, -1):
            endpoint = self.last = endpoints[-1 - left]
            try:
                if endpoint.problem is not None:
                    raise endpoint.problem
                return await self._call(question, endpoint)
            except ModelError as error:
                self.report(endpoint, error)
                if not left or self.heard or error.kind not in WORTH_ANOTHER:
                    raise
        raise AssertionError("a run has at least one endpoint")

    async def _call(self, question: Question, endpoint: Endpoint) -> Answer:
        request = ModelRequest(
            model=endpoint.model_name,
            instructions=question.instructions,
            history=question.history,
            tools=question.tools,
            key=endpoint.key,
            timeout_seconds=min(question.timeout_seconds, endpoint.timeout_seconds or question.timeout_seconds),
            cache_salt=endpoint.cache_salt,
            images=await question.images() if endpoint.vision else {},
        )
        asked = self.now()
        async with self.capacity.slot(endpoint.provider, endpoint.key_name):
            begun = self.now()
            projected = estimated(request, ())
            call = Call(
                ids.fresh(begun),
                question.entry_id,
                question.purpose,
                endpoint.provider,
                endpoint.model_name,
                endpoint.key_name,
                projected,
                (begun - asked).total_seconds(),
            )
            await self.meter.begin(call)
            return await self._hear(call, request, endpoint, begun)

    async def _hear(self, call: Call, request: ModelRequest, endpoint: Endpoint, begun: datetime) -> Answer:
        first: float | None = None
        error: str | None = "cancelled"
        usage = call.projected
        try:
            async with aclosing(endpoint.model.stream(request)) as stream:
                async for event in stream:
                    if first is None:
                        first = (self.now() - begun).total_seconds()
                    if isinstance(event, TextDelta):
                        self.heard.append(event.text)
                    await self.ready()
                    self.emit(event)
                    if isinstance(event, ModelReply):
                        error, usage = None, event.usage
                        reply = event
                        break
                else:
                    raise AssertionError("a model's stream ends with its reply or an error")
        except ModelError as failure:
            error = failure.kind.value
            raise
        finally:
            ended = (self.now() - begun).total_seconds()
            priced = self.meter.end(CallEnd(call.call_id, usage, error, first, ended))
        return Answer(endpoint, reply, priced)


WORTH_ANOTHER = frozenset(ModelErrorKind) - {ModelErrorKind.CONTEXT_TOO_LONG, ModelErrorKind.CONTENT_REFUSED}
"""The errors after which another endpoint may answer."""
