"""One lane a session: its turns run one at a time, in the order in which they were accepted.

A lane exists while it has something to do. Lanes do not wait for each other; who gets the model next is
decided at the model, person by person. A lane never drops a turn: what cannot be written is tried again.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TypeVar

from rookery.agents import Interrupted
from rookery.config.words import QueueMode
from rookery.errors import StorageUnavailable
from rookery.gateway.batch import Batch
from rookery.gateway.log import Logger
from rookery.gateway.rules import QueueRules
from rookery.gateway.turns import Kind, Turn
from rookery.ids import SessionId, TurnId
from rookery.messages import StopReason

BatchOf = Callable[[Turn], Awaitable[Sequence[TurnId]]]
"""Which accepted messages a turn from before the start answers for; none when it had not begun."""

RunBatch = Callable[[Batch], Awaitable[None]]
"""Takes a batch to its end and commits that end.

Raises `agents.Interrupted` when the gateway stops first, `StorageUnavailable` when the end could not be kept;
in both cases the batch is simply run again, later, from where its transcript stands.
"""

Wait = Callable[[float], Awaitable[None]]
"""Lets some seconds pass; `asyncio.sleep`, or a test's own clock."""

T = TypeVar("T")

RETRY_AFTER = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries while the storage does not take what must be written; the last one repeats."""


class Lanes:
    """All lanes of this gateway."""

    def __init__(
        self,
        run_batch: RunBatch,
        batch_of: BatchOf,
        queue_rules: Callable[[], QueueRules],
        now: Callable[[], datetime],
        log: Logger,
        wait: Wait = asyncio.sleep,
    ) -> None:
        self._run_batch = run_batch
        self._batch_of = batch_of
        self._queue_rules = queue_rules
        self._now = now
        self._log = log
        self._wait = wait
        self._lanes: dict[SessionId, _Lane] = {}
        self._known: dict[TurnId, SessionId] = {}
        self._ended: set[TurnId] | None = None
        self._held: list[Turn] | None = None
        self._open = True

    def add(self, turns: Iterable[Turn]) -> None:
        """Queue committed turns. One that is queued already stays where it is."""
        if self._held is not None:
            self._held.extend(turns)
        else:
            self._add(turns)

    def hold(self) -> None:
        """Keep what is added from now on until the next refill: one accepted before it may not be known yet."""
        if self._held is None:
            self._held = []

    def _add(self, turns: Iterable[Turn]) -> None:
        for turn in turns:
            if turn.turn_id in self._known or not self._open:
                continue
            if self._ended is not None and turn.turn_id in self._ended:
                continue
            if turn.forsaken:
                turn = replace(turn, stopped=True)
            self._known[turn.turn_id] = turn.session_id
            lane = self._lanes.get(turn.session_id)
            if lane is None:
                lane = self._lanes[turn.session_id] = _Lane(self._queue_rules)
            elif turn.standing is not None:
                turn = replace(turn, standing=None)  # it waits, and is asked about again when it starts
            bisect.insort(lane.waiting, turn, key=_order)
            lane.arrived = self._now()
            if lane.task is None:
                lane.task = asyncio.create_task(self._run(turn.session_id, lane), name=f"lane {turn.session_id}")
            elif self._interrupts(lane, turn):
                assert lane.batch is not None
                lane.batch.interruption.ask(StopReason.INTERRUPTED)

    async def refill(self, unfinished: Callable[[], Awaitable[Sequence[Turn]]]) -> None:
        """Queue what the store says has no end and is not queued: at the start, and after a commit whose end
        nobody saw."""
        self._ended = set()
        try:
            found = await unfinished()
            held, self._held = self._held or [], None
            # One that was held is better known as it was handed in: its row does not hold all that it came with.
            kept = {turn.turn_id: replace(turn, standing=None) for turn in held}
            self._add(kept.get(turn.turn_id, turn) for turn in found)
            self._add(held)
            self.stop(turn.turn_id for turn in found if turn.stopped)
        finally:
            self._ended = None

    def stop(self, turn_ids: Iterable[TurnId]) -> None:
        """The person asked for these turns to be stopped: end the running one, and let the others end unrun."""
        asked = set(turn_ids)
        if self._held is not None:
            self._held = [replace(turn, stopped=True) if turn.turn_id in asked else turn for turn in self._held]
        for turn_id in asked & self._known.keys():
            lane = self._lanes[self._known[turn_id]]
            # The running one too: what could not be written is tried again, and is then still stopped.
            lane.stopped.add(turn_id)
            if lane.batch is not None and turn_id in lane.batch.turn_ids:
                lane.batch.interruption.ask(StopReason.STOPPED)

    async def close(self, grace: float) -> None:
        """Give running turns `grace` seconds to end; what has not ended then is run again at the next start."""
        self._open = False
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for lane in list(self._lanes.values()):
            if lane.batch is not None:
                lane.batch.interruption.ask(None)
            if lane.task is not None and lane.pausing:
                lane.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until no lane has anything to do."""
        while tasks := [lane.task for lane in self._lanes.values() if lane.task is not None]:
            await asyncio.wait(tasks)

    async def ended(self, session_id: SessionId) -> None:
        """Wait until the lane of one session has nothing to do."""
        while (lane := self._lanes.get(session_id)) is not None and lane.task is not None:
            await asyncio.wait([lane.task])

    def answering(self, session_id: SessionId) -> Sequence[Turn]:
        """The turns of a session that are being answered now; the first stands for them all."""
        lane = self._lanes.get(session_id)
        return () if lane is None else lane.running

    def queued(self, session_id: SessionId) -> Sequence[Turn]:
        """The turns of a session that wait, in their order."""
        lane = self._lanes.get(session_id)
        return () if lane is None else tuple(lane.waiting)

    @property
    def running(self) -> int:
        """How many turns are being answered."""
        return sum(bool(lane.running) for lane in self._lanes.values())

    @property
    def waiting(self) -> int:
        """How many turns wait in their lanes."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    @property
    def _interrupting(self) -> bool:
        return self._queue_rules().mode is QueueMode.INTERRUPT

    def _interrupts(self, lane: _Lane, turn: Turn) -> bool:
        return (
            self._interrupting
            and lane.batch is not None
            and turn.kind is Kind.MESSAGE
            # A line that is held open for an answer gets that answer, or is closed by who holds it.
            and not any(running.body.attended for running in lane.running)
            and all(_same_hand(running, turn) for running in lane.running)
        )

    async def _run(self, session_id: SessionId, lane: _Lane) -> None:
        follow_up = False
        try:
            while lane.waiting and self._open:
                if follow_up:
                    await self._let_them_finish_typing(lane)
                    if not self._open:
                        break
                batch = await self._next_batch(lane)
                await self._run_until_ended(lane, batch)
                follow_up = True
        except (Interrupted, StorageUnavailable):
            pass  # the gateway stops; what has not ended is run at the next start
        except Exception:
            # A mistake of ours that even the turn's own end could not survive. The next start tries again.
            self._log.exception("lane.broke", session=session_id)
        finally:
            lane.task = None
            self._forget((*lane.running, *lane.waiting))
            if self._lanes.get(session_id) is lane:
                del self._lanes[session_id]

    async def _run_until_ended(self, lane: _Lane, batch: Sequence[Turn]) -> None:
        lane.batch = Batch(batch, lane)
        await self._stubbornly(lane, lambda: self._run_once(lane))
        ended, lane.batch = lane.running, None
        lane.stopped.difference_update(turn.turn_id for turn in ended)
        self._forget(ended)
        if self._ended is not None:
            self._ended.update(turn.turn_id for turn in ended)

    def _forget(self, turns: Iterable[Turn]) -> None:
        for turn in turns:
            del self._known[turn.turn_id]

    async def _run_once(self, lane: _Lane) -> None:
        batch = lane.batch = Batch(lane.running, lane)  # each try has a switch of its own
        if any(turn.stopped or turn.turn_id in lane.stopped for turn in batch.turns):
            batch.interruption.ask(StopReason.STOPPED)
        elif self._interrupting and any(self._interrupts(lane, turn) for turn in lane.waiting):
            batch.interruption.ask(StopReason.INTERRUPTED)  # it was, before a restart or a write that failed
        try:
            await self._run_batch(batch)
        except StorageUnavailable:
            batch.turns = tuple(replace(turn, standing=None) for turn in batch.turns)
            raise

    async def _stubbornly(self, lane: _Lane, work: Callable[[], Awaitable[T]]) -> T:
        """Do it as soon as the storage lets us."""
        tries = 0
        while True:
            try:
                return await work()
            except StorageUnavailable as error:
                if not self._open:
                    raise
                pause = RETRY_AFTER[min(tries, len(RETRY_AFTER) - 1)]
                tries += 1
                self._log.warning("lane.waits", error=error.detail, seconds=pause, tries=tries)
                lane.pausing = True
                await self._wait(pause)
                lane.pausing = False

    async def _next_batch(self, lane: _Lane) -> Sequence[Turn]:
        """The first waiting turn, and with it what the same hand sent after it, when that is collected."""
        first = lane.waiting[0]
        begun = await self._stubbornly(lane, lambda: self._batch_of(first)) if first.recovered else ()
        # One begun before the start answers for the messages its transcript names, no more and no fewer.
        return lane.take(begun) if begun else lane.take([first.turn_id, *_ids(self._collected(lane))])

    def _collected(self, lane: _Lane) -> Sequence[Turn]:
        """What is collected with the first waiting turn."""
        rules = self._queue_rules()
        if rules.mode is QueueMode.FOLLOWUP:
            return ()
        return lane.of_one_hand(lane.waiting[0], lane.waiting[1 : rules.cap])

    async def _let_them_finish_typing(self, lane: _Lane) -> None:
        rules = self._queue_rules()
        first = lane.waiting[0]
        if rules.mode is QueueMode.FOLLOWUP or not lane.collects(first):
            return
        quiet_at = lane.arrived + timedelta(seconds=rules.debounce)
        lane.pausing = True
        while (left := (quiet_at - self._now()).total_seconds()) > 0:
            await self._wait(left)
            quiet_at = lane.arrived + timedelta(seconds=rules.debounce)
        lane.pausing = False


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Lane:
    queue_rules: Callable[[], QueueRules]
    waiting: list[Turn] = field(default_factory=list[Turn])
    batch: Batch | None = None
    stopped: set[TurnId] = field(default_factory=set[TurnId])
    task: asyncio.Task[None] | None = None
    pausing: bool = False
    arrived: datetime = _LONG_AGO

    @property
    def running(self) -> Sequence[Turn]:
        """What is being answered, or is tried again."""
        return () if self.batch is None else self.batch.turns

    def joining(self) -> Sequence[Turn]:
        """What may join what is being answered; see `Batch.joining`."""
        rules = self.queue_rules()
        if rules.mode is not QueueMode.STEER or not self.running:
            return ()
        return self.of_one_hand(self.running[0], self.waiting[: max(0, rules.cap - len(self.running))])

    def of_one_hand(self, first: Turn, following: Sequence[Turn]) -> Sequence[Turn]:
        """What follows a turn directly and can be answered together with it."""
        found: list[Turn] = []
        if self.collects(first):
            for turn in following:
                if not (self.collects(turn) and _same_hand(first, turn)):
                    break
                found.append(turn)
        return found

    def collects(self, turn: Turn) -> bool:
        """Whether a turn may be answered together with others."""
        stopped = turn.stopped or turn.turn_id in self.stopped
        return turn.collectable and turn.kind is Kind.MESSAGE and not stopped

    def take(self, turn_ids: Collection[TurnId]) -> Sequence[Turn]:
        """Hand out those of these turns that wait, in their order, and say of each whether it is to be stopped."""
        wanted = set(turn_ids)
        taken = list(takewhile(lambda turn: turn.turn_id in wanted, self.waiting))
        del self.waiting[: len(taken)]  # which are all, but after a crash
        if len(taken) < len(wanted):
            taken += [turn for turn in self.waiting if turn.turn_id in wanted]
            self.waiting = [turn for turn in self.waiting if turn.turn_id not in wanted]
        return [replace(turn, stopped=True) if turn.turn_id in self.stopped else turn for turn in taken]


def _order(turn: Turn) -> int:
    return turn.seq


def _same_hand(one: Turn, other: Turn) -> bool:
    """Whether both came from the same person by the same route."""
    return one.principal == other.principal and one.route.joins(other.route)


def _ids(turns: Iterable[Turn]) -> Iterable[TurnId]:
    return (turn.turn_id for turn in turns)
