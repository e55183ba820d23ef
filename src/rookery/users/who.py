"""`who`: what a friend is like, in words that are checked one by one and kept as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from rookery.errors import InvalidInput
from rookery.users.people import check_language

RESPONSE_LENGTHS = ("short", "medium", "long")
WORDS = ("gender", "roles", "personalities", "language", "responseLength", "description")
"""Everything that can be said, in the order in which it is kept and told."""

MOST_IN_A_LIST = 20
LONGEST_LINE = 200
LONGEST_DESCRIPTION = 4000

_OTHERWISE = {"response_length": "responseLength"}
"""Another spelling that is read, as everywhere in files."""


def check_who(who: Mapping[str, object], where: str = "who") -> dict[str, object]:
    """The same facts, each under its one spelling; what is null or empty is left out.

    Raises `InvalidInput` that names the place, which begins with `where`, and what would be right.
    """
    found: dict[str, object] = {}
    for word, value in who.items():
        name = spelled(word)
        if name not in WORDS:
            raise InvalidInput(f"{where}.{word[:40]} is nothing a friend can be; there is {', '.join(WORDS)}.")
        if name in found:
            raise InvalidInput(f"{where}.{word} says again what {where}.{name} said.")
        checked = _value(name, value, f"{where}.{word}")
        if checked:
            found[name] = checked
    return {name: found[name] for name in WORDS if name in found}


def spelled(word: str) -> str:
    """The one spelling under which a word is kept."""
    return _OTHERWISE.get(word, word)


def who_as_text(who: Mapping[str, object] | None, where: str = "who") -> str | None:
    """What is kept of `who`; None for nothing said. Raises as `check_who` does."""
    checked = {} if who is None else check_who(who, where)
    return json.dumps(checked, ensure_ascii=False, separators=(",", ":")) if checked else None


def who_from_text(text: str | None) -> Mapping[str, object] | None:
    """The facts of a kept `who`."""
    return None if text is None else cast("Mapping[str, object]", json.loads(text))  # written by who_as_text alone


def _value(name: str, value: object, where: str) -> str | list[str]:
    if value is None:
        return ""
    if name in ("roles", "personalities"):
        return _list(value, where)
    if name == "description":
        return _text(value, where, LONGEST_DESCRIPTION, lines=True)
    said = _text(value, where, LONGEST_LINE)
    if name == "language" and said:
        try:
            check_language(said)
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error.detail}") from None
    if name == "responseLength" and said and said not in RESPONSE_LENGTHS:
        raise InvalidInput(f"{where} is {said!r}; it can be {', '.join(RESPONSE_LENGTHS)}.")
    return said


def _list(value: object, where: str) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidInput(f"{where} is a list of words, such as [gentle, patient].")
    items = cast("Sequence[object]", value)
    if len(items) > MOST_IN_A_LIST:
        raise InvalidInput(f"{where} has {len(items)} words; there is room for {MOST_IN_A_LIST}.")
    said = [_text(item, f"{where}[{number}]", LONGEST_LINE) for number, item in enumerate(items)]
    return [one for one in said if one]


def _text(value: object, where: str, longest: int, *, lines: bool = False) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{where} is text, not {type(value).__name__}.")
    said = value.strip()
    if len(said) > longest:
        raise InvalidInput(f"{where} has {len(said)} characters; there is room for {longest}.")
    readable = "".join(said.splitlines()).replace("\t", " ") if lines else said
    if not readable.isprintable():
        raise InvalidInput(
            f"{where} holds characters that cannot be shown{'' if lines else ', or several lines'}."
        )
    return said
