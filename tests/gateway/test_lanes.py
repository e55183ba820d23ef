"""Lanes: one session's turns one at a time and in order, sessions apart from each other, nothing dropped."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.agents import Interrupted
from rookery.config.words import QueueMode
from rookery.errors import StorageUnavailable
from rookery.gateway.batch import Batch
from rookery.gateway.lanes import RETRY_AFTER, Lanes
from rookery.gateway.rules import QueueRules
from rookery.gateway.turns import Kind, Turn
from rookery.ids import SessionId, TurnId
from rookery.messages import Chat, ChatKind, StopReason
from tests.gateway.made import route, turn
from tests.support.clock import Clock


class Log:
    """Keeps the names of what was logged."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **fields: object) -> None:
        self.events.append(event)

    warning = error = exception = info

    def hide(self, secret: str) -> None:
        """Nothing secret is logged here."""


class Bench:
    """Lanes over a runner that does what the test says."""

    def __init__(self, mode: QueueMode = QueueMode.FOLLOWUP, **rules: float) -> None:
        self.rules = QueueRules(mode=mode, debounce=rules.get("debounce", 0), cap=int(rules.get("cap", 20)))
        self.clock = Clock()
        self.log = Log()
        self._running: list[Turn] = []
        self.begun: list[tuple[TurnId, ...]] = []
        self.ended: list[tuple[TurnId, ...]] = []
        self.cut: list[tuple[TurnId, StopReason | None]] = []
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        self.gates: dict[str, asyncio.Event] = {}
        self.transcripts: dict[str, tuple[TurnId, ...]] = {}
        self.lanes = self.fresh_lanes()

    def fresh_lanes(self) -> Lanes:
        return Lanes(self.run, self.batch_of, lambda: self.rules, self.clock.now, self.log, self.clock.wait)

    async def run(self, batch: Batch) -> None:
        ids, interruption = batch.turn_ids, batch.interruption
        session = batch.leader.session_id
        assert not any(open_.session_id == session for open_ in self._running), "two turns of one session at once"
        self._running.append(batch.leader)
        try:
            self.begun.append(ids)
            if self.failures[ids[0]]:
                raise self.failures[ids[0]].pop(0)
            if interruption.asked and interruption.reason is not None:
                self.cut.append((ids[0], interruption.reason))
            elif (gate := self.gates.get(ids[0]) or self.gates.get(session)) is not None:
                try:
                    await interruption.guard(gate.wait())
                except Interrupted:
                    self.cut.append((ids[0], interruption.reason))
                    if interruption.reason is None:
                        raise
            self.ended.append(ids)
        finally:
            self._running.remove(batch.leader)

    async def batch_of(self, first: Turn) -> Sequence[TurnId]:
        await asyncio.sleep(0)
        return self.transcripts.get(first.turn_id, ())

    def blocks(self, name: str) -> asyncio.Event:
        """Let a session, or one turn, run until the gate is opened."""
        gate = self.gates[name] = asyncio.Event()
        return gate

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def order(self) -> list[str]:
        """All turns that ended, in the order of their ends."""
        return [one for batch in self.ended for one in batch]


@pytest.fixture
async def bench() -> AsyncGenerator[Bench]:
    bench = Bench()
    yield bench
    await bench.lanes.close(0)


async def test_turns_run_in_the_order_of_acceptance(bench: Bench) -> None:
    """Also when the commits are told of out of order."""
    gate = bench.blocks("t1")
    bench.lanes.add([turn(1)])
    bench.lanes.add([turn(4), turn(3)])
    bench.lanes.add([turn(2)])
    gate.set()
    await bench.lanes.idle()
    assert bench.order == ["t1", "t2", "t3", "t4"]


async def test_one_session_that_hangs_holds_up_nobody_else(bench: Bench) -> None:
    """Its own turns wait behind it; a hundred other sessions go on."""
    bench.blocks("hanging")
    bench.lanes.add([turn(1, "hanging"), turn(2, "hanging")])
    bench.lanes.add(turn(10 + number, f"s{number}") for number in range(100))
    await bench.settle()
    assert len(bench.order) == 100
    assert (bench.lanes.running, bench.lanes.waiting) == (1, 1)


async def test_what_is_queued_already_is_not_queued_again(bench: Bench) -> None:
    """Told of twice, waiting or running: answered once."""
    gate = bench.blocks("s1")
    bench.lanes.add([turn(1), turn(2)])
    bench.lanes.add([turn(1), turn(2), turn(2)])
    await bench.settle()
    bench.lanes.add([turn(1), turn(2)])
    gate.set()
    await bench.lanes.idle()
    assert bench.order == ["t1", "t2"]


