"""The project's pages, and what stands in them: links, headings, code blocks, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, groupby
from pathlib import Path

from tests.docs.reference import ROOT

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[a-z]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_INLINE = re.compile(r"`(rookery [^`]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: Path
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text.strip().splitlines()[0] if self.text.strip() else ''}"


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    return sorted([*found, *(ROOT / "src").rglob("*.md")])


def blocks(*languages: str) -> Iterator[Block]:
    """The code blocks in one of these languages, in all pages."""
    for page in pages():
        for found in _FENCE.finditer(page.read_text()):
            if found["language"] in languages:
                yield Block(page, found["language"], found["text"])


def links(page: Path) -> list[str]:
    """Where a page's links lead, as far as that is another place of the project."""
    prose = _FENCE.sub("", page.read_text())
    return [link for link in _LINK.findall(prose) if "://" not in link and not link.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """What a link can name inside a page."""
    prose = _FENCE.sub("", page.read_text())
    return {_anchor(heading) for heading in _HEADING.findall(prose)}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `rookery …` that a page shows, as words, with where it stands: in console blocks and in prose."""
    for block in blocks("console"):
        for line in block.text.replace("\\\n", "").splitlines():
            if line.startswith("$ ") and (words := _rookery(line.removeprefix("$ "))):
                yield f"{block.where} {line}", words
    for page in pages():
        for written in _INLINE.findall(_FENCE.sub("", page.read_text())):
            if words := _rookery(written):
                yield f"{page.relative_to(ROOT)}: `{written}`", words


def _rookery(line: str) -> list[str]:
    """What stands behind `rookery` in a shell line, up to the end of its pipe; nothing when it is not there."""
    words = shlex.split(line)
    for bar, pipe in groupby(words, lambda word: word == "|"):
        if bar:
            continue
        command = list(dropwhile(lambda word: "=" in word, pipe))
        if command[:2] == ["sudo", "-u"]:
            command = command[3:]
        if command and Path(command[0]).name == "rookery":
            return command[1:]
    return []


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, punctuation dropped, spaces become hyphens."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return "".join(char for char in plain if char.isalnum() or char in " -_").replace(" ", "-")
