"""Models behind formats of their own, asked through pydantic-ai; needs the extra `rookery[providers]`.

Nothing of that library is imported before the first question, and then beside the loop: it takes a second or two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rookery.config.words import ProviderKind
from rookery.errors import ConfigError, ModelError, ModelErrorKind
from rookery.models.port import ModelEvent, ModelReply, ModelRequest, ModelStream
from rookery.models.server import PLAIN, ServerOptions

if TYPE_CHECKING:
    from rookery.models.pydantic_ai_calls import Calls

# A package before what it holds: without the one, the other cannot be looked for.
_NEEDS = {ProviderKind.GOOGLE: ("google", "google.genai"), ProviderKind.MISTRAL: ("mistralai",)}


def check_installed(name: str, kind: ProviderKind, find: Callable[[str], object] = find_spec) -> None:
    """Raises `ConfigError` when what the provider `name` needs is not installed; imports nothing large.

    `find` gives None for a module that is not there.
    """
    if any(find(module) is None for module in ("pydantic_ai", *_NEEDS[kind])):
        raise ConfigError(
            f"models.providers.{name} has api pydantic-ai, which needs more than is installed; "
            "install it with: pip install 'rookery[providers]'"
        )


class PydanticAIModel:
    """One provider's models. It holds no conversation, and opens nothing before it is asked."""

    def __init__(
        self,
        kind: ProviderKind,
        base_url: str,
        *,
        name: str,
        now: Callable[[], datetime],
        options: ServerOptions = PLAIN,
        idle_seconds: float = 120.0,
    ) -> None:
        """`base_url` is where the provider answers, without a version; the operator wrote it, or it is known.

        `name` is the provider's name in errors, and in the entries whose thoughts are its own. `idle_seconds`: how
        long the server may say nothing.
        """
        self._name = name
        self._make = partial(_calls, kind, base_url, name, now, options, idle_seconds)
        self._calls: asyncio.Future[Calls] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    async def stream(self, request: ModelRequest) -> ModelStream:
        """Ask once and stream the answer, as `Model` promises."""
        heard: asyncio.Queue[ModelEvent | None] = asyncio.Queue()
        # The library's own contexts want to be left by the task that entered them; a stream may be closed by any.
        task = asyncio.create_task(self._hear(request, heard), name=f"model call to {self._name}")
        task.add_done_callback(lambda _: heard.put_nowait(None))
        self._running.add(task)
        try:
            while (event := await heard.get()) is not None:
                yield event
                if isinstance(event, ModelReply):
                    return
            if task.cancelled():
                raise ModelError(ModelErrorKind.BROKEN_OFF, f"{self._name} broke off. The model client is closed.")
            task.result()
            raise AssertionError("a call ends with its reply or an error")
        finally:
            task.cancel()
            await asyncio.wait({task})
            self._running.discard(task)

    async def close(self) -> None:
        """Hang up on every stream, and give back the connections."""
        self._closed = True
        running = set(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if self._calls is not None:
            calls, self._calls = self._calls, None
            await (await calls).close()

    async def _hear(self, request: ModelRequest, heard: asyncio.Queue[ModelEvent | None]) -> None:
        if self._closed:
            raise ModelError(ModelErrorKind.BROKEN_OFF, f"{self._name} is not asked: the model client is closed.")
        if request.key is None or not request.key.secret:
            # Without one the library would take a key from the environment, whoever's it is.
            raise ModelError(ModelErrorKind.NO_KEY, f"No key of provider {self._name!r} is granted.")
        try:
            async with asyncio.timeout(request.timeout_seconds):
                if self._calls is None:
                    self._calls = asyncio.ensure_future(asyncio.to_thread(self._make))
                calls = await asyncio.shield(self._calls)
                async with aclosing(calls.ask(request, request.key)) as events:
                    async for event in events:
                        heard.put_nowait(event)
        except TimeoutError as error:
            raise ModelError(
                ModelErrorKind.TIMED_OUT, f"{self._name} did not finish in the time given."
            ) from error


def _calls(
    kind: ProviderKind,
    base_url: str,
    name: str,
    now: Callable[[], datetime],
    options: ServerOptions,
    idle_seconds: float,
) -> Calls:
    from rookery.models.pydantic_ai_calls import Calls

    return Calls(kind, base_url, name=name, now=now, options=options, idle_seconds=idle_seconds)
