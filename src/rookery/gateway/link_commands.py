"""`/link`: what is said on both sides while an address is joined to a person."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection

from rookery.gateway import codes, commands, linking, notes
from rookery.gateway.arrival import Arrival
from rookery.gateway.commands import Name
from rookery.gateway.deliveries import Delivery
from rookery.gateway.linking import Link, Side, State
from rookery.gateway.notes import Kind, Topic
from rookery.gateway.rules import INTERNAL_CHANNELS, Rules
from rookery.ids import TurnId
from rookery.messages import Address, ChatKind, InboundMessage, Route
from rookery.policy import Action, PersonResource, let_in, may, permission_for
from rookery.users import Identity

NOT_HERE = "Your addresses are told to you alone: write to me directly."
"""The answer in a group."""

_NOTHING_WAITS = "Nothing waits for your answer here. /link gives you a code to type where I do not know you yet."


class Said(Struct, frozen=True):
    """What is said where it was typed, and the notes that go to the other side."""

    answer: str
    notes: tuple[Delivery, ...] = ()


class Heard(Struct, frozen=True):
    """What came of a stranger's `/link`: notes to either side; or why it was not looked at."""

    notes: tuple[Delivery, ...] = ()
    refusal: str = ""


def answer(arrival: Arrival, rest: str) -> Said:
    """What `/link` does and says for a person we know."""
    user, message = arrival.sender.user, arrival.message
    assert user is not None, "guests were answered before"
    if message.chat.kind is not ChatKind.DM:
        return Said(NOT_HERE)
    decision = may(arrival.sender.actor, Action.JOIN_IDENTITY, PersonResource(user.id))
    if not decision:
        return Said(decision.reason)
    connection, now, word = arrival.connection, arrival.now, rest.casefold()
    if not word:
        begun = linking.begin(connection, user.id, message.route, now)
        return Said(_code(begun), over(connection, begun.ended, arrival.turn_id, now))
    if word not in ("confirm", "no"):
        if codes.read(rest) is not None:
            return Said("I know you here already. Type the code where I do not know you yet.")
        return Said(_NOTHING_WAITS)
    link = linking.of_user(connection, user.id, now)
    if link is None or not _begun_here(link, message.route):
        return Said(_NOTHING_WAITS)
    if word == "no":
        told = decline(connection, link, turn_id=arrival.turn_id, now=now)
        return Said("Nothing is joined; the code does not count any more.", told)
    if link.state is not State.AGREED:
        waits = "the code has not been typed" if link.state is State.OPEN else f"{_shown(link)} has not said yes"
        return Said(f"There is nothing to confirm yet: {waits}.")
    joined, told = confirm(connection, link, turn_id=arrival.turn_id, now=now)
    if joined is None:
        return Said(f"{_shown(link)} belongs to somebody already, so it was not joined.", told)
    open_there = let_in(user.permissions, permission_for(link.address.channel, link.address.account))
    if not open_there:
        return Said(f"{_shown(link)} is yours now, but is not answered. {open_there.reason}", told)
    return Said(f"{_shown(link)} is yours now: what you write there is answered as here.", told)


def confirm(
    connection: Connection, link: Link, *, turn_id: TurnId, now: datetime
) -> tuple[Identity | None, tuple[Delivery, ...]]:
    """Join an address that both sides said yes to; None when it is somebody's. With the note for its side."""
    joined = linking.join(connection, link, now)
    if joined is None:
        return None, ()
    person = linking.person_of(connection, link)
    done = linking.again(connection, link)
    text = f"Done: I know you here as {person.name} ({person.id}) now. Write to me as you like; /help helps."
    return joined, _tell(connection, done, Side.ADDRESS, text, turn_id, now)


def decline(connection: Connection, link: Link, *, turn_id: TurnId, now: datetime) -> tuple[Delivery, ...]:
    """The person says no; with the note for the side that was asked, if one was."""
    return over(connection, linking.end(connection, link, State.REFUSED), turn_id, now)


def over(connection: Connection, ended: Link | None, turn_id: TurnId, now: datetime) -> tuple[Delivery, ...]:
    """The note to the side of the address that the person ended the link; none where the code was not typed."""
    if ended is None or ended.claimed is None:
        return ()
    text = "The other side took it back, so nothing is joined."
    return _tell(connection, ended, Side.ADDRESS, text, turn_id, now)


