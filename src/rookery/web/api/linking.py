"""Joining another address of one's own, with a code that is typed there."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from rookery.gateway.operations import linking
from rookery.gateway.shapes import Identity, LinkCode, LinkNamed, LinkState
from rookery.web.api.answers import answer, listing, nothing
from rookery.web.api.asking import Asked
from rookery.web.api.routes import Many, Routes

routes = Routes("Addresses")


@routes.route("POST", "/api/identities/link-code", {201: LinkCode}, once=True)
async def make_code(asked: Asked) -> Response:
    """Make a code that joins another address of one's own; it is shown this once, and ends the one before it.

    It is typed there, as `/link CODE`; that side answers `/link yes`, and then it is confirmed here. The same
    `Idempotency-Key` again is answered 409 `repeated`: the code was made, and cannot be shown again.
    """
    return answer(await linking.make_code(asked.once({})), HTTPStatus.CREATED)


@routes.route("GET", "/api/identities/links", {200: Many(LinkState)})
async def list_links(asked: Asked) -> Response:
    """The code that still counts, if there is one, and how far it has come."""
    return listing(await linking.listed(asked.desk))


@routes.route("POST", "/api/identities/links/{id}/confirm", {200: Identity})
async def confirm_link(asked: Asked, id: str) -> Response:
    """Say the last yes: the address where the code was typed is one's own from now on."""
    return answer(await linking.confirm(asked.desk, LinkNamed(id=id)))


@routes.route("DELETE", "/api/identities/links/{id}", {204: None})
async def decline_link(asked: Asked, id: str) -> Response:
    """Say no: the code does not count any more."""
    await linking.decline(asked.desk, LinkNamed(id=id))
    return nothing()
