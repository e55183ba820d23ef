"""Cuts a reply into texts a network takes, at the best place there is, and keeps code fences whole."""

from __future__ import annotations

import re
import unicodedata

from msgspec import Struct


def chunks(text: str, limit: int) -> list[str]:
    """Cut `text` into pieces of at most `limit` characters, in order; the same cut each time.

    A text that fits is returned as it is; one without words gives no pieces. A cut is made between
    paragraphs, else lines, else sentences, else words, else characters as people see them; the white space
    around it is left out, everything else is kept. A code fence that is cut is closed and opened again,
    where `limit` leaves room for that (128 characters do). Raises `ValueError` when `limit` is less than 1.
    """
    if limit < 1:
        raise ValueError(f"{limit} characters hold no text; the limit has to be at least 1.")
    pieces: list[str] = []
    rest, fence = text, None
    while rest and not rest.isspace():
        head = fence.reopening if fence else ""
        if len(head) + len(rest) <= limit:
            pieces.append(head + rest)
            break
        cut = _balanced(rest, fence, limit) if limit >= _ROOM_FOR_FENCES else _plain(rest, limit)
        if words := rest[: cut.end].rstrip():
            pieces.append(head + words + (cut.fence.closing if cut.fence else ""))
        rest, fence = rest[cut.start :], cut.fence
        if fence and (line := _FENCE_LINE.match(rest)) and fence.ends_at(line):
            # The piece before has closed it.
            rest, fence = rest[_next(rest, line.end()) :], None
    return pieces


class _Fence(Struct, frozen=True):
    """An open code fence: its mark, as ``` or ~~~, and the word after it."""

    mark: str
    language: str

    @property
    def reopening(self) -> str:
        return f"{self.mark}{self.language}\n"

    @property
    def closing(self) -> str:
        return f"\n{self.mark}"

    def ends_at(self, line: re.Match[str]) -> bool:
        return line["mark"].startswith(self.mark) and not line["info"].strip()


class _Cut(Struct, frozen=True):
    """Where the piece ends, where the rest starts, and the fence that is open there."""

    end: int
    start: int
    fence: _Fence | None = None


# Longer marks, words and lines are no fences that anybody writes; so bounded, one always leaves room for code.
_FENCE_LINE = re.compile(r"^ {0,3}(?P<mark>`{3,8}(?!`)|~{3,8}(?!~))(?P<info>[^`\n]{0,64})$", re.MULTILINE)
_LONGEST_FENCE_LINE = 80
_LONGEST_LANGUAGE = 24
_ROOM_FOR_FENCES = 128

_PARAGRAPH = re.compile(r"\n(?:[ \t]*\n)+")
_LINE = re.compile(r"\n")
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*(?=\s)|[。！？]")
_BLANK_LINES = re.compile(r"(?:[ \t]*\n)*")
_BLANKS = re.compile(r"[ \t]*\n?")
_WIDEST_CHARACTER = 32
_JOINER = "\u200d"
_LATER_PARTS = (
    ("\U0001f3fb", "\U0001f3ff"),  # skin tones
    ("\U000e0020", "\U000e007f"),  # the letters inside a region's flag
    ("\u1160", "\u11ff"),  # the vowels and finals of a Hangul syllable
)


def _plain(text: str, room: int) -> _Cut:
    return _in_prose(text, 0, room)


def _balanced(text: str, fence: _Fence | None, limit: int) -> _Cut:
    """Cut so that what is open there can be closed within `limit`; `text` starts inside `fence`."""
    opening = None if fence else _FENCE_LINE.match(text)
    low = opening.end() + 1 if opening else 0  # right behind the line that opens a block is no place to cut
    most = limit - (len(fence.reopening) if fence else 0)
    room = most
    while True:
        cut = _best(text, fence, low, room)
        seen = _scan(text, cut.end, fence)
        if seen.fence and not fence and seen.opened_at and "\n" not in text[seen.opened_at : cut.end]:
            return _Cut(seen.opened_at, seen.opened_at)  # else the piece would end with an empty block
        needed = len(seen.fence.closing) if seen.fence else 0
        if cut.end + needed <= most:
            return _Cut(cut.end, cut.start, seen.fence)
        room = most - needed


