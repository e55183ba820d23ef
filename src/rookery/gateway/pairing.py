"""Strangers and groups that ask to be let in: a code for whoever writes, a request for the operator to decide.

Of what a stranger wrote nothing is kept but the route it came by and the hash of the code they were told. What an
approval proves is that whoever gave the operator the code holds the address it was told to.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, or_, select, text, update

from rookery import ids
from rookery.config.words import DmPolicy
from rookery.gateway import codes, notes, rights, routes, tables
from rookery.gateway.deliveries import Delivery
from rookery.gateway.notes import Topic
from rookery.gateway.rights import Sender
from rookery.gateway.rules import INTERNAL_CHANNELS, Rules
from rookery.ids import TurnId, UserId
from rookery.messages import Address, Chat, ChatKind, Route
from rookery.policy import Decision

CODE_LIFE = timedelta(hours=1)
"""How long a stranger's code can be approved; until then they are told nothing more."""

GROUP_LIFE = timedelta(hours=24)
"""How long a group's request waits."""

MOST_WAITING = 3
"""How many requests of one kind may wait on one account of ours; a further one is not made."""

KEPT = timedelta(days=3)
"""How long it is kept that a request was approved: as long as the outbox tries to say so."""

LONGEST_SENDER = 500

WRONG_CODES = 10
"""How many wrong codes may be tried in a window, by all who may decide together."""

CODE_WINDOW = timedelta(hours=1)


class Kind(StrEnum):
    """Who asks to be let in."""

    PERSON = "person"
    GROUP = "group"


class State(StrEnum):
    """What became of a request; one that waits may also have run out."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


class Step(StrEnum):
    """What a note about a request says."""

    ASKED = "asked"
    """The stranger's code."""

    APPROVED = "approved"
    """That they are in."""

    ADMIN = "admin"
    """To an admin in a group: that it is not let in, or what came of letting it in."""


class Request(Struct, frozen=True):
    """One request; `route` is that of the message it was made by. `user_id`: for whom it was approved."""

    id: str
    kind: Kind
    state: State
    route: Route
    asked_at: datetime
    expires_at: datetime
    decided_by: str | None
    user_id: UserId | None

    @property
    def address(self) -> Address:
        """The address that wrote."""
        return Address(self.route.channel, self.route.account, self.route.sender_id)

    def __str__(self) -> str:
        who = self.route.sender_id if self.kind is Kind.PERSON else self.route.chat.id
        return f"{self.route.channel}@{self.route.account}:{who}"

    def waits(self, now: datetime) -> bool:
        """Whether it can still be decided."""
        return self.state is State.WAITING and not self.over(now)

    def over(self, now: datetime) -> bool:
        """Whether its time has passed. Set back, the clock makes no request live longer."""
        return not timedelta(0) < self.expires_at - now <= _life(self.kind)


class Asked(Struct, frozen=True):
    """What came of asking: why the message went no further, for the operator; and what is said to who asked."""

    reason: str
    said: tuple[Delivery, ...] = ()


_c = tables.pairings.c
_by_code = select(tables.pairings).where(_c.code_hash == bindparam("hash"))
_LOCK = 0x726F6F6B_70616972  # any number that nothing else locks


# --- asking -------------------------------------------------------------------------------------------------


def offered(sender: Sender, route: Route, rules: Rules) -> bool:
    """Whether whoever wrote by this route is a stranger who may ask to be let in."""
    account = rules.account(route.channel, route.account)
    return (
        sender.user is None
        and not sender.admitted
        and route.chat.kind is ChatKind.DM
        and route.channel not in INTERNAL_CHANNELS
        and account is not None
        and account.dm_policy is DmPolicy.PAIRING
    )


