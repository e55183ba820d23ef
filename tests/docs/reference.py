"""What of the documentation is written from the code: pages of docs/reference, and the examples in other pages.

`scripts/reference` writes it; `test_reference.py` fails when a committed page is not what comes out here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from rookery.agents import words
from rookery.cli.app import app
from rookery.config import available, schema
from rookery.config.people_schema import people_schema
from rookery.errors import ModelError, ModelErrorKind
from rookery.gateway.commands import SUMMARIES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

LATER = (
    "agents.defaults.skills",
    "budgets",
    "channels.cron",
    "models.embeddings",
    "session.compaction",
    "session.maintenance",
    "session.reset",
    "session.resetByChannel",
    "session.resetByType",
    "session.resetPrompt",
)
"""Keys that are read and checked, and that nothing in this version goes by."""

NOTES = {
    "agents.defaults.tools": "This version has the toolset `time`; the other names are kept for what comes.",
    "channels.webhook.accounts.<name>.callbackUrl": "Nothing watches in this version: without it they become dead "
    "letters.",
    "database.ownerUrl": "Needed at a start that makes or changes the schema: the role of `url` may own "
    "nothing. See [operator.md](../operator.md#postgresql).",
}
"""What a key's own description does not say about this version."""

Schema = Mapping[str, Any]

_NO_EFFECT = "*No effect in this version.*"


def pages() -> dict[Path, str]:
    """Every page that is written from the code, as it should be."""
    reference = DOCS / "reference"
    errors = (reference / "errors.md").read_text().split(_MARK)[0]
    people = (reference / "people-file.md").read_text().split(_MARK)[0]
    return {
        reference / "configuration.md": configuration(),
        reference / "people-file.md": people + _MARK + "\n" + people_file(),
        reference / "cli.md": command_line(),
        reference / "chat-commands.md": chat_commands(),
        reference / "errors.md": errors + _MARK + model_words(),
        **{path: with_examples(path.read_text()) for path in (ROOT / "README.md", *DOCS.glob("*.md"))},
    }


def with_examples(page: str) -> str:
    """The page, with the file that a mark names in the code block behind the mark."""
    return _EXAMPLE.sub(lambda found: f"{found[1]}{(ROOT / found[2]).read_text()}```", page)


def write() -> None:
    """Bring the committed pages up to date."""
    for path, text in pages().items():
        path.write_text(text)


# --- configuration ------------------------------------------------------------------------------------------


def configuration() -> str:
    """Every key of `rookery.yaml`."""
    whole = schema()
    parts = [_CONFIGURATION]
    for path, section in sections(whole):
        title = f"## `{path}`" if path else "## The file"
        about = f"{section.get('description', '')} {_NO_EFFECT if later(path) else ''}".strip()
        parts.append(f"{title}\n\n{about}\n\n{_keys(path, section, whole)}")
    return "\n".join(parts)


def people_file() -> str:
    """Every key of the people file."""
    whole = people_schema()
    parts: list[str] = []
    for path, section in sections(whole):
        title = f"### `{path}`" if path else "### The file"
        parts.append(f"{title}\n\n{section.get('description', '')}\n\n{_keys(path, section, whole)}")
    return "\n".join(parts)


def sections(whole: Schema) -> Iterator[tuple[str, Schema]]:
    """Each mapping of the file with its path, outer ones first; of channels only those that run here."""
    yield from _sections("", whole, whole)


def keys(whole: Schema) -> list[str]:
    """The path of every key, as the page writes it."""
    return [_join(path, key) for path, section in sections(whole) for key in section["properties"]]


def later(path: str) -> bool:
    """Whether nothing in this version goes by the key."""
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in LATER)