# --- the storage fails ---------------------------------------------------------------------------------------


async def test_what_could_not_be_kept_is_tried_again_with_longer_pauses(bench: Bench) -> None:
    """Until it works, however long; what waits behind it stays behind it, other sessions go on."""
    bench.failures["t1"] = [StorageUnavailable() for _ in range(7)]
    bench.lanes.add([turn(1), turn(2), turn(3, "other")])
    pauses: list[float] = []
    for _ in range(7):
        await bench.settle()
        pauses += bench.clock.waited_for
        await bench.clock.passes(bench.clock.waited_for[0])
    await bench.lanes.idle()

    assert tuple(pauses) == (*RETRY_AFTER, RETRY_AFTER[-1], RETRY_AFTER[-1])
    assert bench.order == ["t3", "t1", "t2"]


_arrivals = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), st.booleans()), max_size=12)


@settings(max_examples=60, deadline=None)
@given(_arrivals, st.sampled_from([QueueMode.COLLECT, QueueMode.FOLLOWUP]), st.randoms(use_true_random=False))
async def test_nothing_is_lost_doubled_or_out_of_order(
    arrivals: list[tuple[str, int, bool]], mode: QueueMode, random: st.DrawFn
) -> None:
    """However often the storage fails, in whatever order turns are told of, and told of again."""
    bench = Bench(mode)
    turns: list[Turn] = []
    for seq, (session, failures, _) in enumerate(arrivals, 1):
        turns.append(turn(seq, session))
        bench.failures[f"t{seq}"] = [StorageUnavailable() for _ in range(failures)]
    for one, (_, _, pause) in zip(turns, arrivals, strict=True):
        bench.lanes.add([one])
        if pause:
            await bench.settle()
            bench.lanes.add(random.sample(turns[: turns.index(one) + 1], 1))  # pyright: ignore
    for _ in range(60):
        await bench.settle()
        if not bench.clock.waited_for:
            break
        await bench.clock.passes(bench.clock.waited_for[0])
    await bench.lanes.close(0)

    finished = list(dict.fromkeys(bench.order))
    for session in ("a", "b", "c"):
        wanted = [one.turn_id for one in turns if one.session_id == session]
        assert [id for id in finished if id in wanted] == wanted


async def test_a_stop_holds_over_a_write_that_failed(bench: Bench) -> None:
    """Stopped while its end could not be kept: tried again, it is still stopped."""
    bench.failures["t1"] = [StorageUnavailable()]
    bench.blocks("t1")
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.stop([TurnId("t1")])
    await bench.clock.passes(RETRY_AFTER[0])
    await bench.lanes.idle()
    assert bench.cut == [("t1", StopReason.STOPPED)]


async def test_a_lane_that_breaks_stops_no_other(bench: Bench) -> None:
    """A mistake of ours in one session: it is logged, others go on, and what it held can be queued again."""
    bench.failures["t1"] = [KeyError("ours")]
    bench.lanes.add([turn(1), turn(2), turn(3, "other")])
    await bench.lanes.idle()
    assert bench.order == ["t3"]
    assert bench.log.events == ["lane.broke"]

    bench.lanes.add([turn(1), turn(2)])
    await bench.lanes.idle()
    assert bench.order == ["t3", "t1", "t2"]


# --- collecting and interrupting -----------------------------------------------------------------------------


async def test_a_batch_is_what_one_hand_wrote_in_a_row() -> None:
    """Another person, another route, a request that waits, a command: each ends the batch."""
    bench = Bench(QueueMode.COLLECT)
    gate = bench.blocks("t1")
    others = [
        turn(4, person="bob"),
        turn(6, route=route(chat="elsewhere")),
        turn(8, collectable=False),
        turn(10, kind=Kind.OPEN),
        turn(12, route=replace(route(), thread_id="7")),
    ]
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add(
        sorted([*others, *(turn(seq) for seq in (2, 3, 5, 7, 9, 11, 13, 14))], key=lambda one: one.seq)
    )
    gate.set()
    await bench.lanes.idle()

    alone = [("t4",), ("t5",), ("t6",), ("t7",), ("t8",), ("t9",), ("t10",), ("t11",), ("t12",)]
    assert bench.ended == [("t1",), ("t2", "t3"), *alone, ("t13", "t14")]
    await bench.lanes.close(0)


