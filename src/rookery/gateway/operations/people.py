"""Users and their addresses."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, UnsetType
from sqlalchemy import Connection

from rookery import users
from rookery.config import WrittenAddress, canonical, check_address
from rookery.errors import Conflict, NotFound
from rookery.gateway import turns
from rookery.gateway.leaving.people import is_erased
from rookery.gateway.operations import closing, permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import (
    Done,
    Identity,
    IdentityChange,
    IdentityList,
    Nothing,
    User,
    UserAdd,
    UserChange,
    UserNamed,
)
from rookery.ids import TurnId, UserId, fold
from rookery.policy import HOUSE, Action, Member, PersonResource, Schedule, may, principal, read_permissions
from rookery.users import passwords


async def add(desk: Desk, ask: UserAdd) -> User:
    """Add a person and their main agent. Raises `Refused`, `InvalidId`, `InvalidInput` or `Conflict`."""
    await permission.on_house(desk, Action.ADD_PERSON)
    check_free(desk, ask.id)
    await permission.check_timezone(ask.timezone)
    hash = None
    if ask.password is not None:
        hash = await desk.house.gateway.hasher.new(ask.password, (ask.id, ask.name or ask.id))

    def work(connection: Connection) -> User:
        permission.still(connection, desk)
        added = users.add_user(
            connection,
            ask.id,
            name=ask.name,
            role=ask.role,
            timezone=ask.timezone,
            language=ask.language,
            now=desk.now(),
        )
        if hash is not None:
            passwords.keep_password(connection, added.id, hash, must_change=True, now=desk.now())
        desk.record(connection, "user.add", f"{added.id} {added.role}", added.id)
        return _user(connection, added)

    return await desk.write(work, lambda user: user.id)


def check_free(desk: Desk, id: str) -> None:
    """Raises `Conflict` for an id that the configuration calls somebody by who is no user."""
    for name in desk.config.session.identity_links:
        if fold(name) == fold(id):
            # On a shared agent the guests of that name have a place, which would become this person's.
            raise Conflict(
                f"session.identityLinks calls somebody {name!r} already; choose another id, or take the name out "
                "of rookery.yaml first."
            )


async def listed(desk: Desk, _: Nothing) -> list[User]:
    """Everybody whom whoever asks may see, by id: themselves, and an admin everybody."""

    def look(connection: Connection) -> list[User]:
        if isinstance(desk.actor, Member) and not may(desk.actor, Action.LIST_PEOPLE, HOUSE):
            desk.ask(Action.READ_PERSON, PersonResource(desk.actor.user_id))
            return [_user(connection, users.get_user(connection, desk.actor.user_id))]
        desk.ask(Action.LIST_PEOPLE, HOUSE)
        return [_user(connection, user) for user in users.list_users(connection)]

    return await desk.house.database.read(look)


async def shown(desk: Desk, ask: UserNamed) -> User:
    """One person. Raises `NotFound`, also for somebody who is not theirs to see."""
    await permission.on_person(desk, Action.READ_PERSON, ask.user_id)
    return await desk.house.database.read(
        lambda connection: _user(connection, permission.someone(connection, desk, ask.user_id))
    )


async def change(desk: Desk, ask: UserChange) -> User:
    """Change what is said of a person, and whether they may come in.

    Who is switched off is out at once: what is open for them is closed, what is being answered stopped, what waits
    not answered; their tokens and devices count again when they are switched on again. So it is with what came by,
    or stands for, a kind of channel that they may not use any more. Raises `NotFound`, `Refused`, `InvalidInput`,
    and `Conflict` when nobody would be left who is an admin.
    """
    own = isinstance(desk.actor, Member) and desk.actor.user_id == ask.user_id
    kept = (ask.name, ask.role, ask.enabled) == (None, None, None) and isinstance(ask.permissions, UnsetType)
    if not own or not kept:
        await permission.on_person(desk, Action.MANAGE_PERSON, ask.user_id)
    else:
        await permission.on_person(desk, Action.CHANGE_PREFERENCES, ask.user_id)
    await permission.check_timezone(ask.timezone)

    def work(connection: Connection) -> _Changed:
        permission.still(connection, desk)
        before = permission.someone(connection, desk, ask.user_id)
        if ask.enabled and is_erased(connection, before.id):
            raise Conflict(f"{before.id!r} is being erased, and does not come back.")
        after = users.change_user(
            connection,
            before.id,
            name=ask.name,
            role=ask.role,
            enabled=ask.enabled,
            timezone=ask.timezone,
            language=ask.language,
        )
        if not isinstance(ask.permissions, UnsetType):
            after = users.set_permissions(connection, before.id, ask.permissions)
        ended = before.enabled and not after.enabled
        stopped, closed = closing.narrowed(connection, before, after)
        if ended:
            whose = [principal(Member(after.id)), principal(Schedule(after.id))]
            stopped = turns.stop(connection, None, whose)  # all of theirs
        for action, object in _deeds(before, after):
            desk.record(connection, action, object, after.id)
        return _Changed(_user(connection, after), ended, stopped, closed)

    gateway = desk.house.gateway

    def tell(changed: _Changed) -> None:
        gateway.lanes.stop(changed.stopped)
        if changed.ended:
            gateway.revocations.tell(UserId(changed.user.id))
        for credential_id in changed.closed:
            gateway.revocations.tell(UserId(changed.user.id), credential_id)

    with gateway.catching_up():
        return (await gateway.database.write(work, then=tell)).user


class _Changed(Struct, frozen=True):
    user: User
    ended: bool
    stopped: list[TurnId]
    closed: list[str]


def _deeds(before: users.User, after: users.User) -> Iterator[tuple[str, str]]:
    """What was done to a person, as the audit trail has it."""
    if before.enabled != after.enabled:
        yield "user.enable" if after.enabled else "user.disable", after.id
    if before.role != after.role:
        yield "user.role", f"{after.id} {after.role}"
    if before.permissions != after.permissions:
        words = "all" if after.permissions is None else ",".join(after.permissions) or "none"
        yield "user.permissions", f"{after.id} {words}"
    if (before.name, before.timezone, before.language) != (after.name, after.timezone, after.language):
        yield "user.change", after.id


async def link(desk: Desk, ask: IdentityChange) -> Identity:
    """Make an address the user's, written as its channel writes it.

    Raises `NotFound`, `InvalidInput`, or `Conflict` when it is somebody else's.
    """
    await permission.on_person(desk, Action.LINK_IDENTITY, ask.user_id)
    address = canonical(check_address(ask.channel, ask.account, ask.sender))

    def work(connection: Connection) -> users.Identity:
        permission.still(connection, desk)
        user = permission.someone(connection, desk, ask.user_id)
        linked = users.link(connection, user.id, *address, now=desk.now())
        desk.record(connection, "identity.link", str(linked), user.id)
        return linked

    return _identity(await desk.write(work, str))


async def unlink(desk: Desk, ask: IdentityChange) -> Done:
    """Take an address from the user, or one's own off. Raises `NotFound` that says which ones they have."""
    own = isinstance(desk.actor, Member) and desk.actor.user_id == ask.user_id
    await permission.on_person(desk, Action.LEAVE_IDENTITY if own else Action.LINK_IDENTITY, ask.user_id)
    written = check_address(ask.channel, ask.account, ask.sender)

    def work(connection: Connection) -> WrittenAddress:
        permission.still(connection, desk)
        user = permission.someone(connection, desk, ask.user_id)
        theirs = users.list_identities(connection, user.id)
        known = {WrittenAddress(one.channel, one.account, one.sender) for one in theirs}
        gone = written if written in known else canonical(written)  # one from before may be written otherwise
        try:
            users.unlink(connection, user.id, *gone)
        except NotFound as error:
            raise NotFound(f"{error.detail} They have {', '.join(map(str, theirs)) or 'none'}.") from None
        desk.record(connection, "identity.unlink", str(gone), user.id)
        return gone

    return Done(f"{await desk.house.database.write(work)} is no longer {ask.user_id}'s.")


async def identities(desk: Desk, ask: IdentityList) -> list[Identity]:
    """All addresses, or one user's. Raises `Refused` for all, `NotFound` for one's, where they are not theirs."""
    if ask.user_id is None:
        await permission.on_house(desk, Action.LIST_PEOPLE)
    else:
        await permission.on_person(desk, Action.READ_IDENTITIES, ask.user_id)

    def look(connection: Connection) -> list[users.Identity]:
        if ask.user_id is None:
            return users.list_identities(connection)
        return users.list_identities(connection, permission.someone(connection, desk, ask.user_id).id)

    return [_identity(identity) for identity in await desk.house.database.read(look)]


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
        from_file=user.from_file,
        permissions=None if user.permissions is None else read_permissions(user.permissions),
    )


def _identity(identity: users.Identity) -> Identity:
    return Identity(
        channel=identity.channel,
        account=identity.account,
        sender=identity.sender,
        user_id=identity.user_id,
        linked_at=identity.linked_at,
    )
