"""Mistakes somebody could make in the product, each of which the oracle has to catch.

They are put in by monkeypatch, one at a time, where the mistake would be made.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from rookery import ids
from rookery.agents import Verdict, messages_of
from rookery.channels.contract import Outcome, Receipt
from rookery.gateway import (
    approvals,
    consent,
    deliveries,
    endings,
    entries,
    finishing,
    inbound,
    joining,
    lanes,
    outbox,
    seen,
    shelf,
    tables,
    turn,
    turns,
    yes_or_no,
)
from rookery.gateway.answering import Answering
from rookery.gateway.approvals import Approval
from rookery.gateway.arrival import Arrival
from rookery.gateway.batch import Batch
from rookery.gateway.deliveries import Delivery
from rookery.gateway.gateway import Gateway
from rookery.gateway.meter import TurnMeter
from rookery.ids import DeliveryId, EntryId, SessionId, TurnId
from rookery.messages import Entry, InboundMessage, MessageEntry, Role, StopReason, ToolCallPart
from rookery.sessions import Session
from rookery.usage import LedgerRow, settling
from tests.durability.lives import Blow

# Patching means reaching where no caller may; that is what a mistake does.
# pyright: reportPrivateUsage=false


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: how it is made, and in which scene under which blow, on which database, it shows."""

    make: Callable[[pytest.MonkeyPatch], None]
    scene: str
    blow: Blow
    postgres: bool = False


def _told_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The network is told "accepted" while the commit is still under way."""
    receive = Gateway.receive

    async def hasty(self: Gateway, message: InboundMessage) -> Receipt:
        asyncio.create_task(receive(self, message), name="lane hasty")  # noqa: RUF006 - the mistake itself
        return Receipt(Outcome.ACCEPTED)

    patch.setattr(Gateway, "receive", hasty)


def _seen_only_in_memory(patch: pytest.MonkeyPatch) -> None:
    """Duplicates are known only until the process ends."""
    marks: dict[tuple[str, str, str], seen.Seen] = {}
    start = Gateway.start

    async def start_anew(self: Gateway) -> None:
        marks.clear()
        await start(self)

    def claim(connection: Connection, message: InboundMessage, turn_id: TurnId, now: datetime) -> seen.Seen | None:
        key = message.channel, message.account, message.message_id
        before = marks.get(key)
        marks[key] = before or seen.Seen(Outcome.ACCEPTED, turn_id)
        return before

    patch.setattr(Gateway, "start", start_anew)
    patch.setattr(inbound.seen, "claim", claim)


def _sent_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    """The reply goes out while its entry is still being written."""
    append = Session.append

    async def hasty(self: Session, *entries: Entry) -> None:
        last = entries[-1]
        answer = last if isinstance(last, MessageEntry) and last.role is Role.ASSISTANT else None
        if answer is not None and answer.stop_reason is not StopReason.TOOL_CALLS:
            fresh = self._chain(entries)
            self._take(fresh, 0)
            writing = self._transcripts.append(self.id, self.header, fresh)
            asyncio.create_task(_done(writing), name="lane late")  # noqa: RUF006 - the mistake itself
        else:
            await append(self, *entries)

    patch.setattr(Session, "append", hasty)


def _running_turn_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A turn that had begun is not taken up again at the start."""

    def none(connection: Connection) -> list[turns.Turn]:
        return []

    patch.setattr(turns, "unfinished", none)


def _marked_before_it_is_sent(patch: pytest.MonkeyPatch) -> None:
    """A delivery counts as sent before the network took it."""

    async def hasty(self: outbox.Outbox, chat: Any, delivery: Delivery) -> None:
        await self._mark_sent(delivery, None, 1)
        await self._channels[delivery.route.channel].send(delivery.message)

    patch.setattr(outbox.Outbox, "_send_until_ended", hasty)


def _sent_again_at_each_start(patch: pytest.MonkeyPatch) -> None:
    """What was sent is not marked so."""

    def nothing(*_: Any) -> None: ...

    patch.setattr(deliveries, "mark_sent", nothing)