async def test_a_batch_has_a_cap_and_nothing_beyond_it_is_dropped() -> None:
    """What does not fit is the next batch."""
    bench = Bench(QueueMode.COLLECT, cap=3)
    gate = bench.blocks("t1")
    bench.lanes.add(turn(seq) for seq in range(1, 9))
    await bench.settle()
    gate.set()
    await bench.lanes.idle()
    assert [len(batch) for batch in bench.ended] in ([3, 3, 2], [1, 3, 3, 1])
    assert bench.order == [f"t{seq}" for seq in range(1, 9)]
    await bench.lanes.close(0)


async def test_only_the_same_hand_interrupts() -> None:
    """Another person in the same session waits; the one who is being answered may cut in."""
    bench = Bench(QueueMode.INTERRUPT)
    bench.blocks("t1")
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add([turn(2, person="bob"), turn(3, route=replace(route(), chat=Chat(ChatKind.GROUP, "g")))])
    await bench.settle()
    assert bench.cut == []

    bench.lanes.add([turn(4)])
    await bench.lanes.idle()
    assert bench.cut == [("t1", StopReason.INTERRUPTED)]
    assert bench.order == ["t1", "t2", "t3", "t4"]
    await bench.lanes.close(0)


async def test_typing_is_waited_for_until_it_stops() -> None:
    """Each further message begins the pause anew; then all are answered together."""
    bench = Bench(QueueMode.COLLECT, debounce=0.5)
    gate = bench.blocks("t1")
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add([turn(2)])
    gate.set()
    await bench.settle()
    await bench.clock.passes(0.4)
    bench.lanes.add([turn(3)])
    await bench.clock.passes(0.4)
    assert bench.ended == [("t1",)]
    await bench.clock.passes(0.1)
    await bench.lanes.idle()
    assert bench.ended == [("t1",), ("t2", "t3")]
    await bench.lanes.close(0)


# --- joining -------------------------------------------------------------------------------------------------


class Steps(Bench):
    """Over a runner whose turns take steps, as it is said for each leader, and are joined before each.

    What becomes of a step: `joins`; `fails`, with nothing written; `unknown`, when what joined was written and
    nobody saw it. `waits` is for the gate of the turn, before the next.
    """

    def __init__(self, mode: QueueMode = QueueMode.STEER, **rules: float) -> None:
        super().__init__(mode, **rules)
        self.steps: dict[str, list[str]] = defaultdict(list)

    async def run(self, batch: Batch) -> None:
        leader = batch.leader.turn_id
        batch.join(self.transcripts.setdefault(leader, batch.turn_ids))
        self.begun.append(batch.turn_ids)
        try:
            while self.steps[leader]:
                step = self.steps[leader].pop(0)
                if step == "waits":
                    await batch.interruption.guard(self.gates[leader].wait())
                    continue
                await batch.interruption.guard(asyncio.sleep(0))
                joining = tuple(one.turn_id for one in batch.joining())
                if step != "fails":
                    self.transcripts[leader] += joining
                if step in ("fails", "unknown"):
                    raise StorageUnavailable
                batch.join(joining)
            await batch.interruption.guard(asyncio.sleep(0))
        except Interrupted:
            self.cut.append((leader, batch.interruption.reason))
            if batch.interruption.reason is None:
                raise
        self.ended.append(batch.turn_ids)


async def test_what_comes_meanwhile_joins_the_running_turn() -> None:
    """Before its next step, in order, as far as one hand wrote in a row; the rest is collected for the next."""
    bench = Steps()
    gate = bench.blocks("t1")
    bench.steps["t1"] = ["waits", "joins"]
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add([turn(2), turn(3), turn(4, person="bob"), turn(5), turn(6, route=route(chat="g")), turn(7)])
    gate.set()
    await bench.lanes.idle()
    assert bench.ended == [("t1", "t2", "t3"), ("t4",), ("t5",), ("t6",), ("t7",)]


async def test_a_request_that_waits_for_its_answer_is_joined_by_nothing() -> None:
    """Nor does it join; its turn is its own."""
    bench = Steps()
    gates = [bench.blocks("t1"), bench.blocks("t3")]
    bench.steps |= {"t1": ["waits", "joins"], "t3": ["waits", "joins"]}
    bench.lanes.add([turn(1, collectable=False)])
    await bench.settle()
    bench.lanes.add([turn(2)])
    gates[0].set()
    await bench.settle()
    bench.lanes.add([turn(3), turn(4, collectable=False)])
    await bench.settle()
    gates[1].set()
    await bench.lanes.idle()
    assert bench.ended == [("t1",), ("t2",), ("t3",), ("t4",)]


