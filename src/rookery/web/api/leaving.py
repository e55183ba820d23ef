"""Leaving: what is kept of oneself, all of it as one file, and being erased."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response, StreamingResponse

from rookery.gateway.leaving.kept import Kept
from rookery.gateway.operations import leaving
from rookery.gateway.shapes import Erased, ExportPart, MeErase, UserErase, UserNamed
from rookery.web.api.answers import answer, nothing
from rookery.web.api.asking import Asked, Sent
from rookery.web.api.routes import Media, Routes

routes = Routes("Leaving")


@routes.route("GET", "/api/me/privacy", {200: Kept})
async def get_privacy(asked: Asked) -> Response:
    """What is kept of oneself, in numbers."""
    return answer(await leaving.kept(asked.desk, UserNamed(user_id=asked.caller.user.id)))


@routes.route("GET", "/api/me/export", {200: Media("application/zip")})
async def export_me(asked: Asked) -> Response:
    """Everything of oneself as one zip archive, written as it is sent.

    A connection that breaks leaves an archive without its end, which no program takes for a whole one.
    """
    user_id = asked.caller.user.id
    parts = leaving.export(asked.desk, UserNamed(user_id=user_id))
    first = await anext(parts)  # what cannot be done is said before the answer begins
    headers = {
        "content-disposition": f'attachment; filename="rookery-{user_id}.zip"',
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return StreamingResponse(_bytes(first, parts), media_type="application/zip", headers=headers)


@routes.route("DELETE", "/api/me", {204: None})
async def erase_me(asked: Asked, sent: Annotated[MeErase, Depends(Sent(MeErase))]) -> Response:
    """Erase oneself for good, with one's password.

    What is open on other devices is closed at once; the answer comes when nothing is there any more.
    """
    await leaving.erase_me(asked.desk, sent, asked.caller)
    return nothing()


@routes.route("DELETE", "/api/users/{id}", {204: None, 200: Erased})
async def erase_user(
    asked: Asked,
    id: str,
    hand_over_to: Annotated[str | None, Query(alias="handOverTo", max_length=100)] = None,
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,
) -> Response:
    """Erase a person for good.

    `handOverTo` takes over the groups and shared agents they sponsor. With `dryRun` nothing goes, and the answer
    is 200 with what would.
    """
    erased = await leaving.erase(asked.desk, UserErase(user_id=id, hand_over_to=hand_over_to, dry_run=dry_run))
    return answer(erased) if dry_run else nothing()


async def _bytes(first: ExportPart, rest: AsyncGenerator[ExportPart]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        yield first.data
        async for part in rest:
            yield part.data
