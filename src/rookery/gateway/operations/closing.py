"""What is open for a person by a kind of channel that they may not use any more, to be closed with it."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery.gateway import turns
from rookery.ids import TurnId
from rookery.policy import Member, Permission, let_in, permission_for, principal
from rookery.users import CredentialKind, User, credentials

_STANDS_FOR = {CredentialKind.DEVICE: Permission.WEB, CredentialKind.TOKEN: Permission.API}


def narrowed(connection: Connection, before: User, after: User) -> tuple[list[TurnId], list[str]]:
    """Stop the turns that came by a way in which was closed; they, and the credentials that stand for one.

    The credentials are not ended: they count again when that way is opened again. Whoever holds something open by
    one is to be told, once this is committed.
    """
    lost = {one for one in Permission if let_in(before.permissions, one) and not let_in(after.permissions, one)}
    if not lost:
        return [], []
    stopped = turns.stop_on(
        connection,
        principal(Member(after.id)),
        lambda channel, account: permission_for(channel, account) in lost,
    )
    closed = [
        credential.id
        for kind, needed in _STANDS_FOR.items()
        if needed in lost
        for credential in credentials.list_credentials(connection, after.id, kind)
    ]
    return stopped, closed