def _sections(path: str, section: Schema, whole: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, section
    for key, value in section["properties"].items():
        below = _below(value, whole)
        if below is None or (path == "channels" and key not in available.CHANNELS):
            continue
        suffix, inner = below
        yield from _sections(_join(path, key) + suffix, inner, whole)


def _below(value: Schema, whole: Schema) -> tuple[str, Schema] | None:
    """The section a key leads to, and what stands between: a name, a position, or nothing."""
    ways: list[tuple[str, Schema | None]] = [
        ("", value),
        (".<name>", value.get("additionalProperties")),
        ("[]", value.get("items")),
        *(("", one) for one in value.get("anyOf", ())),
    ]
    for suffix, inner in ways:
        if inner:
            found = _resolved(inner, whole)
            if "properties" in found:
                return suffix, found
    return None


def _resolved(value: Schema, whole: Schema) -> Schema:
    reference: str | None = value.get("$ref")
    if reference is None:
        return value
    return {**whole["$defs"][reference.rpartition("/")[2]], **{key: value[key] for key in value if key != "$ref"}}


def _keys(path: str, section: Schema, whole: Schema) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    required = section.get("required", ())
    for key, value in section["properties"].items():
        full = _join(path, key)
        below = _below(value, whole)
        resolved = _resolved(value, whole)
        if path == "channels" and key not in available.CHANNELS:
            continue
        if below is not None:
            kind, default = f"[section](#{_anchor(full + below[0])})", ""
        else:
            kind = _type(value, whole)
            default = "required" if key in required else f"`{json.dumps(value.get('default', {}))}`"
        meaning = " ".join(
            part
            for part in (
                str(resolved.get("description", "")),
                NOTES.get(full, ""),
                _NO_EFFECT if later(full) and not later(path) else "",
            )
            if part
        )
        rows.append(f"| `{key}` | {kind} | {default} | {_cell(meaning)} |")
    return "\n".join(rows) + "\n"


def _type(value: Schema, whole: Schema) -> str:
    value = _resolved(value, whole)
    match value:
        case {"anyOf": options}:
            return " or ".join(_type(option, whole) for option in options)
        case {"enum": words}:
            return ", ".join(f"`{word}`" for word in words)
        case {"type": "array", "items": items}:
            return f"list of {_type(items, whole)}"
        case {"type": "object", "additionalProperties": inner}:
            return f"names, each with {_type(inner, whole)}"
        case {"type": "object"}:
            return "fields of JSON"
        case {"type": "string"}:
            return "text"
        case {"type": "integer"}:
            return "whole number" + _bounds(value)
        case {"type": "number"}:
            return "number" + _bounds(value)
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "null"}:
            return "`null`"
        case _:
            raise AssertionError(f"a type of value that this page does not know yet: {value}")


def _bounds(value: Schema) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return ", above 0" if value.get("exclusiveMinimum") == 0 else ""


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _anchor(path: str) -> str:
    """GitHub's anchor for a heading: lower case, without punctuation."""
    return "".join(char for char in path.lower() if char.isalnum() or char in "-_")


# --- command line -------------------------------------------------------------------------------------------


