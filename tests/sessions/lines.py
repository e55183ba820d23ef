"""Short ways to write transcript lines in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rookery.ids import AgentId, EntryId, SessionId, TurnId
from rookery.messages import Header, InfoEntry, MessageEntry, Role, TextPart, Usage

ALICE = AgentId("alice")
BOB = AgentId("bob")
S1 = SessionId("s1")
START = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def header(session_id: str = "s1", agent_id: AgentId = ALICE, *, created: float = 0) -> Header:
    key = f"agent:{agent_id}:main"
    return Header(version=1, id=SessionId(session_id), session_key=key, agent_id=agent_id, created_at=at(created))


def said(
    entry_id: str,
    text: str = "hello",
    *,
    role: Role = Role.USER,
    seconds: float = 1,
    turn: str | None = None,
    **more: Any,
) -> MessageEntry:
    return MessageEntry(
        id=EntryId(entry_id),
        timestamp=at(seconds),
        turn_id=TurnId(turn) if turn else None,
        role=role,
        content=(TextPart(text=text),),
        **more,
    )


def answered(entry_id: str, tokens: tuple[int, int] = (10, 3), *, seconds: float = 2, **more: Any) -> MessageEntry:
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    return said(entry_id, "hi", role=Role.ASSISTANT, seconds=seconds, usage=usage, **more)


def info(entry_id: str, *, seconds: float = 3, **changes: Any) -> InfoEntry:
    return InfoEntry(id=EntryId(entry_id), timestamp=at(seconds), **changes)
