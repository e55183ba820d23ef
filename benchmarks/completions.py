"""What `/v1` adds to the endpoint's own time, how many turns go through in a second, and what a token costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from benchmarks import homes, process
from benchmarks.clients import SESSION, Answered, Asking, Kind, Times
from benchmarks.figures import Figure, Goal, median, percentile
from benchmarks.homes import People
from benchmarks.load import ANTHROPIC, OPENAI
from benchmarks.measures import CPU_A_TURN, LONG, TOGETHER, TURNS_A_SECOND, Bench
from rookery.sessions.key import Api

FORMATS = {OPENAI: "OpenAI format", ANTHROPIC: "Anthropic format"}

WRITES = {"instant": "in one write", "each": "each delta in its own write"}

PACE = 100
"""Tokens a second of each answer where the CPU of one is measured as it comes."""

_LATENCY = {50: Goal(5, 3), 99: Goal(15, 8)}
_RATIO = Goal(1.2, 1.1)
_TOKEN = Goal(0.06, 0.03)


def added_latency_v1(bench: Bench) -> Iterator[Figure]:
    """`/v1`, one question at a time, streamed: what is added to the endpoint's time, short and long sessions."""
    count = bench.sizes.alone_people
    fresh = People("v1-fresh", count, tokens=True)
    long = People("v1-long", count, sessions=1, history=LONG, tokens=True, place=Api(SESSION))
    whole = People("v1-whole", count, sessions=1, history=LONG, tokens=True, place=Api(SESSION))
    # All brains stay open, as those of people who are talking do.
    storage = {"openBrains": 4 * count}
    with bench.home(fresh, long, whole, storage=storage) as (home, _), bench.gateway(home) as gateway:
        tokens = homes.tokens_of(home)

        def kind(people: People, session: str | None, carried: int, history: int) -> Kind:
            given = tuple(tokens[id] for id in people.ids)
            return Kind(tokens=given, session=session, carried=carried, bare_history=history)

        kinds = {
            "named, fresh sessions": kind(fresh, SESSION, 0, 0),
            f"named, {LONG} messages of history, only the new one sent": kind(long, SESSION, 0, LONG),
            f"named, {LONG} messages of history, all of them sent": kind(whole, SESSION, LONG, LONG),
            "nameless, one message": kind(fresh, None, 0, 0),
            f"nameless, {LONG} messages in the request": kind(fresh, None, LONG, LONG),
        }
        heard = _ask(bench, gateway, tuple(kinds.values()), turns=bench.sizes.alone_turns)
    under = f"streamed, 20-token replies in one write, OpenAI format, {bench.disk_name}"
    added = [_Added.of(times) for times in heard.kinds]
    for what, compared in zip(kinds, added, strict=True):
        yield from compared.figures(f"{what}, {under}", first=what.startswith("named") and bench.synced)
    for what, compared, short in zip(kinds, added, [added[0]] * 3 + [added[3]] * 2, strict=True):
        if compared is not short:
            for where, value, against in (
                ("to the first word", compared.first, short.first),
                ("to the end", compared.end, short.end),
            ):
                yield Figure(
                    name=f"/v1, added latency {where}, p50, against one without a history",
                    condition=f"{what}, {under}",
                    unit="×",
                    value=value / against,
                    goal=_RATIO,
                    first=what.startswith("named") and bench.synced,
                )


