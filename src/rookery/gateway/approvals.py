"""Tool calls that wait for a person's yes: the rows. What a call would do stands in the transcript, not here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from rookery.agents import Verdict, Wish
from rookery.gateway import routes, tables
from rookery.gateway.turns import Turn
from rookery.ids import AgentId, EntryId, SessionId, TurnId
from rookery.messages import Route, ToolCallPart


@dataclass(frozen=True, slots=True)
class Approval:
    """One call that a person was asked to allow. `n` is what it is called by, unique for that person and agent.

    It is the call of number `place` in the entry `entry_id`; `fingerprint` is that of the tool and the exact
    arguments.
    """

    turn_id: TurnId
    n: int
    agent_id: AgentId
    principal: str
    entry_id: EntryId
    place: int
    tool: str
    fingerprint: str
    state: Verdict
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Open:
    """What a person is being asked, in which session, and the route by which that turn's message came."""

    approval: Approval
    session_id: SessionId
    route: Route


_a = tables.approvals.c
_t = tables.turns.c


def fingerprint(call: ToolCallPart) -> str:
    """What a yes holds for: this tool with exactly these arguments."""
    exact = msgspec.json.encode([call.name, call.arguments], order="deterministic")
    return hashlib.sha256(exact).hexdigest()


def ask(connection: Connection, turn: Turn, wish: Wish, now: datetime, expires_at: datetime) -> Approval:
    """Keep that a person is asked about a call of their turn."""
    latest = select(func.max(_a.n)).where(_a.agent_id == turn.agent_id, _a.principal == turn.principal)
    made = Approval(
        turn_id=turn.turn_id,
        n=(connection.execute(latest).scalar() or 0) + 1,
        agent_id=turn.agent_id,
        principal=turn.principal,
        entry_id=wish.entry_id,
        place=wish.place,
        tool=wish.call.name,
        fingerprint=fingerprint(wish.call),
        state=Verdict.ASKED,
        asked_at=now,
        expires_at=expires_at,
    )
    connection.execute(
        insert(tables.approvals).values(
            turn_id=made.turn_id,
            n=made.n,
            agent_id=made.agent_id,
            principal=made.principal,
            entry_id=made.entry_id,
            place=made.place,
            tool=made.tool,
            fingerprint=made.fingerprint,
            state=made.state.value,
            asked_at=made.asked_at,
            expires_at=made.expires_at,
        )
    )
    return made


def of_call(connection: Connection, turn_id: TurnId, wish: Wish) -> Approval | None:
    """What a person was asked about this call; None when they were not."""
    query = _with(_a.turn_id == turn_id, _a.entry_id == wish.entry_id, _a.place == wish.place)
    return _one(connection, query)


def get(connection: Connection, turn_id: TurnId, n: int) -> Approval | None:
    """The one of this number in a turn; None when there is none."""
    return _one(connection, _with(_a.turn_id == turn_id, _a.n == n))


def open_for(connection: Connection, agent_id: AgentId, principal: str) -> list[Open]:
    """What a person is being asked by an agent, in the order of the numbers."""
    query = (
        select(tables.approvals, _t.session_id, *(_t[name] for name in routes.COLUMNS))
        .join(tables.turns, _t.turn_id == _a.turn_id)
        .where(
            _a.agent_id == agent_id,
            _a.principal == principal,
            _a.state == Verdict.ASKED.value,
            _t.principal == principal,
            _t.finished_at.is_(None),
            _t.stopped.is_(False),
        )
        .order_by(_a.n)
    )
    found = connection.execute(query).all()
    return [Open(_from_row(row), SessionId(row.session_id), routes.from_row(row)) for row in found]


def answered(connection: Connection, asked: Sequence[Approval]) -> list[Approval]:
    """As they stand now, those of these that are not asked any more."""
    now = [get(connection, one.turn_id, one.n) for one in asked]
    return [one for one in now if one is not None and one.state is not Verdict.ASKED]


def asked_before(connection: Connection, approval: Approval) -> bool:
    """Whether something else was asked earlier in the same turn."""
    query = select(_a.n).where(_a.turn_id == approval.turn_id, _a.n < approval.n).limit(1)
    return connection.execute(query).first() is not None


def answer(connection: Connection, approval: Approval, *, allow: bool, by: str, now: datetime) -> bool:
    """Keep the person's answer; False, and no change, when it comes too late or was answered before."""
    state = Verdict.ALLOWED if allow else Verdict.DENIED
    still_asked = (_a.state == Verdict.ASKED.value) & (_a.expires_at > now)
    return _change(connection, approval, still_asked, state=state.value, answered_by=by, answered_at=now)


def use(connection: Connection, approval: Approval, call: ToolCallPart) -> bool:
    """Take the yes for a call that is made now; False, and no change, when there is none for exactly that call."""
    exactly = (_a.state == Verdict.ALLOWED.value) & (_a.fingerprint == fingerprint(call))
    return _change(connection, approval, exactly, state=Verdict.USED.value)


def expire(connection: Connection, approval: Approval) -> bool:
    """Nobody answered; False, and no change, when somebody did."""
    return _change(connection, approval, _a.state == Verdict.ASKED.value, state=Verdict.EXPIRED.value)


def prune(connection: Connection, before: datetime) -> int:
    """Forget what was asked in turns that ended before a moment; returns how many.

    The latest of each person and agent stays: from it the next number is counted, and one that was given must not
    come again.
    """
    later = tables.approvals.alias("later")
    followed = select(later.c.n).where(
        later.c.agent_id == _a.agent_id, later.c.principal == _a.principal, later.c.n > _a.n
    )
    ended = select(_t.turn_id).where(_t.turn_id == _a.turn_id, _t.finished_at < before)
    return connection.execute(delete(tables.approvals).where(followed.exists(), ended.exists())).rowcount


def _change(connection: Connection, approval: Approval, when: Any, **values: Any) -> bool:
    this = (_a.turn_id == approval.turn_id) & (_a.n == approval.n)
    return connection.execute(update(tables.approvals).where(this, when).values(**values)).rowcount == 1


def _with(*conditions: Any) -> Select[Any]:
    return select(tables.approvals).where(*conditions)


def _one(connection: Connection, query: Select[Any]) -> Approval | None:
    rows: Sequence[Row[Any]] = connection.execute(query).all()
    return _from_row(rows[0]) if rows else None


def _from_row(row: Row[Any]) -> Approval:
    return Approval(
        turn_id=TurnId(row.turn_id),
        n=row.n,
        agent_id=AgentId(row.agent_id),
        principal=row.principal,
        entry_id=EntryId(row.entry_id),
        place=row.place,
        tool=row.tool,
        fingerprint=row.fingerprint,
        state=Verdict(row.state),
        asked_at=row.asked_at,
        expires_at=row.expires_at,
    )
