"""The reference says what the code does: it is written from it, and holds everything."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rookery.config import Config, schema, unavailable
from rookery.config.addresses import CHANNEL_NAMES
from rookery.config.available import CHANNELS
from rookery.config.people_schema import people_schema
from rookery.errors import RookeryError
from rookery.gateway.commands import Name
from tests.docs import reference
from tests.docs.reference import DOCS, LATER, NOTES, ROOT


def test_the_committed_pages_are_what_the_code_says() -> None:
    """Whoever changes a key, a command or an example writes the pages anew."""
    stale = [path.name for path, text in reference.pages().items() if path.read_text() != text]

    assert not stale, f"{', '.join(stale)} are stale; run scripts/reference"


def test_every_configuration_key_is_documented() -> None:
    """Each key of the schema has its row, and every row a meaning."""
    page = (DOCS / "reference" / "configuration.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert len(rows) == len(_keys())
    assert all(row.split(" | ")[-1].strip(" |") for row in rows)
    assert all(f"`{name}`" in page for name in CHANNEL_NAMES)


def test_every_key_of_the_people_file_is_documented() -> None:
    """Each key of its schema has its row, and every row a meaning."""
    page = (DOCS / "reference" / "people-file.md").read_text().partition("## Every key")[2]
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert len(rows) == len(reference.keys(people_schema()))
    assert all(row.split(" | ")[-1].strip(" |") for row in rows)


def test_what_is_said_of_keys_is_said_of_keys_there_are() -> None:
    """A key that is renamed takes its note along."""
    known = reference.keys(schema())

    assert [path for path in (*LATER, *NOTES) if path not in known] == []


def test_keys_without_effect_are_marked() -> None:
    """What the start calls unavailable is marked in the page too."""
    everything = Config.model_validate(
        {
            "budgets": {"default": {"perDayUsd": 1}},
            "models": {"embeddings": {"provider": "openai"}},
            "session": {
                "resetPrompt": "Hello",
                "reset": {"mode": "daily"},
                "resetByType": {"group": {"mode": "daily"}},
                "resetByChannel": {"webhook": {"mode": "daily"}},
                "maintenance": {"maxEntries": 1},
                "compaction": {"enabled": False},
            },
        }
    )
    named = [line.partition(":")[0] for line in unavailable(everything)]

    assert len(named) == 8
    assert [key for key in named if not reference.later(key)] == []


def test_every_command_is_documented() -> None:
    """Each command has its heading, and each option its row."""
    page = (DOCS / "reference" / "cli.md").read_text()
    parts = dict(part.split("\n", 1) for part in page.split("\n## rookery ")[1:])

    assert sorted(parts) == sorted(name for name, _ in reference.commands())
    for name, command in reference.commands():
        for option in reference.options(command) - {"--help", "-h"}:
            assert option in parts[name], f"{name} {option}"


def test_every_chat_command_is_documented() -> None:
    """In the reference and in the page members read."""
    for page in (DOCS / "reference" / "chat-commands.md", DOCS / "member.md"):
        text = page.read_text()
        assert [name for name in Name if f"/{name}" not in text] == []


def test_every_log_event_is_documented() -> None:
    """What the code logs is in the page, and the page has nothing else."""
    logged = {event for path in SOURCE.rglob("*.py") for event in _LOGGED.findall(path.read_text())}
    page = (DOCS / "reference" / "files.md").read_text().partition("## The log")[2]
    listed = {
        event for row in page.splitlines() if row.startswith("| `") for event in _CODE.findall(row.split("|")[1])
    }

    assert listed == logged


def test_every_error_code_is_documented() -> None:
    """Each word that a client can be given, over HTTP or the control socket."""
    page = (DOCS / "reference" / "errors.md").read_text()
    given = {code for path in SOURCE.rglob("*.py") for code in _PROBLEM.findall(path.read_text())}
    raised = {error.code for error in _errors(RookeryError)}
    inside = {"error", "model_error", "delivery_failed", "tool_retry", "tool_failed"}  # told to nobody outside

    assert len(given) > 8
    assert [code for code in sorted(given | (raised - inside)) if f"`{code}`" not in page] == []


def test_every_proof_is_documented() -> None:
    """Each with the command that runs it, and no command that there is not."""
    page = (DOCS / "proofs.md").read_text()
    there = {path.stem for path in (ROOT / "tests" / "proofs").glob("*.py")} - {"__init__", "report"}

    assert set(re.findall(r"`scripts/prove (\w+)`", page)) == there


SOURCE = ROOT / "src" / "rookery"
_LOGGED = re.compile(r'log\.(?:info|warning|error|exception)\(\s*"([a-z_]+\.[a-z_]+)"')
_PROBLEM = re.compile(r'problem\(\s*HTTPStatus\.[A-Z_]+,\s*"([a-z_]+)"')
_CODE = re.compile(r"`([^`]+)`")


def _errors(kind: type[RookeryError]) -> Iterator[type[RookeryError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__.startswith("rookery."):
            yield from _errors(below)


def _keys() -> list[str]:
    """Every key of the page: of channels only those that run have one."""
    return [key for key in reference.keys(schema()) if _shown(key)]


def _shown(key: str) -> bool:
    parts = key.split(".")
    return len(parts) != 2 or parts[0] != "channels" or parts[1] in CHANNELS
