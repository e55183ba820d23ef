"""From what is known of a call to its row in the ledger: before it, after it, and when nobody saw its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from rookery.ids import EntryId
from rookery.messages import MessageEntry, Usage
from rookery.usage.calls import Call, CallEnd
from rookery.usage.ledger import Bill, LedgerRow, Status
from rookery.usage.prices import Price

EXPECTED_OUTPUT = 500
"""How many tokens a reply is taken to have before anything of it was heard."""

CANCELLED = "cancelled"
"""The error of a call that we hung up ourselves, or did not make after all."""

MOST_TOKENS = 50_000_000
"""More than any model reads or writes in one call; a server that counted more did not count."""

UNSEEN = "unseen"
"""The error of a call whose end nobody saw, for the process that made it was gone."""


def projected(bill: Bill, call: Call, price: Price, now: datetime) -> LedgerRow:
    """The row of a call that is about to be made."""
    usage = sane(call.projected)
    if not usage.output_tokens:
        usage = Usage(usage.input_tokens, EXPECTED_OUTPUT, usage.cached_tokens)
    cost = price.cost(usage, now)
    return LedgerRow(
        call_id=call.call_id,
        user_id=bill.user_id,
        principal=bill.principal,
        agent_id=bill.agent_id,
        session_id=bill.session_id,
        turn_id=bill.turn_id,
        entry_id=call.entry_id,
        purpose=call.purpose,
        provider=call.provider,
        model=call.model,
        key_name=call.key_name,
        status=Status.PROJECTED,
        error=None,
        projected_input=usage.input_tokens,
        projected_output=usage.output_tokens,
        projected_nano_usd=cost or 0,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        nano_usd=cost or 0,
        unpriced=cost is None,
        price_version=price.version,
        started_at=now,
        ended_at=None,
        waited_ms=_milliseconds(call.waited),
        first_token_ms=None,
        ms=None,
    )


def ended(row: LedgerRow, end: CallEnd, price: Price, now: datetime) -> tuple[LedgerRow, Usage]:
    """The row of a call that ended, and what it used with what that costs."""
    usage = sane(end.usage)
    if end.error is not None and end.first_token is not None:
        usage = as_guess(usage)  # whatever was counted of it, there may have been more
    counted = Status.SETTLED if end.error is None else Status.FAILED
    status = Status.ESTIMATED if usage.estimated else counted
    # Nothing used costs nothing, at whatever price.
    used = usage.input_tokens or usage.output_tokens
    cost = price.cost(usage, row.started_at) if used else 0
    settled = replace(
        row,
        status=status,
        error=end.error,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        nano_usd=cost or 0,
        unpriced=cost is None,
        ended_at=now,
        first_token_ms=None if end.first_token is None else _milliseconds(end.first_token),
        ms=_milliseconds(end.seconds),
    )
    return settled, priced(usage, cost)


def not_made(row: LedgerRow, now: datetime) -> LedgerRow:
    """The row of a call that was written down, and then not made."""
    return replace(
        row,
        status=Status.FAILED,
        error=CANCELLED,
        input_tokens=0,
        cached_tokens=0,
        cache_write_tokens=0,
        output_tokens=0,
        nano_usd=0,
        unpriced=False,
        ended_at=now,
    )


def left_over(rows: Sequence[LedgerRow], written: Mapping[EntryId, MessageEntry]) -> list[LedgerRow]:
    """What is to be written of a turn's rows whose end was not kept, as far as it is known by now.

    `rows` are all of the turn, in their order; `written` are its entries. An entry that holds what was used
    settles the last call that was made for it, unless another row has that already. The others stay with what was
    projected.
    """
    settled = {row.entry_id for row in rows if row.status is not Status.PROJECTED and row.error is None}
    found: list[LedgerRow] = []
    for row in reversed(rows):
        if row.status is not Status.PROJECTED:
            continue
        entry = written.get(row.entry_id)
        usage = None if entry is None or row.entry_id in settled else entry.usage
        if entry is None or usage is None or (entry.provider, entry.model) != (row.provider, row.model):
            found.append(replace(row, status=Status.ESTIMATED, error=UNSEEN))
            continue
        settled.add(row.entry_id)
        found.append(
            replace(
                row,
                status=Status.ESTIMATED if usage.estimated else Status.SETTLED,
                input_tokens=usage.input_tokens,
                cached_tokens=usage.cached_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_tokens=usage.output_tokens,
                nano_usd=usage.cost_nano_usd or 0,
                unpriced=usage.cost_nano_usd is None,
                ended_at=entry.timestamp,
            )
        )
    return found


def sane(usage: Usage) -> Usage:
    """What a provider says it counted, within what can be: what came from the cache was read, and no more than
    `MOST_TOKENS` in all. Beyond that it is a guess."""
    read = min(max(usage.input_tokens, 0), MOST_TOKENS)
    cached = min(max(usage.cached_tokens, 0), read)
    written = min(max(usage.cache_write_tokens, 0), read - cached)
    output = min(max(usage.output_tokens, 0), MOST_TOKENS)
    absurd = max(usage.input_tokens, usage.output_tokens) > MOST_TOKENS
    return Usage(read, output, cached, usage.estimated or absurd, written)


def priced(usage: Usage, cost: int | None) -> Usage:
    """The usage of one call with its cost; None is not known."""
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.estimated,
        usage.cache_write_tokens,
        cost,
        cost is None,
    )


def as_guess(usage: Usage) -> Usage:
    """The same numbers, as a guess."""
    return Usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens, True, usage.cache_write_tokens)


def _milliseconds(seconds: float) -> int:
    """Whole milliseconds that a column can hold: a clock that was set may say anything."""
    return min(max(0, round(seconds * 1000)), _LONGEST)


_LONGEST = 2**31 - 1
