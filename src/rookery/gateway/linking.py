"""Joining another address of one's own: a code from where one is known, and a yes from both sides.

An address is joined only after its own side said yes to whose account that is, and the person said yes to which
address it is; each in time, and only while the address is nobody's. How long is bounded by `CODE_LIFE` and
`ANSWER_LIFE`, how much can be guessed by `WRONG_EACH` and `WRONG_TOGETHER`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from rookery import ids, users
from rookery.config.words import DmPolicy
from rookery.errors import Conflict
from rookery.gateway import audit, codes, rights, routes, tables
from rookery.gateway.audit import AuditRow
from rookery.gateway.notes import Kind, Topic
from rookery.gateway.rules import INTERNAL_CHANNELS, Rules
from rookery.ids import UserId
from rookery.messages import Address, Chat, ChatKind, Route
from rookery.policy import Decision, Guest, Member, principal
from rookery.storage.statements import upsert
from rookery.users import Identity, User
from rookery.users import tables as user_tables

CODE_LIFE = timedelta(minutes=10)
"""How long a code can be typed."""

ANSWER_LIFE = timedelta(minutes=10)
"""How long both sides have for their yes once it was typed."""

WRONG_EACH = 5
"""Wrong codes from one address in a window; then none from there is looked at until it is over."""

WRONG_TOGETHER = 100
"""Wrong codes from all addresses in a window: with many addresses one guesses no more than that. Then none is
looked at. With a thousand codes waiting, one of a hundred guesses is right once in six million windows, and then
two people would still have to say yes to it."""

WINDOW = timedelta(minutes=10)

KEPT = timedelta(days=1)
"""How long it is kept what became of a code."""


class State(StrEnum):
    """How far a code has come."""

    OPEN = "open"
    """It can be typed."""

    CLAIMED = "claimed"
    """It was typed, and that side was asked."""

    AGREED = "agreed"
    """That side said yes, and the person is asked."""

    DONE = "done"
    """The address is theirs."""

    REFUSED = "refused"
    """One side said no."""

    REPLACED = "replaced"
    """The person asked for another code."""

    TAKEN = "taken"
    """The address became somebody's before it was joined."""


class Side(StrEnum):
    """Whose turn it is to hear or say something."""

    PERSON = "person"
    """Where the code was asked for."""

    ADDRESS = "address"
    """Where it was typed."""


class Link(Struct, frozen=True):
    """One code: who asked for it and from where, and from where it was typed, None until it was."""

    id: str
    user_id: UserId
    state: State
    made_at: datetime
    expires_at: datetime
    route: Route
    claimed: Route | None

    @property
    def address(self) -> Address:
        """The address to be joined; only of one that was typed."""
        assert self.claimed is not None, "it was typed"
        return Address(self.claimed.channel, self.claimed.account, self.claimed.sender_id)

    def about(self, side: Side) -> Topic:
        """What a note to one side is about, as things stand."""
        return Topic(Kind.LINK, f"{side.value}-{self.state.value}", self.id)


class Begun(Struct, frozen=True):
    """A new code, which nobody can be shown again, and the link that it ended."""

    code: str
    link: Link
    ended: Link | None


_c = tables.link_codes.c
_LIVING = (State.OPEN, State.CLAIMED, State.AGREED)
_ASKING = (State.CLAIMED, State.AGREED)


def begin(connection: Connection, user_id: UserId, route: Route, now: datetime) -> Begun:
    """Make a code for a person; the one they had ends."""
    # Two at the same time make one after the other: there is never more than one that counts.
    person = select(user_tables.users.c.id).where(user_tables.users.c.id == user_id)
    connection.execute(person.with_for_update(key_share=True))
    before = of_user(connection, user_id, now)
    ended = None if before is None else end(connection, before, State.REPLACED)
    code = codes.fresh()
    link = Link(ids.fresh(now), user_id, State.OPEN, now, now + CODE_LIFE, route, None)
    connection.execute(
        insert(tables.link_codes).values(
            id=link.id,
            user_id=user_id,
            code_hash=_hash(code),
            state=link.state.value,
            made_at=link.made_at,
            expires_at=link.expires_at,
            **routes.to_columns(route),
        )
    )
    _record(connection, link, "identity.code", link.id, now)
    return Begun(code, link, ended)


