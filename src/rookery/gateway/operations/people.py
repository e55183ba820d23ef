"""Users and their addresses."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery import users
from rookery.config import check_address
from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.gateway.operations.desk import Desk, known_user
from rookery.gateway.rules import INTERNAL_CHANNELS
from rookery.gateway.shapes import (
    Done,
    Identity,
    IdentityChange,
    IdentityList,
    Nothing,
    User,
    UserAdd,
)
from rookery.ids import UserId, fold


async def add(desk: Desk, ask: UserAdd) -> User:
    """Add a person and their main agent. Raises `InvalidId`, `InvalidInput` or `Conflict`."""
    for name in desk.config.session.identity_links:
        if fold(name) == fold(ask.id):
            # On a shared agent the guests of that name have a place, which would become this person's.
            raise Conflict(
                f"session.identityLinks calls somebody {name!r} already; choose another id, or take the name out "
                "of rookery.yaml first."
            )

    def work(connection: Connection) -> User:
        added = users.add_user(
            connection,
            ask.id,
            name=ask.name,
            role=ask.role,
            timezone=ask.timezone,
            language=ask.language,
            now=desk.now(),
        )
        return _user(connection, added)

    return await desk.house.database.write(work)


async def listed(desk: Desk, _: Nothing) -> list[User]:
    """Everybody, by id."""
    return await desk.house.database.read(
        lambda connection: [_user(connection, user) for user in users.list_users(connection)]
    )


async def link(desk: Desk, ask: IdentityChange) -> Identity:
    """Make an address the user's. Raises `NotFound`, `InvalidInput`, or `Conflict` when it is somebody else's."""
    _check(ask)

    def work(connection: Connection) -> users.Identity:
        user = known_user(connection, ask.user_id)
        return users.link(connection, user.id, ask.channel, ask.account, ask.sender, now=desk.now())

    return _identity(await desk.house.database.write(work))


async def unlink(desk: Desk, ask: IdentityChange) -> Done:
    """Take an address from the user. Raises `NotFound` that says which ones they have."""

    def work(connection: Connection) -> None:
        user = known_user(connection, ask.user_id)
        try:
            users.unlink(connection, user.id, ask.channel, ask.account, ask.sender)
        except NotFound as error:
            theirs = ", ".join(map(str, users.list_identities(connection, user.id)))
            raise NotFound(f"{error.detail} They have {theirs or 'none'}.") from None

    await desk.house.database.write(work)
    return Done(f"{_spelled(ask)} is no longer {ask.user_id}'s.")


async def identities(desk: Desk, ask: IdentityList) -> list[Identity]:
    """All addresses, or one user's."""

    def look(connection: Connection) -> list[users.Identity]:
        if ask.user_id is None:
            return users.list_identities(connection)
        return users.list_identities(connection, known_user(connection, ask.user_id).id)

    return [_identity(identity) for identity in await desk.house.database.read(look)]


def _check(ask: IdentityChange) -> None:
    check_address(ask.channel, ask.account, ask.sender)
    if ask.channel in INTERNAL_CHANNELS | {"cron"}:
        raise InvalidInput(
            f"{ask.channel} needs no linking: there a person is known by their user id; "
            "link addresses of chat networks."
        )
    if not ask.sender.isprintable() or ask.sender != ask.sender.strip():
        raise InvalidInput(f"{ask.sender!r} is no sender id: it holds control characters or spaces around it.")


def _spelled(ask: IdentityChange) -> str:
    account = "" if ask.account is None else f"@{ask.account}"
    return f"{ask.channel}{account}:{ask.sender}"


def _user(connection: Connection, user: users.User) -> User:
    own = users.list_agents(connection, UserId(user.id))
    return User(
        id=user.id,
        name=user.name,
        role=user.role,
        enabled=user.enabled,
        timezone=user.timezone,
        language=user.language,
        created_at=user.created_at,
        agents=tuple(agent.id for agent in own),
    )


def _identity(identity: users.Identity) -> Identity:
    return Identity(
        channel=identity.channel,
        account=identity.account,
        sender=identity.sender,
        user_id=identity.user_id,
        linked_at=identity.linked_at,
    )
