"""What the pages show is so: their links lead somewhere, their commands exist, their files load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rookery.config import load
from rookery.gateway.people_reading import read_people
from tests.docs import reference
from tests.docs.pages import Block, anchors, blocks, commands, links, pages
from tests.docs.reference import ROOT

_INSTALL = (
    "python3 -m venv .venv && .venv/bin/pip install -r {} && .venv/bin/pip install --no-deps --no-build-isolation"
)
TWO_COMMANDS = (
    f"{_INSTALL.format('requirements.txt')} . && .venv/bin/rookery up",
    f"{_INSTALL.format('requirements-dev.txt')} -e . && .venv/bin/python -m pytest",
)
"""From a clone to a gateway, and from a clone to the tests: the contract's words."""

ENVIRONMENT = {
    "WEBHOOK_SECRET": "a secret that is long enough",
    "OPENAI_API_KEY": "sk-nobody",
    "ANTHROPIC_API_KEY": "sk-nobody",
    "GEMINI_KEY": "nobody",
    "DATABASE_URL": "postgresql://rookery:secret@db.example.org/rookery",
    "DATABASE_OWNER_URL": "postgresql://rookery_owner:secret@db.example.org/rookery",
}
"""Every variable that a page's rookery.yaml names."""


def test_the_two_commands_are_the_contracts() -> None:
    """The README's commands to the letter, each a block of its own."""
    shown = [block.text.strip() for block in blocks("") if block.page == ROOT / "README.md"]

    assert [command for command in shown if command.startswith("python3 -m venv")] == list(TWO_COMMANDS)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file, or a heading in one."""
    broken: list[str] = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_page_is_linked_from_the_readme_or_a_page_behind_it() -> None:
    """Nothing is written that nobody finds."""
    found: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md":
            continue
        found.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#"]

    assert sorted(set((ROOT / "docs").rglob("*.md")) - found) == []


def test_every_command_that_is_shown_exists() -> None:
    """With the options it is shown with."""
    known = dict(reference.commands())
    shown = list(commands())

    assert len(shown) > 40
    assert [where for where, words in shown if not _exists(words, known)] == []


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=lambda block: block.where)
def test_every_configuration_that_is_shown_loads(block: Block, tmp_path: Path) -> None:
    """Each is a whole rookery.yaml, or a whole people file, that somebody may paste."""
    people = block.text.startswith("users:")
    path = tmp_path / ("users.yaml" if people else "rookery.yaml")
    path.write_text(block.text)

    if people:
        read_people(path, ENVIRONMENT)
    else:
        load(path, ENVIRONMENT)


@pytest.mark.parametrize("block", list(blocks("json")), ids=lambda block: block.where)
def test_every_json_that_is_shown_is_json(block: Block) -> None:
    """One value, or one a line."""
    try:
        json.loads(block.text)
    except ValueError:
        for line in block.text.splitlines():
            json.loads(line)


def _exists(words: list[str], known: Mapping[str, Any]) -> bool:
    """Whether `rookery` takes these words; a group's name alone is talked about, and `COMMAND` stands for any."""
    words = words[2:] if words[0] == "--home" else words
    for name in (" ".join(words[:3]), " ".join(words[:2]), words[0]):
        if name in known:
            said = {word for word in words if word.startswith("--")}
            return said <= reference.options(known[name])
    group = len(words) == 1 and any(name.startswith(f"{words[0]} ") for name in known)
    return group or words[0] in ("--help", "--version", "COMMAND", "…")
