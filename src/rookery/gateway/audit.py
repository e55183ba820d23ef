"""Who did what on whose behalf: one row for what a person should be able to find out. Never any content.

Rows are only ever added. Each carries a hash over itself and the hash before it, so no row can be changed, taken
out, put in or moved unseen. What a chain cannot show is that its end was cut off, or that somebody made it anew
from some row on; for that its head is written down elsewhere every few minutes (`gateway.anchors`).

Who is erased goes from the rows too (`gateway.leaving`): such a row keeps its place, its hash, and what was done
when, and a later row of the one who erased them vouches for all of them together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection, Row, and_, insert, or_, select, text

from rookery.gateway import tables
from rookery.ids import UserId
from rookery.policy import Member, principal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOCK = 0x726F6F6B_61756474  # any number that nothing else locks

_c = tables.audit.c


class AuditRow(Struct, frozen=True):
    """One thing done; `on_behalf_of` is the user it concerns, who may see the row."""

    at: datetime
    actor: str
    on_behalf_of: UserId | None
    action: str
    object: str
    decision: str


class KeptRow(Struct, frozen=True):
    """A row as it stands in the trail."""

    seq: int
    row: AuditRow
    hash: str
    redacted: tuple[str, ...] = ()
    """The erasures by which it lost its names."""


def keep(connection: Connection, row: AuditRow) -> None:
    """Add a row, chained to the one before it."""
    alone(connection)
    before = head(connection)
    connection.execute(
        insert(tables.audit).values(
            at=row.at,
            actor=row.actor,
            on_behalf_of=row.on_behalf_of,
            action=row.action,
            object=row.object,
            decision=row.decision,
            hash=chained("" if before is None else before.hash, row),
        )
    )


def alone(connection: Connection) -> None:
    """Whoever adds at the same time waits until this transaction ends: a row's hash covers the one before it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def keep_all(connection: Connection, added: Sequence[AuditRow]) -> None:
    """Add rows in their order, each chained to the one before it, as `keep` would one by one."""
    if not added:
        return
    keep(connection, added[0])
    newest = head(connection)
    assert newest is not None, "one was just kept"
    hash = newest.hash
    values: list[dict[str, object]] = []
    for row in added[1:]:
        hash = chained(hash, row)
        values.append(
            {
                "at": row.at,
                "actor": row.actor,
                "on_behalf_of": row.on_behalf_of,
                "action": row.action,
                "object": row.object,
                "decision": row.decision,
                "hash": hash,
            }
        )
    if values:
        connection.execute(insert(tables.audit), values)


def head(connection: Connection) -> KeptRow | None:
    """The newest row; None while there is none."""
    newest = connection.execute(select(tables.audit).order_by(_c.seq.desc()).limit(1)).first()
    return None if newest is None else _kept(newest)


def hash_at(connection: Connection, seq: int) -> str | None:
    """The hash of one row; None when there is no such row."""
    return connection.execute(select(_c.hash).where(_c.seq == seq)).scalar()


def chained(before: str, row: AuditRow) -> str:
    """The hash of a row that follows the one with the hash `before`, as 64 hexadecimal digits."""
    microseconds = (row.at - _EPOCH) // _MICROSECOND
    fields = [before, microseconds, row.actor, row.on_behalf_of, row.action, row.object, row.decision]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


# --- reading ------------------------------------------------------------------------------------------------


