"""The accepted messages that are answered together, and the switch that ends their answer early."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from rookery.agents import Interruption
from rookery.gateway.turns import Turn
from rookery.ids import TurnId
from rookery.messages import StopReason


class Queue(Protocol):
    """What waits behind a batch; its lane."""

    def joining(self) -> Sequence[Turn]:
        """What may join the batch now, in the order of acceptance. It goes on waiting until it is taken."""
        ...

    def take(self, turn_ids: Collection[TurnId]) -> Sequence[Turn]:
        """Hand out those of these messages that wait, in their order: they wait no longer."""
        ...


class Batch:
    """What one turn answers, in the order of acceptance, at least one message; the first leads.

    It grows when what came meanwhile joins.
    """

    def __init__(self, turns: Sequence[Turn], queue: Queue) -> None:
        self.turns = tuple(turns)
        self.interruption = Interruption()
        self._queue = queue

    @property
    def leader(self) -> Turn:
        """The one whose id is that of the whole turn."""
        return self.turns[0]

    @property
    def last(self) -> Turn:
        """The one by whose route the reply goes."""
        return self.turns[-1]

    @property
    def turn_ids(self) -> tuple[TurnId, ...]:
        """All messages it answers."""
        return tuple(turn.turn_id for turn in self.turns)

    def joining(self) -> Sequence[Turn]:
        """What came meanwhile and may join now, in the order of acceptance. It waits until it `join`s."""
        return self._queue.joining()

    def join(self, turn_ids: Collection[TurnId]) -> None:
        """These messages are in the turn's transcript: from now on they end with it.

        Those that are part of the batch already stay what they are.
        """
        joined = self._queue.take(turn_ids)
        self.turns += tuple(joined)
        if any(turn.stopped for turn in joined):
            self.interruption.ask(StopReason.STOPPED)
