"""The text of a configuration file as plain values that still know the lines they stand on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

Where = tuple[str | int, ...]
"""The keys and list positions that lead to a value, as they are written in the file."""


class FromEnvironment(str):
    """Text that came, at least in part, from the environment; `written` is what stands in the file.

    Errors show `written`, because what a variable holds may be a secret.
    """

    __slots__ = ("written",)

    written: str

    def __new__(cls, value: str, written: str) -> FromEnvironment:
        text = super().__new__(cls, value)
        text.written = written
        return text


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong at one place of the file; `text` goes on after the key's name.

    `line` counts from 1; None means the line on which the key stands.
    """

    where: Where
    text: str
    line: int | None = None


class Written(Struct, frozen=True):
    """One value of the file: its line, counted from 1, the plain value, and a scalar's own spelling."""

    line: int
    value: object
    spelling: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: the document's values, where each was written, and what could not be read."""

    data: object = None
    written: dict[Where, Written] = field(default_factory=dict[Where, Written])
    problems: list[Problem] = field(default_factory=list[Problem])


def read(text: str, environ: Mapping[str, str], *, most: int | None = None) -> Source:
    """Read one YAML 1.2 document, with `${NAME}` replaced from `environ` in its values. Never raises.

    `most` is how many values it may unfold into, when not as many as a `rookery.yaml` can need.

    Keys stay text as they are written, so that an account may be called 1 or null. Numbers, true, false and
    null are read, everything else is text; aliases are followed.
    """
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.max_depth = _DEEPEST
    yaml.composer.warn_double_anchors = False
    most = _MOST_VALUES if most is None else most
    reader = _Reader(environ, most)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        return Source(problems=[_not_yaml(error, text)])
    except ReaderError as error:
        return Source(problems=[_not_a_character(error, text)])
    except Exception:  # ruamel meets some broken texts with errors of Python's own: ValueError, IndexError …
        return Source(problems=[Problem((), "is not YAML", 1)])
    if root is None:
        return Source()
    try:
        data = reader.value(root, ())
    except _TooMuchError:
        return Source(problems=[Problem((), f"holds more than {most} values", 1)])
    return Source(data, reader.written, reader.problems)


_DEEPEST = 24
_MOST_VALUES = 50_000
"""Bounds what nested aliases can unfold into."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value"))
_TRUE = frozenset({"true", "yes", "on", "y"})


class _TooMuchError(Exception):
    """The document unfolds into more values than a configuration can need."""


class _Reader:
    def __init__(self, environ: Mapping[str, str], most: int) -> None:
        self._most = most
        self.written: dict[Where, Written] = {}
        self.problems: list[Problem] = []
        self._environ = environ
        self._open: set[int] = set()

    def value(self, node: Any, where: Where, line: int | None = None) -> object:
        line = int(node.start_mark.line) + 1 if line is None else line
        if len(self.written) >= self._most:
            raise _TooMuchError
        if id(node) in self._open:
            self._wrong(where, "refers to itself; write the value out", line)
            return None
        spelling = None
        # The outer value is noted first, so that lines of a file that unfolds too far are bounded too.
        self.written[where] = Written(line, None)
        self._open.add(id(node))
        try:
            if node.id == "mapping":
                value: object = self._mapping(node, where, line)
            elif node.id == "sequence":
                self._check_tag(node, {_TAG + "seq"}, where, line)
                value = [self.value(item, (*where, index)) for index, item in enumerate(node.value)]
            else:
                value = self._scalar(node, where, line)
                spelling = str(node.value)
        finally:
            self._open.discard(id(node))
        self.written[where] = Written(line, value, spelling)
        return value

    def _mapping(self, node: Any, where: Where, line: int) -> dict[str, object]:
        self._check_tag(node, {_TAG + "map"}, where, line)
        values: dict[str, object] = {}
        pairs: list[tuple[Any, Any]] = node.value
        for key_node, value_node in pairs:
            line = int(key_node.start_mark.line) + 1
            if key_node.id != "scalar":
                self._wrong(where, "has a list or mapping as a key; a key is one word", line)
                continue
            key = str(key_node.value)
            here = (*where, key)
            if not _is_text(key):
                self._wrong(where, "has a key with a character that is not text", line)
            elif key == "<<" and key_node.style is None:
                self._wrong(here, "is a merge key, which is not read here; write the keys out", line)
            elif key in values:
                first = self.written[here].line
                self._wrong(here, f"is written twice, on line {first} and on line {line}; keep one of them", line)
            else:
                values[key] = self.value(value_node, here, line)
        return values

    def _scalar(self, node: Any, where: Where, line: int) -> object:
        text = str(node.value)
        tag = str(node.tag)
        self._check_tag(node, _PLAIN_TAGS, where, line)
        if not _is_text(text):
            self._wrong(where, "holds a character that is not text", line)
            return ""
        match tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() in _TRUE
            case "int" | "float" as kind:
                return _number(text, kind)
            case _:
                return self._replaced(text, where, line)

    def _replaced(self, text: str, where: Where, line: int) -> str:
        """`text` with its variables filled in; what cannot be is a problem, and reads as nothing."""
        replaced = False

        def fill(match: re.Match[str]) -> str:
            nonlocal replaced
            if match[0] == "$${":
                return "${"
            replaced = True
            name = match[1]
            if not match[2] or not _NAME.fullmatch(name):
                self._wrong(
                    where, "holds '${' without a variable's name and '}'; write '$${' to mean it literally", line
                )
            elif name not in self._environ:
                self._wrong(where, f"needs the environment variable {name!r}, which is not set", line)
            elif not _is_text(self._environ[name]):
                self._wrong(where, f"needs the environment variable {name!r}, which holds what is not text", line)
            else:
                return self._environ[name]
            return ""

        value = _VARIABLE.sub(fill, text)
        return FromEnvironment(value, text) if replaced else value

    def _check_tag(self, node: Any, tags: frozenset[str] | set[str], where: Where, line: int) -> None:
        if str(node.tag) not in tags:
            self._wrong(where, f"has the tag {str(node.tag)!r}, which is not read here; leave it out", line)

    def _wrong(self, where: Where, text: str, line: int) -> None:
        self.problems.append(Problem(where, text, line))


def _not_yaml(error: Any, text: str) -> Problem:
    # Only `problem` is shown: the error's own text quotes the file, and with it perhaps a secret.
    mark = error.problem_mark or error.context_mark
    line = 1 if mark is None else int(mark.line) + 1
    return Problem((), f"is not YAML: {error.problem or error.context}{_hint(text, line)}", line)


def _not_a_character(error: Any, text: str) -> Problem:
    line = text.count("\n", 0, int(error.position)) + 1
    return Problem((), "holds a character that YAML does not allow", line)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _number(text: str, kind: str) -> object:
    """A YAML number; text that Python reads otherwise stays text, and is refused where a number is wanted."""
    plain = text.replace("_", "")
    try:
        if kind == "float":
            return float(plain.lower().replace(".inf", "inf").replace(".nan", "nan"))
        digits = plain.lstrip("+-").lower()
        return int(plain, 0) if digits.startswith(("0x", "0o", "0b")) else int(plain)
    except ValueError:
        return text


def _hint(text: str, line: int) -> str:
    lines = text.split("\n")
    if line <= len(lines) and "${" in lines[line - 1]:
        return "; put a value with ${…} in quotes"
    return ""
