"""Tokens and devices: making, seeing and ending what stands for somebody in a request."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery.errors import InvalidInput, NotFound
from rookery.gateway import callers
from rookery.gateway.operations import permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import CredentialNamed, Device, Done, Token, TokenList, TokenMade, TokenNew
from rookery.ids import UserId
from rookery.policy import Action, Member
from rookery.users import Credential, CredentialKind, credentials, list_users


async def create_token(desk: Desk, ask: TokenNew) -> TokenMade:
    """Make an API token, whose secret is told this once. Nobody but the operator makes one for somebody else.

    Raises `NotFound` for somebody else, `InvalidInput` for a name that is no line.
    """
    user_id = _whose(desk, ask.user_id)
    await permission.on_person(desk, Action.CREATE_TOKEN, user_id)

    def work(connection: Connection) -> TokenMade:
        permission.still(connection, desk)
        user = permission.someone(connection, desk, user_id)
        issued = credentials.issue(connection, user.id, CredentialKind.TOKEN, ask.name, now=desk.now())
        made = issued.credential
        desk.record(connection, "token.create", made.id, user.id)
        return TokenMade(
            id=made.id, user_id=user.id, name=made.name, token=issued.secret, created_at=made.created_at
        )

    return await desk.write(work, lambda token: token.id)


async def list_tokens(desk: Desk, ask: TokenList) -> list[Token]:
    """Somebody's tokens, newest first; the operator sees everybody's. Raises `NotFound` for somebody else's."""
    if ask.user_id is None and not isinstance(desk.actor, Member):

        def everybodys(connection: Connection) -> list[Credential]:
            return [one for user in list_users(connection) for one in _tokens(connection, user.id)]

        await permission.on_house(desk, Action.LIST_PEOPLE)
        return [_token(one) for one in await desk.house.database.read(everybodys)]
    user_id = _whose(desk, ask.user_id)
    await permission.on_person(desk, Action.READ_CREDENTIALS, user_id)

    def theirs(connection: Connection) -> list[Credential]:
        return _tokens(connection, permission.someone(connection, desk, user_id).id)

    return [_token(one) for one in await desk.house.database.read(theirs)]


async def revoke_token(desk: Desk, ask: CredentialNamed) -> Done:
    """End a token, and what was opened with it. Raises `NotFound` when there is none, or it is somebody else's."""
    return await _end(desk, ask, CredentialKind.TOKEN, "token.revoke")


async def list_devices(desk: Desk, user_id: str, current: str | None = None) -> list[Device]:
    """Where somebody is logged in, newest first; `current` is the id of the device that asks.

    Raises `NotFound` for somebody else's.
    """
    await permission.on_person(desk, Action.READ_CREDENTIALS, user_id)

    def look(connection: Connection) -> list[Credential]:
        user = permission.someone(connection, desk, user_id)
        return credentials.list_credentials(connection, user.id, CredentialKind.DEVICE)

    now = desk.now()
    return [
        Device(
            id=one.id,
            name=one.name,
            created_at=one.created_at,
            used_at=one.used_at,
            current=one.id == current,
        )
        for one in await desk.house.database.read(look)
        if not callers.ran_out(one, now)
    ]


async def end_device(desk: Desk, ask: CredentialNamed) -> Done:
    """Log a device out. Raises `NotFound` when there is none, or it is somebody else's."""
    return await _end(desk, ask, CredentialKind.DEVICE, "device.end")


async def _end(desk: Desk, ask: CredentialNamed, kind: CredentialKind, action: str) -> Done:
    absent = f"There is no {kind.value} {ask.id[:80]!r}."
    if ask.user_id is None and not isinstance(desk.actor, Member):
        user_id = await desk.house.database.read(lambda connection: _owner(connection, ask.id, absent))
    else:
        user_id = _whose(desk, ask.user_id)
    await permission.on_person(desk, Action.END_CREDENTIAL, user_id, absent)

    def work(connection: Connection) -> UserId:
        permission.still(connection, desk)
        found = _find(connection, ask.id)
        if found is None or found.user_id != user_id or found.kind is not kind:
            raise NotFound(absent)
        credentials.end(connection, found.user_id, kind, found.id, now=desk.now())
        desk.record(connection, action, found.id, found.user_id)
        return found.user_id

    revocations = desk.house.gateway.revocations
    await desk.house.database.write(work, then=lambda owner: revocations.tell(owner, ask.id))
    return Done(f"The {kind.value} {ask.id} is ended.")


def _owner(connection: Connection, id: str, absent: str) -> UserId:
    found = _find(connection, id)
    if found is None:
        raise NotFound(absent)
    return found.user_id


def _find(connection: Connection, id: str) -> Credential | None:
    # Ids are of our own making: what is none is not put to the database.
    found = credentials.find(connection, id) if id.isascii() and id.isalnum() else None
    return None if found is None else found[1]


def _whose(desk: Desk, user_id: str | None) -> str:
    if user_id is not None:
        return user_id
    if isinstance(desk.actor, Member):
        return desk.actor.user_id
    raise InvalidInput("Say whose, as userId.")


def _tokens(connection: Connection, user_id: UserId) -> list[Credential]:
    return credentials.list_credentials(connection, user_id, CredentialKind.TOKEN)


def _token(one: Credential) -> Token:
    return Token(id=one.id, user_id=one.user_id, name=one.name, created_at=one.created_at, used_at=one.used_at)
