"""Senders that are almost somebody: spelled, named or placed like a person we know, and not them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from random import Random
from urllib.parse import quote

Change = Callable[[str, Random], str]

_CONFUSABLE = str.maketrans("aeiopcxy01lIABEO", "аеіорсху٠۱ІlАВЕО")
_SPACES = (" ", "\t", "\n", "\u00a0", "\u2003", "\u3000")
_UNSEEN = ("\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e", "\ufe0f", "\u0301")


def _at(text: str, rng: Random, piece: str) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + piece + text[at:]


def _shortened(text: str, rng: Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] if rng.random() < 0.5 else text[at:]


def _escaped(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


CHANGES: dict[str, Change] = {
    "as it is": lambda text, _: text,
    "confusable": lambda text, _: text.translate(_CONFUSABLE),
    "longer at the end": lambda text, rng: text + rng.choice("0aA_-.:/@ "),
    "longer at the beginning": lambda text, rng: rng.choice("0aA_-.:/@+~ ") + text,
    "shortened": _shortened,
    "empty": lambda _, __: "",
    "other case": lambda text, rng: rng.choice((text.upper(), text.lower(), text.swapcase(), text.casefold())),
    "white space": lambda text, rng: _at(text, rng, rng.choice(_SPACES)),
    "NUL": lambda text, rng: _at(text, rng, "\0"),
    "unseen": lambda text, rng: _at(text, rng, rng.choice(_UNSEEN)),
    "normalised": lambda text, rng: unicodedata.normalize(rng.choice(("NFC", "NFD", "NFKC", "NFKD")), text),
    "full width": lambda text, _: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "quoted": lambda text, rng: rng.choice((_escaped(text), f"'{text}'", f'"{text}"', text + "%", f"%{text}")),
    "SQL": lambda text, rng: rng.choice((f"{text}' OR '1'='1", "%", "_" * len(text), "*", f"{text};--")),
    "with its network": lambda text, rng: f"{rng.choice(('telegram', 'webhook', 'default', '~', 'user'))}:{text}",
    "surrogate": lambda text, rng: _at(text, rng, "\ud800"),
    "number": lambda text, rng: rng.choice((f"+{text}", f"0{text}", f"{text}.0", text.lstrip("0") or "0")),
    "twice": lambda text, _: text + text,
    "backwards": lambda text, _: text[::-1],
}
"""Ways to change a sender's id into one that a careless comparison takes for it; some leave it as it is."""


def almost(known: str, rng: Random) -> str:
    """An id that is or resembles this one; one in four is changed twice."""
    text = rng.choice(list(CHANGES.values()))(known, rng)
    if text and rng.random() < 0.25:
        text = rng.choice(list(CHANGES.values()))(text, rng)
    return text