async def test_a_turn_answers_no_more_than_the_cap() -> None:
    """What joined counts; what does not fit is the next batch."""
    bench = Steps(cap=3)
    gate = bench.blocks("t1")
    bench.steps["t1"] = ["waits", "joins", "joins", "joins"]
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add(turn(seq) for seq in range(2, 9))
    gate.set()
    await bench.lanes.idle()
    assert bench.ended == [("t1", "t2", "t3"), ("t4", "t5", "t6"), ("t7", "t8")]


async def test_the_mode_is_asked_when_it_matters() -> None:
    """Changed while a turn runs: what comes to its next step goes by the new rule."""
    bench = Steps(QueueMode.FOLLOWUP)
    gate = bench.blocks("t1")
    bench.steps["t1"] = ["joins", "waits", "joins"]
    bench.lanes.add([turn(1), turn(2)])
    await bench.settle()
    assert [one.turn_id for one in bench.lanes.answering(SessionId("s1"))] == ["t1"]
    bench.rules = QueueRules(mode=QueueMode.STEER, debounce=0)
    gate.set()
    await bench.lanes.idle()
    assert bench.ended == [("t1", "t2")]


async def joined(bench: Steps, how: str) -> None:
    """A second message joins the turn of the first, whose next step waits."""
    gate = bench.blocks("t1")
    bench.steps["t1"] = ["waits", how, "waits"]
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add([turn(2)])
    bench.blocks("t1")
    gate.set()
    await bench.settle()


@pytest.mark.parametrize("stopped", ["t1", "t2"])
async def test_a_stop_ends_what_joined_with_the_turn_it_joined(stopped: str) -> None:
    """Whichever of the two is named."""
    bench = Steps()
    await joined(bench, "joins")
    assert [one.turn_id for one in bench.lanes.answering(SessionId("s1"))] == ["t1", "t2"]
    bench.lanes.stop([TurnId(stopped)])
    await bench.lanes.idle()
    assert bench.ended == [("t1", "t2")]
    assert bench.cut == [("t1", StopReason.STOPPED)]


async def test_what_was_stopped_joins_nothing() -> None:
    """A message that was stopped while it waited ends by itself, and the running turn goes on."""
    bench = Steps()
    gate = bench.blocks("t1")
    bench.steps["t1"] = ["waits", "joins"]
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add([turn(2), turn(3)])
    bench.lanes.stop([TurnId("t2")])
    bench.steps["t2"] = ["joins"]
    gate.set()
    await bench.lanes.idle()
    assert bench.ended == [("t1",), ("t2",), ("t3",)]


async def test_what_is_stopped_while_it_joins_stops_the_turn() -> None:
    """The word comes between the write and its being known; a stop is never lost."""
    bench = Steps()
    await joined(bench, "unknown")
    assert [one.turn_id for one in bench.lanes.answering(SessionId("s1"))] == ["t1"]
    bench.lanes.stop([TurnId("t2")])
    await bench.clock.passes(RETRY_AFTER[0])
    await bench.lanes.idle()
    assert bench.ended == [("t1", "t2")]
    assert bench.cut == [("t1", StopReason.STOPPED)]


_steps = st.lists(st.sampled_from(["joins", "joins", "fails", "unknown"]), max_size=4)
_messages = st.lists(st.tuples(st.sampled_from(["alice", "alice", "bob"]), _steps, st.integers(0, 4)), max_size=14)


@settings(max_examples=150, deadline=None)
@given(_messages, st.sampled_from([2, 5, 20]), st.sets(st.integers(0, 13), max_size=3))
async def test_each_message_is_part_of_exactly_one_turn(
    messages: list[tuple[str, list[str], int]], cap: int, crashes: set[int]
) -> None:
    """Whatever arrives when, fails, is written unseen, or is cut off by a crash: once, in order, with its own."""
    bench = Steps(cap=cap)
    turns: list[Turn] = []
    for seq, (person, steps, moments) in enumerate(messages, 1):
        bench.steps[f"t{seq}"] = steps
        turns.append(turn(seq, person=person))
        bench.lanes.add(turns[-1:])
        for _ in range(moments):
            await asyncio.sleep(0)
        if bench.clock.waited_for:
            await bench.clock.passes(bench.clock.waited_for[0])
        if seq in crashes:
            await bench.lanes.close(0)
            bench.lanes = bench.fresh_lanes()
            rest = [replace(one, recovered=True) for one in turns if one.turn_id not in bench.order]
            await bench.lanes.refill(lambda rest=rest: _known(rest))
    for _ in range(80):
        await bench.settle()
        if bench.clock.waited_for:
            await bench.clock.passes(bench.clock.waited_for[0])
    await bench.lanes.close(0)

    people = {one.turn_id: one.principal for one in turns}
    assert bench.order == [one.turn_id for one in turns]
    assert all(len({people[one] for one in batch}) == 1 and len(batch) <= cap for batch in bench.ended)
    assert {batch[0]: batch for batch in bench.ended} == bench.transcripts


