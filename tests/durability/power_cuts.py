"""One trial of a power cut: the real stores at work, the power gone at some operation, and a look at the rest."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, text

from rookery.errors import StorageUnavailable
from rookery.gateway import deliveries, schema, seen, tables, turns
from rookery.gateway.deliveries import Delivery
from rookery.gateway.turns import Body, Kind, Status
from rookery.ids import AgentId, DeliveryId, EntryId, SessionId, TurnId
from rookery.messages import Header, MessageEntry, Role, TextPart
from rookery.messages.transcript import VERSION
from rookery.sessions.jsonl import JsonlTranscripts
from rookery.storage.sqlite import PRAGMAS, SqliteDatabase
from rookery.storage.threads import WriterThreads
from rookery.usage import ledger
from tests.durability import apsw_driver
from tests.durability.power import Disk, FilePower, Power, PowerVFS
from tests.gateway.made import NOW, message, route
from tests.usage.made import row_of

AGENT = AgentId("alice")
_names = itertools.count()

Files = dict[str, bytes]


# --- the database -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Acknowledged:
    """What somebody was told is kept."""

    accepted: list[str] = field(default_factory=list[str])
    ended: set[str] = field(default_factory=set[str])
    sent: set[str] = field(default_factory=set[str])
    begun: dict[str, bool] = field(default_factory=dict[str, bool])
    """Relaxed writes that returned, by turn; True once a synced one was acknowledged that began after it."""


async def prepared() -> Files:
    """A disk with the schema on it."""
    disk = Disk()
    database = _open(disk, Power())
    await database.write(schema.prepare)
    await database.close()
    return disk.contents()


async def operations_of(files: Files) -> int:
    """How many operations the whole work takes when the power stays on."""
    power = Power()
    await _work(_open(Disk(files), power), _Acknowledged(), random.Random(0))
    return power.operations


async def cut_under_the_database(
    files: Files, seed: int, operations: int, *, syncs: bool = True, pragmas: str = PRAGMAS
) -> list[str]:
    """What is wrong after a power cut; `syncs` False and other `pragmas` are for the test of the test."""
    chance = random.Random(seed)
    disk = Disk(files)
    told = _Acknowledged()
    power = Power(chance.randint(1, operations))
    relaxed = pragmas == PRAGMAS  # which sets what is to be missing right again
    await _work(_open(disk, power, syncs=syncs, pragmas=pragmas, chance=chance), told, chance, relaxed=relaxed)
    survived = _open(Disk(disk.survivors(chance)), Power())
    try:
        wrong = await survived.write(partial(_look, told))
    except StorageUnavailable as error:
        wrong = [error.detail]
    await survived.close()
    return [f"seed {seed}: {one}" for one in wrong]


def _open(
    disk: Disk,
    power: Power,
    *,
    syncs: bool = True,
    pragmas: str = PRAGMAS,
    chance: random.Random | None = None,
) -> SqliteDatabase:
    """Our own database over that disk. One connection has it to itself: no memory is shared on such a disk."""
    name = f"power-{next(_names)}"
    vfs = PowerVFS(name, disk, power, syncs=syncs)
    checkpoint = 1000 if chance is None else chance.choice((4, 16, 1000))
    told = ["locking_mode=EXCLUSIVE", *_split(pragmas), f"wal_autocheckpoint={checkpoint}"]

    def connect(_keep: PowerVFS = vfs) -> Any:
        return apsw_driver.Connection(name, pragmas=told)

    return SqliteDatabase(None, connect=connect)


def _split(pragmas: str) -> list[str]:
    return [one.strip().removeprefix("PRAGMA ") for one in pragmas.split(";") if one.strip()]


async def _work(
    database: SqliteDatabase, told: _Acknowledged, chance: random.Random, *, relaxed: bool = True
) -> None:
    """Accept, end and send a few turns, several at once so that they share commits, until the power goes."""
    for first in (0, 4, 8):
        await asyncio.gather(
            *(
                _one(database, told, number, relaxed=relaxed)
                for number in range(first, first + chance.randint(1, 4))
            )
        )
    await database.close()


async def _one(database: SqliteDatabase, told: _Acknowledged, number: int, *, relaxed: bool) -> None:
    turn_id = TurnId(f"t{number}")
    words = f"message {number} " * 40
    arrived = message(f"m{number}")

    def accept(connection: Connection) -> turns.Turn:
        assert seen.claim(connection, arrived, turn_id, NOW) is None
        return turns.add(
            connection,
            turn_id=turn_id,
            agent_id=AGENT,
            session_id=SessionId("s1"),
            session_key="agent:alice:main",
            opened_key="agent:alice:main",
            principal="user:alice",
            kind=Kind.MESSAGE,
            collectable=True,
            route=arrived.route,
            body=Body(text=words),
            now=NOW,
        )

    def begin(connection: Connection) -> None:
        ledger.put(connection, [row_of(turn_id)])

    def end(turn: turns.Turn, connection: Connection) -> bool:
        turns.finish(connection, [turn], Status.DONE, now=NOW)
        return deliveries.add(connection, _delivery(turn_id, words))

    def sent(connection: Connection) -> None:
        deliveries.mark_sent(connection, DeliveryId(f"{turn_id}.1.0"), None, 1, NOW)

    try:
        turn = await database.write(accept, then=lambda turn: told.accepted.append(turn.turn_id))
        if relaxed:
            await database.write(begin, relaxed=True)
            told.begun[turn_id] = False
        await database.write(partial(end, turn), then=lambda _: told.ended.add(turn_id))
        if relaxed:
            told.begun[turn_id] = True
        await database.write(sent, then=lambda _: told.sent.add(turn_id))
    except StorageUnavailable:
        return


def _delivery(turn_id: TurnId, words: str) -> Delivery:
    return Delivery(
        delivery_id=DeliveryId(f"{turn_id}.1.0"),
        turn_id=turn_id,
        agent_id=AGENT,
        principal="user:alice",
        speaker="Alice",
        route=route(),
        text=words,
        attempts=0,
        due_at=NOW,
        created_at=NOW,
    )


def _look(told: _Acknowledged, connection: Connection) -> list[str]:
    wrong: list[str] = []
    checked = list(connection.execute(text("PRAGMA integrity_check")).scalars())
    if checked != ["ok"]:
        return [f"integrity_check: {checked[0]}"]
    rows = {row.turn_id: row for row in connection.execute(select(tables.turns))}
    bodies = {row.turn_id for row in connection.execute(select(tables.turn_bodies))}
    marks = {row.turn_id for row in connection.execute(select(tables.seen))}
    outbox = {row.turn_id: row for row in connection.execute(select(tables.outbox))}
    kept = {row.delivery_id for row in connection.execute(select(tables.outbox_bodies))}
    calls = set(connection.execute(select(ledger.ledger.c.turn_id)).scalars())
    wrong += [f"{one} was accepted and is lost" for one in told.accepted if one not in rows]
    synced = {one for one, since in told.begun.items() if since}
    wrong += [f"the call of {one} was synced and is lost" for one in synced - calls]
    ended = {one for one, row in rows.items() if row.finished_at is not None}
    sent = {one for one, row in outbox.items() if row.status == "sent"}
    wrong += [f"{one} had ended and has not" for one in told.ended - ended]
    wrong += [f"the reply of {one} was kept and is lost" for one in told.ended - outbox.keys()]
    wrong += [f"the reply of {one} was sent and is not" for one in told.sent - sent]
    # A unit of work is there whole or not at all.
    if not rows.keys() == bodies == marks:
        wrong.append(f"turns {sorted(rows)}, bodies {sorted(bodies)}, marks {sorted(marks)}")
    if ended != outbox.keys() or {row.delivery_id for row in outbox.values()} != kept:
        wrong.append(f"ended {sorted(ended)}, outbox {sorted(outbox)}, texts {sorted(kept)}")
    order = [rows[one].seq for one in told.accepted if one in rows]
    if order != sorted(order):
        wrong.append(f"accepted in the order {told.accepted}, kept in the order {order}")
    if len(turns.unfinished(connection)) != len(rows) - len(ended):
        wrong.append("what is left to do is not what has no end")
    return wrong


# --- the transcripts ----------------------------------------------------------------------------------------


async def cut_under_the_transcripts(home: Path, seed: int, *, syncs: bool = True) -> list[str]:
    """What is wrong after a power cut, and another one while that was being mended."""
    chance = random.Random(seed)
    acknowledged: dict[SessionId, list[str]] = {SessionId("s1"): [], SessionId("s2"): []}
    wrong: list[str] = []
    for _life in range(2):
        power = Power(chance.randint(1, 24))
        threads = WriterThreads(1)
        disk = FilePower(home / "alice" / "sessions", power, syncs=syncs)
        transcripts = JsonlTranscripts(home / "alice", AGENT, threads, ops=disk.ops)
        await _write_until_dark(transcripts, acknowledged, chance)
        await threads.close()
        if (home / "alice" / "sessions").is_dir():
            disk.cut(chance)
    threads = WriterThreads(1)
    transcripts = JsonlTranscripts(home / "alice", AGENT, threads)
    await transcripts.prepare()
    for session_id, told in acknowledged.items():
        transcript = await transcripts.load(session_id)
        ids = [entry.id for entry in transcript.entries] if transcript is not None else []
        missing = [one for one in told if one not in ids]
        if missing:
            wrong.append(f"{session_id}: {missing} were acknowledged and are lost")
        if [one for one in ids if one in told] != told:
            wrong.append(f"{session_id}: the order is {ids}, it was {told}")
        if told and (transcript is None or transcript.header is None):
            wrong.append(f"{session_id}: the header is lost")
        await transcripts.append(session_id, _header(session_id), [_entry(f"{session_id}.after", "after")])
        again = await transcripts.load(session_id)
        if again is None or [entry.id for entry in again.entries] != [*ids, f"{session_id}.after"]:
            wrong.append(f"{session_id}: it cannot be gone on with")
    await threads.close()
    return [f"seed {seed}: {one}" for one in wrong]


async def _write_until_dark(
    transcripts: JsonlTranscripts, acknowledged: dict[SessionId, list[str]], chance: random.Random
) -> None:
    try:
        await transcripts.prepare()
        while True:
            session_id = chance.choice(list(acknowledged))
            await transcripts.load(session_id)
            told = acknowledged[session_id]
            entries = [
                _entry(f"{session_id}.{chance.getrandbits(40):x}", "words " * chance.randint(1, 400))
                for _ in range(chance.choice((1, 1, 3)))
            ]
            await transcripts.append(session_id, _header(session_id), entries)
            told += [entry.id for entry in entries]
    except StorageUnavailable:
        return


def _header(session_id: SessionId) -> Header:
    return Header(version=VERSION, id=session_id, session_key="agent:alice:main", agent_id=AGENT, created_at=NOW)


def _entry(id: str, words: str) -> MessageEntry:
    return MessageEntry(id=EntryId(id), timestamp=NOW, role=Role.USER, content=(TextPart(words),))