def _waiting_deliveries_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The outbox begins empty."""

    def none(connection: Connection) -> list[Delivery]:
        return []

    patch.setattr(deliveries, "waiting", none)


def _turn_done_before_its_reply_is_kept(patch: pytest.MonkeyPatch) -> None:
    """The end of a turn and its deliveries are two commits."""
    finish = finishing.Finishing.finish

    async def in_two(self: finishing.Finishing, answering: Answering, ending: Any) -> None:
        batch = answering.batch.turns
        await self._database.write(
            lambda connection: turns.finish(connection, batch, ending.status, now=self._now())
        )
        await finish(self, answering, ending)

    patch.setattr(finishing.Finishing, "finish", in_two)


def _call_repeated(patch: pytest.MonkeyPatch) -> None:
    """A call whose end nobody saw is made once more."""

    async def nothing(self: Any) -> None: ...

    patch.setattr(import_module("rookery.agents.loop")._Run, "_settle_a_call_of_unknown_outcome", nothing)


def _result_not_journaled(patch: pytest.MonkeyPatch) -> None:
    """What a tool said is only kept in memory."""
    append = Session.append

    async def forgetful(self: Session, *entries: Entry) -> None:
        if isinstance(entries[-1], MessageEntry) and entries[-1].role is Role.TOOL_RESULT:
            self._take(self._chain(entries), 0)
        else:
            await append(self, *entries)

    patch.setattr(Session, "append", forgetful)


def _reply_before_its_question(patch: pytest.MonkeyPatch) -> None:
    """The user entry is written together with the reply, and stands behind it."""
    append = Session.append

    async def reversed_(self: Session, *entries: Entry) -> None:
        last = entries[-1]
        if isinstance(last, MessageEntry) and last.role is Role.USER:
            self._take(self._chain(entries), 0)
        else:
            mine = [entry for entry in self.entries_of(last.turn_id or TurnId("")) if entry.id.endswith(".0")]
            await append(self, *entries)
            await self._transcripts.append(self.id, self.header, mine)

    patch.setattr(Session, "append", reversed_)


def _batch_regrouped(patch: pytest.MonkeyPatch) -> None:
    """After a crash a batch is whatever waits then, not what its user entry says."""

    async def nobody_knows(self: turn.TurnRunner, leader: turns.Turn) -> tuple[TurnId, ...]:
        return ()

    patch.setattr(turn.TurnRunner, "batch_of", nobody_knows)


def _last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    """A lane's queue goes by something else than the order of acceptance."""

    def backwards(queued: turns.Turn) -> int:
        return -queued.seq

    patch.setattr(lanes, "_order", backwards)


def _overtaken(patch: pytest.MonkeyPatch) -> None:
    """After a commit whose end nobody saw, what comes next does not wait until it is known."""

    def nothing(self: Any) -> None: ...

    patch.setattr(lanes.Lanes, "hold", nothing)
    patch.setattr(outbox.Outbox, "hold", nothing)


def _kept_and_not_sent(patch: pytest.MonkeyPatch) -> None:
    """A reply kept by a commit whose end nobody saw is not sent before the next start."""

    def never(connection: Connection, delivery_id: DeliveryId) -> bool:
        return False

    patch.setattr(deliveries, "is_waiting", never)


def _delivery_ids_drawn_anew(patch: pytest.MonkeyPatch) -> None:
    """A reply that is kept twice has two ids."""
    made = finishing.Finishing._deliveries

    def anew(self: finishing.Finishing, *parts: Any) -> list[Delivery]:
        return [
            replace(one, delivery_id=DeliveryId(f"{one.delivery_id}~{ids.fresh(self._now())}"))
            for one in made(self, *parts)
        ]

    patch.setattr(finishing.Finishing, "_deliveries", anew)


def _stop_forgotten(patch: pytest.MonkeyPatch) -> None:
    """/stop is said to the lane and not kept."""

    def only_said(connection: Connection, session_id: SessionId, principals: Any) -> list[TurnId]:
        marked = select(tables.turns.c.turn_id).where(
            tables.turns.c.session_id == session_id, tables.turns.c.finished_at.is_(None)
        )
        return [TurnId(turn_id) for turn_id in connection.execute(marked).scalars()]

    patch.setattr(turns, "stop", only_said)


def _unread_when_interrupted(patch: pytest.MonkeyPatch) -> None:
    """A message that a newer one overtakes before the model was shown it is dropped."""
    answer = turn.TurnRunner._answer

    async def dropping(self: turn.TurnRunner, answering: Answering) -> Any:
        overtaken = answering.batch.interruption.reason is StopReason.INTERRUPTED
        if overtaken and not answering.session.entries_of(answering.leader.turn_id):
            return endings.Ending(turns.Status.CANCELLED)
        return await answer(self, answering)

    patch.setattr(turn.TurnRunner, "_answer", dropping)