async def _known(turns: Sequence[Turn]) -> Sequence[Turn]:
    return turns


# --- what was found at the start -----------------------------------------------------------------------------


async def test_a_batch_that_had_begun_answers_what_its_transcript_names() -> None:
    """No more and no fewer, though more of the same hand waits behind it."""
    bench = Bench(QueueMode.COLLECT)
    bench.transcripts["t1"] = (TurnId("t1"), TurnId("t2"))

    async def found() -> list[Turn]:
        return [turn(seq, recovered=True) for seq in (1, 2, 3)]

    await bench.lanes.refill(found)
    await bench.lanes.idle()
    assert bench.ended == [("t1", "t2"), ("t3",)]
    await bench.lanes.close(0)


async def test_what_ended_while_it_was_looked_up_is_not_run_again(bench: Bench) -> None:
    """The rows were read while the turn was still unfinished."""
    gate = bench.blocks("t1")
    bench.lanes.add([turn(1)])
    await bench.settle()

    async def found() -> list[Turn]:
        rows = [turn(1, recovered=True), turn(2, recovered=True)]
        gate.set()
        await bench.lanes.ended(SessionId("s1"))
        return rows

    await bench.lanes.refill(found)
    await bench.lanes.idle()
    assert bench.order == ["t1", "t2"]


async def test_a_failed_look_changes_nothing(bench: Bench) -> None:
    """The storage cannot be read: said so, and what comes by the usual way still runs."""

    async def found() -> list[Turn]:
        raise StorageUnavailable

    with pytest.raises(StorageUnavailable):
        await bench.lanes.refill(found)
    bench.lanes.add([turn(1)])
    await bench.lanes.idle()
    assert bench.order == ["t1"]


# --- stopping ------------------------------------------------------------------------------------------------


async def test_the_end_leaves_what_has_not_ended_for_the_next_start(bench: Bench) -> None:
    """A running turn is cut off without a reason, what waits is not begun, and nothing new is taken."""
    bench.blocks("t1")
    bench.lanes.add([turn(1), turn(2)])
    await bench.settle()
    await bench.lanes.close(0)
    bench.lanes.add([turn(3)])
    await bench.lanes.idle()

    assert bench.cut == [("t1", None)]
    assert bench.order == []
    assert bench.begun == [("t1",)]


async def test_the_end_waits_for_what_can_still_finish(bench: Bench) -> None:
    """A turn that ends within the grace ends whole."""
    gate = bench.blocks("t1")
    bench.lanes.add([turn(1), turn(2)])
    await bench.settle()
    closing = asyncio.create_task(bench.lanes.close(5))
    await bench.settle()
    gate.set()
    await closing
    assert bench.order == ["t1"]
    assert bench.cut == []


async def test_the_end_while_somebody_types_is_no_trouble() -> None:
    """The lane waits for the typing to stop when the gateway stops; nothing breaks.

    It went on to a batch that was no longer there, and every stop in such a moment logged a broken lane.
    """
    bench = Bench(QueueMode.COLLECT, debounce=0.5)
    gate = bench.blocks("t1")
    bench.lanes.add([turn(1)])
    await bench.settle()
    bench.lanes.add([turn(2)])
    gate.set()
    await bench.settle()
    closing = asyncio.create_task(bench.lanes.close(5))
    await bench.clock.passes(0.5)
    await closing

    assert bench.order == ["t1"]
    assert bench.log.events == []


async def test_the_end_while_the_storage_is_away_does_not_wait_for_it(bench: Bench) -> None:
    """After the grace a lane that only waits for another try is ended; its turn is found at the next start."""
    bench.failures["t1"] = [StorageUnavailable()] * 9
    bench.lanes.add([turn(1)])
    await bench.settle()
    await bench.lanes.close(0)
    assert bench.order == []
    assert bench.lanes.running == 0
