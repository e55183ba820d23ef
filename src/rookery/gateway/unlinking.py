"""Taking an address of one's own off: `/unlink`.

The address reaches nothing from that moment on, for whose it is is asked again of everything that waits: turns
that were not begun, and replies that were not sent.
"""

from __future__ import annotations

from sqlalchemy import Connection

from rookery import users
from rookery.gateway import audit, notes, rights
from rookery.gateway.arrival import Arrival
from rookery.gateway.audit import AuditRow
from rookery.gateway.deliveries import Delivery
from rookery.gateway.link_commands import NOT_HERE
from rookery.gateway.notes import Kind, Topic
from rookery.gateway.rules import INTERNAL_CHANNELS, Rules
from rookery.messages import ChatKind, Route
from rookery.policy import Action, Decision, PersonResource, may
from rookery.users import Identity, User

SURE = "yes"
"""The word without which nobody takes off the very address they write from."""


def answer(arrival: Arrival, rest: str) -> tuple[str, tuple[Delivery, ...]]:
    """What `/unlink` says, and the notes that go out besides."""
    user = arrival.sender.user
    assert user is not None, "guests have no addresses, and were answered before"
    if arrival.message.chat.kind is not ChatKind.DM:
        return NOT_HERE, ()
    decision = may(arrival.sender.actor, Action.LEAVE_IDENTITY, PersonResource(user.id))
    if not decision:
        return decision.reason, ()
    own = in_order(arrival.connection, user)
    if not own:
        return "No address is linked to you.", ()
    if not rest:
        return _listed(own, arrival.message.route), ()
    named, _, word = rest.rpartition(" ")
    sure = word.casefold() == SURE and bool(named)
    wanted = named.strip() if sure else rest
    identity = _named(own, wanted)
    if identity is None:
        return f"You have no address {_shown(wanted)}.\n{_listed(own, arrival.message.route)}", ()
    here = covers(identity, arrival.message.route)
    if here and not sure:
        warning = (
            f"{_shown(str(identity))} is where you write from. I would not know you here any more, and nothing "
            f"that waits would be sent here. If you mean it, write /unlink {wanted} {SURE}"
        )
        return warning, ()
    take_off(arrival, user, identity)
    told = f"{_shown(str(identity))} is not yours any more. What was said there stays with you."
    if not here or users.identify(arrival.connection, arrival.sender.address) is not None:
        return told, ()
    # Whoever writes from here is nobody now, so no agent of that person's can say it.
    note = notes.add(
        arrival.connection,
        Topic(Kind.UNLINK, "done"),
        arrival.message.route,
        told,
        turn_id=arrival.turn_id,
        now=arrival.now,
    )
    return "", note


def may_hear(connection: Connection, route: Route, rules: Rules) -> Decision:
    """Whether somebody may still be told that the address is not theirs any more: while it is nobody's."""
    if rights.identify(connection, route, rules).user is not None:
        return Decision(False, "The address belongs to somebody else now.")
    if rules.account(route.channel, route.account) is None:
        return Decision(False, f"There is no account {route.account!r} on {route.channel}.")
    return Decision(True, "")


def take_off(arrival: Arrival, user: User, identity: Identity) -> None:
    """Take the address from its person, and put that on record."""
    users.unlink(arrival.connection, user.id, identity.channel, identity.account, identity.sender)
    row = AuditRow(arrival.now, arrival.principal, user.id, "identity.unlink", str(identity), "allowed")
    audit.keep(arrival.connection, row)


def in_order(connection: Connection, user: User) -> list[Identity]:
    """A person's addresses, the one that was linked first at the beginning: so numbers stay when one is added."""
    return sorted(users.list_identities(connection, user.id), key=lambda one: (one.linked_at, str(one)))


def covers(identity: Identity, route: Route) -> bool:
    """Whether the address is the one that a message by this route came from."""
    if route.channel in INTERNAL_CHANNELS:
        return False
    same = (identity.channel, identity.sender) == (route.channel, route.sender_id)
    return same and identity.account in (None, route.account)


def _named(own: list[Identity], wanted: str) -> Identity | None:
    """The address that is meant: its number, or the address as it is written."""
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 6 and 1 <= int(wanted) <= len(own):
        return own[int(wanted) - 1]
    return next((one for one in own if str(one) == wanted), None)


def _listed(own: list[Identity], route: Route) -> str:
    lines = [
        f"{number}. {_shown(str(one))}{' (where you write from)' if covers(one, route) else ''}"
        for number, one in enumerate(own, start=1)
    ]
    return "\n".join(["Your addresses:", *lines, "/unlink N takes one off; what was said there stays with you."])


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:200])
