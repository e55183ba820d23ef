"""The entries that the gateway itself puts into a transcript, for what was accepted and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rookery.agents import messages_of, pending_calls, words
from rookery.gateway.attachments import NO_FILES, Files
from rookery.gateway.turns import Turn
from rookery.ids import EntryId, TurnId
from rookery.messages import (
    ChatKind,
    InfoEntry,
    MessageEntry,
    Part,
    Role,
    SenderNote,
    StopReason,
    TextPart,
)
from rookery.models import PromptMessage
from rookery.sessions import Session
from rookery.users import Agent


def user_entry(
    turns: Sequence[Turn],
    session: Session,
    agent: Agent,
    files: Mapping[TurnId, Files],
    now: datetime,
    *,
    turn_id: TurnId | None = None,
    entry_id: EntryId | None = None,
) -> MessageEntry:
    """What messages of one hand say, as one entry at the end of their session.

    They begin a turn, which the first of them leads; or they join the one of `turn_id`, as `entry_id`.
    """
    turn_id = turn_id or turns[0].turn_id
    return MessageEntry(
        id=entry_id or EntryId(f"{turn_id}.0"),
        parent_id=session.last_entry_id,
        timestamp=now,
        turn_id=turn_id,
        role=Role.USER,
        content=tuple(part for turn in turns for part in _said(turn, files.get(turn.turn_id, NO_FILES).parts)),
        accepted=tuple(turn.turn_id for turn in turns),
        attachments=tuple(id for turn in turns for id in files.get(turn.turn_id, NO_FILES).kept),
        sender=_sender(turns[0], agent),
    )


def accepted(written: Sequence[MessageEntry]) -> tuple[TurnId, ...]:
    """The messages that a turn answers for, by all it has written; none when it has not begun."""
    return tuple(turn_id for entry in written for turn_id in entry.accepted)


def earlier(turn: Turn, agent: Agent) -> tuple[PromptMessage, ...]:
    """What a client tells of before, as part of the prompt; no transcript holds these entries."""
    return tuple(
        PromptMessage(
            MessageEntry(
                id=EntryId(f"{turn.turn_id}.earlier.{number}"),
                timestamp=turn.accepted_at,
                role=before.role,
                content=(TextPart(before.text), *before.images),
                sender=_sender(turn, agent) if before.role is Role.USER else None,
            )
        )
        for number, before in enumerate(turn.aside.earlier)
    )


def breakdown(leader: Turn, session: Session, now: datetime) -> MessageEntry:
    """The reply of a turn that a mistake of ours ended."""
    return MessageEntry(
        id=EntryId(f"{leader.turn_id}.{len(messages_of(session, leader.turn_id))}"),
        parent_id=session.last_entry_id,
        timestamp=now,
        turn_id=leader.turn_id,
        role=Role.ASSISTANT,
        content=(),
        stop_reason=StopReason.ERROR,
        error=words.UNEXPECTED,
        error_kind="unexpected",
    )


def left_undone(leader: Turn, session: Session, now: datetime) -> list[MessageEntry]:
    """A result for every call that a turn has asked for and that has none, when the turn is not gone on with.

    Only the first one can have been begun.
    """
    written = messages_of(session, leader.turn_id)
    return [
        MessageEntry(
            id=EntryId(f"{leader.turn_id}.{len(written) + number}"),
            timestamp=now,
            turn_id=leader.turn_id,
            role=Role.TOOL_RESULT,
            content=(TextPart(words.GIVEN_UP if number else words.OUTCOME_UNKNOWN),),
            tool_call_id=one.call.id,
            tool_name=one.call.name,
            is_error=True,
            outcome_unknown=not number,
        )
        for number, one in enumerate(pending_calls(written))
    ]


def opening(turn: Turn, session: Session, now: datetime) -> InfoEntry:
    """What a session is called that somebody opened."""
    return InfoEntry(
        id=EntryId(f"{turn.turn_id}.0"),
        parent_id=session.last_entry_id,
        timestamp=now,
        turn_id=turn.turn_id,
        title=turn.body.title,
        label=turn.body.label,
        tags=turn.body.tags,
        channel_binding=turn.body.bound_to,
    )


def removal(turn: Turn, session: Session, now: datetime) -> InfoEntry:
    """That a session was put into the bin."""
    return InfoEntry(
        id=EntryId(f"{turn.turn_id}.0"),
        parent_id=session.last_entry_id,
        timestamp=now,
        turn_id=turn.turn_id,
        status="deleted",
        archived_at=now,
        archived_reason="deleted",
    )


EPHEMERAL = "ephemeral"
"""Why a session ended that was for one task."""


def ephemeral_end(leader: Turn, session: Session, now: datetime) -> InfoEntry:
    """That a session ended with its one task."""
    return InfoEntry(
        id=EntryId(f"{leader.turn_id}.end"),
        parent_id=session.last_entry_id,
        timestamp=now,
        turn_id=leader.turn_id,
        status="deleted",
        archived_reason=EPHEMERAL,
    )


def _said(turn: Turn, files: Sequence[Part]) -> list[Part]:
    """A message's words, and what came with it."""
    said = [TextPart(turn.body.text)] if turn.body.text.strip() or not files else []
    return [*said, *files]


def _sender(turn: Turn, agent: Agent) -> SenderNote | None:
    """Who wrote, where several people may; None in a chat with a person's own agent."""
    route = turn.route
    if not agent.shared and route.chat.kind is ChatKind.DM:
        return None
    return SenderNote(route.channel, route.account, route.sender_id, turn.body.sender_name)
