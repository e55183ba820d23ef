"""Terminals: what they say, and what they are told."""

from __future__ import annotations

from msgspec import Struct


class Attach(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Be a terminal of this user; what they say goes to `agent_id`'s `session`, or where it goes by itself."""

    user_id: str
    agent_id: str | None = None
    session: str | None = None


class Attached(Struct, frozen=True, rename="camel", kw_only=True):
    """The terminal stands. `waiting` deliveries of earlier are on their way to it."""

    user_id: str
    user_name: str
    agent_id: str
    agent_name: str
    waiting: int


class Say(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One message. `message_id` is the client's, so that it may say the same again after a break.

    `alone`: the client waits for the reply to this very message.
    """

    message_id: str
    text: str
    alone: bool = False


class Said(Struct, frozen=True, rename="camel", kw_only=True):
    """What became of it. `turn_id` is the turn it became, None when no turn answers it.

    Then, if `outcome` is `accepted`, the answer comes as a delivery. `ended` says that a message seen before
    was answered before.
    """

    outcome: str
    reason: str
    turn_id: str | None = None
    ended: bool = False


class Ack(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The client has shown this delivery."""

    delivery_id: str


class Started(Struct, frozen=True, rename="camel", tag_field="type", tag="started"):
    """A turn of this terminal began to be answered, or messages of this terminal joined one that is.

    `speaker` is the name of who answers.
    """

    turn_id: str
    turn_ids: tuple[str, ...]
    speaker: str


class InLine(Struct, frozen=True, rename="camel", tag_field="type", tag="waiting"):
    """A turn of this terminal waits for a free model; `position` is its place in line, None once it has one."""

    turn_id: str
    position: int | None


class Delta(Struct, frozen=True, rename="camel", tag_field="type", tag="delta"):
    """Some more characters of the reply."""

    turn_id: str
    text: str


class Step(Struct, frozen=True, rename="camel", tag_field="type", tag="step"):
    """The model asks for a tool; what it writes next is another text."""

    turn_id: str
    tool: str


class Finished(Struct, frozen=True, rename="camel", tag_field="type", tag="finished"):
    """A turn ended. `text` is the whole reply, which also comes as `deliveries` deliveries."""

    turn_id: str
    turn_ids: tuple[str, ...]
    status: str
    text: str
    deliveries: int


class Reply(Struct, frozen=True, rename="camel", tag_field="type", tag="delivery"):
    """One delivery for this user's terminals; it counts as sent when one of them acknowledged it.

    `asks`: it asks whether a call may be made, and is answered by that number.
    """

    delivery_id: str
    turn_id: str
    in_reply_to: str
    speaker: str
    text: str
    asks: int | None = None


TerminalEvent = Started | InLine | Delta | Step | Finished | Reply
