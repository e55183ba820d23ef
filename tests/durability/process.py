"""A real gateway process on a home of its own, to be started, killed and looked into from outside.

What a killed process left is read from the files: they are what the next start will find.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Connection

from rookery import users
from rookery.gateway import schema
from rookery.gateway.home import Home
from rookery.ids import UserId
from rookery.storage.sqlite import SqliteDatabase

PRICES = {"input": 1.2345, "output": 6.789, "cachedInput": 0.1, "cacheWrite": 2}
"""What every model costs here."""

START_SECONDS = 30.0
"""After this long a gateway that does not answer is taken to hang."""


@dataclass(frozen=True, slots=True)
class Account:
    """One webhook account: its name and the secret both sides sign with."""

    name: str
    secret: str


class GatewayProcess:
    """`python -m rookery up` on one home; started and ended as often as one likes."""

    def __init__(self, home: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.home = Home(home)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.starts: list[float] = []
        """Seconds from each start to the first 200 of `/readyz`."""
        self._environ = dict(environ or {})
        self._process: asyncio.subprocess.Process | None = None

    async def prepare(self, people: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Make the state, with these people; each has webhook addresses, as (account, sender id)."""
        self.home.prepare()

        def work(connection: Connection) -> None:
            now = datetime.now(UTC)
            schema.prepare(connection)
            for person, addresses in people.items():
                users.add_user(connection, person, name=person.title(), role="member", now=now)
                for account, sender in addresses:
                    users.link(connection, UserId(person), "webhook", account, sender, now=now)

        database = SqliteDatabase(self.home.database)
        await database.write(work)
        await database.close()

    def configure(
        self,
        accounts: Sequence[Account],
        *,
        callback: str,
        endpoint: str,
        model: str,
        queue: str,
        debounce_ms: int = 5,
    ) -> None:
        """Write `rookery.yaml`; JSON is YAML."""
        settings = {
            "gateway": {"host": "127.0.0.1", "port": self.port},
            "models": {
                "default": f"local/{model}",
                "providers": {"local": {"api": "openai", "baseUrl": endpoint, "prices": {model: PRICES}}},
            },
            "messages": {"queue": {"mode": queue, "debounceMs": debounce_ms}},
            "channels": {
                "webhook": {
                    "accounts": {
                        account.name: {"secret": account.secret, "callbackUrl": f"{callback}/{account.name}"}
                        for account in accounts
                    }
                }
            },
        }
        self.home.config.write_text(json.dumps(settings, indent=1))

    async def start(self) -> None:
        """Start it, without waiting until it is ready."""
        assert self._process is None, "it runs already"
        with (self.home.path / "stderr.txt").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rookery",
                "up",
                "--home",
                str(self.home.path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, **self._environ},
            )

    async def ready(self, session: aiohttp.ClientSession) -> float:
        """Start it and wait until it takes messages; returns the seconds that took."""
        began = time.monotonic()
        await self.start()
        while time.monotonic() - began < START_SECONDS:
            with suppress(aiohttp.ClientError, OSError):
                async with session.get(f"{self.url}/readyz") as answer:
                    if answer.status == 200:
                        self.starts.append(time.monotonic() - began)
                        return self.starts[-1]
            assert self.running, f"the gateway ended by itself:\n{self.complaints()}"
            await asyncio.sleep(0.005)
        raise AssertionError(f"the gateway did not become ready:\n{self.complaints()}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was never started"
        return self._process.pid

    async def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        return await self._end(signal.SIGTERM)

    async def gone(self) -> int:
        """Wait until it has ended by itself; returns the exit status, negative for a signal."""
        assert self._process is not None, "it was never started"
        status = await self._process.wait()
        self._process = None
        return status

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None, "it was never started"
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        return await self.gone()

    def complaints(self) -> str:
        """The end of what it said on standard error."""
        path = self.home.path / "stderr.txt"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def remains(self) -> Remains:
        """What a `kill -9` at this moment would leave, read from a copy of the files."""
        return Remains.of(self.home)


@dataclass(frozen=True, slots=True)
class Remains:
    """A home's state as the files have it. Rows are by column name, lines as JSON has them."""

    integrity: str
    turns: list[dict[str, Any]]
    outbox: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    seen: set[tuple[str, str]]
    transcripts: dict[str, list[dict[str, Any]]]
    """Entries by session, the header left out, a line that was broken off too."""

    @classmethod
    def of(cls, home: Home) -> Remains:
        """Read them; what is broken raises."""
        copy = home.path / "copy"
        copy.mkdir(exist_ok=True)
        try:
            _copy_database(home.database, copy)
            with closing(sqlite3.connect(copy / "gateway.db")) as connection:
                connection.row_factory = sqlite3.Row
                return cls(
                    integrity=connection.execute("PRAGMA integrity_check").fetchone()[0],
                    turns=_rows(connection, "SELECT * FROM turns ORDER BY seq"),
                    outbox=_rows(connection, "SELECT * FROM outbox ORDER BY seq"),
                    calls=_rows(connection, "SELECT * FROM ledger ORDER BY started_at"),
                    seen={
                        (row["account"], row["message_id"])
                        for row in _rows(connection, "SELECT * FROM seen WHERE outcome = 'accepted'")
                    },
                    transcripts={path.stem: _lines(path) for path in home.agents.glob("*/sessions/*.jsonl")},
                )
        finally:
            shutil.rmtree(copy)

    @property
    def unfinished(self) -> int:
        """How many turns and deliveries have no end yet."""
        turns = sum(row["finished_at"] is None for row in self.turns)
        return turns + sum(row["ended_at"] is None for row in self.outbox)


def _copy_database(database: Path, directory: Path) -> None:
    """Copy the database and its log, both from one moment: not across a checkpoint that began the log anew."""
    log = database.with_name(f"{database.name}-wal")
    while True:
        before = _log_header(log)
        shutil.copyfile(database, directory / database.name)
        if before:
            shutil.copyfile(log, directory / log.name)
        if _log_header(log) == before:
            return


def _log_header(log: Path) -> bytes:
    try:
        with log.open("rb") as file:
            return file.read(32)
    except FileNotFoundError:
        return b""


def _rows(connection: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query)]


def _lines(path: Path) -> list[dict[str, Any]]:
    whole = path.read_bytes()
    lines = [json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines()]
    assert not lines or lines[0]["type"] == "session", f"{path.name} does not begin with its header"
    return lines[1:]


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
