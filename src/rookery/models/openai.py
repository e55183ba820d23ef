"""Models behind OpenAI's chat-completions format: hosted OpenAI, Ollama, vLLM, llama.cpp and their relatives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rookery.errors import ModelError, ModelErrorKind
from rookery.models.errors import Private, error_of_answer
from rookery.models.http import Http, HttpAnswer
from rookery.models.openai_reply import REPLY_LIMIT, ReplyInParts
from rookery.models.openai_request import encode_body
from rookery.models.port import Key, ModelRequest, ModelStream

_ERROR_LIMIT = 64 << 10


class OpenAIModel:
    """One provider's endpoint. It holds no key and no conversation, and opens nothing before it is asked."""

    def __init__(
        self, http: Http, base_url: str, *, name: str, now: Callable[[], datetime], idle_seconds: float = 120.0
    ) -> None:
        """`base_url` is what the API's paths begin with, usually ending in `/v1`; the operator wrote it.

        `name` is the provider's name in errors. `idle_seconds`: how long the server may say nothing.
        """
        self._http = http
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._name = name
        self._now = now
        self._idle_seconds = idle_seconds
        self._answers: set[HttpAnswer] = set()
        self._closed = False

    async def stream(self, request: ModelRequest) -> ModelStream:
        """Ask once and stream the answer, as `Model` promises."""
        body, prompt = encode_body(request)
        private = Private(request.key.secret if request.key is not None else None, prompt)
        reply = ReplyInParts(self._name, private=private, turn_mark=str(len(request.history)))
        try:
            async with self._http.operator(
                "POST",
                self._url,
                headers=self._headers(request.key),
                body=body,
                total_seconds=request.timeout_seconds,
                idle_seconds=self._idle_seconds,
            ) as answer:
                self._answers.add(answer)
                try:
                    if self._closed:
                        raise ConnectionResetError("The model client is closed.")
                    if not 200 <= answer.status < 300:
                        raise await self._error(answer, private)
                    content_type = answer.header("Content-Type") or ""
                    if "html" in content_type:
                        raise ValueError("It sent a web page.")
                    if "json" in content_type:
                        for event in reply.feed_whole(await answer.read_whole(REPLY_LIMIT)):
                            yield event
                    while not reply.done and (piece := await answer.read_some()):
                        for event in reply.feed(piece):
                            yield event
                    for event in reply.feed_end():
                        yield event
                    answer.leave()
                finally:
                    self._answers.discard(answer)
        except (TimeoutError, ConnectionResetError, ConnectionRefusedError, ValueError) as error:
            # What is lost after the last word of the reply is only its usage, which is estimated then.
            if not reply.complete:
                raise self._in_our_words(error) from error
        yield reply.whole()

    async def close(self) -> None:
        """Hang up on every stream. The HTTP client stays open: it belongs to whoever made it."""
        self._closed = True
        for answer in list(self._answers):
            answer.abort()

    def _headers(self, key: Key | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if key is not None:
            if not (key.secret.isascii() and key.secret.isprintable()):
                raise ModelError(
                    ModelErrorKind.WRONG_KEY,
                    f"The key for {self._name} holds characters that no key has; enter it again.",
                )
            headers["Authorization"] = f"Bearer {key.secret}"
        return headers

    async def _error(self, answer: HttpAnswer, private: Private) -> ModelError:
        try:
            body = await answer.read_whole(_ERROR_LIMIT)
        except (OSError, ValueError):
            body = b""  # the status says enough
        return error_of_answer(self._name, answer.status, answer.header, body, private=private, now=self._now)

    def _in_our_words(self, error: Exception) -> ModelError:
        match error:
            case TimeoutError():
                return ModelError(ModelErrorKind.TIMED_OUT, f"{self._name} did not finish in the time given.")
            case ConnectionRefusedError():
                return ModelError(
                    ModelErrorKind.UNREACHABLE, f"{self._name} cannot be reached; check baseUrl. {error}"
                )
            case ConnectionResetError():
                return ModelError(ModelErrorKind.BROKEN_OFF, f"{self._name} broke off. {error}")
            case _:
                return ModelError(ModelErrorKind.GARBAGE, f"{self._name} sent no usable answer. {error}")
