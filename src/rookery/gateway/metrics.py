"""Counts of what happened since the start, kept where it happens for the price of an addition; of no person."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from rookery.messages import Usage
from rookery.usage import Call, CallEnd, Meter

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""The upper bounds of the buckets for times."""

TOKENS_A_SECOND = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
"""The upper bounds of the buckets for speeds."""

_LONG_ENOUGH = 0.1
"""Seconds an answer has to stream for its speed to mean anything."""


class Histogram:
    """How large something was, how often: seconds, unless other bounds are given."""

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one more. A time below zero, after a clock was set back, counts as none."""
        value = max(0.0, value)
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulated(self) -> list[tuple[str, int]]:
        """For each bound how many took at most so long, as Prometheus has it."""
        total, found = 0, list[tuple[str, int]]()
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


class Metrics:
    """The counts of one gateway."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        """Accepted messages, by channel."""
        self.turns: Counter[str] = Counter()
        """Turns that ended, by how."""
        self.model_errors: Counter[str] = Counter()
        """Model calls that failed, by kind."""
        self.logins: Counter[str] = Counter()
        """Tries to log in, `ok` or `failed`."""
        self.waited = Histogram()
        """From a message's acceptance to the beginning of its turn."""
        self.ran = Histogram()
        """From the beginning of a turn to its end."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """Model calls that ended, by provider and outcome: `ok`, the kind of the error, or `cancelled`."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """Tokens, by provider and whether they were `input`, of that `cached`, or `output`."""
        self.queued = Histogram()
        """How long model calls waited for their slot."""
        self.first_token = Histogram()
        """From a model call's beginning to the first of its answer."""
        self.speed = Histogram(TOKENS_A_SECOND)
        """How many tokens a second answers came with, once they had begun."""

    def turn_ended(self, status: str, waited: float, ran: float) -> None:
        """A turn ended; times in seconds."""
        self.turns[status] += 1
        self.waited.add(waited)
        self.ran.add(ran)

    def call_ended(self, provider: str, end: CallEnd) -> None:
        """A model call ended."""
        self.calls[provider, end.error or "ok"] += 1
        usage, tokens = end.usage, self.tokens
        tokens[provider, "input"] += usage.input_tokens
        tokens[provider, "cached"] += usage.cached_tokens
        tokens[provider, "output"] += usage.output_tokens
        if end.first_token is None:
            return
        self.first_token.add(end.first_token)
        streamed = end.seconds - end.first_token
        if end.error is None and streamed >= _LONG_ENOUGH:
            self.speed.add(usage.output_tokens / streamed)


class Measured:
    """A `Meter` that counts into the metrics as well, and for the turn how many calls it made."""

    def __init__(self, meter: Meter, metrics: Metrics) -> None:
        self._meter = meter
        self._metrics = metrics
        self._providers: dict[str, str] = {}
        self.calls = 0
        """How many calls were begun."""

    async def begin(self, call: Call) -> None:
        """As `Meter` promises."""
        self._metrics.queued.add(call.waited)
        await self._meter.begin(call)
        self._providers[call.call_id] = call.provider
        self.calls += 1

    def end(self, end: CallEnd) -> Usage:
        """As `Meter` promises."""
        self._metrics.call_ended(self._providers.pop(end.call_id), end)
        return self._meter.end(end)