def _joined_and_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What joined a turn is dropped at its end."""

    def dropping(self: Batch, turn_ids: Collection[TurnId]) -> None:
        self._queue.take(turn_ids)

    patch.setattr(Batch, "join", dropping)


def _joined_twice(patch: pytest.MonkeyPatch) -> None:
    """After a crash only the first user entry of a turn is looked at."""

    def first(written: Sequence[MessageEntry]) -> tuple[TurnId, ...]:
        return written[0].accepted if written else ()

    patch.setattr(entries, "accepted", first)


def _joined_unseen(patch: pytest.MonkeyPatch) -> None:
    """What joined by a write whose end nobody saw is not looked for by the next try."""
    accepted = entries.accepted

    async def batch_of(self: turn.TurnRunner, leader: turns.Turn) -> tuple[TurnId, ...]:
        async with self._brains.use(leader.agent_id) as brain:
            session = await brain.open_session(leader.session_id, leader.opened_key, leader.accepted_at)
            return accepted(messages_of(session, leader.turn_id))

    def nothing(_: Sequence[MessageEntry]) -> tuple[TurnId, ...]:
        return ()

    patch.setattr(entries, "accepted", nothing)
    patch.setattr(turn.TurnRunner, "batch_of", batch_of)


def _joined_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    """A message counts as part of the turn before the transcript has it."""
    following = joining.Joining.next

    async def hasty(self: joining.Joining, entry_id: EntryId) -> MessageEntry | None:
        entry = await following(self, entry_id)
        if entry is not None:
            self._answering.batch.join(entry.accepted)
        return entry

    patch.setattr(joining.Joining, "next", hasty)


def _another_hand_joins(patch: pytest.MonkeyPatch) -> None:
    """Whatever waits joins, wherever it came from."""

    def whoever(one: turns.Turn, other: turns.Turn) -> bool:
        return True

    patch.setattr(lanes, "_same_hand", whoever)


def _yes_of_anybody(patch: pytest.MonkeyPatch) -> None:
    """Whoever says yes to a number allows what is asked under it, whoever was asked."""

    def everybody(arrival: Arrival) -> list[Approval]:
        asked = select(tables.approvals.c.turn_id, tables.approvals.c.n).where(
            tables.approvals.c.state == Verdict.ASKED.value
        )
        rows = arrival.connection.execute(asked).all()
        found = (approvals.get(arrival.connection, TurnId(row.turn_id), row.n) for row in rows)
        return [one for one in found if one is not None]

    patch.setattr(yes_or_no, "_asked_here", everybody)


def _old_number_counts(patch: pytest.MonkeyPatch) -> None:
    """Whatever number is said, it is taken for the one that waits."""
    answer = yes_or_no.answer

    def whatever(arrival: Arrival, number: str, *, allow: bool) -> tuple[str, tuple[Approval, ...]]:
        here = yes_or_no._asked_here(arrival)
        return answer(arrival, str(here[0].n) if len(here) == 1 else number, allow=allow)

    patch.setattr(yes_or_no, "answer", whatever)


def _yes_that_lasts(patch: pytest.MonkeyPatch) -> None:
    """A yes is looked at and not taken: it is there for the next call, too."""

    def look(connection: Connection, approval: Approval, call: ToolCallPart) -> bool:
        return approval.state is Verdict.ALLOWED and approval.fingerprint == approvals.fingerprint(call)

    patch.setattr(approvals, "use", look)


def _used_after_it_began(patch: pytest.MonkeyPatch) -> None:
    """That a yes is used is kept while the call is under way."""
    use = consent.AsksThePerson.use

    async def hasty(self: consent.AsksThePerson, wish: Any) -> bool:
        asyncio.create_task(_done(use(self, wish)), name="lane late")  # noqa: RUF006 - the mistake itself
        return True

    patch.setattr(consent.AsksThePerson, "use", hasty)


def _purge_done_before_it_is(patch: pytest.MonkeyPatch) -> None:
    """A purge counts as done before the transcript is gone."""
    purge = shelf.Shelf._purge

    async def hasty(self: shelf.Shelf, removal: turns.Turn) -> None:
        await self._database.write(lambda connection: self._finish(removal, connection))
        await purge(self, removal)

    patch.setattr(shelf.Shelf, "_purge", hasty)


def _words_of_a_purge_kept(patch: pytest.MonkeyPatch) -> None:
    """The transcript goes, and the queue's own copy of what was said stays."""

    def nothing(*_: Any) -> None: ...

    patch.setattr(turns, "forget_words", nothing)