def of_user(connection: Connection, user_id: UserId, now: datetime, *, alone: bool = True) -> Link | None:
    """The person's code that still counts; None when they have none.

    With `alone` nobody else changes it until the transaction ends.
    """
    states = [state.value for state in _LIVING]
    query = select(tables.link_codes).where(_c.user_id == user_id, _c.state.in_(states), _c.expires_at > now)
    query = query.order_by(_c.made_at.desc(), _c.id.desc())
    row = connection.execute(query.with_for_update() if alone else query).first()
    return None if row is None else _from_row(row)


def asking(connection: Connection, address: Address, now: datetime) -> Link | None:
    """What an address is asked about, or said yes to; None when nothing waits there."""
    states = [state.value for state in _ASKING]
    query = select(tables.link_codes).where(_c.state.in_(states), _c.expires_at > now, _typed_from(address))
    row = connection.execute(query.order_by(_c.made_at.desc(), _c.id.desc()).with_for_update()).first()
    return None if row is None else _from_row(row)


def may_type(route: Route, rules: Rules) -> bool:
    """Whether a stranger's codes are looked at here: in a direct chat of an account that takes any."""
    account = rules.account(route.channel, route.account)
    return (
        route.channel not in INTERNAL_CHANNELS
        and route.chat.kind is ChatKind.DM
        and account is not None
        and account.dm_policy is not DmPolicy.DISABLED
    )


def claim(connection: Connection, code: str, route: Route, now: datetime) -> Link | None:
    """Take a code that was typed by a stranger; None when it is wrong, which is counted.

    A code is taken once; typed again from the same address it is the same link. Ask `too_many` before.
    """
    row = connection.execute(
        select(tables.link_codes).where(_c.code_hash == _hash(code)).with_for_update()
    ).first()
    link = None if row is None else _from_row(row)
    address = Address(route.channel, route.account, route.sender_id)
    if link is not None and link.expires_at > now and person_of(connection, link).enabled:
        if link.state is State.OPEN:
            claimed = {f"claimed_{name}": value for name, value in routes.to_columns(route).items()}
            changed = _change(connection, link, State.CLAIMED, expires_at=now + ANSWER_LIFE, **claimed)
            _record(connection, changed, "identity.claim", str(changed.address), now, by=principal(Guest(address)))
            return changed
        if link.state in _ASKING and link.address == address:
            return link
    _count_wrong(connection, address, now)
    return None


def agree(connection: Connection, link: Link, now: datetime) -> Link:
    """The side of the address says yes. Only to one that is claimed."""
    assert link.state is State.CLAIMED, "it was typed, and nobody said yes yet"
    agreed = _change(connection, link, State.AGREED)
    _record(connection, agreed, "identity.agree", str(link.address), now, by=principal(Guest(link.address)))
    return agreed


def join(connection: Connection, link: Link, now: datetime) -> Identity | None:
    """The person says yes too: the address is theirs. None when it became somebody's before; it ends so too."""
    assert link.state is State.AGREED, "the other side said yes"
    assert link.expires_at > now, "both say yes in time"
    channel, account, sender = link.address.channel, link.address.account, link.address.sender
    joined = None
    if users.identify(connection, link.address) is None:
        try:
            joined = users.link(connection, link.user_id, channel, account, sender, now=now)
        except Conflict:
            joined = None
    end(connection, link, State.TAKEN if joined is None else State.DONE)
    if joined is not None:
        _record(connection, link, "identity.link", str(joined), now)
    return joined


def person_of(connection: Connection, link: Link) -> User:
    """Who asked for the code."""
    return users.get_user(connection, link.user_id)


def end(connection: Connection, link: Link, state: State) -> Link:
    """Let a link end: its code counts no more."""
    return _change(connection, link, state, code_hash=None)


def again(connection: Connection, link: Link) -> Link:
    """The same link as it stands now."""
    found = _by_id(connection, link.id)
    assert found is not None, "the row was locked, and is there"
    return found


