"""Identifiers: what fits, what is suggested, and how new ones are made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import InvalidId
from rookery.ids import RESERVED_USER_IDS, agent_id, fold, fresh, user_id

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("id", ["a", "Alice", "0", "a-b_c", "x" * 63, "alice-", "A1_"])
def test_what_fits_is_kept_as_written(id: str) -> None:
    """Case included."""
    assert user_id(id) == id
    assert agent_id(id) == id


@pytest.mark.parametrize(
    ("id", "suggestion"),
    [
        ("José García", "Jose-Garcia"),
        ("a--b", "a-b"),
        ("-alice", "alice"),
        ("_a", "a"),
        ("a.b@example.org", "a-b-example-org"),
        ("x" * 64, "x" * 63),
        ("main", "main-1"),
        ("SHARE", "SHARE-1"),
        ("alice\n", "alice"),
        ("李雷", None),
        ("", None),
        ("--", None),
    ],
)
def test_what_does_not_fit_is_refused_with_a_suggestion(id: str, suggestion: str | None) -> None:
    """Never rewritten; the suggestion is in the words and beside them."""
    with pytest.raises(InvalidId) as refused:
        user_id(id)
    assert refused.value.suggestion == suggestion
    assert repr(id) in refused.value.detail
    if suggestion is not None:
        assert f"Try {suggestion!r}." in refused.value.detail


@given(st.text(max_size=80))
def test_whatever_is_written_it_fits_or_its_suggestion_does(text: str) -> None:
    """Nobody is sent in circles."""
    try:
        kept = user_id(text)
    except InvalidId as refused:
        kept, text = refused.suggestion, refused.suggestion or ""
    if kept is not None:
        assert user_id(kept) == text


@pytest.mark.parametrize("word", [*sorted(RESERVED_USER_IDS), "Main", "SYSTEM"])
def test_reserved_words_are_nobody_s(word: str) -> None:
    """In whatever case, for people and for shared agents."""
    for check in (user_id, agent_id):
        with pytest.raises(InvalidId, match="none of main, share, space, system"):
            check(word)


@pytest.mark.parametrize("id", ["alice--sabrina", "space--0123456789ab", "Bob--b2"])
def test_friends_and_spaces_have_agents_too(id: str) -> None:
    """One separator between two names."""
    assert agent_id(id) == id


@pytest.mark.parametrize("id", ["a--b--c", "--a", "a--", "a---b", "main--x", "system--x", "a-- b", "space"])
def test_what_is_no_agent_is_refused(id: str) -> None:
    """A reserved word has no friends."""
    with pytest.raises(InvalidId):
        agent_id(id)


def test_folding_is_for_comparing() -> None:
    """The same for every case of the same id."""
    assert fold("ALICE") == fold("alice") == fold("Alice")


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 10_000),
)
def test_new_ids_sort_by_time(at: datetime, later: int) -> None:
    """Whole milliseconds apart, the later id is the greater; all are of one length and alphabet."""
    first, second = fresh(at), fresh(at + timedelta(milliseconds=later))
    assert first < second
    assert len(first) == len(second) == 26
    assert (first + second).isalnum()
    assert (first + second).lower() == first + second


def test_new_ids_are_unique() -> None:
    """Also within the same millisecond."""
    assert len({fresh(NOW) for _ in range(10_000)}) == 10_000


def test_new_ids_are_unlike_each_other_however_many_are_made() -> None:
    """Also beyond those that one page of chance is enough for, and all of the chance in them differs."""
    made = [fresh(NOW) for _ in range(2000)]
    assert len({id[10:] for id in made}) == len(made)
    assert all(len({id[at] for id in made}) > 20 for at in range(10, 26))
