"""On record: that somebody else than the person had to do with their sessions."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.finding import Found
from rookery.ids import UserId
from rookery.policy import Member


async def look(desk: Desk, user_id: UserId, action: str, what: str) -> None:
    """Put on record that somebody else than the person looked; nothing is shown before that is committed."""
    if not _oneself(desk, user_id):
        await desk.house.database.write(lambda connection: desk.record(connection, action, what, user_id))


async def look_at_group(desk: Desk, found: Found, action: str) -> None:
    """Put on record, for a group's sponsor, that an admin reads what was said there."""
    if found.whose is None and found.agent.sponsor is not None:
        await look(desk, found.agent.sponsor, action, found.session_id)


def deed(connection: Connection, desk: Desk, user_id: UserId, action: str, what: str) -> None:
    """Put on record, in the transaction that does it, what somebody else than the person does for them."""
    if not _oneself(desk, user_id):
        desk.record(connection, action, what, user_id)


def _oneself(desk: Desk, user_id: UserId) -> bool:
    return isinstance(desk.actor, Member) and desk.actor.user_id == user_id
