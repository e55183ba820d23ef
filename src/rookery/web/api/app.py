"""The REST interface as one application; importing this imports FastAPI, so only `door` does, and late."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

import rookery
from rookery.channels.contract import problem
from rookery.errors import RookeryError
from rookery.web.api import (
    agents,
    attachments,
    coming_in,
    files,
    leaving,
    linking,
    metrics,
    pairings,
    people,
    sessions,
    usage,
)
from rookery.web.api.answers import Turned, from_reply, refusal
from rookery.web.api.document import document
from rookery.web.asgi import method_not_allowed, nothing_here

SUBJECTS = (
    coming_in.routes,
    sessions.routes,
    attachments.routes,
    people.routes,
    leaving.routes,
    pairings.routes,
    linking.routes,
    agents.routes,
    files.routes,
    usage.routes,
    metrics.routes,
)
"""Everything that is answered here."""


class Api(FastAPI):
    """FastAPI with our own words for every refusal, and nothing between us and what goes wrong on our side."""

    def build_middleware_stack(self) -> ASGIApp:
        # Without the usual outermost layer: a mistake of ours goes on to `web.app`, which logs it without what
        # anybody said and answers as for every other door.
        handlers: dict[Any, Any] = dict(self.exception_handlers)
        return ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=handlers)


@cache
def build() -> Api:
    """The application, made once; what a request is answered from comes with it, in `request.state`."""
    api = Api(
        title="Rookery",
        version=rookery.__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            RookeryError: _on_error,
            Turned: _on_turned,
            RequestValidationError: _on_parameters,
            HTTPException: _on_no_route,
        },
    )
    for subject in SUBJECTS:
        api.include_router(subject.router)
    written = msgspec.json.encode(document(api, SUBJECTS))

    async def openapi(request: Request) -> Response:
        del request
        return Response(written, media_type="application/json", headers={"cache-control": "no-cache"})

    api.router.add_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)
    return api


async def _on_error(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RookeryError), "it is handed no other"
    return refusal(error)


async def _on_turned(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Turned), "it is handed no other"
    return from_reply(error.reply)


async def _on_parameters(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestValidationError), "it is handed no other"
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return from_reply(problem(HTTPStatus.BAD_REQUEST, "invalid", f"{where}: {first['msg']}."))


def _methods_of(request: Request) -> set[str]:
    """The methods that the request's path has."""
    routes = [route for subject in SUBJECTS for route in subject.router.routes if isinstance(route, APIRoute)]
    found: set[str] = set()
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= set(route.methods or ())
    return found or {"GET"}


async def _on_no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "it is handed no other"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return from_reply(method_not_allowed(", ".join(sorted(_methods_of(request)))))
    if error.status_code == HTTPStatus.NOT_FOUND:
        return from_reply(nothing_here())
    return from_reply(problem(HTTPStatus(error.status_code), "invalid", str(error.detail)))
