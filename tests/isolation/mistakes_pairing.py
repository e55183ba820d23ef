"""Mistakes about strangers and guests, made on purpose, as those in `mistakes` are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from msgspec import structs
from sqlalchemy import Connection

from rookery import users
from rookery.gateway import guests, inbound, pairing
from rookery.gateway.outbox import Outbox
from rookery.gateway.pairing import Request
from rookery.gateway.rights import Sender
from rookery.ids import UserId
from rookery.messages import Address, InboundMessage


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake; `apply` makes it for as long as its block lasts."""

    name: str
    apply: Callable[[], AbstractContextManager[object]]

    def __str__(self) -> str:
        return self.name


def _wrong_account() -> AbstractContextManager[object]:
    """What is linked is the sender on another account of ours."""
    link: Callable[..., object] = users.link
    other = {"default": "second", "second": "default", "other": "default"}

    def elsewhere(
        connection: Connection, user: UserId, channel: str, account: str, *rest: Any, **more: Any
    ) -> object:
        return link(connection, user, channel, other[account], *rest, **more)

    return patch.object(users, "link", elsewhere)


def _newest_request() -> AbstractContextManager[object]:
    """A code opens whatever was asked for last."""
    find = pairing.find_by_code

    def newest(connection: Connection, code: str) -> Request | None:
        found = find(connection, code)
        if found is None:
            return None
        waiting = [one for one in pairing.waiting(connection, found.asked_at) if one.kind is found.kind]
        return waiting[-1] if waiting else found

    return patch.object(pairing, "find_by_code", newest)


def _words_kept() -> AbstractContextManager[object]:
    """What a stranger wrote stands in the reason why they were not let in, which is logged."""
    end: Callable[..., Any] = vars(inbound)["_end"]

    def telling(
        connection: Connection, message: InboundMessage, outcome: object, reason: str, *rest: Any
    ) -> object:
        return end(connection, message, outcome, f"{reason} {message.text}", *rest)

    return patch.object(inbound, "_end", telling)


def _told_each_time() -> AbstractContextManager[object]:
    """Whoever writes again is told another code."""
    return patch.object(pairing, "_living", return_value=None)


def _sent_twice() -> AbstractContextManager[object]:
    """What was made is given to the outbox twice, which does not know it again."""
    push = Outbox.push

    def twice(outbox: Outbox, kept: Any) -> None:
        made = list(kept)
        known: set[Any] = vars(outbox)["_known"]
        for _ in range(2):
            push(outbox, made)
            known.difference_update(one.delivery_id for one in made)

    return patch.object(Outbox, "push", twice)


def _codes_for_ever() -> AbstractContextManager[object]:
    """Nobody looks whether a code ran out."""
    return patch.object(Request, "over", return_value=False)


def _no_end_of_waiting() -> AbstractContextManager[object]:
    """As many may wait as ask."""
    return patch.object(pairing, "MOST_WAITING", 1000)


def _guests_in_one_pot() -> AbstractContextManager[object]:
    """A guest's messages are counted for the account, whoever they are."""
    count = guests.count

    def of_the_account(connection: Connection, sender: Sender, *rest: Any, **more: Any) -> Any:
        address = Address(sender.address.channel, sender.address.account, "everybody")
        return count(connection, structs.replace(sender, address=address), *rest, **more)

    return patch.object(guests, "count", of_the_account)


@contextmanager
def _guests_told_each_time() -> Generator[None]:
    """The sentence is said for every message beyond the limit."""
    count = guests.count

    def telling(*said: Any, **more: Any) -> Any:
        counted = count(*said, **more)
        return counted if counted.allowed else structs.replace(counted, tell=True)

    with patch.object(guests, "count", telling):
        yield


MISTAKES = (
    Mistake("a pairing code approves the wrong account", _wrong_account),
    Mistake("a pairing code approves who asked last", _newest_request),
    Mistake("a stranger's words are kept", _words_kept),
    Mistake("a stranger is told a code each time", _told_each_time),
    Mistake("the answer is sent twice", _sent_twice),
    Mistake("a code that ran out is good", _codes_for_ever),
    Mistake("any number may wait", _no_end_of_waiting),
    Mistake("the guests of an account have one limit", _guests_in_one_pot),
    Mistake("a guest hears of the limit each time", _guests_told_each_time),
)
