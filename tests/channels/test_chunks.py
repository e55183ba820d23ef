"""A long reply is cut where a reader would cut it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rookery.channels.chunks import chunks

MARK = re.compile(r"^(`{3,}|~{3,})", re.MULTILINE)


def test_a_text_that_fits_stays_as_it_is():
    """White space at the ends and between lines is the author's."""
    assert chunks("  one\n\n\n two \n", 14) == ["  one\n\n\n two \n"]


@pytest.mark.parametrize("nothing", ["", " ", "\n\t\n", "\n" * 500])
def test_a_text_without_words_gives_no_pieces(nothing: str):
    """An empty reply is not sent."""
    assert chunks(nothing, 10) == []


def test_a_limit_that_holds_nothing_is_refused():
    """There is no right answer for it."""
    with pytest.raises(ValueError, match="at least 1"):
        chunks("word", 0)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("First one. Two.\n\nSecond part\nof it.", 30, ["First one. Two.", "Second part\nof it."]),
        ("One.\n\nTwo.\n\nThree.\n\nFour is long.", 24, ["One.\n\nTwo.\n\nThree.", "Four is long."]),
        ("A line here\nanother line", 20, ["A line here", "another line"]),
        ("It is so. And then more of it.", 16, ["It is so.", "And then more of", "it."]),
        ("just some words here", 12, ["just some", "words here"]),
        ("一句话。第二句话很长。", 8, ["一句话。", "第二句话很长。"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("exactly ten", 7, ["exactly", "ten"]),
    ],
)
def test_it_is_cut_at_the_best_place_there_is(text: str, limit: int, expected: list[str]):
    """Paragraph, line, sentence, word, character: in this order."""
    assert chunks(text, limit) == expected


@pytest.mark.parametrize("seen_as_one", ["e\u0301", "👩‍👩‍👧", "👍🏽", "🇩🇪", "각", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])
def test_what_people_see_as_one_character_is_not_cut(seen_as_one: str):
    """Accents, families, skin tones, flags and syllables arrive whole."""
    limit = len(seen_as_one) * 3 + (1 if len(seen_as_one) > 1 else 0)

    pieces = chunks(seen_as_one * 20, limit)

    assert pieces == [seen_as_one * (len(piece) // len(seen_as_one)) for piece in pieces]
    assert "".join(pieces) == seen_as_one * 20


def test_a_code_block_that_is_cut_is_closed_and_opened_again():
    """Each piece shows as code by itself, in the same language, and lines stay whole."""
    lines = [f"    print({number})" for number in range(40)]

    pieces = chunks("Look:\n\n```python\n" + "\n".join(lines) + "\n```\n\nThat was it.", 200)

    assert pieces[0].startswith("Look:\n\n```python\n    print(0)\n")
    assert all(piece.count("```") == 2 for piece in pieces)
    assert all(piece.startswith("```python\n    print") for piece in pieces[1:])
    assert re.findall(r" {4}print\(\d+\)", "\n".join(pieces)) == lines
    assert pieces[-1].endswith("\n```\n\nThat was it.")


def test_a_code_block_that_fits_into_the_next_piece_is_not_cut():
    """What is said before it goes first; the block follows whole."""
    block = "```\n" + "x = 1\n" * 15 + "```"

    assert chunks("word " * 20 + "\n\n" + block, 150) == [("word " * 20).strip(), block]


def test_a_piece_never_ends_with_an_empty_block():
    """A block whose first line does not fit any more moves as a whole."""
    pieces = chunks("word " * 24 + "\n```python\n" + "y" * 100 + "\n```", 140)

    assert all("```python\n```" not in piece for piece in pieces)
    assert all(piece.count("```") in {0, 2} for piece in pieces)


def test_a_block_of_one_long_line_is_cut_inside_the_line():
    """The line that opens it does not stay behind alone."""
    pieces = chunks("```python\n" + "y" * 300 + "\n```", 140)

    assert [len(piece.split("\n")[1]) for piece in pieces] == [126, 126, 48]


def test_a_cut_before_the_end_of_a_block_leaves_no_empty_one():
    """The closing line that the piece before has already is not sent twice."""
    block = "```python\n" + "y" * 116 + "\n" + "z" * 9 + "\n```"

    assert chunks(block + "\n\nThat was it.", 140) == [block, "That was it."]
    assert chunks(block + "``\n\nThat was it.", 140) == [block, "That was it."]


ODD = st.text(st.sampled_from("ab `~.!\n\r\té\u0301👍🏽🇩🇪\u200d。字"), max_size=600)


@settings(max_examples=300)
@given(text=st.one_of(st.text(max_size=400), ODD), limit=st.integers(1, 200))
@example(text="```\n" * 300, limit=130)
@example(text="~~~\n```\n~~~~\n" * 60, limit=128)
def test_no_word_is_lost_and_every_piece_fits(text: str, limit: int):
    """All that is not white space or a fence arrives, in order, whatever the text and limit."""
    pieces = chunks(text, limit)

    assert all(len(piece) <= limit for piece in pieces)
    assert all(piece.strip() for piece in pieces)
    assert pieces == chunks(text, limit)
    if limit < 128:
        assert "".join("".join(pieces).split()) == "".join(text.split())
    else:
        assert _without_fences("\n".join(pieces)) == _without_fences(text)


WORDS = st.lists(st.text(st.sampled_from("abcdeé字"), min_size=1, max_size=12), min_size=1, max_size=30)
PARAGRAPH = WORDS.map(" ".join)


@st.composite
def blocks(draw: st.DrawFn) -> str:
    """A code block as models write them."""
    mark = draw(st.sampled_from(["```", "````", "~~~"]))
    language = draw(st.sampled_from(["", "python", "c++ title"]))
    lines = draw(
        st.lists(st.text(st.sampled_from("xyz =()"), max_size=200).map("x".__add__), min_size=1, max_size=25)
    )
    return "\n".join([mark + language, *lines, mark])


@settings(max_examples=300)
@given(parts=st.lists(st.one_of(PARAGRAPH, blocks()), min_size=1, max_size=12), limit=st.integers(128, 600))
def test_every_piece_of_a_balanced_text_is_balanced(parts: list[str], limit: int):
    """A network that shows each piece by itself shows code as code and prose as prose, and no empty block."""
    for piece in chunks("\n\n".join(parts), limit):
        assert len(piece) <= limit
        assert not re.search(r"^(`{3,}|~{3,})\S*\n\1$", piece, re.MULTILINE), piece
        inside: str | None = None
        for line in piece.split("\n"):
            mark = MARK.match(line)
            if mark and inside is None:
                inside = mark[1]
            elif mark and inside and line.strip().startswith(inside) and not line.strip(inside[0]).strip():
                inside = None
        assert inside is None, piece


def _without_fences(text: str) -> str:
    """Letters alone: marks and the words after them come again with every reopened fence."""
    kept = [line for line in text.split("\n") if not re.match(r" {0,3}(```|~~~)", line)]
    return re.sub(r"[\s`~]", "", "".join(kept))
