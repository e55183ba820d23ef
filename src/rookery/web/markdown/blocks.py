"""A text that grows while it is rendered: only what may still change is rendered anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

Patch = list[list[Any]]
"""How the blocks changed: `[i, html]` sets block i, `[i, None, text]` adds text to the code that is still open in
block i, `[i, ""]` drops block i and all after it."""

COLOUR_AT_ONCE = 6_000
"""Characters of code that are coloured while the text still grows; longer code is when it is whole."""

READ_AT_ONCE = 20_000
"""Characters of one block that are read again and again while it grows; what is beyond is shown as it is written
until the text is whole."""

PIECE = 4_000
"""Characters that are taken in together: of a long text, what is sure of its beginning is set aside first."""


class Blocks:
    """The blocks of a text so far. In the end they may differ a little from those of the whole text, in which a
    link's address can stand below the link: `become` puts that right."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._growing: list[str] = []
        self._tail: list[str] = []
        self._looked_at: int = 0
        self._length = 0
        self._unread = 0
        self._held = ""
        self._references: dict[str, Any] = {}
        self._codes: dict[tuple[str, str], str] = {}
        self._code: _OpenCode | None = None
        self._beyond = False

    @property
    def html(self) -> list[str]:
        """All blocks as they are now."""
        blocks = [*self._done, *self._growing]
        if self._code is not None:
            blocks[-1] = self._code.html
        return blocks

    def add(self, text: str) -> Patch:
        """The text goes on; how the blocks changed."""
        if len(text) <= PIECE:
            return self._add(text)
        before = self.html
        for start in range(0, len(text), PIECE):
            self._add(text[start : start + PIECE])
        return _differences(before, self.html, 0)

    def become(self, blocks: Sequence[str]) -> Patch:
        """Take these blocks instead; how they differ from what was."""
        before = self.html
        self._done, self._growing, self._code = list(blocks), [], None
        return _differences(before, blocks, 0)

    def _add(self, text: str) -> Patch:
        from rookery.web.markdown import engine

        text = self._held + text
        # Half of a line's end may be all that is here yet.
        self._held = "\r" if text.endswith("\r") else ""
        text = engine.normalized(text.removesuffix(self._held))
        if not text:
            return []
        self._length += len(text)
        if not self._beyond:
            self._tail.append(text)
        if self._code is not None and (self._beyond or self._length <= engine.LONGEST):
            told = self._code.add(text)
            if told is not None:
                return [[len(self._done) + len(self._growing) - 1, None, told]] if told else []
        self._unread += len(text)
        if self._length > engine.LONGEST or self._unread > READ_AT_ONCE:
            return self._go_beyond(text)
        return self._read()

    def _read(self) -> Patch:
        """Read what may still change, and set aside what cannot any more."""
        from rookery.web.markdown import engine

        before, start = self._growing_now(), len(self._done)
        source = "".join(self._tail)
        references = dict(self._references)
        found = engine.parse(source, references, codes=self._codes, colour_up_to=COLOUR_AT_ONCE)
        self._growing = [block.html for block in found]
        self._code = None
        if found and (token := found[-1].fence) is not None:
            self._code = _open_code(source, found[-1].line, token.markup, token.info)
            if self._code is not None:
                self._growing[-1] = self._code.html
        patch = _differences(before, self._growing, start)
        self._set_aside(source, [block.line for block in found])
        return patch

    def _set_aside(self, source: str, lines: Sequence[int]) -> None:
        """All but the last block that whole lines alone make are as they will stay.

        A line that is not whole may turn the last of those into something else: `--|--` makes a table of the line
        above it until it goes on as `--|--x`.
        """
        from rookery.web.markdown import engine

        whole = source.rfind("\n") + 1
        if len(lines) < 2 or whole == self._looked_at:
            return
        self._looked_at = whole
        sure = lines if whole == len(source) else engine.lines_of(source[:whole], {})
        if len(sure) < 2 or list(lines[: len(sure)]) != list(sure):
            return
        count = len(sure) - 1
        at = _start_of_line(source, sure[-1])
        gone, rest = source[:at], source[at:]
        if "]:" in gone:
            engine.lines_of(gone, self._references)
        self._done += self._growing[:count]
        self._growing = self._growing[count:]
        self._tail = [rest]
        self._looked_at = whole - at
        self._unread = len(rest)

    def _go_beyond(self, text: str) -> Patch:
        """It is too long to be read any further: the rest is shown as it is written."""
        before, start = self._growing_now(), len(self._done)
        self._beyond = True
        self._done += before
        self._code = _OpenCode("", None)
        self._code.add(text)
        self._growing = [self._code.html]
        self._tail = []
        return _differences([], self._growing, start + len(before))

    def _growing_now(self) -> list[str]:
        return self.html[len(self._done) :]


class _OpenCode:
    """Code whose end has not come yet: what is added to it need not be read again, only looked at for the end."""

    def __init__(self, language: str, fence: str | None) -> None:
        self._language = language
        self._end: re.Pattern[str] | None = None
        self._maybe: re.Pattern[str] | None = None
        if fence is not None:
            mark = re.escape(fence[0])
            self._end = re.compile(rf" {{0,3}}{mark}{{{len(fence)},}}[ \t]*")
            self._maybe = re.compile(rf" {{0,3}}{mark}*[ \t]*")
        self._told: list[str] = []
        self._line = ""
        self._inside_line = False

    @property
    def html(self) -> str:
        from rookery.web.markdown import engine

        return engine.open_code("".join(self._told), self._language)

    def add(self, text: str) -> str | None:
        """What of the text is code; a line that may yet become the end is held back. None: the end is there."""
        if self._end is None or self._maybe is None:
            self._told.append(text)
            return text
        new: list[str] = []
        rest = self._line + text
        while rest:
            line, end, after = rest.partition("\n")
            if not self._inside_line:
                if end and self._end.fullmatch(line):
                    return None
                if not end and self._maybe.fullmatch(line):
                    break
            new.append(line + end)
            self._inside_line = not end
            rest = after
        self._line = rest
        told = "".join(new)
        self._told.append(told)
        return told


def _open_code(source: str, line: int, fence: str, info: str) -> _OpenCode | None:
    """The code at the end of a text, whose end has not come; None when it has, or may not be what it seems."""
    begin = _start_of_line(source, line)
    opening, end, content = source[begin:].partition("\n")
    if not end or not opening.startswith(fence):
        return None
    code = _OpenCode(info.strip().partition(" ")[0], fence)
    return code if code.add(content) is not None else None


def _start_of_line(source: str, line: int) -> int:
    at = 0
    for _ in range(line):
        at = source.index("\n", at) + 1
    return at


def _differences(before: Sequence[str], after: Sequence[str], start: int) -> Patch:
    patch: Patch = [
        [start + number, html]
        for number, html in enumerate(after)
        if number >= len(before) or before[number] != html
    ]
    if len(after) < len(before):
        patch.append([start + len(after), ""])
    return patch