def throughput_v1(bench: Bench) -> Iterator[Figure]:
    """`/v1`, 32 people at once, each asking again as soon as they are answered; and what one token more costs."""
    ways = [
        (form, how, tokens, True)
        for form in (FORMATS if bench.synced else [OPENAI])
        for how in WRITES
        for tokens in (20, 200)
    ]
    cpu: dict[tuple[str, str, int], float] = {}
    for form, how, tokens, stream in [*ways, (OPENAI, "instant", 20, False)]:
        model = homes.answers(tokens, form, how)
        people = [People(f"v1-{number}-", TOGETHER, model, tokens=True) for number in range(bench.sizes.rounds)]
        bare = [bench.bare(bench.sizes.together_turns, model) for _ in people]
        with bench.home(*people) as (home, _), bench.gateway(home) as gateway:
            given = homes.tokens_of(home)
            heard = [
                _ask(
                    bench,
                    gateway,
                    (Kind(tokens=tuple(given[id] for id in each.ids), session=SESSION, stream=stream),),
                    turns=bench.sizes.together_turns,
                    at_once=True,
                )
                for each in people
            ]
        told = "streamed" if stream else "whole"
        history = 2 * (bench.sizes.together_turns // TOGETHER + 1)
        condition = (
            f"{TOGETHER} named sessions at once, 2 to ~{history} messages, "
            f"{told}, {tokens}-token replies {WRITES[how]}, {FORMATS[form]}, {bench.disk_name}"
        )
        used = median([each.gateway_cpu / len(each.kinds[0].turns) for each in heard])
        yield Figure(
            name="/v1 turns a second",
            condition=condition,
            unit="/s",
            value=median([len(each.kinds[0].turns) / each.seconds for each in heard]),
            bare=median([bench.sizes.together_turns / each.seconds for each in bare]),
            goal=TURNS_A_SECOND[tokens],
            first=stream and bench.synced,
        )
        yield Figure(
            name="/v1 turn's latency p99 meanwhile",
            condition=condition,
            unit="ms",
            value=1000 * median([percentile(each.kinds[0].turns, 99) for each in heard]),
            bare=1000 * median([percentile(each.turns, 99) for each in bare]),
        )
        yield Figure(
            name="CPU a /v1 turn",
            condition=condition,
            unit="ms",
            value=1000 * used,
            goal=CPU_A_TURN if tokens == 20 else None,
            first=stream and bench.synced and tokens == 20,
        )
        if stream:
            cpu[form, how, tokens] = used
            if tokens == 200:
                yield _token(
                    used - cpu[form, how, 20],
                    f"{TOGETHER} answers at once, {WRITES[how]}, as fast as it goes, {FORMATS[form]}, "
                    f"{bench.disk_name}",
                    first=how == "each" and bench.synced,
                )


def paced_tokens(bench: Bench) -> Iterator[Figure]:
    """`/v1`, what one token more costs while 32 answers are written at the pace of a quick model."""
    for form in FORMATS:
        used: dict[int, float] = {}
        for tokens in (20, 200):
            people = People("paced", TOGETHER, f"{form}/paced:{PACE}x{tokens}", tokens=True)
            # All of them at once, or the gateway's limit on calls would be what is measured.
            models = {"limits": {"maxConcurrent": TOGETHER}}
            with bench.home(people, models=models) as (home, _), bench.gateway(home) as gateway:
                given = homes.tokens_of(home)
                kind = Kind(tokens=tuple(given[id] for id in people.ids), session=SESSION)
                turns = bench.sizes.paced_turns * TOGETHER * 200 // tokens
                heard = _ask(bench, gateway, (kind,), turns=turns, at_once=True)
            used[tokens] = heard.gateway_cpu / len(heard.kinds[0].turns)
        yield _token(
            used[200] - used[20],
            f"{TOGETHER} answers at once, each delta in its own write, {PACE} a second, {FORMATS[form]}, "
            f"{bench.disk_name}",
            first=True,
        )


@dataclass(frozen=True, slots=True)
class _Added:
    """Median seconds that were added to the bare endpoint's, and all that they come from."""

    times: Times
    first: float
    end: float

    @classmethod
    def of(cls, times: Times) -> _Added:
        return cls(
            times,
            percentile(times.first, 50) - percentile(times.bare_first, 50),
            percentile(times.turns, 50) - percentile(times.bare, 50),
        )

    def figures(self, condition: str, *, first: bool) -> Iterator[Figure]:
        times = self.times
        for what, values, compared in (
            ("to the first word", times.first, times.bare_first),
            ("to the end", times.turns, times.bare),
        ):
            for percent, goal in _LATENCY.items():
                yield Figure(
                    name=f"/v1, added latency {what}, p{percent}",
                    condition=condition,
                    unit="ms",
                    value=1000 * (percentile(values, percent) - percentile(compared, 50)),
                    bare=1000 * percentile(compared, percent),
                    goal=goal,
                    first=first,
                )


def _token(more: float, condition: str, *, first: bool) -> Figure:
    """What a token costs, by how much more a reply of 200 takes than one of 20."""
    return Figure(
        name="CPU a streamed token",
        condition=condition,
        unit="ms",
        value=1000 * more / (200 - 20),
        goal=_TOKEN,
        first=first,
    )


def _ask(
    bench: Bench, gateway: process.Gateway, kinds: tuple[Kind, ...], *, turns: int, at_once: bool = False
) -> Answered:
    """Have the load's own process ask. Raises `RuntimeError` when a question stays unanswered."""
    asking = Asking(
        at_once=at_once,
        kinds=kinds,
        turns=turns,
        endpoint=bench.endpoint,
        model=homes.answers(20),
        gateway=gateway.url,
        gateway_pid=gateway.pid,
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
