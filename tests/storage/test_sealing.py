"""Sealed text is opened with the right key, in the one place it was sealed for, and nowhere else."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rookery.errors import StorageCorrupt
from rookery.storage.sealing import Binding, MasterKeys, key_id

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
KEYS = MasterKeys(NEW)
PLACE = Binding("alice", "profile", "openai/default")
SECRET = "sk-Kanarie0123456789abcdef"

_parts = st.text(st.sampled_from("ab/-.| \0é1"), max_size=4) | st.text(max_size=12)
places = st.builds(Binding, _parts, _parts, _parts)


@given(st.text(), places)
def test_what_was_sealed_is_opened_in_its_place(secret: str, place: Binding):
    """Whatever it is called, and whatever the secret is, as far as it is text at all."""
    assume(secret.isprintable() or not any("\ud800" <= char <= "\udfff" for char in secret))
    assert KEYS.open(KEYS.seal(secret, place), place) == secret


@given(places, places)
def test_nothing_is_opened_in_another_place(place: Binding, other: Binding):
    """Of any two places that differ, the text of one is refused in the other; the words hold no secret."""
    assume(place != other)
    with pytest.raises(StorageCorrupt) as refused:
        KEYS.open(KEYS.seal(SECRET, place), other)
    assert SECRET not in refused.value.detail


def test_places_that_read_alike_when_joined_are_not_alike():
    """Moving a letter from one part of a place to the next makes another place of it."""
    text = "alice--sabrinaprofileopenai/default"
    cuts = [*itertools.combinations(range(0, len(text) + 1, 3), 2)]
    places = [Binding(text[:first], text[first:second], text[second:]) for first, second in cuts]
    sealed = [KEYS.seal(SECRET, place) for place in places]
    for (number, place), (other, text_of_other) in itertools.product(enumerate(places), enumerate(sealed)):
        if number != other:
            with pytest.raises(StorageCorrupt):
                KEYS.open(text_of_other, place)


@pytest.mark.parametrize(
    "moved",
    [
        Binding("bob", "profile", "openai/default"),
        Binding("alice--sabrina", "profile", "openai/default"),
        Binding("alice", "shared", "openai/default"),
        Binding("alice", "profile", "anthropic/default"),
        Binding("alice", "profile", "openai/second"),
        Binding("", "shared", "openai/default"),
    ],
)
def test_a_key_that_was_moved_is_refused(moved: Binding):
    """To another person, another friend, another purpose, provider or profile."""
    with pytest.raises(StorageCorrupt, match="sealed for another place") as refused:
        KEYS.open(KEYS.seal(SECRET, PLACE), moved)
    assert repr(moved.name) in refused.value.detail


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(at: int, change: int):
    """One that differs in a single place is not opened."""
    raw = bytearray(KEYS.seal(SECRET, PLACE).encode())
    raw[at % len(raw)] ^= change
    with pytest.raises(StorageCorrupt):
        KEYS.open(raw.decode("latin-1"), PLACE)


@pytest.mark.parametrize(
    "text",
    ["", "v1", "v1..", "v2.a.b", SECRET, f"v1.{key_id(NEW)}.", f"v1.{key_id(NEW)}.AAAA", "v1.00.AAAA", "a.b.c.d"],
)
def test_what_is_no_sealed_text_is_said_to_be_none(text: str):
    """It is not opened, and what stands there is not repeated: somebody may have written a key as it is."""
    with pytest.raises(StorageCorrupt) as refused:
        KEYS.open(text, PLACE)
    assert "'openai/default' of 'alice'" in refused.value.detail
    assert SECRET not in refused.value.detail


def test_it_is_different_each_time():
    """Nobody sees by the text that two people have the same key."""
    assert len({KEYS.seal(SECRET, PLACE) for _ in range(100)}) == 100


def test_neither_the_secret_nor_the_master_key_is_in_the_text():
    """Also not in base64, and not in what the keys say of themselves."""
    sealed = KEYS.seal(SECRET, PLACE)
    hidden = base64.urlsafe_b64decode(sealed.split(".")[2])
    assert SECRET.encode() not in hidden
    assert NEW not in hidden
    assert NEW.hex() not in f"{KEYS!r} {sealed}"


def test_an_older_key_opens_and_seals_nothing():
    """During a rotation both open; what is sealed is sealed with the current one."""
    before = MasterKeys(OLD).seal(SECRET, PLACE)
    both = MasterKeys(NEW, [OLD])
    assert both.open(before, PLACE) == SECRET
    assert not both.is_current(before)
    assert both.is_current(both.seal(SECRET, PLACE))
    with pytest.raises(StorageCorrupt, match="another master key"):
        KEYS.open(before, PLACE)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_master_key_has_its_length(length: int):
    """Nothing shorter or longer is one."""
    with pytest.raises(ValueError, match="32 bytes"):
        MasterKeys(bytes(length))
