"""The person who asks, and what they may change of themselves."""

from __future__ import annotations

import json

from sqlalchemy import Connection

from rookery import users
from rookery.gateway.operations import permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import Me, MeChange
from rookery.policy import Action
from rookery.users import User, passwords


async def me(desk: Desk, user_id: str) -> Me:
    """The person. Raises `NotFound` for anybody else."""
    await permission.on_person(desk, Action.READ_PERSON, user_id)
    return await desk.house.database.read(
        lambda connection: me_of(connection, permission.someone(connection, desk, user_id))
    )


async def change_me(desk: Desk, user_id: str, ask: MeChange) -> Me:
    """Change one's time zone, language and preferences, and, as an admin, one's name.

    Raises `NotFound` for anybody else, `Refused`, and `InvalidInput` for what there is not.
    """
    await permission.on_person(desk, Action.CHANGE_PREFERENCES, user_id)
    if ask.name is not None:
        await permission.on_person(desk, Action.MANAGE_PERSON, user_id)
    await permission.check_timezone(ask.timezone)

    def work(connection: Connection) -> Me:
        permission.still(connection, desk)
        user = permission.someone(connection, desk, user_id)
        changed = users.change_user(
            connection, user.id, name=ask.name, timezone=ask.timezone, language=ask.language
        )
        if ask.preferences:
            changed = users.prefer(connection, user.id, ask.preferences)
        if (changed.name, changed.timezone, changed.language) != (user.name, user.timezone, user.language):
            desk.record(connection, "user.change", user.id, user.id)
        return me_of(connection, changed)

    return await desk.house.database.write(work)


def me_of(connection: Connection, user: User) -> Me:
    """A user, as they see themselves."""
    kept = passwords.get_password(connection, user.id)
    return Me(
        id=user.id,
        name=user.name,
        role=user.role,
        timezone=user.timezone,
        language=user.language,
        preferences=json.loads(user.preferences),
        must_change_password=kept is not None and kept.must_change,
    )
