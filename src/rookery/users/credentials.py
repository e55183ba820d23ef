"""What stands for a user in a request: API tokens, and the devices they logged in on.

Whoever shows the secret is the user, until the credential is ended. Only a hash of the secret is kept: it has 256
random bits, so that a plain SHA-256 of it tells nobody anything, and looking it up is one step.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, update

from rookery import ids
from rookery.errors import InvalidInput, NotFound
from rookery.ids import UserId
from rookery.storage.prepared import Prepared
from rookery.users import tables
from rookery.users.people import User, from_row

TOKEN_PREFIX = "rk_"  # noqa: S105
LONGEST_NAME = 100


class CredentialKind(StrEnum):
    TOKEN = "token"  # noqa: S105
    DEVICE = "device"


class Credential(Struct, frozen=True):
    """One of a user's ways in; `ended_at` is set once it is none any more. Times are UTC.

    `held`: a device of somebody whose password is another's choice. Until they chose one of their own it lets them
    do nothing else. A token is never held: only they themselves can have made it.
    """

    id: str
    user_id: UserId
    kind: CredentialKind
    name: str
    created_at: datetime
    used_at: datetime
    ended_at: datetime | None = None
    held: bool = False


class Issued(Struct, frozen=True):
    """A credential just made, with the secret that is shown this once."""

    credential: Credential
    secret: str


_c = tables.credentials.c


def issue(connection: Connection, user_id: UserId, kind: CredentialKind, name: str, *, now: datetime) -> Issued:
    """Make a credential. Raises `InvalidInput` for a name that is no line of 1 to 100 characters."""
    name = name.strip()
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise InvalidInput(f"A {kind.value}'s name is one line of 1 to {LONGEST_NAME} characters.")
    secret = f"{TOKEN_PREFIX if kind is CredentialKind.TOKEN else ''}{secrets.token_urlsafe(32)}"
    credential = Credential(ids.fresh(now), user_id, kind, name, now, now)
    connection.execute(
        insert(tables.credentials).values(
            id=credential.id,
            user_id=user_id,
            kind=kind.value,
            name=name,
            secret_hash=hash_of(secret),
            created_at=now,
            used_at=now,
        )
    )
    return Issued(credential, secret)


_living = (
    select(
        _c.id.label("credential_id"),
        _c.kind,
        _c.name.label("credential_name"),
        _c.created_at.label("issued_at"),
        _c.used_at,
        tables.passwords.c.must_change,
        *tables.users.c,
    )
    .join(tables.users, tables.users.c.id == _c.user_id)
    .join(tables.passwords, tables.passwords.c.user_id == _c.user_id, isouter=True)
    .where(_c.ended_at.is_(None))
)
_behind = Prepared(_living.where(_c.secret_hash == bindparam("secret_hash")))
_find = Prepared(_living.where(_c.id == bindparam("credential_id")))


def behind(connection: Connection, secret: str) -> tuple[User, Credential] | None:
    """Who shows this secret; None when it is nobody's, or was ended. A disabled user is found too."""
    return _joined(_behind.first(connection, {"secret_hash": hash_of(secret)}))


def find(connection: Connection, id: str) -> tuple[User, Credential] | None:
    """A credential by its id, with its user; None when it was ended."""
    return _joined(_find.first(connection, {"credential_id": id}))


def list_credentials(connection: Connection, user_id: UserId, kind: CredentialKind) -> list[Credential]:
    """A user's tokens or devices that have not ended, newest first."""
    query = (
        select(tables.credentials)
        .where(_c.user_id == user_id, _c.kind == kind.value, _c.ended_at.is_(None))
        .order_by(_c.created_at.desc(), _c.id.desc())
    )
    return [_from_row(row) for row in connection.execute(query)]


def used(connection: Connection, id: str, *, now: datetime) -> None:
    """Keep that a credential was used."""
    connection.execute(update(tables.credentials).where(_c.id == id, _c.ended_at.is_(None)).values(used_at=now))


def end(connection: Connection, user_id: UserId, kind: CredentialKind, id: str, *, now: datetime) -> None:
    """End one of a user's credentials, for ever. Raises `NotFound` when they have none of that id and kind."""
    ended = connection.execute(
        update(tables.credentials)
        .where(_c.id == id, _c.user_id == user_id, _c.kind == kind.value, _c.ended_at.is_(None))
        .values(ended_at=now)
    )
    if ended.rowcount == 0:
        raise NotFound(f"There is no {kind.value} {id!r}.")


def end_all(
    connection: Connection, user_id: UserId, kind: CredentialKind, *, now: datetime, but: str | None = None
) -> int:
    """End all of a user's tokens or devices, but for one; returns how many those were."""
    query = update(tables.credentials).where(
        _c.user_id == user_id, _c.kind == kind.value, _c.ended_at.is_(None), _c.id != (but or "")
    )
    return connection.execute(query.values(ended_at=now)).rowcount


def end_devices(connection: Connection, *, unused_since: datetime, older_than: datetime, now: datetime) -> int:
    """End the devices that were last used, or made, before a moment; returns how many those were."""
    query = update(tables.credentials).where(
        _c.kind == CredentialKind.DEVICE.value,
        _c.ended_at.is_(None),
        or_(_c.used_at < unused_since, _c.created_at < older_than),
    )
    return connection.execute(query.values(ended_at=now)).rowcount


def prune(connection: Connection, before: datetime) -> int:
    """Forget the credentials that ended before a moment; returns how many."""
    return connection.execute(delete(tables.credentials).where(_c.ended_at < before)).rowcount


def hash_of(secret: str) -> str:
    """The form in which a secret is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _joined(row: Any) -> tuple[User, Credential] | None:
    if row is None:
        return None
    user = from_row(row)
    kind = CredentialKind(row.kind)
    return user, Credential(
        id=row.credential_id,
        user_id=user.id,
        kind=kind,
        name=row.credential_name,
        created_at=row.issued_at,
        used_at=row.used_at,
        held=kind is CredentialKind.DEVICE and bool(row.must_change),
    )


def _from_row(row: Row[Any]) -> Credential:
    return Credential(
        id=row.id,
        user_id=UserId(row.user_id),
        kind=CredentialKind(row.kind),
        name=row.name,
        created_at=row.created_at,
        used_at=row.used_at,
        ended_at=row.ended_at,
    )
