"""The audit trail: whatever is done to it afterwards shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, delete, func, insert, select, update

from rookery.gateway import audit
from rookery.gateway.audit import Anchor, AuditRow, Break, Check, KeptRow, Wanted, chained
from rookery.gateway.tables import audit as table
from rookery.ids import UserId
from rookery.storage import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = 48
EVERY = 7
"""Rows between two heads that are written down."""


def row(number: int, **fields: Any) -> AuditRow:
    """One of many rows, no two alike."""
    made = AuditRow(
        at=NOW + timedelta(minutes=number),
        actor=f"user:{'ab'[number % 2]}",
        on_behalf_of=None if number % 3 else UserId("b"),
        action=("session.show", "key.grant", "space.admit")[number % 3],
        object=f"object {number}",
        decision="allowed",
    )
    return replace(made, **fields)


def written(connection: Connection, count: int = ROWS) -> list[Anchor]:
    """A trail of so many rows, and the heads that were written down while it grew."""
    anchors: list[Anchor] = []
    for number in range(count):
        audit.keep(connection, row(number))
        head = audit.head(connection)
        assert head is not None
        if number % EVERY == EVERY - 1:
            anchors.append(Anchor(head.seq, head.hash, head.row.at))
    return anchors


class Undo(Exception):
    """Ends a transaction that was only tried."""


async def found_after(
    database: Database, anchors: list[Anchor], harm: Callable[[Connection], object]
) -> Break | None:
    """What verifying finds once the trail was harmed; the harm is undone."""
    found: list[Break | None] = []

    def work(connection: Connection) -> None:
        harm(connection)
        found.append(audit.verify(connection, anchors))
        raise Undo

    with pytest.raises(Undo):
        await database.write(work)
    return found[-1]


async def test_a_trail_as_it_was_written_is_whole(database: Database) -> None:
    """Of no rows, of some, and of many pages; with the heads that were written down, and with none."""
    assert await database.read(lambda connection: audit.verify(connection, [])) is None
    anchors = await database.write(lambda connection: written(connection, 2 * audit.PAGE + 3))
    assert await database.read(lambda connection: audit.verify(connection, anchors)) is None
    assert await database.read(lambda connection: audit.verify(connection, [])) is None


async def test_a_thousand_harms_are_all_found(database: Database) -> None:
    """Edits, deletions, insertions, rows that change places, ends that are cut off, and trails made anew up to a
    head that was written down: each is seen, and none is seen in a trail that nobody touched."""
    trials = 1000 if database.dialect == "sqlite" else 60
    anchors = await database.write(written)
    rng = Random(26)
    unseen: list[str] = []
    for _ in range(trials):
        harm = rng.choice(HARMS)
        if await found_after(database, anchors, lambda c, harm=harm: harm(c, rng, anchors)) is None:
            unseen.append(harm.__name__)
    assert unseen == []
    assert await found_after(database, anchors, lambda _: None) is None


async def test_what_only_a_head_written_down_shows(database: Database) -> None:
    """Cut off, or made anew from some row on, a trail is whole in itself; and what came after the last head, at
    most some minutes, can be taken unseen. So heads belong where whoever can write the trail cannot."""
    anchors = await database.write(written)
    last = anchors[-1].seq
    for harm in (_cuts_the_end, _makes_anew):
        assert await found_after(database, [], lambda c, harm=harm: harm(c, Random(1), anchors)) is None
        assert await found_after(database, anchors, lambda c, harm=harm: harm(c, Random(1), anchors)) is not None

    def cut_after(seq: int) -> Callable[[Connection], object]:
        return lambda connection: connection.execute(delete(table).where(table.c.seq > seq))

    assert await found_after(database, anchors, cut_after(last)) is None
    broken = await found_after(database, anchors, cut_after(last - 1))
    assert broken is not None
    assert broken.seq == last
    assert "cut off" in broken.detail


async def test_a_trail_that_was_cut_and_grew_again(database: Database) -> None:
    """The database counts on from where it was cut, so other rows stand where heads were written down."""
    anchors = await database.write(written)

    def regrown(connection: Connection) -> None:
        connection.execute(delete(table).where(table.c.seq > anchors[1].seq))
        for number in range(100, 200):
            audit.keep(connection, row(number))

    broken = await found_after(database, anchors, regrown)
    assert broken is not None
    assert broken.seq == anchors[2].seq


async def test_the_first_break_is_named(database: Database) -> None:
    """With its row and when that was, so that the operator knows what to trust: everything before it."""
    anchors = await database.write(written)
    changed = update(table).where(table.c.object == "object 20").values(decision="refused")
    broken = await found_after(database, anchors, lambda connection: connection.execute(changed))
    assert broken is not None
    assert broken.seq == 21
    assert "2026-03-01 12:20 UTC" in broken.detail


def test_a_check_remembers_no_rows() -> None:
    """However long the trail is: it is looked at a page at a time."""
    check = Check([])
    before = ""
    for number in range(1000):
        one = row(number)
        before = chained(before, one)
        assert check.take([KeptRow(number + 1, one, before)])
    assert not check.take([])
    assert (check.count, check.seq, check.problem) == (1000, 1000, None)


async def test_rows_are_found_by_person_action_and_time(database: Database) -> None:
    """Newest first, in pages; a person's are what they did and what was done to them."""
    await database.write(written)

    async def objects(wanted: Wanted, limit: int = 1000, before: int | None = None) -> list[int]:
        found = await database.read(lambda connection: audit.rows(connection, wanted, limit, before))
        return [int(kept.row.object.removeprefix("object ")) for kept in found]

    assert await objects(Wanted()) == list(reversed(range(ROWS)))
    assert await objects(Wanted(), 2) == [47, 46]
    assert await objects(Wanted(), 2, before=47) == [45, 44]
    b = [number for number in reversed(range(ROWS)) if number % 2 or number % 3 == 0]
    assert await objects(Wanted(user_id=UserId("b"))) == b
    assert await objects(Wanted(user_id=UserId("nobody"))) == []
    assert await objects(Wanted(action="key.grant"), 3) == [46, 43, 40]
    assert await objects(Wanted(action="key."), 3) == [46, 43, 40]
    assert await objects(Wanted(action="key")) == []
    assert await objects(Wanted(action="%.")) == []
    since, until = NOW + timedelta(minutes=3), NOW + timedelta(minutes=5)
    assert await objects(Wanted(since=since, until=until)) == [4, 3]


