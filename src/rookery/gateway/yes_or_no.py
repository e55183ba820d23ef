"""`/approve` and `/deny`: what somebody types to a question that a turn of theirs waits for."""

from __future__ import annotations

from dataclasses import replace

from rookery.agents import Verdict
from rookery.gateway import approvals
from rookery.gateway.approvals import Approval
from rookery.gateway.arrival import Arrival


def answer(arrival: Arrival, number: str, *, allow: bool) -> tuple[str, tuple[Approval, ...]]:
    """Answer what this very person is asked in this conversation, or was asked in this chat: what is said to that,
    and what was answered."""
    here = _asked_here(arrival)
    if not here:
        return "Nothing waits for your yes here.", ()
    if number:
        named = [one for one in here if number == str(one.n)]
    else:
        # Typed twice by mistake, it must not allow what was asked next and nobody has read yet.
        alone = len(here) == 1
        named = here if alone and not (allow and approvals.asked_before(arrival.connection, here[0])) else []
    if not named:
        word = "approve" if allow else "deny"
        return f"Say which: {' or '.join(f'/{word} {one.n}' for one in here)}.", ()
    approval = named[0]
    if not approvals.answer(arrival.connection, approval, allow=allow, by=arrival.principal, now=arrival.now):
        return "That was answered already.", ()
    said = f"Number {approval.n} is allowed, this once." if allow else f"Number {approval.n} is not allowed."
    return said, (replace(approval, state=Verdict.ALLOWED if allow else Verdict.DENIED),)


def _asked_here(arrival: Arrival) -> list[Approval]:
    place, route = arrival.place, arrival.message.route
    chat = (route.channel, route.account, route.chat)
    return [
        one.approval
        for one in approvals.open_for(arrival.connection, arrival.agent.id, arrival.principal)
        if one.approval.expires_at > arrival.now
        and (one.session_id == place.session_id or chat == (one.route.channel, one.route.account, one.route.chat))
    ]
