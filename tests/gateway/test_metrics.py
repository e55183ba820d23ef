"""What is counted of model calls, and that counting changes nothing of what is kept."""

from __future__ import annotations

import pytest

from rookery.errors import StorageUnavailable
from rookery.gateway.metrics import TOKENS_A_SECOND, Histogram, Measured, Metrics
from rookery.ids import EntryId
from rookery.messages import Usage
from rookery.usage import Call, CallEnd, Purpose

CALL = Call("c1", EntryId("t1.1"), Purpose.CHAT, "local", "small", None, Usage(10), 2.0)


class Kept:
    """A meter that prices everything at a thousand nano-dollars."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.begun: list[Call] = []

    async def begin(self, call: Call) -> None:
        if self.fails:
            raise StorageUnavailable
        self.begun.append(call)

    def end(self, end: CallEnd) -> Usage:
        return end.usage + Usage(cost_nano_usd=1000)


async def ended(metrics: Metrics, *ends: tuple[str | None, float | None, float]) -> Measured:
    """Let calls end so: error, first token, seconds; each used 20 tokens of which 5 were cached, and wrote 40."""
    measured = Measured(Kept(), metrics)
    for error, first, seconds in ends:
        await measured.begin(CALL)
        measured.end(CallEnd("c1", Usage(20, 40, 5), error, first, seconds))
    return measured


async def test_calls_are_counted_by_provider_and_outcome():
    """With their tokens, their wait, their first token, and how fast they came."""
    metrics = Metrics()
    measured = await ended(metrics, (None, 0.5, 2.5), ("overloaded", None, 1.0), ("cancelled", 0.2, 9.0))
    assert measured.calls == 3
    assert dict(metrics.calls) == {("local", "ok"): 1, ("local", "overloaded"): 1, ("local", "cancelled"): 1}
    assert metrics.tokens == {("local", "input"): 60, ("local", "cached"): 15, ("local", "output"): 120}
    assert (sum(metrics.queued.counts), metrics.queued.sum) == (3, 6.0)
    assert (sum(metrics.first_token.counts), metrics.first_token.sum) == (2, 0.7)
    assert (sum(metrics.speed.counts), metrics.speed.sum) == (1, 20.0)


async def test_an_answer_that_came_at_once_has_no_speed():
    """Forty tokens in a millisecond say nothing of how fast a model writes."""
    metrics = Metrics()
    await ended(metrics, (None, 0.5, 0.501))
    assert sum(metrics.speed.counts) == 0


async def test_what_the_meter_says_is_passed_on():
    """The price, and that a call could not be written down; such a call is none."""
    metrics, kept = Metrics(), Kept()
    measured = Measured(kept, metrics)
    await measured.begin(CALL)
    assert measured.end(CallEnd("c1", Usage(1, 1), None, 0.1, 0.2)).cost_nano_usd == 1000
    assert kept.begun == [CALL]
    measured = Measured(Kept(fails=True), metrics)
    with pytest.raises(StorageUnavailable):
        await measured.begin(CALL)
    assert measured.calls == 0


def test_a_histogram_counts_by_its_own_bounds():
    """Cumulated, as Prometheus has it."""
    histogram = Histogram(TOKENS_A_SECOND)
    for value in (-1.0, 3.0, 30.0, 5000.0):
        histogram.add(value)
    cumulated = dict(histogram.cumulated())
    assert (cumulated["1.0"], cumulated["5.0"], cumulated["1000.0"], cumulated["+Inf"]) == (1, 2, 3, 4)
    assert histogram.sum == 5033.0
