"""A person's answer to what a turn of theirs waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from sqlalchemy import Connection

from rookery.agents import Verdict
from rookery.errors import Conflict, NotFound
from rookery.gateway import approvals
from rookery.gateway.approvals import Approval
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.turns import leader_of, look_up
from rookery.gateway.shapes import ApprovalAnswer, ApprovalAnswered
from rookery.policy import Action


async def answer(desk: Desk, ask: ApprovalAnswer) -> ApprovalAnswered:
    """Allow a call that waits, or not. The same answer again changes nothing.

    Raises `NotFound` for a turn that is not theirs and for a number nothing waits under, `Refused` for what
    somebody else was asked, `Conflict` when it was answered otherwise, or too late.
    """
    gateway = desk.house.gateway

    def work(connection: Connection) -> tuple[Approval, bool]:
        turn, session = look_up(connection, desk, ask.turn_id)
        desk.ask(Action.APPROVE, replace(session.resource, own_turn=turn.principal == desk.principal))
        leader = leader_of(desk, turn)
        approval = approvals.get(connection, leader, ask.n)
        if approval is None or approval.principal != desk.principal:
            raise NotFound(f"Nothing in turn {leader!r} waits for a yes under the number {ask.n}.")
        if turn.finished_at is not None and approval.state is Verdict.ASKED:
            raise Conflict("That turn has ended; nothing waits for a yes any more.")
        state = Verdict.ALLOWED if ask.allow else Verdict.DENIED
        if approvals.answer(connection, approval, allow=ask.allow, by=desk.principal, now=desk.now()):
            return replace(approval, state=state), True
        same = {Verdict.ALLOWED, Verdict.USED} if ask.allow else {Verdict.DENIED}
        if approval.state not in same:
            raise Conflict(_TOO_LATE.get(approval.state, "The time to answer that is over."))
        return approval, False

    def tell(answered: tuple[Approval, bool]) -> None:
        approval, new = answered
        gateway.consent.answered([approval] if new else [])

    with gateway.catching_up():
        approval, _ = await gateway.database.write(work, then=tell)
    return ApprovalAnswered(turn_id=approval.turn_id, n=approval.n, state=_STATES[approval.state])


_TOO_LATE = {
    Verdict.DENIED: "That was answered already: it was not allowed.",
    Verdict.ALLOWED: "That was answered already: it was allowed.",
    Verdict.USED: "That was answered already: it was allowed, and has begun.",
}
_STATES: dict[Verdict, Literal["allowed", "denied", "used"]] = {
    Verdict.ALLOWED: "allowed",
    Verdict.DENIED: "denied",
    Verdict.USED: "used",
}
