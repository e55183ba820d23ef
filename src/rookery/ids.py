"""The identifiers, one type each, and how they are checked and made.

An id is kept as it was written: what does not fit is refused with a suggestion, never rewritten.
"""

from __future__ import annotations

import os
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import NewType

from rookery.errors import InvalidId

UserId = NewType("UserId", str)
"""A person this gateway knows; unique regardless of case within one gateway."""

AgentId = NewType("AgentId", str)
"""One brain: `alice`, `alice--sabrina`, `space--<12 hex>`, or a shared agent's own name."""

SessionId = NewType("SessionId", str)
"""One conversation of one agent, for ever; unique within one gateway."""

TurnId = NewType("TurnId", str)
"""One accepted message on its way to a reply; unique within one gateway."""

EntryId = NewType("EntryId", str)
"""One line of a transcript, `<turnId>.<n>` for what a turn writes; unique within its session."""

DeliveryId = NewType("DeliveryId", str)
"""One chunk of a reply, `<turnId>.<n>.<chunk>`; the idempotency key towards the network."""

RESERVED_USER_IDS = frozenset({"main", "share", "system", "space"})
"""`space` is kept free because `space--<12 hex>` names a group's agent, and `user--friend` a person's."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_ULID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def user_id(text: str) -> UserId:
    """Check a user id. Raises `InvalidId` with a suggestion that fits."""
    if not _PLAIN.fullmatch(text):
        raise _unfit("user id", text, "letters, digits, '-' and '_', beginning with a letter or digit, at most 63")
    if "--" in text:
        raise _unfit("user id", text, "no '--', which separates a person from a friend")
    if text.casefold() in RESERVED_USER_IDS:
        raise _unfit("user id", text, f"none of {', '.join(sorted(RESERVED_USER_IDS))}")
    return UserId(text)


def agent_id(text: str) -> AgentId:
    """Check an agent id of any of the four kinds. Raises `InvalidId`."""
    person, separator, friend = text.partition("--")
    fits = bool(_PLAIN.fullmatch(person)) and (
        not separator or (bool(_PLAIN.fullmatch(friend)) and "--" not in friend)
    )
    if not fits:
        raise _unfit("agent id", text, "letters, digits, '-' and '_', and at most one '--' between two names")
    if person.casefold() in RESERVED_USER_IDS and not (person == "space" and separator):
        raise _unfit("agent id", text, f"none of {', '.join(sorted(RESERVED_USER_IDS))}")
    return AgentId(text)


def fold(text: str) -> str:
    """The form in which two user or agent ids are the same id; used for uniqueness only, never as a key."""
    return text.casefold()


def fresh(now: datetime) -> str:
    """A new unique id of 26 characters that sorts by time (a ULID in lower case, github.com/ulid/spec)."""
    number = ((now - _EPOCH) // _MILLISECOND << 80) | int.from_bytes(_chance())
    return "".join(_ULID_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def _chance() -> bytes:
    """80 bits that nobody can guess.

    The system is asked for a page of them at a time: asking lets go of the interpreter, which is then waited for.
    """
    try:
        return _CHANCES.pop()
    except IndexError:
        page = os.urandom(_CHANCE * 400)
        _CHANCES.extend(page[at : at + _CHANCE] for at in range(_CHANCE, len(page), _CHANCE))
        return page[:_CHANCE]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CHANCE = 10
_CHANCES: list[bytes] = []
os.register_at_fork(after_in_child=_CHANCES.clear)  # or parent and child would make the same ids


def _unfit(what: str, text: str, rule: str) -> InvalidId:
    suggestion = _suggest(text)
    hint = f" Try {suggestion!r}." if suggestion else ""
    return InvalidId(
        f"{text!r} is not {'an' if what[0] in 'aeio' else 'a'} {what}: {rule}.{hint}", suggestion=suggestion
    )


def _suggest(text: str) -> str | None:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    candidate = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9_-]+", "-", ascii_text)).strip("-_")[:63].rstrip("-_")
    if candidate.casefold() in RESERVED_USER_IDS:
        candidate = f"{candidate}-1"
    return candidate or None
