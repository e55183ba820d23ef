"""Passwords: which ones are taken, and what is kept of them. No password is in here, only its hash.

There are no rules of composition (NIST SP 800-63B: they make passwords worse): a password is long enough, and not
one that everybody tries first. Before anything else it is brought into Unicode's form NFC, as RFC 8265 asks, so
that an `é` is the same password from every keyboard; nothing else of it is changed.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, insert, select, update

from rookery.errors import InvalidId, InvalidInput
from rookery.ids import UserId, fold, user_id
from rookery.users import tables
from rookery.users.people import User, from_row

FEWEST_CHARACTERS = 8
MOST_BYTES = 1024
COMMON = 3000
"""So many of the commonest passwords of at least eight characters are refused (OWASP ASVS 5.0, 6.2.4)."""


class Kept(Struct, frozen=True):
    """What is kept of a password. `must_change`: somebody else chose it, and its owner is to choose another."""

    hash: str
    must_change: bool


def normal(password: str) -> str:
    """The form in which two passwords are the same. Raises `InvalidInput` for what is no text or far too long."""
    try:
        normalised = unicodedata.normalize("NFC", password)
        size = len(normalised.encode())
    except UnicodeEncodeError:
        raise InvalidInput("A password is text; this one holds half a character.") from None
    if size > MOST_BYTES:
        raise InvalidInput(f"A password can have at most {MOST_BYTES} bytes.")
    return normalised


def check(password: str, about: Iterable[str] = ()) -> None:
    """Raises `InvalidInput` for a password that is too short, too long, or the first that anybody would try.

    `about` is what everybody knows of its owner, such as their id. The first call reads a file.
    """
    normalised = normal(password)
    if len(normalised) < FEWEST_CHARACTERS:
        raise InvalidInput(f"A password has at least {FEWEST_CHARACTERS} characters; a few words make a good one.")
    easy = normalised.casefold()
    if easy in _common() or easy in {one.casefold() for one in about}:
        raise InvalidInput("This password is among the first that anybody would try; choose another one.")


def get_password(connection: Connection, user_id: UserId) -> Kept | None:
    """What is kept of a user's password; None when they have none and cannot log in by one."""
    row = connection.execute(select(_p.hash, _p.must_change).where(_p.user_id == user_id)).one_or_none()
    return None if row is None else Kept(row.hash, row.must_change)


def find(connection: Connection, username: str) -> tuple[User, Kept | None] | None:
    """The user of this name, in whatever case it is typed, with what is kept of their password."""
    try:
        wanted = fold(user_id(username.strip()))
    except InvalidId:
        wanted = ""  # nobody's; asked for all the same, so that it takes no less time
    row = connection.execute(select(tables.users).where(tables.users.c.id_folded == wanted)).one_or_none()
    kept = get_password(connection, UserId("" if row is None else row.id))
    return None if row is None else (from_row(row), kept)


def keep_password(connection: Connection, user_id: UserId, hash: str, *, must_change: bool, now: datetime) -> None:
    """Let this be a user's password from now on."""
    values = {"hash": hash, "must_change": must_change, "changed_at": now}
    changed = connection.execute(update(tables.passwords).where(_p.user_id == user_id).values(**values))
    if changed.rowcount == 0:
        connection.execute(insert(tables.passwords).values(user_id=user_id, **values))


def rehash(connection: Connection, user_id: UserId, before: str, after: str) -> None:
    """Keep the same password under another hash, unless it was changed meanwhile."""
    connection.execute(update(tables.passwords).where(_p.user_id == user_id, _p.hash == before).values(hash=after))


_p = tables.passwords.c


@functools.cache
def _common() -> frozenset[str]:
    # Imported on use: it is 1 MB of words that only whoever chooses a password needs.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    long_enough = (word for word in FREQUENCY_LISTS["passwords"] if len(word) >= FEWEST_CHARACTERS)
    return frozenset(word for word, _ in zip(long_enough, range(COMMON), strict=False))
