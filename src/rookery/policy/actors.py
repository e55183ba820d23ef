"""Who is asking. An actor is always an argument, made where the message or request came in."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

from rookery.ids import UserId
from rookery.messages import Address


class Member(Struct, frozen=True):
    """A user, in any role."""

    user_id: UserId
    admin: bool = False


class Guest(Struct, frozen=True):
    """A sender let in to a shared agent without being a user."""

    address: Address


class Schedule(Struct, frozen=True):
    """Work that a user planned: it acts for them, with no more rights than talking to their own agents."""

    user_id: UserId


class Operator(Struct, frozen=True):
    """Whoever holds the host: the command line, through the socket of this home."""


Actor = Member | Guest | Schedule | Operator

_USER = "user:"


def principal(actor: Actor) -> str:
    """The actor as one word, the same for the same actor and different for any two others.

    User ids hold no ':'; of an address only the last part may, so nothing can be mistaken for anything else.
    """
    match actor:
        case Member(user_id=user_id):
            return f"{_USER}{user_id}"
        case Guest(address=address):
            return f"guest:{address.channel}:{len(address.account)}:{address.account}:{address.sender}"
        case Schedule(user_id=user_id):
            return f"schedule:{user_id}"
        case Operator():
            return "operator"
        case _:
            assert_never(actor)


def user_of(principal: str) -> UserId | None:
    """The user a principal's word stands for; None when it is a guest, a schedule or the operator."""
    return UserId(principal[len(_USER) :]) if principal.startswith(_USER) else None


def actor_from(user_id: UserId | None, admin: bool, address: Address) -> Actor:
    """The actor behind an address: the user it belongs to, or a guest."""
    return Guest(address) if user_id is None else Member(user_id, admin)
