"""`/privacy` and `/export`: what a person is told of what is kept of them. To them alone."""

from __future__ import annotations

from rookery.gateway.arrival import Arrival
from rookery.messages import ChatKind
from rookery.policy import Action, PersonResource, may


def answer(arrival: Arrival, *, export: bool) -> str:
    """What is kept of the sender, or (`export`) how they get it."""
    user = arrival.sender.user
    assert user is not None, "guests were answered before"
    if arrival.message.chat.kind is not ChatKind.DM:
        return "What is kept of you is told to you alone: write to me directly."
    decision = may(arrival.sender.actor, Action.EXPORT_PERSON, PersonResource(user.id))
    if not decision:
        return decision.reason
    # Read when somebody asks, and by no start.
    from rookery.gateway.leaving.kept import how_to_leave, in_words, kept_of

    return how_to_leave(user.id) if export else in_words(kept_of(arrival.connection, user.id))