def too_many(connection: Connection, address: Address, now: datetime) -> Decision:
    """Whether a code from this address is looked at now."""
    _forget_guesses(connection, now)
    guesses = tables.link_guesses.c
    theirs = connection.execute(select(guesses.wrong).where(_from(address))).scalar() or 0
    if theirs >= WRONG_EACH:
        return Decision(False, "Too many wrong codes came from here; wait ten minutes.")
    together = connection.execute(select(func.sum(guesses.wrong))).scalar() or 0
    if together >= WRONG_TOGETHER:
        return Decision(False, "Too many wrong codes are being tried at the moment; wait ten minutes.")
    return Decision(True, "")


def may_hear(connection: Connection, topic: Topic, route: Route, rules: Rules, now: datetime) -> Decision:
    """Whether a note about a link may still go: while the link stands so, and the address is whose it was."""
    sender = rights.identify(connection, route, rules)
    link = _by_id(connection, topic.id)
    side, _, state = topic.step.partition("-")
    if link is not None:
        if state != link.state.value or (link.state in _LIVING and link.expires_at <= now):
            return Decision(False, "What this was about is over.")
        if side == Side.PERSON or link.state is State.DONE:
            if sender.user is None or sender.user.id != link.user_id:
                return Decision(False, "The address belongs to somebody else now.")
            return sender.admitted
    elif topic.id:
        return Decision(False, "What this was about is over.")
    if sender.user is not None or not may_type(route, rules):
        return Decision(False, "The address belongs to somebody else now.")
    return Decision(True, "")


def prune(connection: Connection, now: datetime) -> None:
    """Forget the codes that ended or ran out a day ago, and the wrong ones of the last window."""
    connection.execute(delete(tables.link_codes).where(_c.expires_at < now - KEPT))
    _forget_guesses(connection, now)


# --- rows ---------------------------------------------------------------------------------------------------


def _hash(code: str) -> str:
    return codes.hash_of(code, "link")


def _by_id(connection: Connection, id: str) -> Link | None:
    row = connection.execute(select(tables.link_codes).where(_c.id == id)).first()
    return None if row is None else _from_row(row)


def _change(connection: Connection, link: Link, state: State, **columns: Any) -> Link:
    connection.execute(update(tables.link_codes).where(_c.id == link.id).values(state=state.value, **columns))
    return again(connection, link)


def _typed_from(address: Address) -> Any:
    return and_(
        _c.claimed_channel == address.channel,
        _c.claimed_account == address.account,
        _c.claimed_sender_id == address.sender,
    )


def _from_row(row: Row[Any]) -> Link:
    return Link(
        id=row.id,
        user_id=UserId(row.user_id),
        state=State(row.state),
        made_at=row.made_at,
        expires_at=row.expires_at,
        route=routes.from_row(row),
        claimed=None if row.claimed_channel is None else _claimed(row),
    )


def _claimed(row: Row[Any]) -> Route:
    return Route(
        channel=row.claimed_channel,
        account=row.claimed_account,
        chat=Chat(ChatKind(row.claimed_chat_kind), row.claimed_chat_id),
        thread_id=row.claimed_thread_id,
        sender_id=row.claimed_sender_id,
        message_id=row.claimed_message_id,
    )


def _record(
    connection: Connection, link: Link, action: str, object: str, now: datetime, *, by: str | None = None
) -> None:
    who = principal(Member(link.user_id)) if by is None else by
    audit.keep(connection, AuditRow(now, who, link.user_id, action, object, "allowed"))


# --- wrong codes --------------------------------------------------------------------------------------------

_keep_guesses = upsert(tables.link_guesses, ("channel", "account", "sender"), ("wrong",))


def _from(address: Address) -> Any:
    guesses = tables.link_guesses.c
    return and_(
        guesses.channel == address.channel, guesses.account == address.account, guesses.sender == address.sender
    )


def _count_wrong(connection: Connection, address: Address, now: datetime) -> None:
    before = connection.execute(select(tables.link_guesses.c.wrong).where(_from(address))).scalar() or 0
    row = {"channel": address.channel, "account": address.account, "sender": address.sender}
    connection.execute(_keep_guesses.on(connection), {**row, "wrong": before + 1, "since": now})


def _forget_guesses(connection: Connection, now: datetime) -> None:
    since = tables.link_guesses.c.since
    # What lies far in the future was counted before the clock was set back.
    connection.execute(delete(tables.link_guesses).where((since < now - WINDOW) | (since > now + WINDOW)))
