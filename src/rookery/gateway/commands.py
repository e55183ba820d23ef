"""Chat commands: what a person types to the gateway itself. Answered on every channel, never by the model."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct


class Name(StrEnum):
    HELP = "help"
    WHOAMI = "whoami"
    STATUS = "status"
    NEW = "new"
    STOP = "stop"
    USAGE = "usage"
    FRIENDS = "friends"
    TALK = "talk"
    LINK = "link"
    UNLINK = "unlink"
    ADMIT = "admit"
    PRIVACY = "privacy"
    EXPORT = "export"
    APPROVE = "approve"
    DENY = "deny"


class Command(Struct, frozen=True):
    """One command as it was typed; `name` None when there is none of that name."""

    name: Name | None
    word: str
    rest: str


SUMMARIES: dict[Name, str] = {
    Name.HELP: "/help – what you can type",
    Name.WHOAMI: "/whoami – who you are to me, and who answers you",
    Name.STATUS: "/status – this conversation, and whether something is still being answered",
    Name.NEW: "/new [title] – begin a new conversation; the old one is kept",
    Name.STOP: "/stop – stop the answer that is being written, and what waits behind it",
    Name.USAGE: "/usage – what your assistants used today and this month, and what it cost",
    Name.FRIENDS: "/friends – your assistants, and which of them answers here",
    Name.TALK: "/talk [name or number] – let another of them answer in this chat",
    Name.LINK: "/link – a code that joins another address of yours to you",
    Name.UNLINK: "/unlink [N] – your addresses, and taking one of them off",
    Name.ADMIT: "/admit [user] – let this group in, with you or another person as its sponsor",
    Name.PRIVACY: "/privacy – what is kept of you, and who could read it",
    Name.EXPORT: "/export – how to get everything of yours, or have it erased",
    Name.APPROVE: "/approve [N] – allow what I asked you about, this once",
    Name.DENY: "/deny [N] – do not allow it",
}

_SHAPE = re.compile(r"\s*/([A-Za-z][A-Za-z_-]*)(?:\s+(.*))?\s*", re.DOTALL)


def parse(text: str) -> Command | None:
    """The command in a message, None when it is none: a path such as `/etc/hosts` is something said."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    word = found[1].lower()
    return Command(_NAMES.get(word), word, (found[2] or "").strip())


_NAMES = {name.value: name for name in Name}


def help_text(usable: Callable[[Name], bool]) -> str:
    """What this person can type here."""
    return "\n".join(["You can type:", *(line for name, line in SUMMARIES.items() if usable(name))])


def unknown_text(word: str) -> str:
    """The answer to a command there is not."""
    return f"I do not know /{word[:40]}. /help lists what you can type."
