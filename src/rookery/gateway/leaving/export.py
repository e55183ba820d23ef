"""Everything of one person as one archive that is read without Rookery.

A zip file, written as it is sent: no more than one file of it is in memory at a time. Conversations are as the
transcripts have them, whole lines up to the moment they are read, and as a text for people; rows of the database
are JSON lines; a manifest at its end has the size and the SHA-256 of each.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Table, select

from rookery import users
from rookery.errors import NotFound, RookeryError
from rookery.gateway.leaving import people
from rookery.gateway.leaving.erasing import agents_of
from rookery.gateway.leaving.people import Who
from rookery.gateway.leaving.shared import Part, parts_of
from rookery.gateway.leaving.stores import BRAIN, TABLES, part_of_brain
from rookery.gateway.operations.transcript import as_markdown
from rookery.ids import AgentId, SessionId, UserId
from rookery.messages import MessageEntry, encode_line
from rookery.sessions.brain import Brain
from rookery.sessions.disk import opened
from rookery.sessions.tables import workspace_files
from rookery.storage import as_agent, metadata
from rookery.usage.ledger import ledger

if TYPE_CHECKING:
    from rookery.gateway.gateway import Gateway

FORMAT = 1
"""The version of the archive's form."""

_ROWS = 500
_PIECE = 1 << 18


class Item(Struct, frozen=True):
    """One file of the archive; `kind` says in a word what it is."""

    path: str
    kind: str
    data: bytes | AsyncIterable[bytes]


class Listed(Struct, frozen=True, rename="camel"):
    """What the manifest says of a file."""

    path: str
    kind: str
    size: int
    sha256: str


async def archive(gateway: Gateway, user_id: UserId) -> AsyncGenerator[bytes]:
    """The bytes of the archive, in pieces. Raises `NotFound`, `StorageUnavailable`."""
    at = gateway.now()
    user = await gateway.database.read(lambda connection: users.get_user(connection, user_id))
    who = await gateway.database.read(lambda connection: people.of_person(connection, user))
    pipe, listed = _Pipe(), list[Listed]()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as file:
        async with aclosing(_items(gateway, who, at)) as items:
            async for item in items:
                size, digest = 0, hashlib.sha256()
                with file.open(_entry(item.path, at), "w", force_zip64=True) as into:
                    async for piece in _pieces(item.data):
                        size += len(piece)
                        digest.update(piece)
                        await asyncio.to_thread(into.write, piece)
                        if data := pipe.take():
                            yield data
                listed.append(Listed(item.path, item.kind, size, digest.hexdigest()))
        manifest = {"format": FORMAT, "person": user_id, "at": at, "files": listed}
        with file.open(_entry("manifest.json", at), "w") as into:
            into.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    yield pipe.take()


async def _items(gateway: Gateway, who: Who, at: datetime) -> AsyncGenerator[Item]:
    assert who.user_id is not None, "an archive is a person's"
    yield Item("README.txt", "words", _readme(who.user_id, at).encode())
    for name, store in TABLES.items():
        if store.file is not None:
            yield Item(store.file, "rows", _rows(gateway, name, who))
    yield Item("usage/calls.csv", "table", _spending(gateway, who))
    for agent_id in who.agents:
        async with gateway.brains.use(agent_id) as brain:
            async for item in _brain(gateway, brain, f"agents/{agent_id}"):
                yield item
    parts = await gateway.database.read(lambda connection: parts_of(connection, who))
    for agent_id in sorted({part.agent_id for part in parts} | await _shared(gateway)):
        async with gateway.brains.use(agent_id) as brain:
            here = [part for part in parts if part.agent_id == agent_id]
            async for item in _at_others(brain, who, here, f"shared/{agent_id}"):
                yield item


# --- brains -------------------------------------------------------------------------------------------------


async def _brain(gateway: Gateway, brain: Brain, under: str) -> AsyncGenerator[Item]:
    """All that one of their agents holds."""
    async for summary in _summaries(brain):
        async for item in _session(brain, summary, f"{under}/sessions"):
            yield item
    for stored in await brain.attachments.listed():
        yield Item(f"{under}/attachments/{stored.id}.json", "attachment", msgspec.json.encode(stored) + b"\n")
        data = await brain.attachments.read(stored.id)
        yield Item(f"{under}/attachments/{stored.id}-{_plain(stored.name)}", "attachment", data)
    keys = [
        {"provider": one.provider, "profile": one.name, "lastFour": one.last_four, "addedAt": one.added_at}
        for one in await brain.profiles.all()
    ]
    yield Item(f"{under}/keys.jsonl", "keys", b"".join(msgspec.json.encode(key) + b"\n" for key in keys))
    if brain.home is not None:
        for path in await asyncio.to_thread(_files, brain.home):
            data = await asyncio.to_thread(_read, brain.home / path)
            if data is not None:
                yield Item(f"{under}/files/{_safe(path)}", "file", data)
    elif gateway.database.dialect == "postgresql":
        async for item in _kept_in_rows(gateway, brain.agent_id, under):
            yield item


