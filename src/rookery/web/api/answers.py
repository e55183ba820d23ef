"""Answers of the REST interface: facts as JSON, and every refusal as RFC 9457 problem details."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.responses import Response

from rookery.channels.contract import HttpReply, problem
from rookery.errors import (
    Busy,
    ChannelUnavailable,
    ConfigError,
    Conflict,
    IdempotencyKeyReused,
    InvalidId,
    InvalidInput,
    ModelError,
    NotFound,
    Outdated,
    QuotaReached,
    Refused,
    RookeryError,
    StorageUnavailable,
    TooLarge,
    TooManyRequests,
    WrongLogin,
)

RETRY_AFTER = 5
"""Seconds after which it is worth asking again, where nobody knows better."""

_encode = msgspec.json.Encoder().encode

_STATUS: tuple[tuple[type[RookeryError], HTTPStatus], ...] = (
    # The first that fits holds, so what is narrower stands first.
    (IdempotencyKeyReused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (QuotaReached, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (ConfigError, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Outdated, HTTPStatus.PRECONDITION_FAILED),
    (Conflict, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.FORBIDDEN),
    (WrongLogin, HTTPStatus.UNAUTHORIZED),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE),
    (StorageUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ChannelUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ModelError, HTTPStatus.BAD_GATEWAY),
)


class Turned(Exception):
    """A request that is answered before it came to what it asks for; raised by what stands before a handler."""

    def __init__(self, reply: HttpReply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def answer(
    fact: Struct | Mapping[str, object], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """A fact as a whole answer."""
    return _response(status, _encode(fact), "application/json", headers or {})


def listing(facts: Sequence[Struct]) -> Response:
    """A list that is always whole."""
    return answer({"items": facts, "nextCursor": None})


def nothing() -> Response:
    """The answer to what was done and leaves nothing to be said."""
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=_headers({}))


def refusal(error: RookeryError) -> Response:
    """An error in its words."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
    if status is None:
        return from_reply(
            problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
        )
    retry_after = None
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        asked = getattr(error, "retry_after", None)
        retry_after = RETRY_AFTER if asked is None else max(1, math.ceil(asked))
    reply = problem(status, error.code, error.detail, retry_after=retry_after)
    if isinstance(error, InvalidId) and error.suggestion is not None:
        reply = HttpReply(reply.status, {**reply.body, "suggestion": error.suggestion}, reply.headers)
    return from_reply(reply)


def from_reply(reply: HttpReply) -> Response:
    """The answer that plain ASGI would send for the same reply."""
    return _response(reply.status, _encode(reply.body), reply.content_type, reply.headers)


def _response(status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> Response:
    return Response(body, status_code=status, media_type=content_type, headers=_headers(headers))


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {"x-content-type-options": "nosniff", "cache-control": "no-store", **headers}
