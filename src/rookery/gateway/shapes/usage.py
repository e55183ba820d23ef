"""What was used, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from rookery.messages.money import dollars

UsageKey = Literal["user", "agent", "model", "day", "session", "purpose"]


class UsageAsk(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Sums by one key. `user_id`: only what this person pays for.

    `since` and `until` are moments with their zone, or days, of which the whole day is meant; None is no bound.
    `timezone` is whose days are meant; None: those of whoever asks, and of nobody in particular UTC.
    """

    by: UsageKey = "day"
    user_id: str | None = None
    since: str | None = None
    until: str | None = None
    timezone: str | None = None


class UsageRow(Struct, frozen=True, rename="camel", kw_only=True):
    """What the calls with one key used together.

    `cachedTokens` and `cacheWriteTokens`, which a provider read from its prompt cache and wrote to it, are part of
    `inputTokens`. `estimatedCalls` are those whose numbers are a guess, for their end was not seen or not counted;
    `failedCalls` those that no provider answered. `costUsd` is what the calls cost of which a price is known: null
    where it is known of none; `unpricedCalls` are the others. `costNanoUsd` is the same amount exactly, in 10^-9
    dollars.
    """

    key: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float | None
    cost_nano_usd: int | None
    cache_write_tokens: int
    estimated_calls: int
    failed_calls: int
    unpriced_calls: int


class TurnCall(Struct, frozen=True, rename="camel", kw_only=True):
    """One call of a model that was made for a turn, in the order in which they were made.

    `error` is why it gave no answer; `costUsd` null where no price is known. Times are in milliseconds:
    `waitedMs` until it was its turn, `firstTokenMs` and `ms` from its beginning.
    """

    provider: str
    model: str
    purpose: str
    status: Literal["projected", "settled", "estimated", "failed"]
    error: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float | None
    started_at: datetime
    waited_ms: int
    first_token_ms: int | None
    ms: int | None


def usd(nano_dollars: int | None) -> float | None:
    """An amount as JSON has it: the number that is nearest, and reads as the exact one up to millions."""
    return None if nano_dollars is None else float(dollars(nano_dollars))


def as_csv(rows: Sequence[UsageRow]) -> str:
    """The rows as CSV (RFC 4180), with a line of headings.

    A key is a name that people chose: one that a spreadsheet would run as a formula is written with a ' before it.
    """
    lines = [",".join(_HEADINGS)]
    for row in rows:
        cost = "" if row.cost_nano_usd is None else f"{dollars(row.cost_nano_usd):f}"
        counts = (getattr(row, name) for name in _COUNTS)
        lines.append(",".join([_cell(row.key), cost, *map(str, counts)]))
    return "".join(f"{line}\r\n" for line in lines)


_COUNTS = (
    *("calls", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens"),
    *("estimated_calls", "failed_calls", "unpriced_calls"),
)
_HEADINGS = (
    *("key", "costUsd", "calls", "inputTokens", "cachedTokens", "cacheWriteTokens", "outputTokens"),
    *("estimatedCalls", "failedCalls", "unpricedCalls"),
)


def _cell(text: str) -> str:
    if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"'
