"""Set-up codes: whoever has the one in force makes the first admin. Only its hash is kept."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from rookery.users import tables
from rookery.users.credentials import hash_of

VALID_FOR = timedelta(minutes=15)

_c = tables.setup_codes.c


def make(connection: Connection, now: datetime) -> tuple[str, datetime]:
    """A new code and when it ends; the one before it ends now."""
    forget(connection)
    code, expires_at = secrets.token_urlsafe(32), now + VALID_FOR
    connection.execute(insert(tables.setup_codes).values(code_hash=hash_of(code), expires_at=expires_at))
    return code, expires_at


def is_valid(connection: Connection, code: str, now: datetime) -> bool:
    """Whether this is the code in force."""
    expires_at = connection.execute(select(_c.expires_at).where(_c.code_hash == hash_of(code))).scalar()
    # Set back, the clock makes no code live longer.
    return expires_at is not None and timedelta(0) < expires_at - now <= VALID_FOR


def use(connection: Connection, code: str, now: datetime) -> bool:
    """Use up the code in force; False when it is another, or was used or ran out."""
    valid = is_valid(connection, code, now)
    gone = connection.execute(delete(tables.setup_codes).where(_c.code_hash == hash_of(code))).rowcount
    return valid and gone == 1


def prune(connection: Connection, now: datetime) -> None:
    """Forget a code that ran out; one that was used is gone already."""
    connection.execute(delete(tables.setup_codes).where(_c.expires_at <= now))


def forget(connection: Connection) -> None:
    """End every code."""
    connection.execute(delete(tables.setup_codes))