def _called_before_it_is_written_down(patch: pytest.MonkeyPatch) -> None:
    """The ledger learns of a call when it has ended."""

    class Later:
        """A database that takes no relaxed write."""

        async def write(self, work: Any, *, relaxed: bool = False) -> None:
            """Does nothing."""

    begin = TurnMeter.begin

    async def unwritten(self: TurnMeter, call: Any) -> None:
        patch.setattr(self, "_database", Later())
        await begin(self, call)

    patch.setattr(TurnMeter, "begin", unwritten)


def _call_without_an_end(patch: pytest.MonkeyPatch) -> None:
    """What an earlier life began is left as it was found."""

    def nothing(rows: Sequence[LedgerRow], written: Any) -> list[LedgerRow]:
        del rows, written
        return []

    patch.setattr(settling, "left_over", nothing)


MISTAKES: Mapping[str, Mistake] = {
    "told before the commit": Mistake(_told_before_the_commit, "plain", Blow.KILLED_BEFORE),
    "seen only in memory": Mistake(_seen_only_in_memory, "plain", Blow.KILLED_AFTER),
    "sent before it is written": Mistake(_sent_before_it_is_written, "plain", Blow.KILLED_BEFORE),
    "running turn forgotten": Mistake(_running_turn_forgotten, "plain", Blow.KILLED_AFTER),
    "marked before it is sent": Mistake(_marked_before_it_is_sent, "plain", Blow.KILLED_AFTER),
    "sent again at each start": Mistake(_sent_again_at_each_start, "plain", Blow.KILLED_AFTER),
    "waiting deliveries forgotten": Mistake(_waiting_deliveries_forgotten, "plain", Blow.KILLED_AFTER),
    "turn done before its reply is kept": Mistake(_turn_done_before_its_reply_is_kept, "plain", Blow.KILLED_AFTER),
    "call repeated": Mistake(_call_repeated, "effects", Blow.KILLED_BEFORE),
    "result not journaled": Mistake(_result_not_journaled, "effects", Blow.KILLED_BEFORE),
    "reply before its question": Mistake(_reply_before_its_question, "plain", Blow.KILLED_BEFORE),
    "batch regrouped": Mistake(_batch_regrouped, "batch", Blow.KILLED_AFTER),
    "last come, first served": Mistake(_last_come_first_served, "followup", Blow.KILLED_AFTER),
    "overtaken": Mistake(_overtaken, "overtaking", Blow.UNKNOWN),
    "kept and not sent": Mistake(_kept_and_not_sent, "plain", Blow.UNKNOWN),
    "delivery ids drawn anew": Mistake(_delivery_ids_drawn_anew, "plain", Blow.UNKNOWN),
    "stop forgotten": Mistake(_stop_forgotten, "stop", Blow.KILLED_AFTER),
    "purge done before it is": Mistake(_purge_done_before_it_is, "deleted", Blow.KILLED_AFTER),
    "words of a purge kept": Mistake(_words_of_a_purge_kept, "deleted", Blow.KILLED_AFTER),
    "joined and forgotten": Mistake(_joined_and_forgotten, "steer", Blow.KILLED_AFTER),
    "joined twice": Mistake(_joined_twice, "steer", Blow.KILLED_AFTER),
    "joined unseen": Mistake(_joined_unseen, "steer", Blow.UNKNOWN, postgres=True),
    "joined before it is written": Mistake(_joined_before_it_is_written, "steer", Blow.REFUSED),
    "another hand joins": Mistake(_another_hand_joins, "steer", Blow.KILLED_AFTER),
    "called before it is written down": Mistake(_called_before_it_is_written_down, "plain", Blow.KILLED_AFTER),
    "call without an end": Mistake(_call_without_an_end, "plain", Blow.KILLED_AFTER),
    "yes of anybody": Mistake(_yes_of_anybody, "asked_apart", Blow.KILLED_AFTER),
    "old number counts": Mistake(_old_number_counts, "asked_again", Blow.KILLED_AFTER),
    "yes that lasts": Mistake(_yes_that_lasts, "allowed", Blow.KILLED_BEFORE),
    "used after it began": Mistake(_used_after_it_began, "allowed", Blow.KILLED_BEFORE),
    "unread when interrupted": Mistake(_unread_when_interrupted, "interrupt_early", Blow.KILLED_AFTER),
}


def in_a_process(name: str, directory: Path) -> dict[str, str]:
    """The environment in which every Python process makes this mistake; `directory` is for what that takes."""
    (directory / "sitecustomize.py").write_text(
        "import pytest\n"
        "from tests.durability.mistakes import MISTAKES\n"
        f"MISTAKES[{name!r}].make(pytest.MonkeyPatch())\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(directory), str(Path(__file__).parents[2])])}


async def _done(work: Coroutine[Any, Any, Any]) -> None:
    await work
