"""What an `Idempotency-Key` was used for: the same request again does nothing, and is answered the same.

The key is claimed in the transaction that does the work, so that there is never one without the other. A hash of
the request is kept with it, so that another one under the same key is told apart. What a request's shape declares
to be a `Secret` is no part of that: a hash that is quick to make is quick to guess at.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, select, update

from rookery.errors import Conflict, IdempotencyKeyReused
from rookery.gateway import tables
from rookery.ids import UserId
from rookery.storage.prepared import Prepared
from rookery.storage.statements import insert_new

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to be done once: whose it is, on which route, under which key, and what it asks for."""

    user_id: UserId
    route: str
    key: str
    request_hash: str

    @classmethod
    def of(cls, user_id: UserId, route: str, key: str, request: bytes) -> Once:
        """The claim of a request; `request` is all that makes it this one and no other, and holds no secret."""
        return cls(user_id, route, key, hashlib.sha256(request).hexdigest())

    @classmethod
    def asking(cls, user_id: UserId, route: str, key: str, ask: Struct | Mapping[str, object]) -> Once:
        """The claim of what a request says, but for the secrets of its shape."""
        fields: Any = msgspec.to_builtins(ask)
        secrets = secret_fields(type(ask)) if isinstance(ask, Struct) else ()
        told = {name: value for name, value in fields.items() if name not in secrets}
        return cls.of(user_id, route, key, msgspec.json.encode(told, order="sorted"))


SECRET = {"secret": True}
"""How `shapes.Secret` is marked."""


@functools.cache
def secret_fields(shape: type[Struct]) -> frozenset[str]:
    """The fields of a shape that are declared as `shapes.Secret`, by the names they travel under."""
    described = msgspec.inspect.type_info(shape)
    assert isinstance(described, msgspec.inspect.StructType), "every Struct is described as one"
    return frozenset(field.encode_name for field in described.fields if _is_secret(field.type))


def _is_secret(described: msgspec.inspect.Type) -> bool:
    match described:
        case msgspec.inspect.UnionType(types=types):
            return any(map(_is_secret, types))
        case msgspec.inspect.Metadata():
            return described.extra == SECRET  # pyright: ignore[reportUnknownMemberType] - a dict of anything
        case _:
            return False


class Repeated(Conflict):
    """That was done already under this Idempotency-Key; what came of it cannot be shown a second time."""

    code = "repeated"

    def __init__(self, object_id: str) -> None:
        """`object_id`: what the first request made."""
        super().__init__()
        self.object_id = object_id


_i = tables.idempotency.c
_this = (
    _i.user_id == bindparam("of_user"),
    _i.route == bindparam("of_route"),
    _i.key == bindparam("of_key"),
)
_claim = Prepared(
    insert_new(tables.idempotency), "user_id", "route", "key", "request_hash", "object_id", "used_at"
)
_find = Prepared(select(_i.request_hash, _i.object_id, _i.used_at).where(*_this).with_for_update())
_claim_again = update(tables.idempotency).where(*_this)
_name = update(tables.idempotency).where(*_this).values(object_id=bindparam("made"))
_release = delete(tables.idempotency).where(*_this)


def claim(connection: Connection, once: Once, object_id: str, now: datetime) -> str | None:
    """Take the key for what is about to be made and return None; or say what was made under it before.

    Raises `IdempotencyKeyReused` when the key was used for another request within 24 hours.
    """
    values = {
        "user_id": once.user_id,
        "route": once.route,
        "key": once.key,
        "request_hash": once.request_hash,
        "object_id": object_id,
        "used_at": now,
    }
    if _claim.run(connection, values) == 1:
        return None
    row = _find.first(connection, _key(once))
    assert row is not None, "a row that was in the way is there: what forgets it forgets only old ones"
    if now - row.used_at > KEPT:
        taken = {"request_hash": once.request_hash, "object_id": object_id, "used_at": now}
        connection.execute(_claim_again.values(taken), _key(once))
        return None
    if row.request_hash != once.request_hash:
        raise IdempotencyKeyReused(
            f"The Idempotency-Key {once.key!r} was used for another request; take a new key for a new one."
        )
    return row.object_id


def made(connection: Connection, once: Once, object_id: str) -> None:
    """Say what was made under a key that was claimed before its name was known."""
    connection.execute(_name, {**_key(once), "made": object_id})


def release(connection: Connection, once: Once) -> None:
    """Give a claimed key back: nothing was made."""
    connection.execute(_release, _key(once))


def prune(connection: Connection, now: datetime) -> int:
    """Forget keys that anybody may use again, an hour later; returns how many."""
    past = now - KEPT - timedelta(hours=1)
    return connection.execute(delete(tables.idempotency).where(_i.used_at < past)).rowcount


def _key(once: Once) -> dict[str, str]:
    return {"of_user": once.user_id, "of_route": once.route, "of_key": once.key}
