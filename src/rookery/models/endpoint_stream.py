"""One question over HTTP and its streamed answer: what the wire formats have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from rookery.errors import ModelError, ModelErrorKind
from rookery.models.errors import Private, error_of_answer
from rookery.models.http import Http, HttpAnswer
from rookery.models.port import Key, ModelStream
from rookery.models.reply_parts import REPLY_LIMIT, ReplyInParts

_ERROR_LIMIT = 64 << 10
_LONG_PROMPT = 64 << 10


@dataclass(frozen=True, slots=True)
class Sending:
    """One request, encoded. The key goes into the header `key_header`, after `key_scheme`."""

    body: bytes
    key: Key | None
    key_header: str
    timeout_seconds: float
    key_scheme: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class EndpointStreams:
    """The answers of one address that are under way. It opens nothing before it is asked."""

    def __init__(
        self, http: Http, url: str, *, name: str, now: Callable[[], datetime], idle_seconds: float
    ) -> None:
        """`name` is the provider's name in errors. `idle_seconds`: how long the server may say nothing."""
        self._http = http
        self._url = url
        self._name = name
        self._now = now
        self._idle_seconds = idle_seconds
        self._answers: set[HttpAnswer] = set()
        self._closed = False

    async def ask(self, sending: Sending, reply: ReplyInParts, private: Private) -> ModelStream:
        """Ask once and stream the answer through `reply`, as `Model` promises."""
        try:
            async with self._http.operator(
                "POST",
                self._url,
                headers=self._headers(sending),
                body=sending.body,
                total_seconds=sending.timeout_seconds,
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

    def _headers(self, sending: Sending) -> dict[str, str]:
        headers = {"Content-Type": "application/json", **sending.headers}
        if sending.key is not None:
            secret = sending.key.secret
            if not (secret.isascii() and secret.isprintable()):
                raise ModelError(
                    ModelErrorKind.WRONG_KEY,
                    f"The key for {self._name} holds characters that no key has; enter it again.",
                )
            headers[sending.key_header] = sending.key_scheme + secret
        return headers

    async def _error(self, answer: HttpAnswer, private: Private) -> ModelError:
        try:
            body = await answer.read_whole(_ERROR_LIMIT)
        except (OSError, ValueError):
            body = b""  # the status says enough
        read = partial(error_of_answer, self._name, answer.status, answer.header, body)
        if len(private.prompt) <= _LONG_PROMPT:
            return read(private=private, now=self._now)
        # What it quotes of a long prompt is looked for beside the loop: a tenth of a second for each megabyte.
        return await asyncio.to_thread(read, private=private, now=self._now)

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
