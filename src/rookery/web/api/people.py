"""People, as an admin keeps them; everybody sees themselves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from rookery.config import WrittenAddress
from rookery.gateway.idempotency import Repeated
from rookery.gateway.operations import people
from rookery.gateway.shapes import (
    Identity,
    IdentityChange,
    IdentityList,
    Nothing,
    User,
    UserAdd,
    UserChange,
    UserNamed,
)
from rookery.web.api.answers import answer, listing, nothing
from rookery.web.api.asking import Asked, Sent
from rookery.web.api.routes import Many, Routes

routes = Routes("People")


@routes.route("GET", "/api/users", {200: Many(User)})
async def list_users(asked: Asked) -> Response:
    """Everybody, by id; to a member, themselves."""
    if asked.caller.actor.admin:
        return listing(await people.listed(asked.desk, Nothing()))
    return listing([await people.shown(asked.desk, UserNamed(user_id=asked.caller.user.id))])


@routes.route("POST", "/api/users", {201: User}, once=True)
async def add_user(asked: Asked, sent: Annotated[UserAdd, Depends(Sent(UserAdd))]) -> Response:
    """Add a person, with an agent of their own."""
    try:
        made = await people.add(asked.once(sent), sent)
    except Repeated as repeated:
        made = await people.shown(asked.desk, UserNamed(user_id=repeated.object_id))
    return answer(made, HTTPStatus.CREATED)


@routes.route("GET", "/api/users/{id}", {200: User})
async def get_user(asked: Asked, id: str) -> Response:
    """One person."""
    return answer(await people.shown(asked.desk, UserNamed(user_id=id)))


@routes.route("PATCH", "/api/users/{id}", {200: User})
async def change_user(
    asked: Asked, id: str, sent: Annotated[UserChange, Depends(Sent(UserChange, given={"userId": "id"}))]
) -> Response:
    """Change somebody's name, role, time zone or language, or whether they may come in at all."""
    del id
    return answer(await people.change(asked.desk, sent))


@routes.route("GET", "/api/users/{id}/identities", {200: Many(Identity)})
async def list_identities(asked: Asked, id: str) -> Response:
    """The addresses that are this person."""
    return listing(await people.identities(asked.desk, IdentityList(user_id=id)))


@routes.route("POST", "/api/users/{id}/identities", {201: Identity}, once=True)
async def link_identity(
    asked: Asked,
    id: str,
    sent: Annotated[IdentityChange, Depends(Sent(IdentityChange, given={"userId": "id"}))],
) -> Response:
    """Link an address; one that is theirs already stays so, so that asking again changes nothing."""
    try:
        made = await people.link(asked.once(sent), sent)
    except Repeated as repeated:
        there = await people.identities(asked.desk, IdentityList(user_id=id))
        made = next((one for one in there if _spelled(one) == repeated.object_id), None)
        if made is None:
            raise  # it was unlinked meanwhile
    return answer(made, HTTPStatus.CREATED)


@routes.route("DELETE", "/api/users/{id}/identities", {204: None})
async def unlink_identity(
    asked: Asked,
    id: str,
    channel: Annotated[str, Query(max_length=100)],
    sender: Annotated[str, Query(max_length=1000)],
    account: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """Unlink an address; without `account` the one that holds on every account."""
    ask = IdentityChange(user_id=id, channel=channel, sender=sender, account=account)
    await people.unlink(asked.desk, ask)
    return nothing()


def _spelled(identity: Identity) -> str:
    return str(WrittenAddress(identity.channel, identity.account, identity.sender))