def answer(connection: Connection, route: Route, turn_id: TurnId, now: datetime) -> Asked:
    """Tell a stranger a code, unless they have one or too many wait. Ask `offered` before.

    `turn_id` is the id of their message.
    """
    who = f"Sender {route.sender_id!r} on account {route.account!r} of {route.channel} is no user"
    if not _can_be_shown(route.sender_id):
        return Asked(f"{who} and was told no code, because that id cannot be shown as it is.")
    forget_old(connection, now)
    if (known := _living(connection, Kind.PERSON, route)) is not None:
        if known.state is State.REJECTED:
            return Asked(f"{who}; their request was rejected, and they are told nothing more for a while.")
        return Asked(f"{who}; they were told a code before. {_REMEDY}")
    if _full(connection, Kind.PERSON, route):
        return Asked(f"{who} and was told nothing: {MOST_WAITING} strangers wait there already. {_LOOK}")
    code = codes.fresh()
    while find_by_code(connection, code) is not None:
        code = codes.fresh()
    made = _add(connection, Kind.PERSON, route, hash_of(code), now)
    topic = Topic(notes.Kind.PAIRING, Step.ASKED.value, made.id)
    said = notes.add(connection, topic, route, _told(code), turn_id=turn_id, now=now)
    return Asked(f"{who} and was told a code. {_REMEDY}", said)


def of_group(connection: Connection, route: Route, now: datetime) -> Request | None:
    """A request for the group of a route; None when one was made there lately, or too many wait."""
    forget_old(connection, now)
    if not _can_be_shown(route.chat.id) or _living(connection, Kind.GROUP, route) is not None:
        return None
    return None if _full(connection, Kind.GROUP, route) else _add(connection, Kind.GROUP, route, None, now)


def _told(code: str) -> str:
    return (
        "This is a private assistant, and I do not know you. If you are to be let in, give this code to whoever "
        f"runs it: {codes.spoken(code)}\nIt is good for an hour. Nothing of what you wrote was kept."
    )


_LOOK = "rookery pair list shows who waits."
_REMEDY = "Once they tell you the code: rookery pair approve CODE --user USER"

WELCOME = "You are in. What you wrote before was not kept, so write it again."
"""What a stranger hears when they were let in."""


def _can_be_shown(id: str) -> bool:
    """Whether an operator who reads the id knows which it is: nothing in it is unseen."""
    return id.isprintable() and id == id.strip() and len(id) <= LONGEST_SENDER


# --- deciding -----------------------------------------------------------------------------------------------


def hash_of(code: str) -> str:
    """The form in which a code is kept."""
    return codes.hash_of(code, "pairing")


def find_by_code(connection: Connection, code: str) -> Request | None:
    """The request that this code was told for; also one that was decided or ran out, while it is kept."""
    row = connection.execute(_by_code, {"hash": hash_of(code)}).first()
    return None if row is None else _from_row(row)


def find(connection: Connection, id: str) -> Request | None:
    """The request of this id."""
    row = connection.execute(select(tables.pairings).where(_c.id == id)).first()
    return None if row is None else _from_row(row)


def waiting(connection: Connection, now: datetime) -> list[Request]:
    """All that can be decided, the oldest first."""
    query = select(tables.pairings).where(_c.state == State.WAITING.value).order_by(_c.asked_at, _c.id)
    return [found for row in connection.execute(query) if (found := _from_row(row)).waits(now)]


def settle(
    connection: Connection,
    request: Request,
    state: State,
    *,
    by: str,
    now: datetime,
    user_id: UserId | None = None,
) -> None:
    """Keep what was decided."""
    connection.execute(
        update(tables.pairings)
        .where(_c.id == request.id)
        .values(state=state.value, decided_by=by, decided_at=now, user_id=user_id)
    )


def group_let_in(
    connection: Connection, channel: str, account: str | None, chat: Chat, *, by: str, now: datetime
) -> None:
    """A group is let in: what was asked for it is answered with that."""
    here = [_c.kind == Kind.GROUP.value, _c.state == State.WAITING.value, _c.channel == channel]
    here += [_c.chat_kind == chat.kind.value, _c.chat_id == chat.id]
    if account is not None:
        here.append(_c.account == account)
    changed = update(tables.pairings).where(*here)
    connection.execute(changed.values(state=State.APPROVED.value, decided_by=by, decided_at=now))


def welcome(connection: Connection, request: Request, *, now: datetime) -> tuple[Delivery, ...]:
    """Tell whoever was let in so, by the route of their message. Give it to the outbox after the commit."""
    topic = Topic(notes.Kind.PAIRING, Step.APPROVED.value, request.id)
    return notes.add(connection, topic, request.route, WELCOME, turn_id=TurnId(request.id), now=now)


