"""What `/v1` adds to the endpoint's own time, and how many of its turns go through in a second."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks import homes, process
from benchmarks.clients import Answered, Asking
from benchmarks.figures import Figure, Goal, median, percentile
from benchmarks.homes import People
from benchmarks.measures import LONG, TOGETHER, Bench


def added_latency_v1(bench: Bench) -> Iterator[Figure]:
    """One question at a time, streamed: to the first word, and to the end, short and long, named and nameless."""
    sizes = bench.sizes
    fresh = People("v1-fresh", sizes.alone_people, tokens=True)
    long = People("v1-long", sizes.alone_people, sessions=1, history=LONG, tokens=True)
    kinds = (
        ("named, fresh sessions", fresh, "bench", 0),
        (f"named, {LONG} messages of history", long, "agent:{id}:main", LONG),
        ("nameless, one message", fresh, None, 0),
        (f"nameless, {LONG} messages in the request", fresh, None, LONG),
    )
    with bench.home(fresh, long) as (home, _), bench.gateway(home) as gateway:
        for kind, people, session, history in kinds:
            heard = _ask(bench, home, gateway, people, session=session, history=history)
            yield from _added(heard, f"{kind}, streamed, 20-token replies, {bench.disk_name}")


def throughput_v1(bench: Bench) -> Iterator[Figure]:
    """32 people at once, each asking again as soon as they are answered."""
    sizes = bench.sizes
    for stream in (True, False):
        rounds = [People(f"v1-{number}-", TOGETHER, tokens=True) for number in range(sizes.rounds)]
        bare = [bench.bare(sizes.together_turns, 20) for _ in rounds]
        with bench.home(*rounds) as (home, _), bench.gateway(home) as gateway:
            heard = [
                _ask(bench, home, gateway, people, session="bench", stream=stream, at_once=True)
                for people in rounds
            ]
        how = "streamed" if stream else "whole"
        condition = f"{TOGETHER} named sessions at once, {how}, 20-token replies, {bench.disk_name}"
        yield Figure(
            name="/v1 turns a second",
            condition=condition,
            unit="/s",
            value=median([len(each.turns) / each.seconds for each in heard]),
            bare=median([sizes.together_turns / each.seconds for each in bare]),
            goal=Goal(300, at_least=True),
        )
        yield Figure(
            name="/v1 turn's latency p99 meanwhile",
            condition=condition,
            unit="ms",
            value=1000 * median([percentile(each.turns, 99) for each in heard]),
        )
        yield Figure(
            name="CPU a /v1 turn",
            condition=condition,
            unit="ms",
            value=1000 * median([each.gateway_cpu / len(each.turns) for each in heard]),
        )


def _added(heard: Answered, condition: str) -> Iterator[Figure]:
    for what, values, compared in (
        ("to the first word", heard.first, heard.bare_first),
        ("to the end", heard.turns, heard.bare),
    ):
        for percent, goal in ((50, Goal(5)), (99, None)):
            yield Figure(
                name=f"/v1, added latency {what}, p{percent}",
                condition=condition,
                unit="ms",
                value=1000 * (percentile(values, percent) - percentile(compared, 50)),
                bare=1000 * percentile(compared, percent),
                goal=goal,
            )


def _ask(
    bench: Bench,
    home: Path,
    gateway: process.Gateway,
    people: People,
    *,
    session: str | None = None,
    history: int = 0,
    stream: bool = True,
    at_once: bool = False,
) -> Answered:
    """Have the load's own process ask; `{id}` in a session's name is the person's.

    Raises `RuntimeError` when a question stays unanswered.
    """
    tokens = homes.tokens_of(home)
    asking = Asking(
        at_once=at_once,
        tokens=tuple(tokens[id] for id in people.ids),
        turns=bench.sizes.together_turns if at_once else bench.sizes.alone_turns,
        endpoint=bench.endpoint,
        model=homes.model(20),
        gateway=gateway.url,
        gateway_pid=gateway.pid,
        sessions=tuple(None if session is None else session.format(id=id) for id in people.ids),
        history=history,
        stream=stream,
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.clients"],
        input=msgspec.json.encode(asking),
        stdout=subprocess.PIPE,
        cwd=process.ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"The load of /v1 ended with status {done.returncode}.")
    return msgspec.json.decode(done.stdout, type=Answered)
