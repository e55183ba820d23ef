"""How a route of the REST interface is declared: once, with all that the OpenAPI document says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter
from msgspec import Struct

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Many:
    """A whole list of these, as `{items, nextCursor}`; `or_as` are further content types it can be had as."""

    of: type[Struct]
    or_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Media:
    """A body that is no JSON of ours, of one of these types."""

    content_types: tuple[str, ...]

    def __init__(self, *content_types: str) -> None:
        object.__setattr__(self, "content_types", content_types)


Shape = type[Struct] | Many | Media | None


@dataclass(frozen=True, slots=True)
class Doc:
    """What a route answers by status, beside problems; `once` when it takes an `Idempotency-Key`.

    `form` is the schema of a multipart body, `body` the types of one that is taken as it is.
    """

    answers: Mapping[int, Shape]
    once: bool = False
    form: Mapping[str, Any] | None = None
    body: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of one subject."""

    tag: str
    router: APIRouter = field(default_factory=APIRouter)
    docs: dict[Any, Doc] = field(default_factory=dict[Any, Doc])

    def route(
        self,
        method: str,
        path: str,
        answers: Mapping[int, Shape],
        *,
        once: bool = False,
        form: Mapping[str, Any] | None = None,
        body: tuple[str, ...] = (),
    ) -> Callable[[Handler], Handler]:
        """Declare a handler, whose docstring's first line is what the document says of it."""

        def declare(handler: Handler) -> Handler:
            words = (handler.__doc__ or "").strip()
            self.router.add_api_route(
                path,
                handler,
                methods=[method],
                response_model=None,
                status_code=min(answers),
                summary=words.split("\n", 1)[0].rstrip("."),
                description=words.partition("\n\n")[2] or None,
                operation_id=handler.__name__,
                tags=[self.tag],
            )
            self.docs[handler] = Doc(answers, once, form, body)
            return handler

        return declare
