"""One call of one endpoint: it waits for its slot, is written down, and is heard to its end.

A slot is held no longer than the call's deadlines, whatever the endpoint does, and each call that was written down
is given its end, whatever ends it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct

from rookery import ids
from rookery.agents.endpoint import Endpoint
from rookery.errors import ModelError, ModelErrorKind
from rookery.ids import EntryId
from rookery.messages import Usage
from rookery.models import (
    ModelEvent,
    ModelReply,
    ModelRequest,
    PromptMessage,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolSpec,
)
from rookery.models.cooldown import Cooldowns
from rookery.models.words import estimated, tokens_in
from rookery.usage import Call, CallEnd, Meter, Purpose

LONG_WAIT = 1.0
"""After so many seconds in the queue it is looked again whether the endpoint may be asked, and with which key."""

_GRACE = 2.0
"""Up to so many seconds beyond a call's time its client may still say itself that it is over."""

_WE_HUNG_UP = frozenset({None, ModelErrorKind.TIMED_OUT, ModelErrorKind.BROKEN_OFF})
"""How a call ends of which the provider said nothing, though it may have counted what it read."""


_NONE: Mapping[str, bytes] = MappingProxyType({})


class Capacity(Protocol):
    """Who may call a model now. A slot is held for a model call, never for a turn."""

    def slot(self, provider: str, key_name: str | None, purpose: Purpose) -> AbstractAsyncContextManager[None]:
        """Wait for a turn at the model; fairness is the giver's business.

        `key_name` is an `Endpoint.key_place`: what tells the key from every other of the provider.
        """
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, whoever answers. `entry_id` is the entry that the answer will become.

    `timeout_seconds` is the time of all its calls together, without what they wait for their slots.
    """

    entry_id: EntryId
    instructions: str
    history: Sequence[PromptMessage]
    tools: Sequence[ToolSpec]
    timeout_seconds: float
    images: Callable[[], Awaitable[Mapping[str, bytes]]]
    purpose: Purpose = Purpose.CHAT
    context: str = ""


class Answer(Struct, frozen=True):
    """Who answered, what, and what it used and costs."""

    endpoint: Endpoint
    reply: ModelReply
    usage: Usage


@dataclass(slots=True)
class Calling:
    """Makes the calls of one run, one at a time.

    `ready` is awaited before anything that was heard is passed on. `cooldowns` learns how each call ended.
    """

    capacity: Capacity
    meter: Meter
    ready: Callable[[], Awaitable[None]]
    emit: Callable[[ModelEvent], None]
    now: Callable[[], datetime]
    cooldowns: Cooldowns
    heard: list[str] = field(default_factory=list[str])
    """The words of the answer that is being heard."""
    begun: bool = False
    """Whether anything of an answer to this question was heard: words, thoughts or a tool call."""
    left: float = 0.0
    """The seconds that are left for this question."""

    def begin(self, question: Question) -> None:
        """Another question: nothing of an answer was heard yet."""
        self.heard.clear()
        self.begun, self.left = False, question.timeout_seconds

    async def call(
        self,
        question: Question,
        endpoint: Endpoint,
        look_again: Callable[[Endpoint], Awaitable[Endpoint]],
        *,
        others: bool,
    ) -> Answer:
        """Ask one endpoint, and return its whole answer. Raises `ModelError`, and what `look_again` raises.

        `look_again` is asked, after a long wait for the slot, for the endpoint as it is now. `others`: another one
        could still be asked, and is to have some of the time.
        """
        asked = self.now()
        async with self.capacity.slot(endpoint.provider, endpoint.key_place, question.purpose):
            waited = self._since(asked)
            if waited >= LONG_WAIT:
                endpoint = await look_again(endpoint)
            # Not before: those who wait in line would hold megabytes meanwhile.
            images = await question.images() if endpoint.vision else _NONE
            loop = asyncio.get_running_loop()
            started = loop.time()
            try:
                return await self._call(question, endpoint, images, waited, others)
            finally:
                self.left -= loop.time() - started

    async def _call(
        self, question: Question, endpoint: Endpoint, images: Mapping[str, bytes], waited: float, others: bool
    ) -> Answer:
        seconds = min(self.left, endpoint.timeout_seconds or self.left)
        request = ModelRequest(
            model=endpoint.model_name,
            instructions=question.instructions,
            history=question.history,
            context=question.context,
            tools=question.tools,
            key=endpoint.key,
            timeout_seconds=seconds,
            cache_salt=endpoint.cache_salt,
            images=images,
        )
        begun = self.now()
        call = Call(
            ids.fresh(begun),
            question.entry_id,
            question.purpose,
            endpoint.provider,
            endpoint.model_name,
            endpoint.key_name,
            estimated(request, ()),
            waited,
        )
        await self.meter.begin(call)
        # Without a limit of its own a silent endpoint leaves half of the time to the others.
        first_seconds = endpoint.first_token_seconds or (self.left / 2 if others else math.inf)
        return await self._hear(call, request, endpoint, begun, first_seconds)

    async def _hear(
        self, call: Call, request: ModelRequest, endpoint: Endpoint, begun: datetime, first_seconds: float
    ) -> Answer:
        assert endpoint.model is not None, "only an endpoint with a problem has no model, and that is not asked"
        heard, emit = self.heard, self.emit
        unsaid = 0  # characters of thoughts and tool calls
        first: float | None = None
        failed: ModelErrorKind | None = None
        reply: ModelReply | None = None
        started = asyncio.get_running_loop().time()
        at_last = request.timeout_seconds + min(request.timeout_seconds, _GRACE)
        deadline = asyncio.timeout_at(started + min(first_seconds, at_last))
        try:
            async with deadline, aclosing(endpoint.model.stream(request)) as stream:
                # This is run for every token of everybody.
                async for event in stream:
                    if first is None:
                        first = self._since(begun)
                        self.begun = True
                        deadline.reschedule(started + at_last)
                        await self.ready()
                    emit(event)
                    if isinstance(event, TextDelta):
                        heard.append(event.text)
                    elif isinstance(event, ThinkingDelta):
                        unsaid += len(event.text)
                    elif isinstance(event, ToolCallDelta):
                        unsaid += len(event.arguments)
                    else:
                        reply = event
                        break
        except ModelError as error:
            failed = error.kind
            self._failed(endpoint, error, begun, first)
            raise
        except TimeoutError:
            if not deadline.expired():
                raise
            failed = ModelErrorKind.TIMED_OUT
            silent = first is None and first_seconds < at_last
            what = f"said nothing for {first_seconds:g} s" if silent else "did not finish in the time given"
            error = ModelError(failed, f"{endpoint.provider} {what}.")
            self._failed(endpoint, error, begun, first)
            raise error from None
        finally:
            if reply is not None:
                used = reply.usage
            elif first is not None or failed in _WE_HUNG_UP:
                written = tokens_in(sum(map(len, heard)) + unsaid)
                used = Usage(call.projected.input_tokens, written, estimated=True)
            else:
                used = Usage()
            told = "cancelled" if failed is None else failed.value
            priced = self.meter.end(
                CallEnd(call.call_id, used, None if reply is not None else told, first, self._since(begun))
            )
        assert reply is not None, "a model's stream ends with its reply or an error"
        self.cooldowns.succeeded(endpoint, begun=begun)
        return Answer(endpoint, reply, priced)

    def _failed(self, endpoint: Endpoint, error: ModelError, begun: datetime, first: float | None) -> None:
        self.cooldowns.failed(endpoint, error, begun=begun, now=self.now(), heard=first is not None)

    def _since(self, moment: datetime) -> float:
        return max(0.0, (self.now() - moment).total_seconds())
