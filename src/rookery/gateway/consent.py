"""Turns that wait for their person's yes: asking, waiting for the answer, and taking it for one call.

The rows are the truth; what is kept here is who waits in this process, and what exactly for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from rookery.agents import Interrupted, Verdict, Wish
from rookery.channels.chunks import chunks
from rookery.gateway import approvals, deliveries, rights
from rookery.gateway.answering import Answering
from rookery.gateway.approvals import Approval
from rookery.gateway.deliveries import Delivery
from rookery.gateway.friends import signed
from rookery.gateway.log import Logger
from rookery.gateway.rules import READ_IN_THE_SESSION, Rules
from rookery.gateway.shelf import where
from rookery.gateway.watchers import TurnApproval, Watchers, Where
from rookery.ids import DeliveryId, TurnId
from rookery.policy import Action, may
from rookery.storage import Database


@dataclass(frozen=True, slots=True)
class Asked:
    """One call that waits for a yes now: what is kept of it, what it would do in words, and with what."""

    approval: Approval
    words: str
    arguments: Mapping[str, Any]


class Consent:
    """All turns that wait for a yes; one for the whole gateway."""

    def __init__(
        self,
        *,
        database: Database,
        watchers: Watchers,
        rules: Callable[[], Rules],
        minutes: Callable[[], float],
        tools: Callable[[], Collection[str]],
        chunk_limit: Callable[[str], int],
        send: Callable[[Sequence[Delivery]], None],
        now: Callable[[], datetime],
        wait: Callable[[float], Coroutine[Any, Any, None]],
        log: Logger,
    ) -> None:
        """`minutes`: how long an answer is waited for; `tools`: those that are configured now."""
        self.database = database
        self.rules = rules
        self.minutes = minutes
        self.tools = tools
        self.chunk_limit = chunk_limit
        self.send = send
        self.now = now
        self._watchers = watchers
        self._wait = wait
        self._log = log
        self._waits: dict[TurnId, _Wait] = {}
        self._closed = False

    def of(self, answering: Answering) -> AsksThePerson:
        """Asks the person whose turn this is, and nobody else."""
        return AsksThePerson(self, answering)

    def asked(self, turn_id: TurnId) -> Asked | None:
        """What a turn waits for now; None when it waits for nobody."""
        wait = self._waits.get(turn_id)
        return None if wait is None else wait.asked

    def answered(self, answers: Iterable[Approval]) -> None:
        """These were answered, and that is committed: whoever waits goes on."""
        for approval in answers:
            wait = self._waits.get(approval.turn_id)
            if wait is not None and wait.asked.approval.n == approval.n:
                self.tell(wait.here, replace(wait.asked, approval=approval))
                if not wait.answer.done():
                    wait.answer.set_result(approval.state)

    async def refill(self) -> None:
        """Look what was answered by a commit whose end nobody saw. Raises `StorageUnavailable`."""
        asked = [wait.asked.approval for wait in self._waits.values()]
        if asked:
            self.answered(await self.database.read(lambda connection: approvals.answered(connection, asked)))

    def close(self) -> None:
        """The gateway stops: nobody waits any more, and what was asked stays asked."""
        self._closed = True
        for wait in self._waits.values():
            if not wait.answer.done():
                wait.answer.set_result(None)

    # --- for one turn ----------------------------------------------------------------------------------------

    def begin(self, here: Where, asked: Asked) -> None:
        """A turn waits from now on; whoever watches it is told."""
        answer: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        self._waits[asked.approval.turn_id] = _Wait(here, asked, answer)
        self.tell(here, asked)

    async def until_answered(self, turn_id: TurnId) -> Verdict | None:
        """The answer; None when the time for it is over. Raises `Interrupted` when the gateway stops."""
        wait = self._waits[turn_id]
        left = (wait.asked.approval.expires_at - self.now()).total_seconds()
        if left > 0 and not self._closed:
            over = asyncio.ensure_future(self._wait(left))
            try:
                await asyncio.wait([over, wait.answer], return_when=asyncio.FIRST_COMPLETED)
            finally:
                over.cancel()
        if not wait.answer.done():
            if self._closed:
                raise Interrupted
            return None
        answer = wait.answer.result()
        if answer is None:
            raise Interrupted
        return answer

    def end(self, turn_id: TurnId) -> None:
        """A turn does not wait any more."""
        self._waits.pop(turn_id, None)

    def tell(self, here: Where, asked: Asked) -> None:
        """Tell whoever watches how it stands with what was asked."""
        approval = asked.approval
        self._watchers.tell(
            here,
            TurnApproval(
                approval.turn_id,
                approval.n,
                approval.tool,
                asked.words,
                asked.arguments,
                approval.state.value,
                approval.expires_at,
            ),
        )
        self._log.info("turn.approval", turn=approval.turn_id, n=approval.n, state=approval.state.value)


@dataclass(frozen=True, slots=True)
class _Wait:
    here: Where
    asked: Asked
    answer: asyncio.Future[Verdict | None]


class AsksThePerson:
    """`agents.Approvals` for one turn: it is caused by one person, and only that person is asked."""

    def __init__(self, consent: Consent, answering: Answering) -> None:
        self._consent = consent
        self._answering = answering
        self._leader = answering.leader

    async def ask(self, wish: Wish) -> Verdict:
        """See `agents.Approvals`."""
        answering = self._answering
        # Who holds a line open for the answer cannot be asked anything meanwhile.
        if self._leader.body.attended or not may(answering.standing.actor, Action.APPROVE, answering.resource()):
            return Verdict.NOBODY
        approval, _ = await self._consent.database.write(partial(self._ask, wish), then=partial(self._told, wish))
        return approval.state

    async def answered(self, wish: Wish) -> Verdict:
        """See `agents.Approvals`."""
        try:
            answer = await self._consent.until_answered(self._leader.turn_id)
            return answer or await self._consent.database.write(partial(self._expire, wish))
        finally:
            self._consent.end(self._leader.turn_id)

    async def use(self, wish: Wish) -> bool:
        """See `agents.Approvals`."""

        def work(connection: Connection) -> bool:
            found = approvals.of_call(connection, self._leader.turn_id, wish)
            return (
                found is not None
                and self._may_still(connection, wish.call.name)
                and approvals.use(connection, found, wish.call)
            )

        return await self._consent.database.write(work)

    async def withdraw(self, wish: Wish) -> None:
        """See `agents.Approvals`."""
        self._consent.end(self._leader.turn_id)
        await self._consent.database.write(partial(self._expire, wish))

    def _ask(self, wish: Wish, connection: Connection) -> tuple[Approval, list[Delivery]]:
        approval = approvals.of_call(connection, self._leader.turn_id, wish)
        if approval is None:
            now = self._consent.now()
            expires_at = now + timedelta(minutes=self._consent.minutes())
            approval = approvals.ask(connection, self._leader, wish, now, expires_at)
        elif approval.state is not Verdict.ASKED:
            return approval, []
        question = self._question(approval, wish)
        cleared = bool(question) and self._may(connection, Action.HEAR)
        # One that is there already was kept by a commit whose end nobody saw, so nobody may be sending it yet.
        return approval, [
            replace(delivery, cleared=cleared)
            for delivery in question
            if deliveries.add(connection, delivery) or deliveries.is_waiting(connection, delivery.delivery_id)
        ]

    def _told(self, wish: Wish, kept: tuple[Approval, list[Delivery]]) -> None:
        approval, question = kept
        if approval.state is Verdict.ASKED:
            asked = Asked(approval, wish.words, wish.call.arguments)
            self._consent.begin(where(self._leader), asked)
        self._consent.send(question)

    def _expire(self, wish: Wish, connection: Connection) -> Verdict:
        found = approvals.of_call(connection, self._leader.turn_id, wish)
        if found is None or approvals.expire(connection, found):
            return Verdict.EXPIRED
        return found.state

    def _may_still(self, connection: Connection, tool: str) -> bool:
        """Whether the person may allow things and have this tool called, by what holds now; they may have thought
        about it for a long time."""
        return (
            tool in self._consent.tools()
            and self._may(connection, Action.APPROVE)
            and self._may(connection, Action.CALL_TOOL, tool)
        )

    def _may(self, connection: Connection, action: Action, tool: str | None = None) -> bool:
        leader = self._leader
        right = rights.check(
            connection, leader.route, leader.agent_id, leader.principal, action, self._consent.rules(), tool=tool
        )
        return right.decision.allowed

    def _question(self, approval: Approval, wish: Wish) -> list[Delivery]:
        """The question as messages by the route of the turn, where the person does not read it in the session."""
        route = self._answering.batch.last.route
        if route.channel in READ_IN_THE_SESSION:
            return []
        minutes = round((approval.expires_at - approval.asked_at).total_seconds() / 60)
        text = (
            f"May I do this? {wish.words}\n\n"
            f"/approve {approval.n} – yes, this once\n/deny {approval.n} – no\n\n"
            f"I wait {minutes} {'minute' if minutes == 1 else 'minutes'} for your answer; "
            "what you write besides is read after that."
        )
        return [
            Delivery(
                delivery_id=DeliveryId(f"{approval.turn_id}.{QUESTION}{approval.n}.{number}"),
                turn_id=approval.turn_id,
                agent_id=approval.agent_id,
                principal=approval.principal,
                speaker=self._answering.agent.name,
                route=route,
                text=chunk,
                attempts=0,
                due_at=approval.asked_at,
                created_at=approval.asked_at,
            )
            for number, chunk in enumerate(
                chunks(signed(self._answering.agent, route, text), self._consent.chunk_limit(route.channel))
            )
        ]


QUESTION = "ask"
"""What the middle part of the delivery id of a question begins with; its number follows."""


def question_number(delivery_id: DeliveryId) -> int | None:
    """The number by which what a delivery asks is answered; None when it asks nothing."""
    parts = delivery_id.split(".")
    asks = len(parts) == 3 and parts[1].startswith(QUESTION)
    return int(parts[1].removeprefix(QUESTION)) if asks else None