async def _kept_in_rows(gateway: Gateway, agent_id: AgentId, under: str) -> AsyncGenerator[Item]:
    files = workspace_files.c

    def names(connection: Connection) -> list[str]:
        as_agent(connection, agent_id)
        query = select(files.path).where(files.agent_id == agent_id).order_by(files.path)
        return list(connection.execute(query).scalars())

    def data(connection: Connection, path: str) -> bytes | None:
        as_agent(connection, agent_id)
        return connection.scalar(select(files.data).where(files.agent_id == agent_id, files.path == path))

    for path in await gateway.database.read(names):
        found = await gateway.database.read(partial(data, path=path))
        if found is not None:
            yield Item(f"{under}/files/workspace/{_safe(Path(path))}", "file", found)


_APART = frozenset({"sessions", "attachments", "auth-profiles.json", "agent.db"})
"""What of a brain's directory is in the archive in another form, or made of what is."""


def _files(home: Path) -> list[Path]:
    """The plain files of a brain besides, by path; what is a link is not followed, and not taken."""
    found: list[Path] = []
    for directory, within, names in os.walk(home):
        here = Path(directory).relative_to(home)
        if here == Path():
            within[:] = [name for name in within if part_of_brain(name) not in _APART]
            names = [name for name in names if part_of_brain(name) not in _APART]
        within.sort()
        found += [here / name for name in sorted(names)]
    # What is kept aside of a transcript is somebody's words, too.
    sessions = home / "sessions"
    if sessions.is_dir():
        found += [Path("sessions") / path.name for path in sorted(sessions.iterdir()) if ".torn-" in path.name]
    return found


