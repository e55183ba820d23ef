"""Identities: which address is which user. Comparison is exact; nothing is folded or trimmed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, text

from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.ids import UserId
from rookery.messages import Address
from rookery.storage.prepared import Prepared
from rookery.users import people, tables
from rookery.users.people import User

EVERY_ACCOUNT = ""
"""The account of an address that holds on all accounts of its channel."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An address that is a user; `account` None means every account of the channel."""

    channel: str
    account: str | None
    sender: str
    user_id: UserId
    linked_at: datetime

    def __str__(self) -> str:
        account = f"@{self.account}" if self.account is not None else ""
        return f"{self.channel}{account}:{self.sender}"


_c = tables.identities.c
_LOCK = 0x726F6F6B_6C696E6B  # any number that nothing else locks
_who = Prepared(
    select(tables.users)
    .join(tables.identities, tables.users.c.id == _c.user_id)
    .where(
        _c.channel == bindparam("channel"),
        or_(_c.account == bindparam("account"), _c.account == EVERY_ACCOUNT),
        _c.sender == bindparam("sender"),
    )
)


def identify(connection: Connection, address: Address) -> User | None:
    """Whose address this is, enabled or not; None for a stranger.

    `link` keeps an address from being two people's; one linked both for its account and for every account is
    found twice, and is the same person's.
    """
    row = _who.first(
        connection, {"channel": address.channel, "account": address.account, "sender": address.sender}
    )
    return None if row is None else people.from_row(row)


def alone(connection: Connection) -> None:
    """Let nobody else link an address until this transaction ends: whose one is, is decided by what is linked."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def link(
    connection: Connection,
    user_id: UserId,
    channel: str,
    account: str | None,
    sender: str,
    *,
    now: datetime,
) -> Identity:
    """Make the address the user's. Linking what is theirs already changes nothing.

    Raises `NotFound` for an unknown user, `InvalidInput` for an empty sender, `Conflict` when the address, on
    this account or on every account, is somebody else's.
    """
    people.get_user(connection, user_id)
    if not sender or not channel or account == EVERY_ACCOUNT:
        raise InvalidInput("An address needs a channel and a sender id: channel[@account]:sender.")
    alone(connection)
    overlapping = [_c.channel == channel, _c.sender == sender]
    if account is not None:
        overlapping.append(or_(_c.account == account, _c.account == EVERY_ACCOUNT))
    for row in connection.execute(select(tables.identities).where(*overlapping)):
        found = _identity(row.channel, row.account, row.sender, row.user_id, row.linked_at)
        if row.user_id != user_id:
            raise Conflict(f"Identity '{found}' already belongs to {row.user_id!r}; unlink it there first.")
        if found.account is None or found.account == account:
            return found
    connection.execute(
        insert(tables.identities).values(
            channel=channel,
            account=EVERY_ACCOUNT if account is None else account,
            sender=sender,
            user_id=user_id,
            linked_at=now,
        )
    )
    return Identity(channel, account, sender, user_id, now)


def unlink(connection: Connection, user_id: UserId, channel: str, account: str | None, sender: str) -> None:
    """Take the address from the user. Raises `NotFound` when it is not theirs."""
    gone = connection.execute(
        delete(tables.identities).where(
            _c.user_id == user_id,
            _c.channel == channel,
            _c.account == (EVERY_ACCOUNT if account is None else account),
            _c.sender == sender,
        )
    )
    if gone.rowcount == 0:
        account_words = f"@{account}" if account is not None else ""
        raise NotFound(f"'{channel}{account_words}:{sender}' is not an address of {user_id!r}.")


def list_identities(connection: Connection, user_id: UserId | None = None) -> list[Identity]:
    """All addresses, or one user's, in the order of their spelling."""
    query = select(tables.identities).order_by(_c.channel, _c.account, _c.sender)
    if user_id is not None:
        query = query.where(_c.user_id == user_id)
    return [
        _identity(row.channel, row.account, row.sender, row.user_id, row.linked_at)
        for row in connection.execute(query)
    ]


def _identity(channel: str, account: str, sender: str, user_id: str, linked_at: datetime) -> Identity:
    return Identity(channel, None if account == EVERY_ACCOUNT else account, sender, UserId(user_id), linked_at)
