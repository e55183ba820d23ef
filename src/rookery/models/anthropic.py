"""Models behind Anthropic's Messages format: hosted Claude, and servers that speak like it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rookery.models.anthropic_reply import AnthropicReply
from rookery.models.anthropic_request import AnthropicForm
from rookery.models.endpoint_stream import EndpointStreams, Sending
from rookery.models.errors import Private
from rookery.models.http import Http
from rookery.models.port import ModelRequest, ModelStream
from rookery.models.server import PLAIN, ServerOptions

_HEADERS = {"anthropic-version": "2023-06-01"}


class AnthropicModel:
    """One provider's endpoint. It holds no key and no conversation, and opens nothing before it is asked."""

    def __init__(
        self,
        http: Http,
        base_url: str,
        *,
        name: str,
        now: Callable[[], datetime],
        options: ServerOptions = PLAIN,
        idle_seconds: float = 120.0,
    ) -> None:
        """`base_url` is what the API's paths begin with, ending in `/v1`; the operator wrote it.

        `name` is the provider's name in errors, and in the entries whose thoughts are its own. `idle_seconds`: how
        long the server may say nothing.
        """
        self._name = name
        self._form = AnthropicForm(name, options)
        url = f"{base_url.rstrip('/')}/messages"
        self._streams = EndpointStreams(http, url, name=name, now=now, idle_seconds=idle_seconds)

    def stream(self, request: ModelRequest) -> ModelStream:
        """Ask once and stream the answer, as `Model` promises."""
        body, prompt = self._form.encode(request)
        private = Private(request.key.secret if request.key is not None else None, prompt)
        return self._streams.ask(
            Sending(body, request.key, "x-api-key", request.timeout_seconds, headers=_HEADERS),
            AnthropicReply(self._name, private=private, turn_mark=str(len(request.history))),
            private,
        )

    async def close(self) -> None:
        """Hang up on every stream. The HTTP client stays open: it belongs to whoever made it."""
        await self._streams.close()