def of_stranger(
    connection: Connection, message: InboundMessage, turn_id: TurnId, rules: Rules, now: datetime
) -> Heard | None:
    """What comes of a message of somebody we do not know if it is `/link` with a code, yes or no; else None.

    Nothing else of it is looked at, and no word of it is kept.
    """
    command = commands.parse(message.text)
    if command is None or command.name is not Name.LINK or not linking.may_type(message.route, rules):
        return None
    address, word = message.address, command.rest.casefold()
    if word in ("yes", "no"):
        link = linking.asking(connection, address, now)
        if link is None:
            return None
        return _answered(connection, link, message.route, turn_id, now, yes=word == "yes")
    code = codes.read(command.rest)
    return None if code is None else _typed(connection, code, message.route, address, turn_id, now)


def _typed(
    connection: Connection, code: str, route: Route, address: Address, turn_id: TurnId, now: datetime
) -> Heard:
    looked_at = linking.too_many(connection, address, now)
    if not looked_at:
        return Heard(refusal=looked_at.reason)
    earlier = linking.asking(connection, address, now)
    link = linking.claim(connection, code, route, now)
    if link is None:
        text = "This code is not valid, or not any more. /link gives you one where I know you already."
        topic = Topic(Kind.LINK, f"{Side.ADDRESS.value}-wrong")
        return Heard(notes.add(connection, topic, route, text, turn_id=turn_id, now=now))
    told: tuple[Delivery, ...] = ()
    if earlier is not None and earlier.id != link.id:
        told = _refused(connection, earlier, turn_id, now)
    if link.state is State.AGREED:
        return Heard(told + _tell(connection, link, Side.ADDRESS, _NOW_CONFIRM, turn_id, now, route=route))
    person = linking.person_of(connection, link)
    text = (
        f"This would join this chat to the account of {person.name} ({person.id}): what is written here would be "
        "theirs. If that is you, write /link yes within ten minutes; if not, /link no."
    )
    return Heard(told + _tell(connection, link, Side.ADDRESS, text, turn_id, now, route=route))


def _answered(
    connection: Connection, link: Link, route: Route, turn_id: TurnId, now: datetime, *, yes: bool
) -> Heard:
    if not yes:
        topic = Topic(Kind.LINK, f"{Side.ADDRESS.value}-{State.REFUSED.value}", link.id)
        told = _refused(connection, link, turn_id, now)
        text = "Nothing is joined."
        return Heard(told + notes.add(connection, topic, route, text, turn_id=turn_id, number=1, now=now))
    if link.state is State.AGREED:
        return Heard(_tell(connection, link, Side.ADDRESS, _NOW_CONFIRM, turn_id, now, route=route))
    link = linking.agree(connection, link, now)
    text = (
        f"{_shown(link)} typed your code and says it is you. If that address is yours, write /link confirm here; "
        "if not, /link no. What is written there would be yours."
    )
    asked = _tell(connection, link, Side.PERSON, text, turn_id, now)
    return Heard(asked + _tell(connection, link, Side.ADDRESS, _NOW_CONFIRM, turn_id, now, route=route, number=1))


def _refused(connection: Connection, link: Link, turn_id: TurnId, now: datetime) -> tuple[Delivery, ...]:
    ended = linking.end(connection, link, State.REFUSED)
    text = f"{_shown(ended)} said no, so nothing is joined. The code does not count any more."
    return _tell(connection, ended, Side.PERSON, text, turn_id, now, number=2)


def _tell(
    connection: Connection,
    link: Link,
    side: Side,
    text: str,
    turn_id: TurnId,
    now: datetime,
    *,
    number: int = 0,
    route: Route | None = None,
) -> tuple[Delivery, ...]:
    to = route or (link.route if side is Side.PERSON else link.claimed)
    assert to is not None, "who never typed the code is told nothing"
    return notes.add(connection, link.about(side), to, text, turn_id=turn_id, number=number, now=now)


def _code(begun: linking.Begun) -> str:
    replaced = " Your earlier code does not count any more." if begun.ended is not None else ""
    return (
        f"Your code is {codes.spoken(begun.code)}. Within ten minutes, write to me from the address you want to "
        f"add:\n/link {codes.spoken(begun.code)}\nThen I ask both there and here. Give the code to nobody: it is "
        f"for an address of your own.{replaced}"
    )


_NOW_CONFIRM = "Thank you. Now confirm it where you asked for the code, with /link confirm."


def _begun_here(link: Link, route: Route) -> bool:
    """Whether a message comes from where the code was asked for: that address, or that door of our own."""
    begun = link.route
    if route.channel in INTERNAL_CHANNELS:
        return begun.channel == route.channel
    return (begun.channel, begun.account, begun.sender_id) == (route.channel, route.account, route.sender_id)


def _shown(link: Link) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(link.address)[:200])