async def test_people_see_what_others_did_about_them(database: Database) -> None:
    """Not what they did themselves, which would push it out."""

    def work(connection: Connection) -> list[str]:
        b = UserId("b")
        audit.keep(connection, row(1, actor="operator", on_behalf_of=b))
        audit.keep(connection, row(2, actor="user:b", on_behalf_of=b))
        audit.keep(connection, row(3, actor="operator", on_behalf_of=UserId("a")))
        return [seen.object for seen in audit.on_behalf_of(connection, b, 3)]

    assert await database.write(work) == ["object 1"]


# --- harms --------------------------------------------------------------------------------------------------


def _edits(connection: Connection, rng: Random, _: list[Anchor]) -> None:
    changed = rng.choice(
        [
            {"at": NOW - timedelta(microseconds=rng.randint(1, 1000))},
            {"actor": "operator"},
            {"on_behalf_of": "c"},
            {"action": "session.list"},
            {"object": f"object {rng.randint(100, 999)}"},
            {"decision": "refused"},
            {"hash": f"{rng.getrandbits(256):064x}"},
            {"hash": ""},
        ]
    )
    connection.execute(update(table).where(table.c.seq == rng.randint(1, ROWS)).values(**changed))


def _deletes(connection: Connection, rng: Random, _: list[Anchor]) -> None:
    first = rng.randint(1, ROWS - 1)  # the last one alone is an end that is cut off
    last = min(first + rng.randint(0, 5), ROWS - 1)
    connection.execute(delete(table).where(table.c.seq.between(first, last)))


def _reorders(connection: Connection, rng: Random, _: list[Anchor]) -> None:
    one, other = rng.sample(range(1, ROWS + 1), 2)
    for here, there in ((one, -1), (other, one), (-1, other)):
        connection.execute(update(table).where(table.c.seq == here).values(seq=there))


def _inserts(connection: Connection, rng: Random, _: list[Anchor]) -> None:
    """A row that follows well from the one before it, in a gap made for it."""
    at = rng.randint(1, ROWS)
    for seq in range(ROWS, at - 1, -1):
        connection.execute(update(table).where(table.c.seq == seq).values(seq=seq + 1))
    before = audit.hash_at(connection, at - 1) or ""
    _put(connection, at, row(500), before)


def _cuts_the_end(connection: Connection, rng: Random, anchors: list[Anchor]) -> None:
    connection.execute(delete(table).where(table.c.seq >= rng.randint(1, anchors[-1].seq)))


def _cuts_the_beginning(connection: Connection, rng: Random, _: list[Anchor]) -> None:
    connection.execute(delete(table).where(table.c.seq <= rng.randint(1, ROWS - 1)))


def _makes_anew(connection: Connection, rng: Random, anchors: list[Anchor]) -> None:
    """One row is another, and every hash after it is made to fit, by somebody who knows how."""
    changed = rng.randint(1, anchors[-1].seq)
    before = audit.hash_at(connection, changed - 1) or ""
    for kept in audit.after(connection, changed - 1):
        other = row(900) if kept.seq == changed else kept.row
        connection.execute(delete(table).where(table.c.seq == kept.seq))
        before = _put(connection, kept.seq, other, before)


def _leaves_one_out(connection: Connection, rng: Random, anchors: list[Anchor]) -> None:
    """A row is gone, and those after it move up and are made to fit."""
    gone = rng.randint(1, anchors[-1].seq)
    before = audit.hash_at(connection, gone - 1) or ""
    rest = audit.after(connection, gone)
    connection.execute(delete(table).where(table.c.seq >= gone))
    for kept in rest:
        before = _put(connection, kept.seq - 1, kept.row, before)


def _renumbers(connection: Connection, rng: Random, _: list[Anchor]) -> None:
    connection.execute(update(table).values(seq=table.c.seq + ROWS * rng.randint(1, 9)))


def _empties(connection: Connection, _: Random, __: list[Anchor]) -> None:
    connection.execute(delete(table))
    assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


HARMS = [
    _edits,
    _edits,
    _deletes,
    _reorders,
    _inserts,
    _cuts_the_end,
    _cuts_the_beginning,
    _makes_anew,
    _leaves_one_out,
    _renumbers,
    _empties,
]


def _put(connection: Connection, seq: int, made: AuditRow, before: str) -> str:
    hash = chained(before, made)
    values = {
        "at": made.at,
        "actor": made.actor,
        "on_behalf_of": made.on_behalf_of,
        "action": made.action,
        "object": made.object,
        "decision": made.decision,
    }
    connection.execute(insert(table).values(seq=seq, hash=hash, **values))
    return hash
