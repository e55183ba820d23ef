"""Who asks, and what they sent: what every handler is given, checked before it is called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec
from fastapi import Depends
from msgspec import Struct
from starlette.requests import Request

from rookery.channels.contract import HttpReply, problem
from rookery.errors import InvalidInput
from rookery.gateway.callers import Caller
from rookery.gateway.idempotency import Once
from rookery.gateway.operations import Desk
from rookery.web.api.answers import Turned
from rookery.web.asgi import Head, read_body
from rookery.web.front import Front

BODY = 1 << 20
"""The largest JSON body that is read, in bytes."""

LONGEST_KEY = 200

_T = TypeVar("_T", bound=Struct)


@dataclass(frozen=True, slots=True)
class Asking:
    """A request of somebody we know."""

    front: Front
    caller: Caller
    request: Request

    @property
    def desk(self) -> Desk:
        """The desk with them at it."""
        return self.front.desk.of(self.caller.actor, by_token=self.caller.by_token)

    @property
    def key(self) -> str | None:
        """The request's `Idempotency-Key`. Raises `InvalidInput` for one that cannot be."""
        key = self.request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise InvalidInput(f"Idempotency-Key is 1 to {LONGEST_KEY} visible ASCII characters.")
        return key

    def once(self, ask: Struct | Mapping[str, object]) -> Desk:
        """The desk for something that is made only once under the same `Idempotency-Key`."""
        key = self.key
        if key is None:
            return self.desk
        route = f"{self.request.method} {self.request.scope['path']}"
        return replace(self.desk, once=Once.asking(self.caller.user.id, route, key, ask))


_KEY = re.compile(rf"[!-~]{{1,{LONGEST_KEY}}}")


def front_of(request: Request) -> Front:
    """The front this application answers for."""
    return request.state.front


async def asking(request: Request) -> Asking:
    """Who asks; the one place where the REST interface learns it. Raises `Turned` for nobody."""
    return await _asking(request, even_held=False)


async def asking_even_held(request: Request) -> Asking:
    """The same, for what somebody may do before they chose a password of their own."""
    return await _asking(request, even_held=True)


Asked = Annotated[Asking, Depends(asking)]
"""Who asks: a parameter of every handler that does not let strangers in."""

AskedEvenHeld = Annotated[Asking, Depends(asking_even_held)]
"""Who asks, somebody with a password of another's choice too: to see who they are, to change it, and to go."""


async def _asking(request: Request, *, even_held: bool) -> Asking:
    front = front_of(request)
    caller = await front.entry.caller(request.scope, Head.of(request.scope), even_held=even_held)
    if isinstance(caller, HttpReply):
        raise Turned(caller)
    check_text(request)
    return Asking(front, caller, request)


def check_text(request: Request) -> None:
    """Raises `InvalidInput` for a query that holds what no text may."""
    if "%00" in request.scope.get("query_string", b"").decode("latin-1"):
        raise InvalidInput("A query may not hold a NUL character.")


class Sent(Generic[_T]):
    """A dependency that reads the body as one of the requests in `gateway.shapes`.

    `given` are fields that the path says, by their wire names, each with the name of its path parameter; a body
    cannot say them. `optional`: no body at all is an empty object.
    """

    def __init__(self, shape: type[_T], *, given: Mapping[str, str] | None = None, optional: bool = False) -> None:
        self.shape = shape
        self.given = given or {}
        self.optional = optional

    async def __call__(self, request: Request) -> _T:
        fields = await read_fields(request, optional=self.optional)
        for name in self.given:
            if name in fields:
                raise InvalidInput(f"{name}: it is said by the path, and not in the body.")
        said = {name: request.path_params[parameter] for name, parameter in self.given.items()}
        return read_as(self.shape, {**fields, **said})


async def read_fields(request: Request, *, optional: bool = False) -> dict[str, Any]:
    """The body's JSON object. Raises `Turned` when there is none to be read, `InvalidInput` for other JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    bodiless = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    if bodiless and optional:
        return {}
    if kind != "application/json":
        raise Turned(
            problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", "Send the body as application/json.")
        )
    body = await read_body(request.receive, request.headers.get("content-length"), BODY)
    if isinstance(body, HttpReply):
        raise Turned(body)
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The body is no JSON: {_plain(error)}.") from None
    if not isinstance(fields, dict):
        raise InvalidInput("The body is a JSON object.")
    _check_texts(fields)
    return cast("dict[str, Any]", fields)  # the names of a JSON object are texts


def read_as(shape: type[_T], fields: Mapping[str, Any]) -> _T:
    """The fields as a request. Raises `InvalidInput` that names the field."""
    try:
        return msgspec.convert(fields, shape)
    except msgspec.ValidationError as error:
        raise InvalidInput(_named(str(error))) from None


def _named(message: str) -> str:
    """msgspec's words, with the field first: "Expected `str`, got `int` - at `$.name`"."""
    what, at, where = message.rpartition(" - at `")
    return f"{where.rstrip('`').removeprefix('$').lstrip('.')}: {what}." if at else f"{message}."


def _check_texts(value: Any, where: str = "") -> None:
    """Raises `InvalidInput` for a text with what no text of ours may hold."""
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidInput(f"{where or 'The body'}: a text may not hold a NUL character.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{where or 'The body'}: a text may not hold a lone surrogate.") from None
    elif isinstance(value, list):
        for number, one in enumerate(cast("list[Any]", value)):
            _check_texts(one, f"{where}[{number}]")
    elif isinstance(value, dict):
        for name, one in cast("dict[str, Any]", value).items():
            _check_texts(name, where)
            _check_texts(one, f"{where}.{name}" if where else name[:80])


def _plain(error: Exception) -> str:
    return str(error).rstrip(".") if isinstance(error, msgspec.DecodeError) else type(error).__name__
