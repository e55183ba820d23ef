"""How a batch of turns ended: what is told to the person, and what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rookery.agents import words
from rookery.gateway.turns import Status
from rookery.ids import EntryId
from rookery.messages import MessageEntry, StopReason, Usage, text_of

_UNUSED = Usage()


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a batch. `text` is what the person is told, out of the entry `entry_id`; empty for nothing."""

    status: Status
    text: str = ""
    entry_id: EntryId | None = None
    usage: Usage = _UNUSED
    error: str | None = None
    detail: str | None = None
    model: str | None = None
    stop_reason: StopReason | None = None


def ending_of(last: MessageEntry, usage: Usage) -> Ending:
    """The ending of a batch whose run wrote `last` as its last entry."""
    reason = last.stop_reason
    assert reason is not None, "a run ends with an answer, and an answer says why it ended"
    model = f"{last.provider}/{last.model}" if last.provider else None
    if reason in _ENDED_UNHEARD:
        return Ending(_ENDED_UNHEARD[reason], entry_id=last.id, usage=usage, model=model, stop_reason=reason)
    said = text_of(last)
    if reason is StopReason.ERROR:
        text = "\n\n".join(filter(None, [said, last.error]))
        return Ending(Status.FAILED, text, last.id, usage, error=last.error_kind, model=model, stop_reason=reason)
    if reason is StopReason.LENGTH:
        said = f"{said}\n\n{words.CUT_AT_LENGTH}".strip()
    return Ending(Status.DONE, said or words.NOTHING_SAID, last.id, usage, model=model, stop_reason=reason)


def bare_ending_of(last: MessageEntry, usage: Usage) -> Ending:
    """The ending for a client that shows itself how an answer ended: the model's words alone, or the error's."""
    ending = ending_of(last, usage)
    return replace(ending, text=(last.error or "") if ending.status is Status.FAILED else text_of(last))


def told(last: MessageEntry) -> str:
    """What the person is told when a turn ends with this entry; nothing when it was stopped."""
    return ending_of(last, _UNUSED).text


def used(entries: Sequence[MessageEntry]) -> Usage:
    """What the model calls of these entries used together."""
    total = Usage()
    for entry in entries:
        if entry.usage is not None:
            total += entry.usage
    return total


_ENDED_UNHEARD = {StopReason.STOPPED: Status.CANCELLED, StopReason.INTERRUPTED: Status.INTERRUPTED}
