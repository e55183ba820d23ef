"""Joining another address of one's own from the page or by a token: making the code, and saying the last yes."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection

from rookery import ids
from rookery.channels import webchat
from rookery.errors import Conflict, NotFound
from rookery.gateway import codes, link_commands, linking
from rookery.gateway.deliveries import Delivery
from rookery.gateway.linking import Link, State
from rookery.gateway.operations import permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.rules import INTERNAL_CHANNELS
from rookery.gateway.shapes import Done, Identity, LinkAddress, LinkCode, LinkNamed, LinkState
from rookery.ids import TurnId, UserId
from rookery.messages import Chat, ChatKind, Route
from rookery.policy import Action
from rookery.users import Identity as Joined

_Told = tuple[Delivery, ...]


async def make_code(desk: Desk) -> LinkCode:
    """A code for the person at the desk, told this once; the one they had ends.

    Raises `Refused` where no person is at the desk.
    """
    person = await _person(desk)

    def work(connection: Connection) -> tuple[LinkCode, _Told]:
        permission.still(connection, desk)
        now = desk.now()
        begun = linking.begin(connection, person, _page_of(desk, person), now)
        told = link_commands.over(connection, begun.ended, _fresh(desk), now)
        link = begun.link
        return LinkCode(id=link.id, code=codes.spoken(begun.code), expires_at=link.expires_at), told

    made, _ = await desk.write(work, lambda done: done[0].id, then=lambda done: _send(desk, done[1]))
    return made


async def listed(desk: Desk) -> list[LinkState]:
    """The person's code that still counts, and how far it has come."""
    person = await _person(desk)
    link = await desk.house.database.read(
        lambda connection: linking.of_user(connection, person, desk.now(), alone=False)
    )
    return [] if link is None else [_state(link)]


async def confirm(desk: Desk, ask: LinkNamed) -> Identity:
    """Say the last yes: the address is theirs. Only for a code that was made here.

    Raises `NotFound` when there is no such code any more, and `Conflict` when the other side has not said yes, the
    code was made in a chat, or the address became somebody's meanwhile.
    """
    person = await _person(desk)

    def work(connection: Connection) -> tuple[Joined | None, _Told]:
        permission.still(connection, desk)
        link = _named(connection, desk, person, ask.id)
        if link.route.channel not in INTERNAL_CHANNELS:
            raise Conflict("This code was asked for in a chat; confirm it there, with /link confirm.")
        if link.state is not State.AGREED:
            raise Conflict(
                "The other side has not said yes yet: the code is typed there, and answered with /link yes."
            )
        return link_commands.confirm(connection, link, turn_id=_fresh(desk), now=desk.now())

    joined, _ = await desk.house.database.write(work, then=lambda done: _send(desk, done[1]))
    if joined is None:
        raise Conflict("The address belongs to somebody already, so it was not joined.")
    return Identity(
        channel=joined.channel,
        account=joined.account,
        sender=joined.sender,
        user_id=joined.user_id,
        linked_at=joined.linked_at,
    )


async def decline(desk: Desk, ask: LinkNamed) -> Done:
    """Say no: the code, wherever it was made, counts no more. Raises `NotFound` when it did not already."""
    person = await _person(desk)

    def work(connection: Connection) -> _Told:
        permission.still(connection, desk)
        link = _named(connection, desk, person, ask.id)
        return link_commands.decline(connection, link, turn_id=_fresh(desk), now=desk.now())

    await desk.house.database.write(work, then=lambda told: _send(desk, told))
    return Done("Nothing is joined; the code does not count any more.")


async def _person(desk: Desk) -> UserId:
    person = desk.person
    await permission.on_person(desk, Action.JOIN_IDENTITY, person)
    return person


def _named(connection: Connection, desk: Desk, person: UserId, id: str) -> Link:
    link = linking.of_user(connection, person, desk.now())
    if link is None or link.id != id:
        raise NotFound("There is no such code, or not any more.")
    return link


def _page_of(desk: Desk, person: UserId) -> Route:
    account = webchat.BY_TOKEN if desk.by_token else webchat.ACCOUNT
    return Route(webchat.CHANNEL, account, Chat(ChatKind.DM, person), None, person, ids.fresh(desk.now()))


def _fresh(desk: Desk) -> TurnId:
    return TurnId(ids.fresh(desk.now()))


def _send(desk: Desk, told: _Told) -> None:
    desk.house.gateway.outbox.push(told)


def _state(link: Link) -> LinkState:
    state: Literal["open", "claimed", "agreed"]
    match link.state:
        case State.CLAIMED:
            state = "claimed"
        case State.AGREED:
            state = "agreed"
        case _:
            state = "open"
    address = None
    if link.claimed is not None:
        typed = link.address
        address = LinkAddress(channel=typed.channel, account=typed.account, sender=typed.sender)
    return LinkState(id=link.id, state=state, made_at=link.made_at, expires_at=link.expires_at, address=address)
