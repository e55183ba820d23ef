"""Who asks to be let in, and deciding about it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from rookery.gateway.idempotency import Repeated
from rookery.gateway.operations import pairings
from rookery.gateway.shapes import LetIn, Nothing, Pairing, PairingApprove, PairingReject
from rookery.web.api.answers import answer, listing, nothing
from rookery.web.api.asking import Asked, Sent
from rookery.web.api.routes import Many, Routes

routes = Routes("Pairings")


@routes.route("GET", "/api/pairings", {200: Many(Pairing)})
async def list_pairings(asked: Asked) -> Response:
    """The strangers and groups that wait to be let in, the oldest first."""
    return listing(await pairings.listed(asked.desk, Nothing()))


@routes.route("POST", "/api/pairings/{id}/approve", {200: LetIn}, once=True)
async def approve_pairing(
    asked: Asked, id: str, sent: Annotated[PairingApprove, Depends(Sent(PairingApprove, given={"id": "id"}))]
) -> Response:
    """Let somebody in, as the person they are; or a group, with its sponsor.

    With `code`, the request is approved only when that is the code its stranger was told: which proves that
    whoever gave it to you writes from that address. Without, you go by the address you see.
    """
    del id
    try:
        let_in = await pairings.approve(asked.once(sent), sent)
    except Repeated:
        let_in = await pairings.approve(asked.desk, sent)
    return answer(let_in)


@routes.route("POST", "/api/pairings/{id}/reject", {204: None})
async def reject_pairing(asked: Asked, id: str) -> Response:
    """Let somebody not in; they hear nothing of it."""
    await pairings.reject(asked.desk, PairingReject(id=id))
    return nothing()
