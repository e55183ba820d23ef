"""The client of one provider, which comes and goes with the provider's configuration."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from rookery.models import Model, ModelRequest, ModelStream


class Client:
    """A `Model` that is opened at its first call, and once retired closed with the end of its last one.

    Who chose it before it was retired may still ask it; it is opened anew for that call then.
    """

    def __init__(self, open_model: Callable[[], Model]) -> None:
        self._open = open_model
        self._model: Model | None = None
        self._calls = 0
        self._retired = False

    @property
    def is_used(self) -> bool:
        """Whether calls are under way."""
        return self._calls > 0

    async def stream(self, request: ModelRequest) -> ModelStream:
        """Ask once, as `Model` promises."""
        if self._model is None:
            self._model = self._open()
        self._calls += 1
        try:
            async with aclosing(self._model.stream(request)) as stream:
                async for event in stream:
                    yield event
        finally:
            self._calls -= 1
            if self._retired and not self._calls:
                await self.close()

    async def retire(self) -> None:
        """Nobody will choose it any more."""
        self._retired = True
        if not self._calls:
            await self.close()

    async def close(self) -> None:
        """Give back what the client holds, now. Streams still open end with `ModelError`."""
        model, self._model = self._model, None
        if model is not None:
            await model.close()
