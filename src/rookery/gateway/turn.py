"""One turn, from its place in the lane to its end: rights, brain, user entry, run, and then its end.

Order of synced writes: user entry, then what the run writes, the reply entry last, then one transaction with
the outbox rows, what was used, and the turn's end. Each can be repeated: an id that is there stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from rookery.agents import Endpoint, Interrupted, Opening, messages_of, run
from rookery.errors import ModelError, StorageUnavailable
from rookery.gateway import entries, rights
from rookery.gateway.answering import Answering
from rookery.gateway.attachments import Files, Gathering, Web, unopened
from rookery.gateway.batch import Batch
from rookery.gateway.capacity import ModelCapacity, PersonCapacity
from rookery.gateway.consent import Consent
from rookery.gateway.deliveries import Delivery
from rookery.gateway.endings import Ending, bare_ending_of, ending_of, used
from rookery.gateway.equipment import Equipment, RunLimits
from rookery.gateway.finishing import Finishing
from rookery.gateway.joining import Joining
from rookery.gateway.keyring import Keyring
from rookery.gateway.log import Logger
from rookery.gateway.meter import TurnMeter
from rookery.gateway.metrics import Measured, Metrics
from rookery.gateway.positions import once_done
from rookery.gateway.providers import Providers
from rookery.gateway.rules import Rules
from rookery.gateway.shelf import Shelf, where
from rookery.gateway.standing import Standing, stand
from rookery.gateway.starts import Start, Starts
from rookery.gateway.turns import Kind, Status, Turn
from rookery.gateway.watchers import TurnDelta, TurnStarted, TurnWaiting, Watchers
from rookery.ids import TurnId
from rookery.messages import MessageEntry, StopReason
from rookery.models import ModelEvent
from rookery.policy import Action, may
from rookery.sessions import Brains
from rookery.storage import Database
from rookery.tools import Tool
from rookery.usage import Bill, Prices


class TurnRunner:
    """Runs batches of turns; one for the whole gateway, with no state of its own between them."""

    def __init__(
        self,
        *,
        database: Database,
        brains: Brains,
        providers: Providers,
        keyring: Keyring,
        prices: Prices,
        capacity: ModelCapacity,
        watchers: Watchers,
        metrics: Metrics,
        tools: Sequence[Tool],
        rules: Callable[[], Rules],
        limits: Callable[[], RunLimits],
        chunk_limit: Callable[[str], int],
        send: Callable[[Sequence[Delivery]], None],
        consent: Consent,
        web: Web | None,
        now: Callable[[], datetime],
        log: Logger,
    ) -> None:
        self._database = database
        self._brains = brains
        self._prices = prices
        self._capacity = capacity
        self._watchers = watchers
        self._consent = consent
        self._metrics = metrics
        self._starts = Starts()
        self._shelf = Shelf(database=database, brains=brains, watchers=watchers, now=now)
        self._gathering = Gathering(web, now)
        self._equipment = Equipment(database, providers, keyring, tools, limits, now, log)
        self._finishing = Finishing(
            database=database,
            watchers=watchers,
            metrics=metrics,
            rules=rules,
            chunk_limit=chunk_limit,
            send=send,
            now=now,
            log=log,
        )
        self._rules = rules
        self._now = now
        self._log = log

    async def run_batch(self, batch: Batch) -> None:
        """Take a batch to its end and commit that end.

        Raises `Interrupted` when the gateway stops first, `StorageUnavailable` when something could not be
        kept; the batch is then to be run again, and goes on from where its transcript stands.
        """
        leader = batch.leader
        if leader.kind is not Kind.MESSAGE:
            await self._shelf.keep(leader)
            return
        start = await self._starts.take(leader.principal)
        try:
            await self._begin(batch, start)
        finally:
            start.over()

    async def _begin(self, batch: Batch, start: Start) -> None:
        leader, started = batch.leader, self._now()
        standing = leader.standing or await self._stand_now(leader)
        async with self._brains.use(leader.agent_id) as brain:
            session = await brain.open_session(leader.session_id, leader.opened_key, leader.accepted_at)
            meter = TurnMeter(self._database, self._prices, _bill(leader, standing), self._now)
            measured = Measured(meter, self._metrics)
            answering = Answering(
                batch=batch,
                session=session,
                attachments=brain.attachments,
                profiles=brain.profiles,
                workspace=brain.workspace,
                standing=standing,
                meter=meter,
                measured=measured,
                started=started,
                start=start,
            )
            try:
                ending = await self._answer(answering)
                await self._finishing.finish(answering, ending)
            except (Interrupted, StorageUnavailable):
                await meter.keep()
                raise

    async def batch_of(self, turn: Turn) -> tuple[TurnId, ...]:
        """Which accepted messages a turn found at the start answers for, by its user entries; none so far."""
        async with self._brains.use(turn.agent_id) as brain:
            session = await brain.open_session(turn.session_id, turn.opened_key, turn.accepted_at)
            return entries.accepted(messages_of(session, turn.turn_id))

    # --- who asks --------------------------------------------------------------------------------------------

    def _stand(self, turn: Turn, connection: Connection) -> Standing:
        right = rights.check(connection, turn.route, turn.agent_id, turn.principal, Action.TALK, self._rules())
        return stand(connection, right)

    async def _stand_now(self, turn: Turn) -> Standing:
        return await self._database.read(partial(self._stand, turn))

    # --- the answer ------------------------------------------------------------------------------------------

    async def _answer(self, answering: Answering) -> Ending:
        leader, session, interruption = answering.leader, answering.session, answering.batch.interruption
        opening: Opening | None = None
        written = messages_of(session, leader.turn_id)
        # What had joined in a try before this one, also by a write whose end nobody saw.
        answering.batch.join(entries.accepted(written))
        if not written and interruption.asked and interruption.reason is not StopReason.INTERRUPTED:
            if interruption.reason is None:
                raise Interrupted
            return Ending(Status.CANCELLED)
        if not answering.standing.decision or answering.standing.agent is None:
            # It was begun before a crash, and is not gone on with. A history in which a call has no result is one
            # that providers refuse, so none may stay behind.
            if undone := entries.left_undone(leader, session, self._now()):
                await session.append(*undone)
            return Ending(Status.FAILED, error="refused", detail=answering.standing.decision.reason)
        if not written:
            try:
                files = await self._files(answering)
            except Interrupted:
                if interruption.reason is None:
                    raise
                return Ending(Status.CANCELLED)
            entry = entries.user_entry(answering.batch.turns, session, answering.agent, files, self._now())
            opening = Opening(entry, asyncio.create_task(self._open(answering, entry), name="user entry"))
        else:
            answering.start.over()
            self._tell_started(answering)
        try:
            last = await self._run(answering, opening)
        except (Interrupted, StorageUnavailable):
            raise
        except Exception:
            # Our own mistake. The person is told, the lane goes on, and the log says where to look.
            self._log.exception("turn.broke", turn=leader.turn_id, session=leader.session_id)
            if opening is not None:
                await opening.written
            last = entries.breakdown(leader, session, self._now())
            await session.append(last)
        finally:
            if opening is not None:
                await opening.settled()
        if leader.body.ephemeral:
            await session.append(entries.ephemeral_end(leader, session, self._now()))
        usage = used(messages_of(session, leader.turn_id))
        return bare_ending_of(last, usage) if leader.body.attended else ending_of(last, usage)

    async def _open(self, answering: Answering, entry: MessageEntry) -> None:
        """Write the user entry, and tell that the turn has begun once that is so."""
        await answering.session.append(entry)
        answering.start.over()
        self._tell_started(answering)

    def _tell_started(self, answering: Answering) -> None:
        leader = answering.leader
        self._watchers.tell(where(leader), TurnStarted(leader.turn_id, answering.batch.turn_ids))

    async def _files(self, answering: Answering) -> Mapping[TurnId, Files]:
        """What came with the messages that begin the turn. Raises `Interrupted`."""
        turns, interruption = answering.batch.turns, answering.batch.interruption
        if not any(turn.body.attachments for turn in turns):
            return {}  # and no task to guard
        try:
            return await interruption.guard(self._gather(answering, turns, answering.standing))
        except Interrupted:
            if interruption.reason is StopReason.INTERRUPTED:
                return unopened(turns)  # it stays part of the conversation, for the one that came after it
            raise

    async def _gather(
        self, answering: Answering, turns: Sequence[Turn], standing: Standing
    ) -> Mapping[TurnId, Files]:
        """What came with messages besides words, fetched and kept."""
        if not any(turn.body.attachments for turn in turns):
            return {}
        may_add = may(standing.actor, Action.ADD_ATTACHMENT, answering.resource())
        return await self._gathering.gather(answering.attachments, turns, may_add)

    async def _run(self, answering: Answering, opening: Opening | None) -> MessageEntry:
        leader = answering.leader
        here = where(leader)

        def emit(event: ModelEvent) -> None:
            self._watchers.tell(here, TurnDelta(leader.turn_id, event))

        return await run(
            answering.session,
            leader.turn_id,
            await self._equipment.settings(answering),
            self._equipment.toolset(answering),
            self._place_in_line(answering, opening),
            answering.measured,
            answering.batch.interruption,
            emit,
            partial(self._report, leader),
            self._now,
            opening,
            steering=self._joining(answering),
            approvals=self._consent.of(answering),
        )

    def _place_in_line(self, answering: Answering, opening: Opening | None) -> PersonCapacity:
        """The capacity of whoever asks, so that ten guests of a shared agent do not push its sponsor aside."""
        leader = answering.leader
        here = where(leader)

        def tell(position: int | None) -> None:
            self._watchers.tell(here, TurnWaiting(leader.turn_id, position))

        told = tell if opening is None else once_done(opening.written, tell)
        return self._capacity.of(leader.principal, turn=leader.turn_id, tell=told)

    def _joining(self, answering: Answering) -> Joining:
        return Joining(
            answering,
            stand=self._stand_now,
            gather=partial(self._gather, answering),
            watchers=self._watchers,
            now=self._now,
        )

    def _report(self, leader: Turn, endpoint: Endpoint, error: ModelError, asked: bool) -> None:
        """An endpoint did not answer, or was passed over without having been asked."""
        facts = {
            "turn": leader.turn_id,
            "agent": leader.agent_id,
            "model": endpoint.name,
            "key": endpoint.key_name,
            "kind": error.kind.value,
            "detail": error.detail,
        }
        if asked:
            self._metrics.model_errors[error.kind.value] += 1
            self._log.warning("model.failed", **facts)
        else:
            self._log.info("model.skipped", **facts)


def _bill(leader: Turn, standing: Standing) -> Bill | None:
    """Who pays for a turn; nobody, when the agent that was to answer is gone."""
    if standing.pays is None:
        return None
    return Bill(standing.pays, leader.principal, leader.agent_id, leader.session_id, leader.turn_id)
