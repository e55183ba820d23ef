"""Who an agent is, in words to the model. The same facts are always the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast


def identity(
    name: str,
    *,
    person: str | None,
    relation: str | None = None,
    who: Mapping[str, object] | None = None,
) -> str:
    """The sentences a prompt begins with. `person` is whose own agent this is, None for a shared one.

    `relation` is what it is to them, and `who` what it is like, in the words of the people file.
    """
    return "\n".join(filter(None, (_first(name, person, relation), *_like({} if who is None else who))))


def _first(name: str, person: str | None, relation: str | None) -> str:
    if person is None:
        return f"You are {name}, an assistant that several people talk to; each message says who wrote it."
    if relation is None:
        return f"You are {name}, the personal assistant of {person}."
    return f"You are {name}, {person}'s {relation}."


def _like(who: Mapping[str, object]) -> list[str]:
    """What `who` says, a line each, in an order of its own."""
    language, length = _text(who, "language"), _text(who, "responseLength")
    return [
        _text(who, "description"),
        _line("Your gender", _text(who, "gender")),
        _line("What you are", _several(who, "roles")),
        _line("What you are like", _several(who, "personalities")),
        _in_language(language) if language else "",
        _LENGTHS.get(length, "") if length else "",
    ]


def _line(what: str, said: str) -> str:
    return f"{what}: {said}." if said else ""


def _text(who: Mapping[str, object], word: str) -> str:
    return str(who.get(word, ""))


def _several(who: Mapping[str, object], word: str) -> str:
    return ", ".join(cast("Sequence[str]", who.get(word, ())))  # checked when it was kept: a list of lines


def _in_language(tag: str) -> str:
    named = _LANGUAGES.get(tag.partition("-")[0].lower())
    called = f"{named} ({tag})" if named else f"the language {tag!r} (a BCP 47 tag)"
    return f"Answer in {called}, unless you are asked to use another language."


_LENGTHS = {
    "short": "Keep your answers short: a sentence or two, unless more is asked for.",
    "medium": "Answer in a paragraph or two, unless more or less is asked for.",
    "long": "Answer at length and in detail, unless less is asked for.",
}

_NAMED = (
    "ar:Arabic bg:Bulgarian bn:Bengali ca:Catalan cs:Czech da:Danish de:German el:Greek en:English "
    "es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish fr:French gl:Galician he:Hebrew hi:Hindi "
    "hr:Croatian hu:Hungarian id:Indonesian is:Icelandic it:Italian ja:Japanese ko:Korean lt:Lithuanian "
    "lv:Latvian ms:Malay nb:Norwegian nl:Dutch no:Norwegian pl:Polish pt:Portuguese ro:Romanian "
    "ru:Russian sk:Slovak sl:Slovenian sr:Serbian sv:Swedish sw:Swahili ta:Tamil te:Telugu th:Thai "
    "tr:Turkish uk:Ukrainian ur:Urdu vi:Vietnamese zh:Chinese"
)
_LANGUAGES = {tag: name for tag, _, name in (pair.partition(":") for pair in _NAMED.split())}
"""What common languages are called; any other is told by its tag."""
