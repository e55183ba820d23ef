"""What open sockets cost: a thousand that hear nothing, and fifty that hear every word of an answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import uvloop
from sqlalchemy import Connection

from benchmarks import process
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.homes import People
from benchmarks.listeners import Watch, Watched
from benchmarks.measures import Bench
from rookery import users
from rookery.gateway.home import Home
from rookery.ids import AgentId, UserId
from rookery.storage.sqlite import SqliteDatabase
from rookery.users import CredentialKind, credentials

EACH = 20
"""Sockets of one person, as somebody who leaves many pages open has."""

RATE = 100
"""Words a second of the answer that is watched."""


def idle_sockets(bench: Bench) -> Iterator[Figure]:
    """What a gateway holds for sockets on which nothing happens."""
    count = bench.sizes.sockets
    people = People("person", -(-count // EACH))
    with bench.home(people) as (home, _):
        tokens = uvloop.run(_tokens(home, people.ids))
        with bench.gateway(home) as gateway:
            watched = _watch(
                Watch(
                    kind="idle",
                    gateway=gateway.url,
                    gateway_pid=gateway.pid,
                    tokens=tuple(token for token in tokens for _ in range(EACH))[:count],
                )
            )
    yield Figure(
        name="idle sockets, memory more than none",
        condition=f"{count} sockets of {people.count} people",
        unit="MB",
        value=watched.after - watched.before,
        goal=Goal(60),
    )


def fan_out(bench: Bench) -> Iterator[Figure]:
    """One answer, watched on many sockets, as text and as a page has it."""
    words, watchers = bench.sizes.streamed_words, bench.sizes.watchers
    for kind, query in (("text", ""), ("HTML patches", "render=html")):
        people = People("watched", 1)
        with bench.home(people) as (home, _):
            [token] = uvloop.run(_tokens(home, people.ids, model=f"bench/paced:{RATE}x{words}"))
            with bench.gateway(home) as gateway:
                watched = _watch(
                    Watch(
                        kind="stream",
                        gateway=gateway.url,
                        gateway_pid=gateway.pid,
                        tokens=(token,) * watchers,
                        session=f"agent:{people.ids[0]}:main",
                        query=query,
                    )
                )
        if len(watched.latencies) != words * watchers:
            raise RuntimeError(f"{len(watched.latencies)} words were heard, not {words} by each of {watchers}.")
        condition = f"{RATE} words a second to {watchers} sockets of one person, {kind}"
        yield Figure(
            name="fan-out, share of one core",
            condition=condition,
            unit="%",
            value=100 * watched.gateway_cpu / watched.seconds,
        )
        for percent in (50, 99):
            yield Figure(
                name=f"fan-out, from the model to the socket p{percent}",
                condition=condition,
                unit="ms",
                value=1000 * percentile(watched.latencies, percent),
            )
        yield Figure(
            name="fan-out, events a second",
            condition=condition,
            unit="/s",
            value=watched.frames / watchers / watched.seconds,
            goal=Goal(31),
        )


async def _tokens(home: Path, people: Sequence[str], model: str | None = None) -> list[str]:
    """A token for each person, in order; and the model that answers them, where it is another one."""
    database = SqliteDatabase(Home(home).database)
    now = datetime.now(UTC)
    try:
        return [await database.write(partial(_issue, UserId(person), model, now)) for person in people]
    finally:
        await database.close()


def _issue(person: UserId, model: str | None, now: datetime, connection: Connection) -> str:
    if model is not None:
        users.set_model(connection, AgentId(person), model)
    return credentials.issue(connection, person, CredentialKind.TOKEN, "benchmark", now=now).secret


def _watch(watch: Watch) -> Watched:
    """Have the watchers' own process do a job. Raises `RuntimeError` when it could not."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.listeners"],
        input=msgspec.json.encode(watch),
        stdout=subprocess.PIPE,
        cwd=process.ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"The watchers ({watch.kind}) ended with status {done.returncode}.")
    return msgspec.json.decode(done.stdout, type=Watched)
