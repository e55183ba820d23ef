"""The OpenAPI document: parameters as FastAPI knows them, shapes as msgspec knows them, and every other route."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from msgspec import Struct

import rookery
from rookery.web.api.asking import LONGEST_KEY, asking, asking_even_held
from rookery.web.api.routes import Doc, Many, Media, Routes, Shape

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PROBLEM: Json = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request was refused (RFC 9457); `code` is a stable word for it.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "suggestion": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_DEFAULT: Json = {
    "description": "The request was refused.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again does nothing twice: one's own, for this route, within 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
}


def document(app: FastAPI, subjects: Iterable[Routes]) -> Json:
    """The whole document."""
    docs: dict[Any, Doc] = {}
    for subject in subjects:
        docs |= subject.docs
    made: Json = get_openapi(
        title="Rookery",
        version=rookery.__version__,
        description="Several people, one gateway, a brain of their own for each.",
        routes=[route for subject in subjects for route in subject.router.routes],
    )
    shapes: dict[str, type[Struct]] = {}
    bodies: dict[str, Json] = {}
    for route in (route for subject in subjects for route in subject.router.routes):
        assert isinstance(route, APIRoute), "all our routes are declared by Routes"
        (method,) = route.methods or {"GET"}
        operation: Json = made["paths"][route.path_format][method.lower()]
        _describe(operation, route, docs[route.endpoint], shapes, bodies)
    made["paths"] |= _PLAIN
    _, components = msgspec.json.schema_components(list(shapes.values()), ref_template=_REF)
    for name, body in bodies.items():
        whole = components[body["of"]]
        kept = {key: value for key, value in whole["properties"].items() if key not in body["given"]}
        required = [key for key in whole.get("required", ()) if key in kept]
        components[name] = {
            **whole,
            "title": name,
            "properties": kept,
            "required": required,
            "additionalProperties": not body["closed"],
        }
    made["components"] = {
        "schemas": {**dict(sorted(components.items())), "Problem": _PROBLEM},
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "An API token, `rk_…`."},
            "cookie": {"type": "apiKey", "in": "cookie", "name": "rookery_session"},
        },
    }
    del app
    return made


def _describe(
    operation: Json, route: APIRoute, doc: Doc, shapes: dict[str, type[Struct]], bodies: dict[str, Json]
) -> None:
    if operation.get("description", "").rstrip(".") == operation["summary"]:
        del operation["description"]
    calls = list(_calls(route.dependant))
    operation["responses"] = {
        **{str(status): _response(status, shape, shapes) for status, shape in doc.answers.items()},
        "default": _DEFAULT,
    }
    if asking in calls or asking_even_held in calls or route.path == "/metrics":
        operation["security"] = [{"token": []}, {"cookie": []}, *([{}] if route.path == "/metrics" else [])]
    if doc.once:
        operation.setdefault("parameters", []).append(_KEY)
    if doc.form is not None:
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": doc.form}}}
    if doc.body:
        schema: Json = {"type": "string", "format": "binary"}
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind in doc.body}}
    for call in calls:
        shape: type[Struct] | None = getattr(call, "shape", None)
        if shape is None:
            continue
        given: Mapping[str, str] = getattr(call, "given", {})
        name = shape.__name__
        shapes[name] = shape
        closed = getattr(call, "closed", True)
        if given or not closed:
            bodies[f"{name}Body"] = {"of": name, "given": given, "closed": closed}
            name = f"{name}Body"
        schema = {"$ref": _REF.format(name=name)}
        operation["requestBody"] = {
            "required": not getattr(call, "optional", False),
            "content": {"application/json": {"schema": schema}},
        }


def _calls(dependant: Dependant) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


def _response(status: int, shape: Shape, shapes: dict[str, type[Struct]]) -> Json:
    response: Json = {"description": HTTPStatus(status).phrase}
    if shape is None:
        return response
    if isinstance(shape, Media):
        schema: Json = {"type": "string"}
        response["content"] = {
            kind: {"schema": {**schema, **({"format": "binary"} if kind == "application/octet-stream" else {})}}
            for kind in shape.content_types
        }
        return response
    one = shape.of if isinstance(shape, Many) else shape
    shapes[one.__name__] = one
    schema = {"$ref": _REF.format(name=one.__name__)}
    if isinstance(shape, Many):
        schema = {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": schema},
                "nextCursor": {"type": ["string", "null"]},
            },
            "required": ["items", "nextCursor"],
        }
    response["content"] = {"application/json": {"schema": schema}}
    if isinstance(shape, Many):
        response["content"] |= {kind: {"schema": {"type": "string"}} for kind in shape.or_as}
    return response


# --- what is answered by plain ASGI -------------------------------------------------------------------------


_OPENAI: Json = {
    "description": "The request was refused, in OpenAI's words.",
    "content": {
        "application/json": {"schema": {"type": "object", "required": ["error"]}},
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
    },
}


def _plain(
    summary: str, tag: str, answers: Mapping[str, str], *, body: Json | None = None, security: bool = False
) -> Json:
    operation: Json = {
        "summary": summary,
        "tags": [tag],
        "responses": {
            **{status: {"description": words} for status, words in answers.items()},
            "default": _OPENAI if tag == "OpenAI" else _DEFAULT,
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if security:
        operation["security"] = [{"token": []}, {"cookie": []}]
    return operation


def _parameter(name: str, where: str, kind: str = "string", *, required: bool = False) -> Json:
    return {"name": name, "in": where, "required": required, "schema": {"type": kind}}


_PLAIN: Json = {
    "/healthz": {"get": _plain("The process answers", "Health", {"200": "It does."})},
    "/readyz": {"get": _plain("Messages can be accepted", "Health", {"200": "They can.", "503": "Not now."})},
    "/openapi.json": {"get": _plain("This document", "Health", {"200": "OpenAPI, as JSON."})},
    "/api/ws": {
        "get": _plain(
            "The WebSocket: what happens in one's sessions, as it happens",
            "Events",
            {"101": "The socket is open.", "403": "Nobody we know, or a page of somebody else's."},
            security=True,
        )
        | {
            "parameters": [
                _parameter("since", "query", "integer"),
                _parameter("epoch", "query"),
                _parameter("render", "query"),
            ]
        }
    },
    "/api/channels/webhook/{account}": {
        "post": _plain(
            "A message from a bridge, signed with the account's secret",
            "Channels",
            {"200": "It was seen before.", "202": "It is accepted."},
            body={"type": "object"},
        )
        | {
            "parameters": [
                _parameter("account", "path", required=True),
                _parameter("X-Rookery-Timestamp", "header", required=True),
                _parameter("X-Rookery-Signature", "header", required=True),
            ]
        }
    },
    "/v1/models": {
        "get": _plain("The agents one may talk to, as models", "OpenAI", {"200": "A list."}, security=True)
    },
    "/v1/models/{model}": {
        "get": _plain("One agent, as a model", "OpenAI", {"200": "A model."}, security=True)
        | {"parameters": [_parameter("model", "path", required=True)]}
    },
    "/v1/chat/completions": {
        "post": _plain(
            "Talk to an agent, as OpenAI's clients do",
            "OpenAI",
            {"200": "A completion, or a stream of its chunks."},
            body={"type": "object"},
            security=True,
        )
        | {"parameters": [_parameter("X-Rookery-Session-Key", "header")]}
    },
}