def command_line() -> str:
    """Every command with its arguments and options."""
    return "\n".join([_COMMAND_LINE, *(_command(name, command) for name, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by what is typed after `rookery`."""
    root: Any = typer.main.get_command(app)  # a click command of typer's own, whose types are not public
    yield from _commands("", root)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner: Mapping[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, below in inner.items():
        yield from _commands(f"{name} {word}".strip(), below)


def options(command: Any) -> set[str]:
    """How a command's options are spelled, `--help` among them."""
    return {"--help", "-h", *(name for one in command.params for name in one.opts if name.startswith("-"))}


def _command(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    said = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join(["rookery", name, *(["[OPTIONS]"] if said else []), *map(_argument, arguments)])
    lines = [f"## rookery {name}", "", "```", usage, "```", "", _flowing(command.help), ""]
    if command.params:
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{_argument(one)}` | {_cell(_what(one))} |" for one in arguments]
        lines += [f"| `{_option(one)}` | {_cell(_what(one))} |" for one in said]
        lines.append("")
    return "\n".join(lines)


def _argument(one: Any) -> str:
    name = (one.metavar or one.name.upper()).strip("[]")
    name = f"{name}…" if one.nargs == -1 else name
    return name if one.required else f"[{name}]"


def _option(one: Any) -> str:
    kind: Any = one.type_descriptor.annotation
    if one.metavar is not None:
        value = one.metavar
    elif isinstance(one.default, Enum):
        value = "|".join(word.value for word in type(one.default))
    else:
        value = "" if kind is bool else "N" if kind is int else "TEXT"
    return f"{', '.join(one.opts)} {value}".strip()


def _what(one: Any) -> str:
    default = one.default.value if isinstance(one.default, Enum) else one.default
    shown = one.param_type_name == "option" and one.show_default and default not in (None, "", False)
    return " ".join(
        part
        for part in (
            one.help or "",
            "Required." if one.required and one.param_type_name == "option" else "",
            f"Default: `{default}`." if shown else "",
        )
        if part
    )


# --- chat commands and words --------------------------------------------------------------------------------


def chat_commands() -> str:
    """What can be typed to the gateway itself."""
    rows = [line.partition(" – ") for line in SUMMARIES.values()]
    table = ["| command | |", "|---|---|", *(f"| `{command}` | {_cell(what)} |" for command, _, what in rows)]
    return "\n".join([_CHAT_COMMANDS, *table, ""])


def model_words() -> str:
    """What a person reads when the model cannot answer."""
    said = {kind: words.for_model_error(ModelError(kind, "")) for kind in ModelErrorKind}
    rows = [f"| `{kind}` | {_cell(text)} |" for kind, text in said.items()]
    return "\n".join(["", "| word | the person reads |", "|---|---|", *rows, ""])


def _flowing(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


_EXAMPLE = re.compile(r"(<!-- file: (\S+) -->\n```[a-z]+\n).*?```", re.DOTALL)
_GENERATED = "<!-- Written by scripts/reference from the code; do not edit by hand. -->"
_MARK = "<!-- What follows is written by scripts/reference from the code. -->\n"

_CONFIGURATION = f"""{_GENERATED}

# rookery.yaml

Every key, with its type, its default and what it means. The file lies in the home; an empty or missing one is
valid. `rookery config check` says what is wrong with yours, by line; `rookery config show` prints what holds;
`rookery config schema` prints the JSON schema for an editor.

- Keys are camelCase; snake_case is read too. An unknown key stops the start.
- `${{NAME}}` in a value is read from the environment when the file is loaded, and must be set; `$${{` is a plain
  `${{`.
- A running gateway looks at the file every two seconds and takes up what changed. `gateway`, `database`,
  `storage.openBrains` and which channels run change with the next start. A file with a mistake changes nothing;
  the mistake is in the log, and `rookery config reload` prints it.
- Keys marked *No effect in this version* are read and checked, so that your file is right when they come.
- `telegram`, `discord`, `slack`, `matrix`, `xmpp`, `feishu`, `whatsapp`, `email`, `sms` and `voice` may stand
  under `channels`. This version does not run them, and says so at the start when one is configured.
"""

_COMMAND_LINE = f"""{_GENERATED}

# The command line

`rookery --help` and `rookery COMMAND --help` print the same.

- `--home DIR` may stand before or behind the command. Without it `ROOKERY_HOME` is read, then `~/.rookery` taken.
- While a gateway runs on the home, commands go through its socket; otherwise they open the state themselves,
  under a lock.
- Listings and `session show`, `session new`, `status`, `doctor`, `config show` take `--json`.
- Exit status: 0 done, 1 refused or failed with the reason on standard error, 2 wrong usage. A reply that was
  stopped by Ctrl-C ends `rookery chat TEXT` with 130. One that waits for a yes that cannot be asked for there, in
  a pipe, ends it with 1; the question stays open, and standard error says how to answer it.
- Results go to standard output; remarks go to standard error.
"""

_CHAT_COMMANDS = f"""{_GENERATED}

# Chat commands

Typed to your agent, answered by the gateway, never seen by the model. They work on every channel. A message is a
command when it begins with `/` and a word: `/etc/hosts` is something said. Case makes no difference.

Guests can use `/help`, `/whoami`, `/new` and `/stop`. In a group only the sponsor of its agent, or an admin, can
begin a new conversation, and others stop only answers to their own messages. `/friends`, `/talk`, `/link` and
`/unlink` are for direct chats. Whoever may not use a command is told why. In `rookery chat`, `/quit` and `/exit`
leave, as Ctrl-D does; they are not sent.
"""


if __name__ == "__main__":
    write()