def _read(path: Path) -> bytes | None:
    try:
        with opened(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            with os.fdopen(os.dup(descriptor), "rb") as file:
                return file.read()
    except OSError:
        return None  # gone meanwhile, or a link


async def _session(brain: Brain, summary: Any, under: str) -> AsyncGenerator[Item]:
    session_id = SessionId(summary.session_id)
    try:
        yield Item(f"{under}/{session_id}.jsonl", "transcript", await brain.export(session_id))
        session = await brain.session(session_id)
    except NotFound:
        return  # it was deleted meanwhile
    except RookeryError:
        return  # its header cannot be read; the lines are there as they are
    text = as_markdown(session.title or summary.session_key, brain.agent_id, tuple(session.entries))
    yield Item(f"{under}/{session_id}.md", "text", text.encode())


async def _summaries(brain: Brain) -> AsyncGenerator[Any]:
    cursor: str | None = None
    while page := await brain.sessions(200, cursor):
        for summary in page:
            yield summary
        cursor = page[-1].cursor


async def _at_others(brain: Brain, who: Who, parts: Sequence[Part], under: str) -> AsyncGenerator[Item]:
    """What is theirs at somebody else's agent: conversations they had alone, and in others their own words."""
    for part in parts:
        try:
            if part.alone:
                summary = await brain.summary(part.session_id)
                async for item in _session(brain, summary, f"{under}/sessions"):
                    yield item
                continue
            session = await brain.session(part.session_id)
        except NotFound:
            continue
        own = [
            encode_line(entry)
            for entry in session.entries
            if isinstance(entry, MessageEntry)
            and entry.sender is not None
            and (entry.turn_id in part.turns or any(turn in part.turns for turn in entry.accepted))
        ]
        yield Item(f"{under}/said/{part.session_id}.jsonl", "own words", b"".join(own))
    for stored in await brain.attachments.listed():
        if stored.added_by in who.principals:
            data = await brain.attachments.read(stored.id)
            yield Item(f"{under}/attachments/{stored.id}-{_plain(stored.name)}", "attachment", data)


async def _shared(gateway: Gateway) -> set[AgentId]:
    agents = await gateway.database.read(users.list_agents)
    return {agent.id for agent in agents if agent.shared}


# --- rows ---------------------------------------------------------------------------------------------------


async def _rows(gateway: Gateway, name: str, who: Who) -> AsyncGenerator[bytes]:
    """The rows of a table that are theirs, as JSON lines."""
    async for rows in _pages(gateway, metadata.tables[name], who):
        hidden = TABLES[name].hidden
        yield b"".join(msgspec.json.encode(_shown(row, hidden, who)) + b"\n" for row in rows)


async def _spending(gateway: Gateway, who: Who) -> AsyncGenerator[bytes]:
    """What they paid for, for a spreadsheet; money in nano-dollars."""
    names = [column.name for column in ledger.columns]
    yield _csv([names])
    async for rows in _pages(gateway, ledger, who):
        shown = [_shown(row, (), who) for row in rows]
        yield _csv([[str(row[name]) if row[name] is not None else "" for name in names] for row in shown])


async def _pages(gateway: Gateway, table: Table, who: Who) -> AsyncGenerator[list[dict[str, Any]]]:
    """Page by page, in the order of the key, so that nothing is told twice and little is in memory."""
    store, key = TABLES[table.name], list(table.primary_key.columns)
    mine = store.mine
    assert mine is not None, f"{table.name} says what is whose"
    per_agent = table.name in {"turn_bodies", "outbox_bodies"}
    scopes: list[AgentId | None] = [None]
    if per_agent:
        scopes = list(await gateway.database.read(lambda connection: agents_of(connection, who)))
    for scope in scopes:
        offset = 0
        while True:

            def read(
                connection: Connection, scope: AgentId | None = scope, offset: int = offset
            ) -> list[dict[str, Any]]:
                query = select(table).where(mine(table, who)).order_by(*key).offset(offset).limit(_ROWS)
                if scope is not None:
                    as_agent(connection, scope)
                    query = query.where(table.c.agent_id == scope)
                return [dict(row) for row in connection.execute(query).mappings()]

            rows = await gateway.database.read(read)
            if rows:
                yield rows
            if len(rows) < _ROWS:
                break
            offset += len(rows)


def _shown(row: dict[str, Any], hidden: Iterable[str], who: Who) -> dict[str, Any]:
    """A row without what is hidden; who else had a part in it stays theirs to tell."""
    shown = {name: value for name, value in row.items() if name not in hidden}
    if "principal" in shown and shown["principal"] not in who.principals:
        shown["principal"] = "somebody else"
    return shown


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    # A spreadsheet takes what begins so for a formula.
    csv.writer(text).writerows([f"'{cell}" if cell[:1] in "=+-@" else cell for cell in row] for row in rows)
    return text.getvalue().encode()


# --- the archive --------------------------------------------------------------------------------------------


class _Pipe(io.RawIOBase):
    """What the archive is written into: nothing is kept but what was not taken yet."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since."""
        data, self._parts = b"".join(self._parts), []
        return data


def _entry(path: str, at: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, (max(at.year, 1980), at.month, at.day, at.hour, at.minute, at.second))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    return entry


async def _pieces(data: bytes | AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    if isinstance(data, bytes):
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]
        return
    async for piece in data:
        yield piece


def _plain(name: str) -> str:
    """A name that every system can give a file."""
    return re.sub(r"[^\w. ()+-]", "_", name).strip(". ")[:120] or "file"


def _safe(path: Path) -> str:
    """A path that leads nowhere else on any system."""
    return "/".join(_plain(part.encode(errors="replace").decode()) for part in path.parts)


def _readme(user_id: str, at: datetime) -> str:
    tables = "\n".join(f"  {store.file:32} {store.holds}" for store in TABLES.values() if store.file is not None)
    brain = "\n".join(f"  {name:32} {store.holds}" for name, store in BRAIN.items() if store.file is not None)
    return f"""Everything that this Rookery kept of {user_id} on {at:%Y-%m-%d %H:%M} UTC.

Nothing but a program that opens zip files is needed to read it. Files ending in .jsonl hold one JSON object a
line, .md and .txt are text, .csv opens in a spreadsheet. manifest.json lists every file with its size and SHA-256.

Rows of the database, as they are, without secrets:
{tables}
  usage/calls.csv                  the same as usage/calls.jsonl, for a spreadsheet

agents/NAME/ is what one of your assistants holds:
{brain}
Conversations are there twice: NAME.jsonl as it is kept, NAME.md to be read. Of keys there are names and last four.

shared/NAME/ is what is yours at assistants of others: conversations you had alone, and elsewhere your own words.
"""