def lock(connection: Connection) -> None:
    """Let nobody else ask or decide until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


# --- hearing ------------------------------------------------------------------------------------------------


_OVER = Decision(False, "What this was about is over.")
_ELSE = Decision(False, "The address belongs to somebody else now.")


def may_hear(connection: Connection, topic: Topic, route: Route, rules: Rules, now: datetime) -> Decision:
    """Whether a note about a request may still go: while things stand as they did when it was made."""
    sender = rights.identify(connection, route, rules)
    found = find(connection, topic.id) if topic.id else None
    if topic.id and found is None:
        return _OVER
    if topic.step == Step.ASKED:
        if found is None or not found.waits(now):
            return _OVER
        return Decision(True, "") if offered(sender, route, rules) else _ELSE
    if topic.step == Step.APPROVED:
        if found is None or found.state is not State.APPROVED:
            return _OVER
        if sender.user is None or sender.user.id != found.user_id:
            return _ELSE
        return sender.admitted
    if found is not None and not found.waits(now):
        return _OVER
    if sender.user is None or sender.user.role != "admin":
        return Decision(False, "Only an admin is told that.")
    return sender.admitted


# --- keeping ------------------------------------------------------------------------------------------------


def forget_old(connection: Connection, now: datetime) -> None:
    """Forget what ran out undecided or was rejected a while ago, and what was approved some days ago.

    Whoever calls this decides by what is left, so nobody else asks until their transaction ends.
    """
    lock(connection)
    furthest = {f"furthest_{kind.value}": now + _life(kind) for kind in Kind}
    connection.execute(_forget, {"now": now, "long_ago": now - KEPT, **furthest})


_forget = delete(tables.pairings).where(
    or_(
        and_(
            _c.state != State.APPROVED.value,
            or_(
                _c.expires_at <= bindparam("now"),
                *(
                    and_(_c.kind == kind.value, _c.expires_at > bindparam(f"furthest_{kind.value}"))
                    for kind in Kind
                ),
            ),
        ),
        and_(_c.state == State.APPROVED.value, _c.decided_at < bindparam("long_ago")),
    )
)
_on = (_c.channel == bindparam("channel"), _c.account == bindparam("account"))
_undecided = select(tables.pairings).where(*_on, _c.state != State.APPROVED.value)
_known = {
    Kind.PERSON: _undecided.where(_c.kind == Kind.PERSON.value, _c.sender_id == bindparam("sender_id")),
    Kind.GROUP: _undecided.where(
        _c.kind == Kind.GROUP.value, _c.chat_kind == bindparam("chat_kind"), _c.chat_id == bindparam("chat_id")
    ),
}
_count = select(func.count()).where(*_on, _c.kind == bindparam("kind"), _c.state == State.WAITING.value)


def _living(connection: Connection, kind: Kind, route: Route) -> Request | None:
    """What was asked there and not approved; what is over is forgotten already."""
    row = connection.execute(_known[kind], routes.to_columns(route)).first()
    return None if row is None else _from_row(row)


def _full(connection: Connection, kind: Kind, route: Route) -> bool:
    where = {"channel": route.channel, "account": route.account, "kind": kind.value}
    return connection.execute(_count, where).scalar_one() >= MOST_WAITING


def _add(connection: Connection, kind: Kind, route: Route, code_hash: str | None, now: datetime) -> Request:
    made = Request(ids.fresh(now), kind, State.WAITING, route, now, now + _life(kind), None, None)
    row = {
        "id": made.id,
        "kind": kind.value,
        "code_hash": code_hash,
        "state": made.state.value,
        "asked_at": made.asked_at,
        "expires_at": made.expires_at,
        **routes.to_columns(route),
    }
    connection.execute(_insert, row)
    return made


_insert = insert(tables.pairings)


def _life(kind: Kind) -> timedelta:
    return CODE_LIFE if kind is Kind.PERSON else GROUP_LIFE


def _from_row(row: Row[Any]) -> Request:
    return Request(
        id=row.id,
        kind=Kind(row.kind),
        state=State(row.state),
        route=routes.from_row(row),
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        user_id=None if row.user_id is None else UserId(row.user_id),
    )
