"""Whether a note may still go: asked of what it is about, as that stands at the moment of sending."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from sqlalchemy import Connection

from rookery.gateway import linking, pairing, unlinking
from rookery.gateway.notes import Kind, Topic
from rookery.gateway.pairing import Step
from rookery.gateway.rules import Rules
from rookery.messages import ChatKind, Route
from rookery.policy import Decision


def may_go(connection: Connection, topic: Topic, route: Route, rules: Rules, now: datetime) -> Decision:
    """Whether a note about this may go by this route, and why not.

    What is said in a group is for an admin who decides about it there; all others hold codes or name people.
    """
    if route.chat.kind is not ChatKind.DM and (topic.kind, topic.step) != (Kind.PAIRING, Step.ADMIN.value):
        return Decision(False, "That is told to one person alone.")
    match topic.kind:
        case Kind.LINK:
            return linking.may_hear(connection, topic, route, rules, now)
        case Kind.UNLINK:
            return unlinking.may_hear(connection, route, rules)
        case Kind.PAIRING:
            return pairing.may_hear(connection, topic, route, rules, now)
        case _:
            assert_never(topic.kind)
