"""Calls through pydantic-ai: its models with our keys and our connections, its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime

import httpx2
import msgspec
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    ModelConnectionError,
    ModelHTTPError,
    ModelTimeoutError,
    UserError,
)
from pydantic_ai.models import Model as TheirModel
from pydantic_ai.settings import ModelSettings

from rookery.config.words import ProviderKind
from rookery.errors import ModelError, ModelErrorKind
from rookery.models.errors import Private, error_of_answer
from rookery.models.port import Key, ModelEvent, ModelRequest
from rookery.models.pydantic_ai_reply import Reply
from rookery.models.pydantic_ai_request import messages_of, parameters_of
from rookery.models.server import ServerOptions
from rookery.models.words import everything_said

_KEYS_KEPT = 64
_CONNECT_SECONDS = 10.0


class Calls:
    """The calls of one provider, over connections of their own."""

    def __init__(
        self,
        kind: ProviderKind,
        base_url: str,
        *,
        name: str,
        now: Callable[[], datetime],
        options: ServerOptions,
        idle_seconds: float,
    ) -> None:
        """Takes some milliseconds; made beside the loop."""
        self._kind = kind
        self._base_url = base_url
        self._name = name
        self._now = now
        self._options = options
        # No proxy, password file or certificate of the process environment, as everywhere on the way out.
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(idle_seconds, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=4.0),
            trust_env=False,
            follow_redirects=False,
            event_hooks={"response": [self._note]},
        )
        self._answers: dict[asyncio.Task[object] | None, list[httpx2.Response]] = {}
        self._makers: dict[str, Callable[[str], TheirModel]] = {}

    async def ask(self, request: ModelRequest, key: Key) -> AsyncGenerator[ModelEvent, None]:
        """Ask once and stream the answer, its whole last. Raises `ModelError`.

        Called by one task for one question, and closed by it: then the provider has been hung up on.
        """
        asking = asyncio.current_task()
        self._answers[asking] = []
        try:
            async with aclosing(self._ask(request, key)) as events:
                async for event in events:
                    yield event
        finally:
            # The providers' own libraries leave a connection open when they are cancelled while they read from it.
            for answer in self._answers.pop(asking):
                await answer.aclose()

    async def _ask(self, request: ModelRequest, key: Key) -> AsyncGenerator[ModelEvent, None]:
        model = await self._model(request.model, key)
        prompt = msgspec.json.encode("\n".join(everything_said(request)))
        reply = Reply(self._name)
        try:
            stream = model_request_stream(
                model,
                messages_of(request, self._name, model.system, self._options),
                model_settings=self._settings(),
                model_request_parameters=parameters_of(request),
                instrument=False,
            )
            async with stream as events:
                async for event in events:
                    for ours in reply.take(event):
                        yield ours
                whole = reply.whole(events.get(), request)
        except ModelError:
            raise
        except Exception as error:
            raise self._in_our_words(error, Private(key.secret, prompt), broken=reply.begun) from error
        yield whole

    async def close(self) -> None:
        """Give back the connections."""
        await self._http.aclose()

    async def _note(self, answer: httpx2.Response) -> None:
        self._answers[asyncio.current_task()].append(answer)

    def _settings(self) -> ModelSettings:
        settings = ModelSettings(max_retries=0)
        if self._options.max_output_tokens is not None:
            settings["max_tokens"] = self._options.max_output_tokens
        return settings

    async def _model(self, name: str, key: Key) -> TheirModel:
        make = self._makers.pop(key.secret, None)
        if make is None:
            if len(self._makers) >= _KEYS_KEPT:
                del self._makers[next(iter(self._makers))]
            # The provider's own library reads certificates when its client is made.
            make = await asyncio.to_thread(self._maker, key)
        self._makers[key.secret] = make
        return make(name)

    def _maker(self, key: Key) -> Callable[[str], TheirModel]:
        """What makes the models that are asked with this key."""
        match self._kind:
            case ProviderKind.GOOGLE:
                from pydantic_ai.models.google import GoogleModel
                from pydantic_ai.providers.google import GoogleProvider

                google = GoogleProvider(api_key=key.secret, base_url=self._base_url, http_client=self._http)
                return lambda name: GoogleModel(name, provider=google)
            case ProviderKind.MISTRAL:
                from pydantic_ai.models.mistral import MistralModel
                from pydantic_ai.providers.mistral import MistralProvider

                mistral = MistralProvider(api_key=key.secret, base_url=self._base_url, http_client=self._http)
                return lambda name: MistralModel(name, provider=mistral)

    def _in_our_words(self, error: Exception, private: Private, *, broken: bool) -> ModelError:
        who = self._name
        match error:
            case ModelHTTPError():
                headers = error.headers or {}
                return error_of_answer(
                    who,
                    error.status_code,
                    lambda name: headers.get(name.lower()),
                    _as_json(error.body),
                    private=private,
                    now=self._now,
                )
            case ModelTimeoutError() | httpx2.TimeoutException():
                return ModelError(ModelErrorKind.TIMED_OUT, f"{who} did not finish in the time given.")
            case ModelConnectionError(phase="connect" | "pool") | httpx2.ConnectError() if not broken:
                return ModelError(
                    ModelErrorKind.UNREACHABLE, f"{who} cannot be reached; check baseUrl and the network."
                )
            case ModelConnectionError() | httpx2.TransportError():
                return ModelError(ModelErrorKind.BROKEN_OFF, f"{who} broke off.")
            case ContentFilterError():
                return ModelError(ModelErrorKind.CONTENT_REFUSED, f"{who} refused the content.")
            case UserError():
                return ModelError(
                    ModelErrorKind.BAD_REQUEST, f"{who} cannot be asked that: {private.clean(str(error))}"
                )
            case AgentRunError():
                return ModelError(
                    ModelErrorKind.GARBAGE, f"{who} sent no usable answer: {private.clean(error.message)}"
                )
            case _:
                # Whatever the library's own libraries raise; their words may quote anything.
                return ModelError(ModelErrorKind.GARBAGE, f"{who} sent no usable answer ({type(error).__name__}).")


def _as_json(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError):
        return b""
