"""Files that people hand in, to say something about them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rookery.channels.contract import problem
from rookery.errors import InvalidInput
from rookery.gateway.idempotency import Repeated
from rookery.gateway.operations import attachments
from rookery.gateway.shapes import AttachmentAdd, AttachmentNamed, AttachmentShown
from rookery.web.api.answers import Turned, answer
from rookery.web.api.asking import Asked
from rookery.web.api.routes import Media, Routes
from rookery.web.api.sessions import download

routes = Routes("Attachments")

LARGEST = 25 << 20
"""The largest file that is taken, in bytes."""

_AROUND = 64 << 10
"""What a multipart body may hold beside the file, in bytes."""

_Agent = Annotated[str | None, Query(alias="agentId", max_length=200)]


@routes.route(
    "POST",
    "/api/attachments",
    {201: AttachmentShown},
    once=True,
    form={
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    },
)
async def add_attachment(asked: Asked, agent_id: _Agent = None) -> Response:
    """Hand in one file, as `file` of a multipart form, for an agent (one's own, unless another is named)."""
    name, content_type, data = await _file(asked.request)
    ask = AttachmentAdd(name=name, content_type=content_type, agent_id=agent_id, data=data)
    try:
        said = {} if asked.key is None else await asyncio.to_thread(attachments.said, ask)
        made = await attachments.add(asked.once(said), ask)
    except Repeated as repeated:
        made = await attachments.shown(
            asked.desk, AttachmentNamed(attachment_id=repeated.object_id, agent_id=agent_id)
        )
    return answer(made, HTTPStatus.CREATED)


@routes.route("GET", "/api/attachments/{id}", {200: Media("application/octet-stream")})
async def get_attachment(asked: Asked, id: str, agent_id: _Agent = None) -> Response:
    """A file that was handed in, as it is; to be saved, not to be shown."""
    found, data = await attachments.content(asked.desk, AttachmentNamed(attachment_id=id, agent_id=agent_id))
    return Response(data, media_type=found.content_type, headers=download(found.name))


async def _file(request: Request) -> tuple[str, str | None, bytes]:
    """The form's one file. Raises `Turned` for a body that is too large or no form, `InvalidInput` for another."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Turned(
            problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", "Send the file as multipart/form-data.")
        )
    bounded = Request(request.scope, _bounded(request))
    try:
        form = await bounded.form(max_files=1, max_fields=10, max_part_size=_AROUND)
    except HTTPException as error:
        raise InvalidInput(f"The form cannot be read: {error.detail}") from None
    async with _closing(form):
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidInput("file: the form has no file of that name.")
        return file.filename or "file", file.content_type, await file.read()


def _bounded(request: Request) -> Any:
    size = 0
    too_large = Turned(
        problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"A file may hold at most {LARGEST} bytes.")
    )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LARGEST + _AROUND:
        raise too_large

    async def receive() -> Any:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > LARGEST + _AROUND:
            raise too_large
        return message

    return receive


class _closing:  # noqa: N801
    """Closes a form at the end of a block."""

    def __init__(self, form: Any) -> None:
        self._form = form

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None:
        await self._form.close()
