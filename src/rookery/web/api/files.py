"""The files of an agent's workspace."""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from rookery.channels.contract import HttpReply, problem
from rookery.errors import InvalidInput
from rookery.gateway.operations import files
from rookery.gateway.shapes import AgentFile, AgentFileNamed, AgentFilePut, AgentFiles
from rookery.sessions.workspace import ABSENT, LARGEST
from rookery.web.api.answers import Turned, answer, listing, nothing
from rookery.web.api.asking import Asked
from rookery.web.api.routes import Many, Media, Routes
from rookery.web.api.sessions import download
from rookery.web.asgi import read_body

routes = Routes("Files")

_FILE = "/api/agents/{id}/files/{path:path}"
_BODIES = ("text/markdown", "text/plain", "application/octet-stream")


@routes.route("GET", "/api/agents/{id}/files", {200: Many(AgentFile)})
async def list_files(asked: Asked, id: str) -> Response:
    """The files of one's agent, by path: what it is told about itself, and what it wrote."""
    return listing(await files.listed(asked.desk, AgentFiles(agent_id=id)))


@routes.route("GET", _FILE, {200: Media("text/markdown", "application/octet-stream")})
async def get_file(asked: Asked, id: str, path: str) -> Response:
    """What one file holds; its version stands in `ETag`."""
    found = await files.shown(asked.desk, AgentFileNamed(agent_id=id, path=path))
    headers = {**download(path.rpartition("/")[2]), "etag": f'"{found.version}"'}
    return Response(found.data, media_type=_media_type(path), headers=headers)


@routes.route("PUT", _FILE, {200: AgentFile}, body=_BODIES)
async def put_file(asked: Asked, id: str, path: str) -> Response:
    """Write one file, with the body as it is.

    With the `If-Match` of what was read, or `If-None-Match: *` for a new file, 412 when somebody else was faster.
    """
    data = await _body(asked.request)
    ask = AgentFilePut(agent_id=id, path=path, data=data, expected=_expected(asked.request))
    return answer(await files.put(asked.desk, ask))


@routes.route("DELETE", _FILE, {204: None})
async def remove_file(asked: Asked, id: str, path: str) -> Response:
    """Take one file away; with `If-Match` only as it was read."""
    await files.removed(asked.desk, AgentFileNamed(agent_id=id, path=path, expected=_expected(asked.request)))
    return nothing()


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _BODIES:
        words = f"Send the file as it is, as one of {', '.join(_BODIES)}."
        raise Turned(problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", words))
    body = await read_body(request.receive, request.headers.get("content-length"), LARGEST)
    if isinstance(body, HttpReply):
        raise Turned(body)
    return body


def _expected(request: Request) -> str | None:
    """The version that is to be there. Raises `InvalidInput`."""
    match, none = request.headers.get("if-match"), request.headers.get("if-none-match")
    if none is not None:
        if none.strip() != "*" or match is not None:
            raise InvalidInput("If-None-Match is '*' and stands without If-Match: no such file is to be there.")
        return ABSENT
    if match is None:
        return None
    tag = _TAG.fullmatch(match.strip())
    if tag is None:
        raise InvalidInput("If-Match is one ETag in quotes, as it came with the file.")
    return tag[1]


_TAG = re.compile(r'"([0-9a-f]{64})"')


def _media_type(path: str) -> str:
    return "text/markdown" if path.lower().endswith(".md") else "application/octet-stream"
