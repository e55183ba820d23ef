"""What the wire formats write alike: an entry's words, who wrote them, and pictures in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rookery.messages import MessageEntry, Role, SenderNote, TextPart
from rookery.messages.transcript import ImagePart
from rookery.models.port import PromptMessage


def words(entry: MessageEntry) -> str:
    """The words of an entry, its pictures named in their places."""
    said: list[str] = []
    for part in entry.content:
        if isinstance(part, TextPart):
            said.append(part.text)
        elif isinstance(part, ImagePart):
            said.append(picture_in_words(part))
    return "\n\n".join(said)


def picture_in_words(part: ImagePart) -> str:
    """What stands for a picture that is not shown."""
    return f"[Image: {part.name}]" if part.name else "[Image]"


def label(sender: SenderNote | None) -> str:
    """The line above what somebody wrote, where several people may write; nothing where only one does."""
    if sender is None:
        return ""
    # The name is the sender's own choice; quoted as JSON it cannot break out of the label or begin a line.
    name = f"{msgspec.json.encode(sender.name).decode()} " if sender.name else ""
    return f"From {name}({sender.channel}:{msgspec.json.encode(sender.id).decode()[1:-1]}):\n"


def shows(entry: MessageEntry, images: Mapping[str, bytes]) -> bool:
    """Whether a picture of this entry is among those that are shown."""
    return entry.role is Role.USER and any(
        isinstance(part, ImagePart) and part.attachment_id in images for part in entry.content
    )


def last_user(history: Sequence[PromptMessage], before: int | None = None) -> int | None:
    """Where the last thing that a person said stands, looking only `before` a place when one is given."""
    for index in range(len(history) if before is None else before)[::-1]:
        if history[index].entry.role is Role.USER:
            return index
    return None


def turn_begins(history: Sequence[PromptMessage]) -> int:
    """Where the turn begins that the prompt's last message belongs to."""
    if not history:
        return 0
    turn = history[-1].entry.turn_id
    if turn is None:
        return last_user(history) or 0
    begin = len(history) - 1
    while begin and history[begin - 1].entry.turn_id == turn:
        begin -= 1
    return begin
