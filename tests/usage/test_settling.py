"""From a call to its row: before it, after it, and when nobody saw its end."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from rookery.ids import EntryId
from rookery.messages import MessageEntry, Role, Usage
from rookery.usage import CallEnd, LedgerRow, Rates, Status, settling
from rookery.usage.prices import MOST_COST, UNPRICED
from tests.gateway.made import NOW
from tests.usage.made import bill_of, call, row_of

RATES = Rates(Decimal(1), Decimal(2))


def test_a_call_is_projected_with_its_price() -> None:
    """Before it is made: what it reads, and a reply of some length."""
    row = settling.projected(bill_of(), call("c1"), RATES, NOW)
    assert (row.status, row.error, row.ended_at) == (Status.PROJECTED, None, None)
    assert (row.projected_input, row.projected_output) == (100, settling.EXPECTED_OUTPUT)
    assert row.nano_usd == row.projected_nano_usd == 100_000 + settling.EXPECTED_OUTPUT * 2000
    assert (row.price_version, row.unpriced, row.waited_ms) == ("configured 1/2/1/1", False, 250)


@pytest.mark.parametrize(
    ("usage", "error", "first", "status", "tokens"),
    [
        # An answer, counted by the provider or by us.
        (Usage(10, 20), None, 0.5, Status.SETTLED, (10, 20)),
        (Usage(10, 20, estimated=True), None, 0.5, Status.ESTIMATED, (10, 20)),
        # Refused before anything was heard: free, unless the provider counted.
        (Usage(), "rate_limited", None, Status.FAILED, (0, 0)),
        (Usage(10, 0), "content_refused", None, Status.FAILED, (10, 0)),
        # We hung up, or it broke off: nobody knows.
        (Usage(100, 3, estimated=True), "cancelled", 0.5, Status.ESTIMATED, (100, 3)),
        (Usage(100, 0, estimated=True), "timed_out", None, Status.ESTIMATED, (100, 0)),
        (Usage(100, 3), "broken_off", 0.5, Status.ESTIMATED, (100, 3)),
    ],
)
def test_a_call_that_ended_is_settled_by_what_was_heard(
    usage: Usage, error: str | None, first: float | None, status: Status, tokens: tuple[int, int]
) -> None:
    """Counted, guessed, or nothing at all; and what the run is told costs what the row says."""
    row, used = settling.ended(row_of("t1"), CallEnd("t1-0", usage, error, first, 2.0), RATES, NOW)
    assert (row.status, row.error, (row.input_tokens, row.output_tokens)) == (status, error, tokens)
    assert row.nano_usd == used.cost_nano_usd == tokens[0] * 1000 + tokens[1] * 2000
    assert (used.input_tokens, used.output_tokens, used.estimated) == (*tokens, status is Status.ESTIMATED)
    assert (row.ms, row.first_token_ms, row.ended_at) == (2000, None if first is None else 500, NOW)


def test_a_model_without_a_price_is_said_to_have_none() -> None:
    """Its cost is unknown, which is not nothing; but nothing used is nothing at any price."""
    row, used = settling.ended(row_of("t1"), CallEnd("t1-0", Usage(10, 20), None, 0.1, 1.0), UNPRICED, NOW)
    assert (row.unpriced, row.nano_usd, used.cost_nano_usd, used.unpriced) == (True, 0, None, True)
    row, used = settling.ended(row_of("t1"), CallEnd("t1-0", Usage(), "wrong_key", None, 1.0), UNPRICED, NOW)
    assert (row.unpriced, used.cost_nano_usd) == (False, 0)


def test_what_cannot_be_is_kept_as_a_guess_that_a_row_can_hold() -> None:
    """Tokens beyond any model's, and a clock that was set by a year meanwhile: the numbers fit their columns."""
    dear = Rates(Decimal(10**9), Decimal(10**9))
    end = CallEnd("t1-0", Usage(10**20, 10**20, 10**19), None, 4e7, 4e7)
    row, used = settling.ended(row_of("t1"), end, dear, NOW)
    assert (row.status, used.estimated) == (Status.ESTIMATED, True)
    assert row.input_tokens == row.output_tokens == used.output_tokens == settling.MOST_TOKENS
    assert row.nano_usd == used.cost_nano_usd == MOST_COST
    assert row.ms == row.first_token_ms == 2**31 - 1
    most = Usage(settling.MOST_TOKENS, settling.MOST_TOKENS)
    row, used = settling.ended(row_of("t1"), CallEnd("t1-0", most, None, 0.1, 1.0), RATES, NOW)
    assert (row.status, used.input_tokens) == (Status.SETTLED, settling.MOST_TOKENS)


def _entry(id: str, usage: Usage | None, *, model: str = "small") -> MessageEntry:
    return MessageEntry(
        id=EntryId(id),
        timestamp=NOW,
        role=Role.ASSISTANT,
        content=(),
        provider="house",
        model=model,
        usage=usage,
    )


def _left(rows: list[LedgerRow], *entries: MessageEntry) -> dict[str, tuple[Status, int]]:
    found = settling.left_over(rows, {entry.id: entry for entry in entries})
    return {row.call_id: (row.status, row.input_tokens) for row in found}


def test_an_end_nobody_kept_is_read_from_the_transcript() -> None:
    """The answer was written before the process was gone: it says exactly what was used."""
    entry = _entry("t1.1", Usage(7, 8, cost_nano_usd=9))
    [row] = settling.left_over([row_of("t1")], {entry.id: entry})
    assert (row.status, row.input_tokens, row.output_tokens, row.nano_usd) == (Status.SETTLED, 7, 8, 9)


def test_an_end_nobody_saw_stays_as_projected() -> None:
    """Nothing was written, or not what was used, or by another model: it stays marked as a guess."""
    for entries in ([], [_entry("t1.1", None)], [_entry("t1.1", Usage(7, 8), model="large")]):
        assert _left([row_of("t1")], *entries) == {"t1-0": (Status.ESTIMATED, 100)}


def test_one_answer_settles_one_call() -> None:
    """Of several calls for the same entry the last one gave it; one that is settled already took it."""
    twice = [row_of("t1", 0), row_of("t1", 1)]
    assert _left(twice, _entry("t1.1", Usage(7, 8, cost_nano_usd=9))) == {
        "t1-0": (Status.ESTIMATED, 100),
        "t1-1": (Status.SETTLED, 7),
    }
    known = [row_of("t1", 0), replace(row_of("t1", 1), status=Status.SETTLED)]
    assert _left(known, _entry("t1.1", Usage(7, 8, cost_nano_usd=9))) == {"t1-0": (Status.ESTIMATED, 100)}
    failed = [row_of("t1", 0), replace(row_of("t1", 1), status=Status.FAILED, error="overloaded")]
    assert _left(failed, _entry("t1.1", Usage(7, 8, cost_nano_usd=9))) == {"t1-0": (Status.SETTLED, 7)}
