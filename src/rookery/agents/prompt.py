"""The beginning of every prompt: who the agent is. The same bytes on every call, so that provider caches hit."""

from __future__ import annotations

from collections.abc import Sequence

from rookery.messages import Role
from rookery.messages.transcript import ImagePart
from rookery.models import PromptMessage
from rookery.models.words import tokens_in
from rookery.sessions import Session


def instructions(identity: str, persona: str, *, files: str = "", further: str = "") -> str:
    """The stable first part of a prompt: who the agent is (`persona.identity`), what it was told to be like, and
    what its own `files` say (`bootstrap.told`).

    `further`: what the person asks of this one turn. It stands last, so that what comes before it stays the same.
    """
    return "\n\n".join(filter(None, (identity, persona.strip(), files, further.strip())))


def history(session: Session, earlier: Sequence[PromptMessage] = ()) -> Sequence[PromptMessage]:
    """What was said so far, as it stands now, behind what was said `earlier` and is kept nowhere."""
    return (*earlier, *session.messages)


def tokens(session: Session) -> int:
    """About how many tokens a conversation has: what the model counted last, and a guess of what came since."""
    since = 0
    for message in reversed(session.messages):
        usage = message.entry.usage
        if usage is not None:
            return usage.input_tokens + usage.output_tokens + tokens_in(since)
        since += message.characters
    return tokens_in(since)


def pictures(history: Sequence[PromptMessage], most: int) -> list[ImagePart]:
    """The pictures of a prompt that are shown, the newest first; older ones are only named."""
    found: dict[str, ImagePart] = {}
    for message in reversed(history):
        if message.entry.role is Role.USER:
            for part in reversed(message.entry.content):
                if isinstance(part, ImagePart):
                    found.setdefault(part.attachment_id, part)
                    if len(found) == most:
                        return list(found.values())
    return list(found.values())
