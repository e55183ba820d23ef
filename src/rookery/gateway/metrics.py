"""Counts of what happened since the start, kept where it happens for the price of an addition; of no person."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""The upper bounds of the histograms' buckets."""


class Histogram:
    """How long something took, how often."""

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one more. A time below zero, after a clock was set back, counts as none."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    def cumulated(self) -> list[tuple[str, int]]:
        """For each bound how many took at most so long, as Prometheus has it."""
        total, found = 0, list[tuple[str, int]]()
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self.counts, strict=True):
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

    def turn_ended(self, status: str, waited: float, ran: float) -> None:
        """A turn ended; times in seconds."""
        self.turns[status] += 1
        self.waited.add(waited)
        self.ran.add(ran)
