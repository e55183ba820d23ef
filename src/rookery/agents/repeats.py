"""Whether a model goes in circles: the very same call, again and again, with the very same result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from rookery.messages import MessageEntry, Role, ToolCallPart, text_of

IN_A_ROW = 5
"""How often the same call may give the same result before it is not made again."""

NOT_AGAIN = (
    f"Not done: this very call was made {IN_A_ROW} times in a row, with the same result each time. "
    "Do something else, or answer with what there is."
)
"""What the model is told then. When it asks for the same once more, the turn ends."""


class Streak(Struct, frozen=True):
    """What the last calls of a turn have in common with one that is asked for now."""

    same: int
    """How many of the last calls were this one, and had all the same result."""

    warned: bool
    """Whether it was asked for after that, and refused."""


def streak(entries: Sequence[MessageEntry], call: ToolCallPart) -> Streak:
    """How the last calls of a turn's entries ended, as far as they were this very call."""
    said: str | None = None
    same, warned = 0, False
    for made, told in _latest_first(entries):
        if made.name != call.name or made.arguments != call.arguments:
            break
        text = text_of(told)
        if text == NOT_AGAIN:
            warned = True
            continue
        if said is None:
            said = text
        if text != said:
            break
        same += 1
    return Streak(same, warned)


def _latest_first(entries: Sequence[MessageEntry]) -> Iterator[tuple[ToolCallPart, MessageEntry]]:
    """Each call with its result, from the last one back."""
    results: list[MessageEntry] = []
    for entry in reversed(entries):
        if entry.role is Role.TOOL_RESULT:
            results.append(entry)
        elif entry.role is Role.ASSISTANT:
            calls = {part.id: part for part in entry.content if isinstance(part, ToolCallPart)}
            for told in results:
                if (call := calls.get(told.tool_call_id or "")) is not None:
                    yield call, told
            results.clear()
