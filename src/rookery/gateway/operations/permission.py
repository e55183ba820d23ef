"""Asking the gate for what is done to a person or the house, so that a refusal is on record as the deed is."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from rookery import ids, users
from rookery.errors import InvalidId, NotFound, Refused
from rookery.gateway import audit
from rookery.gateway.audit import AuditRow
from rookery.gateway.operations.desk import Desk, known_user
from rookery.ids import UserId
from rookery.policy import HOUSE, Action, Member, PersonResource, may, principal

_LOOKS = frozenset({Action.READ_PERSON, Action.READ_CREDENTIALS, Action.READ_IDENTITIES, Action.LIST_PEOPLE})
"""Who is refused a look leaves a line in the log, as everybody who is refused does, and nothing more."""


async def on_house(desk: Desk, action: Action) -> None:
    """Raises `Refused` unless whoever is at the desk may do this to the house."""
    try:
        desk.ask(action, HOUSE)
    except Refused:
        await _keep_refusal(desk, action, "house", None)
        raise


async def on_person(desk: Desk, action: Action, user_id: str, absent: str | None = None) -> None:
    """Raises `NotFound` unless whoever is at the desk may do this to that person, in the words for nobody.

    To oneself nothing is absent: then it raises `Refused`.
    """
    own = isinstance(desk.actor, Member) and desk.actor.user_id == user_id
    try:
        desk.ask(action, PersonResource(UserId(user_id)), None if own else absent or nobody(user_id))
    except (Refused, NotFound):
        await _keep_refusal(desk, action, "person", user_id)
        raise


def still(connection: Connection, desk: Desk) -> None:
    """Raises `Refused` when a person at the desk has lost meanwhile what they were let do this by: asked in the
    transaction that does it, where it counts."""
    actor = desk.actor
    if isinstance(actor, Member):
        user = users.get_user(connection, actor.user_id)
        if not user.enabled or (actor.admin and user.role != "admin"):
            raise Refused("You may not do that any more.")


def someone(connection: Connection, desk: Desk, user_id: str) -> users.User:
    """The user. Raises `NotFound`, which only who may see everybody is told more of than that."""
    found = _known(connection, user_id)
    if found is not None:
        return found
    if may(desk.actor, Action.LIST_PEOPLE, HOUSE):
        return known_user(connection, user_id.encode(errors="replace").replace(b"\0", b"?").decode())
    raise NotFound(nobody(user_id))


def _known(connection: Connection, user_id: str) -> users.User | None:
    try:
        return users.get_user(connection, ids.user_id(user_id))  # no other text is put to the database
    except (InvalidId, NotFound):
        return None


async def check_timezone(timezone: str | None) -> None:
    """Raises `InvalidInput` for no time zone: asked beside the event loop, the list of them is on the disk."""
    if timezone is not None:
        await asyncio.to_thread(users.check_timezone, timezone)


def nobody(user_id: str) -> str:
    """The words for a user there is not."""
    return f"There is no user {user_id[:80]!r}."


async def _keep_refusal(desk: Desk, action: Action, sort: str, user_id: str | None) -> None:
    if action in _LOOKS:
        return
    who = principal(desk.actor)

    def look(connection: Connection) -> UserId | None:
        # Of a name that is nobody's, what was typed is not kept.
        user = None if user_id is None else _known(connection, user_id)
        return None if user is None else user.id

    concerned = await desk.house.database.read(look)
    object = desk.house.gateway.refusals.of_person(who, concerned or sort)
    if object is not None:
        row = AuditRow(desk.now(), who, concerned, action.value, object, "denied")
        await desk.house.database.write(lambda connection: audit.keep(connection, row))
