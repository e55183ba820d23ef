"""The beginning of every prompt: who the agent is. The same bytes on every call, so that provider caches hit."""

from __future__ import annotations

from collections.abc import Sequence

from rookery.models import PromptMessage
from rookery.sessions import Session


def instructions(name: str, persona: str, *, person: str | None) -> str:
    """The stable first part of a prompt. `person` is whose own agent this is, None for a shared one."""
    whose = (
        f"You are {name}, the personal assistant of {person}."
        if person is not None
        else f"You are {name}, an assistant that several people talk to; each message says who wrote it."
    )
    return f"{whose}\n\n{persona}".strip()


def history(session: Session) -> Sequence[PromptMessage]:
    """What was said so far, as it stands now."""
    return tuple(session.messages)
