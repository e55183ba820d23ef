"""A session as a text that people read."""

from __future__ import annotations

from collections.abc import Iterable

from rookery.messages import AnyEntry, MessageEntry, Role, ToolCallPart, text_of
from rookery.messages.transcript import ImagePart


def as_markdown(title: str, agent_name: str, entries: Iterable[AnyEntry]) -> str:
    """What was said, as Markdown: who, when, and their words as they wrote them; of tools only the names."""
    parts = [f"# {title}"]
    for entry in entries:
        if not isinstance(entry, MessageEntry) or entry.role is Role.TOOL_RESULT:
            continue
        said = _words(entry)
        if said:
            parts.append(f"## {_who(entry, agent_name)} ({entry.timestamp:%Y-%m-%d %H:%M} UTC)\n\n{said}")
    return "\n\n".join(parts) + "\n"


def _who(entry: MessageEntry, agent_name: str) -> str:
    if entry.role is Role.ASSISTANT:
        return agent_name
    sender = entry.sender
    return "You" if sender is None else sender.name or sender.id


def _words(entry: MessageEntry) -> str:
    lines = [text_of(entry)]
    lines += [f"*Image: {part.attachment_id}*" for part in entry.content if isinstance(part, ImagePart)]
    lines += [f"*Used {part.name}*" for part in entry.content if isinstance(part, ToolCallPart)]
    lines += [entry.error] if entry.error else []
    return "\n\n".join(line for line in lines if line)
