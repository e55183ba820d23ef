"""The end of a turn: one transaction with its outbox rows, what was used and the end itself; then it is told.

It can be done again: an id that is there stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from rookery.agents import messages_of
from rookery.channels.chunks import chunks
from rookery.gateway import deliveries, friends, rights, turns
from rookery.gateway.answering import Answering
from rookery.gateway.deliveries import Delivery
from rookery.gateway.endings import Ending
from rookery.gateway.log import Field, Logger
from rookery.gateway.metrics import Metrics
from rookery.gateway.rules import READ_IN_THE_SESSION, Rules
from rookery.gateway.shelf import where
from rookery.gateway.turns import Status, Turn
from rookery.gateway.watchers import TurnFinished, Watchers
from rookery.ids import DeliveryId
from rookery.policy import Action
from rookery.storage import Database


class Finishing:
    """Ends turns; one for the whole gateway."""

    def __init__(
        self,
        *,
        database: Database,
        watchers: Watchers,
        metrics: Metrics,
        rules: Callable[[], Rules],
        chunk_limit: Callable[[str], int],
        send: Callable[[Sequence[Delivery]], None],
        now: Callable[[], datetime],
        log: Logger,
    ) -> None:
        self._database = database
        self._watchers = watchers
        self._metrics = metrics
        self._rules = rules
        self._chunk_limit = chunk_limit
        self._send = send
        self._now = now
        self._log = log

    async def finish(self, answering: Answering, ending: Ending) -> None:
        """Commit the end of a batch, and tell of it. Raises `StorageUnavailable`; it is then to be done again."""
        await self._commit(answering, ending)
        self._report(answering, ending)

    async def _commit(self, answering: Answering, ending: Ending) -> None:
        batch, leader = answering.batch, answering.leader
        made = self._deliveries(answering, ending)
        written = messages_of(answering.session, leader.turn_id)

        def work(connection: Connection) -> list[Delivery]:
            now, usage = self._now(), ending.usage
            turns.finish(connection, batch.turns, ending.status, now=now, usage=usage, error=ending.error)
            answering.meter.settle(connection, leader.turn_id, written)
            # One that is there already was kept by a commit whose end nobody saw, so nobody sends it yet.
            cleared = bool(made) and self._may_hear(connection, batch.last)
            return [
                replace(delivery, cleared=cleared)
                for delivery in made
                if deliveries.add(connection, delivery) or deliveries.is_waiting(connection, delivery.delivery_id)
            ]

        finished = TurnFinished(
            leader.turn_id,
            batch.turn_ids,
            ending.status.value,
            ending.text,
            ending.error,
            ending.stop_reason,
            ending.usage,
        )

        def tell(kept: list[Delivery]) -> None:
            self._watchers.tell(where(leader), finished)
            self._send(kept)

        await self._database.write(work, then=tell)

    def _may_hear(self, connection: Connection, turn: Turn) -> bool:
        right = rights.check(connection, turn.route, turn.agent_id, turn.principal, Action.HEAR, self._rules())
        return right.decision.allowed

    def _deliveries(self, answering: Answering, ending: Ending) -> list[Delivery]:
        leader, route, agent = answering.leader, answering.batch.last.route, answering.standing.agent
        if not ending.text or ending.entry_id is None or agent is None:
            return []
        if route.channel in READ_IN_THE_SESSION or leader.body.attended:
            return []
        now = self._now()
        return [
            Delivery(
                delivery_id=DeliveryId(f"{ending.entry_id}.{number}"),
                turn_id=leader.turn_id,
                agent_id=leader.agent_id,
                principal=leader.principal,
                speaker=agent.name,
                route=route,
                text=text,
                attempts=0,
                due_at=now,
                created_at=now,
            )
            for number, text in enumerate(
                chunks(friends.signed(agent, route, ending.text), self._chunk_limit(route.channel))
            )
        ]

    def _report(self, answering: Answering, ending: Ending) -> None:
        leader, started, ended = answering.leader, answering.started, self._now()
        self._metrics.turn_ended(
            ending.status.value,
            (started - leader.accepted_at).total_seconds(),
            (ended - started).total_seconds(),
        )
        facts: dict[str, Field] = {
            "turn": leader.turn_id,
            "messages": len(answering.batch.turns),
            "session": leader.session_id,
            "agent": leader.agent_id,
            "principal": leader.principal,
            "channel": leader.route.channel,
            "account": leader.route.account,
            "status": ending.status.value,
            "error": ending.error,
            "detail": ending.detail,
            "model": ending.model,
            "calls": answering.measured.calls,
            "input_tokens": ending.usage.input_tokens,
            "output_tokens": ending.usage.output_tokens,
            "waited_ms": _milliseconds(started, leader.accepted_at),
            "ran_ms": _milliseconds(ended, started),
        }
        if ending.status is Status.FAILED:  # whoever looks for what went wrong looks for warnings
            self._log.warning("turn.end", **facts)
        else:
            self._log.info("turn.end", **facts)


def _milliseconds(later: datetime, earlier: datetime) -> int:
    return round((later - earlier).total_seconds() * 1000)
