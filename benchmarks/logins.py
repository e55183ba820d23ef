"""What it costs to come in, and to be known again with every request."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter, process_time
from typing import Any

import uvloop

from benchmarks.figures import Figure, Goal, median, percentile
from benchmarks.measures import Bench
from rookery.config import Config
from rookery.errors import RookeryError
from rookery.gateway.callers import Caller
from rookery.gateway.home import Home
from rookery.gateway.house import open_house
from rookery.gateway.log import silent_log
from rookery.gateway.operations import Desk, credentials, logins, people
from rookery.gateway.shapes import Login, TokenNew, UserAdd
from rookery.users.hashing import AT_ONCE
from rookery.web.asgi import Head
from rookery.web.front import Front

_PASSWORD = "one green heron"
_LOOPS = 200


def login(bench: Bench) -> Iterator[Figure]:
    """Name and password, one login at a time and as many at once as may wait: right, wrong, and nobody's."""
    times = 4 * bench.sizes.rounds
    alone, wrong, nobodys, cpu, together, slowest = uvloop.run(_login(bench.disk, times))
    condition = f"argon2id 64 MiB, 3 passes, 1 thread, in process, {bench.disk_name}"
    yield Figure(name="login", condition=condition, unit="ms", value=1000 * median(alone))
    yield Figure(name="login, CPU", condition=condition, unit="ms", value=1000 * cpu / times)
    yield Figure(
        name="login, what its time tells of who there is",
        condition=f"{condition}; wrong password against unknown user, p50 of pairs",
        unit="ms",
        # One after the other in pairs, so that what else the machine does meets both.
        value=1000 * abs(median([one - other for one, other in zip(wrong, nobodys, strict=True)])),
        goal=Goal(10),
    )
    crowd = f"{condition}; {len(together)} at once, {AT_ONCE} hashed at a time"
    yield Figure(name="login, in a crowd, p50", condition=crowd, unit="ms", value=1000 * median(together))
    yield Figure(
        name="longest the event loop stood still meanwhile", condition=crowd, unit="ms", value=1000 * slowest
    )


def token_check(bench: Bench) -> Iterator[Figure]:
    """What a request with a token takes before anything is done: whose it is, and whether they may come in."""
    taken, cpu = uvloop.run(_token_check(bench.disk, 5 * bench.sizes.rounds))
    condition = f"1000 people with a token each, one request at a time, in process, {bench.disk_name}"
    yield Figure(name="token check, p50", condition=condition, unit="ms", value=1000 * median(taken))
    yield Figure(name="token check, p99", condition=condition, unit="ms", value=1000 * percentile(taken, 99))
    yield Figure(name="token check, CPU", condition=condition, unit="ms", value=1000 * cpu / len(taken))


async def _login(
    disk: Path, times: int
) -> tuple[list[float], list[float], list[float], float, list[float], float]:
    async with _desk(disk) as desk:
        await people.add(desk, UserAdd(id="alice", password=_PASSWORD))
        await _timed(desk, "alice", _PASSWORD, 0)  # imports and compiles what the first one does
        began = process_time()
        alone = [await _timed(desk, "alice", _PASSWORD, 0) for _ in range(times)]
        cpu = process_time() - began
        wrong: list[float] = []
        nobodys: list[float] = []
        for number in range(times):
            wrong.append(await _timed(desk, "alice", "two red herrings", number))
            nobodys.append(await _timed(desk, "nobody", _PASSWORD, number))
        pulse = asyncio.create_task(_pulse())
        together = await asyncio.gather(*(_timed(desk, "alice", _PASSWORD, number) for number in range(8)))
        pulse.cancel()
        [slowest] = await asyncio.gather(pulse)
        return alone, wrong, nobodys, cpu, together, slowest


async def _timed(desk: Desk, username: str, password: str, place: int) -> float:
    began = perf_counter()
    try:
        ask = Login(username=username, password=password)
        await logins.login(desk, ask, source=f"10.0.{place // 250}.{place % 250}", device_name="benchmark")
    except RookeryError:
        pass  # a wrong one
    return perf_counter() - began


async def _pulse() -> float:
    """The longest pause between two steps of the loop, until it is cancelled."""
    longest = 0.0
    before = perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            now = perf_counter()
            longest, before = max(longest, now - before - 0.001), now
    except asyncio.CancelledError:
        return longest


async def _token_check(disk: Path, rounds: int) -> tuple[list[float], float]:
    async with _desk(disk) as desk:
        heads: list[Head] = []
        for number in range(1000):
            await people.add(desk, UserAdd(id=f"person{number}"))
            made = await credentials.create_token(desk, TokenNew(user_id=f"person{number}"))
            headers = {"host": "localhost", "authorization": f"Bearer {made.token}"}
            heads.append(Head("GET", "/api/me", headers))
        entry = Front.of(desk).entry
        scope: dict[str, Any] = {"type": "http", "scheme": "http", "client": ("127.0.0.1", 1)}
        taken: list[float] = []
        began = process_time()
        for number in range(rounds * _LOOPS):
            before = perf_counter()
            caller = await entry.caller(scope, heads[number % len(heads)])
            taken.append(perf_counter() - before)
            assert isinstance(caller, Caller), "everybody's token is good"
        return taken, process_time() - began


@asynccontextmanager
async def _desk(disk: Path) -> AsyncGenerator[Desk]:
    directory = Path(mkdtemp(prefix="rookery-bench-", dir=disk))
    home = Home(directory / "home")
    home.prepare()
    config = Config()
    try:
        async with open_house(home, config, now=lambda: datetime.now(UTC), log=silent_log(), grace=1) as house:
            yield Desk(house, config, None, None, datetime.now(UTC))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
