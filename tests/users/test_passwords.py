"""Passwords: which ones are taken, and what is kept of them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import InvalidInput
from rookery.ids import UserId
from rookery.storage import Database
from rookery.users import passwords
from rookery.users.passwords import Kept
from tests.users.conftest import NOW

ALICE = UserId("alice")


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "at least 8"),
        ("1234567", "at least 8"),
        ("e\u0301" * 7, "at least 8"),
        ("password", "first that anybody"),
        ("PassWord", "first that anybody"),
        ("12345678", "first that anybody"),
        ("Alice-Example", "first that anybody"),
        ("x" * 1025, "1024 bytes"),
        ("é" * 600, "1024 bytes"),
        ("half \ud800 a character", "half a character"),
    ],
)
def test_a_password_that_is_not_taken(password: str, words: str) -> None:
    """Too short, too long, or what is tried first: the list of the commonest, and what everybody knows of one."""
    with pytest.raises(InvalidInput, match=words):
        passwords.check(password, ("alice", "alice-example"))


@pytest.mark.parametrize(
    "password", ["one green heron", "aaaaaaab", "        ", "correcthorse", "пароль надёжный", "x" * 1024]
)
def test_a_password_that_is_taken(password: str) -> None:
    """There are no rules of composition: any characters, also all of one kind, and long ones."""
    passwords.check(password, ("alice",))


def test_so_many_common_ones_are_refused() -> None:
    """Three thousand, counted among those that are long enough to be chosen at all."""
    common = passwords._common()  # pyright: ignore[reportPrivateUsage]
    assert len(common) == passwords.COMMON
    assert min(map(len, common)) == passwords.FEWEST_CHARACTERS


@given(st.text(max_size=100))
def test_the_same_password_from_every_keyboard(text: str) -> None:
    """However a keyboard composes a letter, it is the same password; and nothing else is made the same."""
    assert passwords.normal(unicodedata.normalize("NFD", text)) == passwords.normal(text)
    assert passwords.normal(passwords.normal(text)) == passwords.normal(text)


def test_what_looks_alike_is_not_the_same() -> None:
    """Full-width letters and capitals are others: nothing is folded."""
    assert len({passwords.normal(text) for text in ("Heron", "heron", "ｈｅｒｏｎ", "heron ")}) == 4


async def test_what_is_kept(database: Database) -> None:
    """Nobody has a password until one is kept; the next takes its place."""
    assert await database.read(lambda c: passwords.get_password(c, ALICE)) is None
    await database.write(lambda c: passwords.keep_password(c, ALICE, "first", must_change=True, now=NOW))
    await database.write(lambda c: passwords.keep_password(c, ALICE, "second", must_change=False, now=NOW))
    assert await database.read(lambda c: passwords.get_password(c, ALICE)) == Kept("second", must_change=False)


async def test_a_new_hash_of_the_same_password(database: Database) -> None:
    """It is kept, unless the password is another one by now."""
    await database.write(lambda c: passwords.keep_password(c, ALICE, "old", must_change=True, now=NOW))
    await database.write(lambda c: passwords.rehash(c, ALICE, "old", "new"))
    assert await database.read(lambda c: passwords.get_password(c, ALICE)) == Kept("new", must_change=True)
    await database.write(lambda c: passwords.rehash(c, ALICE, "old", "newer"))
    assert await database.read(lambda c: passwords.get_password(c, ALICE)) == Kept("new", must_change=True)


@pytest.mark.parametrize("typed", ["alice", "Alice", " ALICE "])
async def test_a_user_is_found_however_their_name_is_typed(database: Database, typed: str) -> None:
    """Ids are unique regardless of case, and telephones write the first letter large."""
    found = await database.read(lambda c: passwords.find(c, typed))
    assert found is not None
    assert (found[0].id, found[1]) == ("alice", None)


@pytest.mark.parametrize(
    "typed", ["", "alic", "alicé", "a\0b", "\ud800", "' OR 1=1 --", "alice--sabrina", "x" * 5000]
)
async def test_nobody_is_found(database: Database, typed: str) -> None:
    """What is no id is nobody's, whatever it is."""
    assert await database.read(lambda c: passwords.find(c, typed)) is None