class Wanted(Struct, frozen=True):
    """Which rows: those that concern `user_id` or that they did themselves, of an `action` or, when it ends in
    '.', all that begin with it, from `since` on and before `until`. None is any."""

    user_id: UserId | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def rows(connection: Connection, wanted: Wanted, limit: int, before: int | None = None) -> list[KeptRow]:
    """The newest rows, newest first, or the newest of those with a `seq` below `before`."""
    query = select(tables.audit).order_by(_c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(_c.seq < before)
    if wanted.user_id is not None:
        theirs = principal(Member(wanted.user_id))
        query = query.where(or_(_c.on_behalf_of == wanted.user_id, _c.actor == theirs))
    if wanted.action is not None and wanted.action.endswith("."):
        query = query.where(_c.action.startswith(wanted.action, autoescape=True))
    elif wanted.action is not None:
        query = query.where(_c.action == wanted.action)
    if wanted.since is not None:
        query = query.where(_c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_c.at < wanted.until)
    return [_kept(row) for row in connection.execute(query)]


def on_behalf_of(connection: Connection, user_id: UserId, limit: int) -> list[AuditRow]:
    """The newest rows in which others did something that concerns a user."""
    theirs = principal(Member(user_id))
    query = select(tables.audit).where(and_(_c.on_behalf_of == user_id, _c.actor != theirs))
    return [_kept(row).row for row in connection.execute(query.order_by(_c.seq.desc()).limit(limit))]


# --- verifying ----------------------------------------------------------------------------------------------


class Anchor(Struct, frozen=True):
    """A head that was written down elsewhere: the row `seq` had this hash, at a time when it was the newest."""

    seq: int
    hash: str
    at: datetime


class Break(Struct, frozen=True):
    """The first place where the trail is not what it was; `seq` of the row where that shows."""

    seq: int
    detail: str


PAGE = 250
"""Rows looked at in one go."""

ERASED = "user.erased"
"""The action of a row that vouches for those which lost their names; its object begins with the tombstone."""


class Vouched:
    """What an erasure says of the rows that lost their names to it: how many, and a hash of all they keep."""

    def __init__(self) -> None:
        self.last = -1
        self._count = 0
        self._digest = hashlib.sha256()

    def take(self, kept: KeptRow) -> None:
        """The next of them, in their order."""
        row = kept.row
        kept_words = row.object if row.action == ERASED else ""
        fields = [kept.seq, kept.hash, (row.at - _EPOCH) // _MICROSECOND, row.action, row.decision, kept_words]
        self._digest.update(json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
        self._count += 1
        self.last = kept.seq

    @property
    def words(self) -> str:
        """As the row that vouches for them has it."""
        return f"rows={self._count} sha256={self._digest.hexdigest()}"


def verify(connection: Connection, anchors: Iterable[Anchor]) -> Break | None:
    """Look through the whole trail, some rows at a time. Returns the first break; None when it is whole."""
    check = Check(anchors)
    while check.take(after(connection, check.seq)):
        pass
    return check.problem


def after(connection: Connection, seq: int, limit: int = PAGE) -> list[KeptRow]:
    """The rows that follow `seq`, oldest first."""
    query = select(tables.audit).where(_c.seq > seq).order_by(_c.seq).limit(limit)
    return [_kept(row) for row in connection.execute(query)]


class Check:
    """Goes through the trail from its beginning, page by page; rows that are added meanwhile are looked at too.

    `seq` is the last row looked at, `count` how many, `redacted` how many of them lost their names, `problem` the
    first break.
    """

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        self._anchors = sorted(anchors, key=lambda anchor: anchor.seq)
        self._met = 0
        self._hash = ""
        self._erased: dict[str, Vouched] = {}
        self._vouched: dict[str, tuple[int, str]] = {}
        self.seq = -1
        self.count = 0
        self.redacted = 0
        self.problem: Break | None = None

    def take(self, page: Sequence[KeptRow]) -> bool:
        """Look at what follows. Returns whether to go on; an empty page is the end of the trail."""
        for kept in page:
            self.problem = self._look(kept)
            if self.problem is not None:
                return False
            self._hash, self.seq, self.count = kept.hash, kept.seq, self.count + 1
        if not page and self._met < len(self._anchors):
            self.problem = _missing(self._anchors[self._met])
        elif not page:
            self.problem = self._unvouched()
        return bool(page)

    def _unvouched(self) -> Break | None:
        """Whether names went from rows without an erasure that says so of just these rows."""
        for tombstone, found in self._erased.items():
            vouched = self._vouched.get(tombstone)
            if vouched is None or vouched[1] != found.words:
                return Break(
                    found.last,
                    f"Row {found.last} and maybe others lost their names to {tombstone}, and no row of an erasure "
                    "vouches for just these.",
                )
        for tombstone, (seq, words) in self._vouched.items():
            if tombstone not in self._erased and words != Vouched().words:
                return Break(seq, f"Row {seq} vouches for rows without names, which are not there.")
        return None

    def _look(self, kept: KeptRow) -> Break | None:
        if kept.redacted:
            self.redacted += 1
            for tombstone in kept.redacted:
                self._erased.setdefault(tombstone, Vouched()).take(kept)
        elif chained(self._hash, kept.row) != kept.hash:
            return Break(
                kept.seq,
                f"Row {kept.seq} ({kept.row.at:%Y-%m-%d %H:%M} UTC) does not follow from what is before it: it "
                "was changed, or rows before it were changed, taken out, put in or moved.",
            )
        if kept.row.action == ERASED:
            tombstone, _, words = kept.row.object.partition(" ")
            self._vouched[tombstone] = (kept.seq, words)
        while self._met < len(self._anchors) and self._anchors[self._met].seq <= kept.seq:
            anchor = self._anchors[self._met]
            if anchor.seq < kept.seq:
                return _missing(anchor)
            if anchor.hash != kept.hash:
                return Break(
                    kept.seq,
                    f"Row {kept.seq} is not the one that was written down on {anchor.at:%Y-%m-%d %H:%M} UTC: the "
                    "trail up to there was written anew.",
                )
            self._met += 1
        return None


def _missing(anchor: Anchor) -> Break:
    return Break(
        anchor.seq,
        f"Row {anchor.seq}, which was the newest on {anchor.at:%Y-%m-%d %H:%M} UTC, is gone: rows were cut off, "
        "or an older database was restored.",
    )


def _kept(row: Row[tuple[object, ...]]) -> KeptRow:
    concerned = None if row.on_behalf_of is None else UserId(row.on_behalf_of)
    read = AuditRow(row.at, row.actor, concerned, row.action, row.object, row.decision)
    return KeptRow(row.seq, read, row.hash, tuple((row.redacted or "").split()))
