"""A group that is not let in, and somebody of this house who speaks to the assistant there.

What they say makes a request for the admins. An admin can decide it on the spot: `/admit`, typed in the group.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection

from rookery import ids, users
from rookery.errors import InvalidId, NotFound, RookeryError
from rookery.gateway import audit, commands, notes, pairing
from rookery.gateway.audit import AuditRow
from rookery.gateway.commands import Name
from rookery.gateway.deliveries import Delivery
from rookery.gateway.notes import Topic
from rookery.gateway.pairing import Step
from rookery.gateway.rights import Sender
from rookery.gateway.rules import Rules
from rookery.ids import TurnId, UserId
from rookery.messages import ChatKind, InboundMessage
from rookery.policy import HOUSE, Action, Decision, may, principal
from rookery.users import spaces


class Spoken(Struct, frozen=True):
    """What came of speaking in such a group: whether it is let in now, and what is said there."""

    let_in: bool
    said: tuple[Delivery, ...] = ()


_NOTHING = Spoken(False)

HINT = (
    "This group is not let in, so I answer nobody here. Type /admit to let it in, with yourself as its sponsor, "
    "or /admit USER for somebody else."
)


def spoken(
    connection: Connection,
    message: InboundMessage,
    sender: Sender,
    rules: Rules,
    turn_id: TurnId,
    now: datetime,
) -> Spoken:
    """Somebody spoke where no agent answers: ask for the group, or let it in when an admin says so.

    Nothing comes of what a guest says, of what was not said to the assistant, and of a group that has a rule of
    the configuration or is let in, whatever else keeps it silent.
    """
    command = commands.parse(message.text)
    if (
        sender.user is None
        or not (message.mentioned or command is not None)
        or not _unknown(connection, message, rules)
    ):
        return _NOTHING
    decides = bool(may(sender.actor, Action.MANAGE_SPACES, HOUSE))
    if decides and command is not None and command.name is Name.ADMIT:
        let_in, text = _admit(connection, message, sender.user.id, principal(sender.actor), command.rest, now)
        request = None
    else:
        let_in, text = False, HINT
        request = pairing.of_group(connection, message.route, now)
        if not decides or request is None:
            return _NOTHING
    topic = Topic(notes.Kind.PAIRING, Step.ADMIN.value, "" if request is None else request.id)
    said = notes.add(connection, topic, message.route, text, turn_id=turn_id, now=now)
    return Spoken(let_in, said)


def may_use(sender: Sender, chat: ChatKind) -> Decision:
    """Whether somebody can type `/admit` here."""
    if chat is ChatKind.DM:
        return Decision(False, "/admit lets a group in; type it in that group.")
    return may(sender.actor, Action.MANAGE_SPACES, HOUSE)


def _unknown(connection: Connection, message: InboundMessage, rules: Rules) -> bool:
    if message.chat.kind is ChatKind.DM:
        return False
    binding = rules.bindings.find(message.channel, message.account, message.chat, message.thread_id)
    if binding is not None and binding.peer_id is not None:
        return False
    return spaces.find(connection, message.channel, message.account, message.chat) is None


def _admit(
    connection: Connection, message: InboundMessage, own: UserId, by: str, typed: str, now: datetime
) -> tuple[bool, str]:
    """Let the group in; or why that is not done, in words for whoever typed it."""
    try:
        sponsor = users.get_user(connection, ids.user_id(typed)) if typed else users.get_user(connection, own)
    except (InvalidId, NotFound):
        return False, f"There is no user {typed[:80]!r}, so the group is not let in."
    try:
        space = spaces.admit(
            connection, message.channel, message.account, message.chat, sponsor=sponsor.id, by=by, now=now
        )
    except RookeryError as error:
        return False, error.detail
    pairing.group_let_in(connection, message.channel, message.account, message.chat, by=by, now=now)
    audit.keep(connection, AuditRow(now, by, space.sponsor, "space.admit", f"{space} {space.agent_id}", "allowed"))
    return True, "This group is let in. I answer people of this house here when they speak to me."
