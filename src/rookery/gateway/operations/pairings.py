"""Deciding about those who ask to be let in: which person it is, or who pays for the group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from msgspec import Struct
from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, InvalidInput, NotFound, TooManyRequests
from rookery.gateway import codes, pairing, rights
from rookery.gateway.deliveries import Delivery
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.people import check_free
from rookery.gateway.operations.permission import on_house, someone, still
from rookery.gateway.pairing import Kind, Request, State
from rookery.gateway.shapes import Done, LetIn, Nothing, Pairing, PairingApprove, PairingReject
from rookery.ids import UserId
from rookery.policy import Action
from rookery.users import spaces

T = TypeVar("T")

_ALL = "pairing codes"
"""One source: however many may decide, their wrong codes are counted together."""


async def listed(desk: Desk, _: Nothing) -> list[Pairing]:
    """Who waits, the oldest first. Raises `Refused`."""
    await on_house(desk, Action.MANAGE_PAIRINGS)
    now = desk.now()
    return await desk.house.database.read(
        lambda connection: [_shown(connection, one) for one in pairing.waiting(connection, now)]
    )


async def approve(desk: Desk, ask: PairingApprove) -> LetIn:
    """Let somebody in: a stranger's address is that person's from now on, and they are told; a group is answered.

    The same again answers the same. Raises `Refused`; `InvalidInput` for what does not say who it is; `NotFound`
    for a request or a person there is not, also for a wrong code; `TooManyRequests` after too many wrong ones;
    `Conflict` for what ran out, was decided otherwise, or is somebody else's address meanwhile.
    """
    await on_house(desk, Action.MANAGE_PAIRINGS)
    if ask.new_user is not None:
        await on_house(desk, Action.ADD_PERSON)
        check_free(desk, ask.new_user.id)

    def work(connection: Connection) -> _Decided:
        still(connection, desk)
        found = _find(connection, ask.id, ask.code)
        return (
            _group(connection, desk, found, ask)
            if found.kind is Kind.GROUP
            else _person(connection, desk, found, ask)
        )

    push = desk.house.gateway.outbox.push
    decided = await _guessing(
        desk,
        ask.code,
        lambda: desk.write(work, lambda made: made.let_in.id, then=lambda made: push(made.said)),
    )
    return decided.let_in


async def reject(desk: Desk, ask: PairingReject) -> Done:
    """Let somebody not in; they hear nothing of it. The same again changes nothing.

    Raises `Refused`, `NotFound`, `TooManyRequests`, and `Conflict` for what ran out or was approved.
    """
    await on_house(desk, Action.MANAGE_PAIRINGS)

    def work(connection: Connection) -> Request:
        still(connection, desk)
        found = _find(connection, ask.id, ask.code)
        if found.state is State.APPROVED:
            raise Conflict(f"{found} was let in already; {_way_out(found)}")
        if found.state is State.WAITING:
            _check_waits(desk, found)
            pairing.settle(connection, found, State.REJECTED, by=desk.principal, now=desk.now())
            desk.record(connection, "pairing.reject", str(found))
        return found

    found = await _guessing(desk, ask.code, lambda: desk.house.database.write(work))
    return Done(f"{found} is not let in.")


# --- one way or the other -----------------------------------------------------------------------------------


class _Decided(Struct, frozen=True):
    let_in: LetIn
    said: tuple[Delivery, ...] = ()


def _person(connection: Connection, desk: Desk, found: Request, ask: PairingApprove) -> _Decided:
    if ask.sponsor is not None or (ask.user_id is None) is (ask.new_user is None):
        raise InvalidInput(f"Say which person {found} is: one who is there, or one to be added.")
    named = ask.user_id if ask.new_user is None else ask.new_user.id
    if found.state is State.APPROVED:
        if found.user_id != named:
            raise Conflict(f"{found} was let in as {found.user_id!r}; {_way_out(found)}")
        owner = users.identify(connection, found.address)
        if owner is None or owner.id != named:
            raise Conflict(f"{found} was let in as {named!r} and unlinked since; let them ask again.")
        return _Decided(_let_in(found, owner.id, owner.main_agent, _closed(connection, desk, found)))
    _check_waits(desk, found)
    owner = users.identify(connection, found.address)
    if owner is not None and owner.id != named:
        raise Conflict(f"{found} became {owner.id!r}'s address meanwhile; unlink it there first.")
    if ask.new_user is not None:
        user = users.add_user(connection, ask.new_user.id, name=ask.new_user.name, role="member", now=desk.now())
        desk.record(connection, "user.add", f"{user.id} {user.role}", user.id)
    else:
        user = someone(connection, desk, ask.user_id or "")
    if not user.enabled:
        raise Conflict(f"User {user.id!r} is disabled; enable them first, or choose another.")
    route = found.route
    linked = users.link(connection, user.id, route.channel, route.account, route.sender_id, now=desk.now())
    pairing.settle(connection, found, State.APPROVED, by=desk.principal, now=desk.now(), user_id=user.id)
    desk.record(connection, "pairing.approve", str(found), user.id)
    desk.record(connection, "identity.link", str(linked), user.id)
    said = pairing.welcome(connection, found, now=desk.now())
    return _Decided(_let_in(found, user.id, user.main_agent, _closed(connection, desk, found)), said)


def _group(connection: Connection, desk: Desk, found: Request, ask: PairingApprove) -> _Decided:
    if ask.sponsor is None or ask.user_id is not None or ask.new_user is not None:
        raise InvalidInput(f"{found} is a group; say who its sponsor is, and nothing else.")
    route = found.route
    there = spaces.find(connection, route.channel, route.account, route.chat)
    if found.state is State.APPROVED and there is not None:
        if there.sponsor != ask.sponsor:
            raise Conflict(f"{found} was let in with {there.sponsor!r} as its sponsor; {_way_out(found)}")
        return _Decided(_let_in(found, there.sponsor, there.agent_id))
    _check_waits(desk, found)
    sponsor = someone(connection, desk, ask.sponsor)
    space = spaces.admit(
        connection,
        route.channel,
        route.account,
        route.chat,
        sponsor=sponsor.id,
        by=desk.principal,
        now=desk.now(),
    )
    pairing.settle(connection, found, State.APPROVED, by=desk.principal, now=desk.now(), user_id=sponsor.id)
    desk.record(connection, "space.admit", f"{space} {space.agent_id}", space.sponsor)
    return _Decided(_let_in(found, sponsor.id, space.agent_id))


def _check_waits(desk: Desk, found: Request) -> None:
    if found.state is State.REJECTED:
        raise Conflict(f"{found} was rejected; they can ask again when this request has run out.")
    if not found.waits(desk.now()):
        raise Conflict(f"The request of {found} ran out; when they write again they get another code.")


def _way_out(found: Request) -> str:
    where = f"{found.route.channel} {found.route.sender_id} --account {found.route.account}"
    if found.kind is Kind.GROUP:
        return "put it out first: rookery space remove."
    return f"unlink it there first: rookery identity unlink {found.user_id} {where}"


# --- which request ------------------------------------------------------------------------------------------


def _find(connection: Connection, id: str | None, code: str | None) -> Request:
    """The request that is meant, for nobody else to decide meanwhile."""
    pairing.lock(connection)
    if id is None and code is None:
        raise InvalidInput("Say which request: by its code, or by its id.")
    if code is not None:
        typed = codes.read(code)
        found = None if typed is None else pairing.find_by_code(connection, typed)
        if found is None or id not in (None, found.id):
            raise _WrongCode("There is no such code, or it ran out; rookery pair list shows who waits.")
        return found
    found = pairing.find(connection, id or "") if (id or "").isalnum() else None
    if found is None:
        raise NotFound("There is no such request, or it ran out.")
    return found


class _WrongCode(NotFound):
    """There is no such code."""


async def _guessing(desk: Desk, code: str | None, decide: Callable[[], Awaitable[T]]) -> T:
    """Decide; a wrong code is counted. Raises `TooManyRequests` without looking at one too many."""
    if code is None:
        return await decide()
    guesses = desk.house.gateway.code_guesses
    try:
        with guesses.guess(_ALL) as guess:
            guess.counts = False
            try:
                return await decide()
            except _WrongCode:
                guess.counts = True
                raise
    except TooManyRequests as error:
        minutes = -(-timedelta(seconds=error.retry_after) // timedelta(minutes=1))
        raise TooManyRequests(
            f"Too many wrong codes were tried; try again in {minutes} min, or choose from rookery pair list.",
            retry_after=error.retry_after,
        ) from None


# --- what is shown ------------------------------------------------------------------------------------------


def _shown(connection: Connection, one: Request) -> Pairing:
    asked_by = users.identify(connection, one.address) if one.kind is Kind.GROUP else None
    return Pairing(
        id=one.id,
        kind="person" if one.kind is Kind.PERSON else "group",
        channel=one.route.channel,
        account=one.route.account,
        sender=one.route.sender_id,
        chat_kind=one.route.chat.kind.value,
        chat=one.route.chat.id,
        asked_by=None if asked_by is None else asked_by.id,
        asked_at=one.asked_at,
        expires_at=one.expires_at,
    )


def _closed(connection: Connection, desk: Desk, one: Request) -> str | None:
    """Why the person is not answered at the address that is theirs now: their permissions, or the account's."""
    admitted = rights.identify(connection, one.route, desk.house.gateway.settings.rules).admitted
    return None if admitted else admitted.reason


def _let_in(one: Request, user_id: UserId, agent_id: str, closed: str | None = None) -> LetIn:
    return LetIn(
        id=one.id,
        kind="person" if one.kind is Kind.PERSON else "group",
        channel=one.route.channel,
        account=one.route.account,
        sender=one.route.sender_id,
        chat=one.route.chat.id,
        user_id=user_id,
        agent_id=agent_id,
        closed=closed,
    )