def _best(text: str, fence: _Fence | None, low: int, room: int) -> _Cut:
    seen = _scan(text, room, fence)
    room = seen.end
    if seen.fence is None:
        return _in_prose(text, max(low, seen.closed_at), room)
    if seen.opened_at > room * 3 // 10:
        return _Cut(seen.opened_at, seen.opened_at)  # the block may stay whole in the next piece
    newline = text.rfind("\n", low + 1, room + 1)
    if newline > 0:
        return _Cut(newline, _end(_BLANK_LINES, text, newline + 1))
    return _between_words(text, low, room) or _anywhere(text, low, room)


def _in_prose(text: str, low: int, room: int) -> _Cut:
    """The last good place in `text[low : room]`; the better the sort of place, the earlier it may be."""
    for place, earliest in ((_PARAGRAPH, room * 3 // 10), (_LINE, room // 2), (_SENTENCE, room // 2)):
        ends = [
            found.end() if place is _SENTENCE else found.start() for found in place.finditer(text, low, room + 1)
        ]
        if best := max((end for end in ends if max(low + 1, earliest) <= end <= room), default=0):
            return _Cut(best, _next(text, best))
    return _between_words(text, low, room) or (_Cut(low, _next(text, low)) if low else _anywhere(text, low, room))


def _between_words(text: str, low: int, room: int) -> _Cut | None:
    end = next((at for at in range(room, low, -1) if text[at].isspace()), 0)
    return _Cut(end, _end(_BLANKS, text, end)) if text[low:end].strip() else None


def _anywhere(text: str, low: int, room: int) -> _Cut:
    lowest = max(low, room - _WIDEST_CHARACTER)
    end = next((at for at in range(room, lowest, -1) if not _joined(text, at)), room)
    return _Cut(end, end)


def _joined(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` would go through what people see as one character."""
    before, after = text[at - 1], text[at]
    if unicodedata.category(after).startswith("M") or _JOINER in (before, after) or before + after == "\r\n":
        return True
    if (
        "\U0001f3fb" <= after <= "\U0001f3ff"
        or "\U000e0020" <= after <= "\U000e007f"
        or "\u1160" <= after <= "\u11ff"
    ):
        return True  # skin tones, the letters inside a flag, the later parts of a Hangul syllable
    flags = 0
    while flags < at and _is_flag_letter(text[at - 1 - flags]):
        flags += 1
    return _is_flag_letter(after) and flags % 2 == 1


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


class _Seen(Struct, frozen=True):
    """The fence open at `end`, where its line starts, and where the last closed block ends.

    `end` is where looking ended: earlier than asked for when a fence's line would have been cut.
    """

    fence: _Fence | None
    opened_at: int
    closed_at: int
    end: int


def _scan(text: str, end: int, fence: _Fence | None) -> _Seen:
    opened_at = closed_at = 0
    for line in _FENCE_LINE.finditer(text, 0, end + _LONGEST_FENCE_LINE):
        if line.start() >= end:
            break
        if line.end() > end:
            end = line.start() or end
            break
        if fence is None:
            word = line["info"].strip().partition(" ")[0]
            fence = _Fence(line["mark"], word if len(word) <= _LONGEST_LANGUAGE else "")
            opened_at = line.start()
        elif fence.ends_at(line):
            fence, closed_at = None, line.end()
    return _Seen(fence, opened_at, closed_at, end)


def _next(text: str, at: int) -> int:
    """Where the next words begin, with what indents them."""
    return _end(_BLANK_LINES, text, _end(_BLANKS, text, at))


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
