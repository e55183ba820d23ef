"""What people feel of somebody else's trouble: each beside the same people alone, on the same gateway."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import homes, process
from benchmarks.crowd import PAUSE, Crowd, Felt, Trouble
from benchmarks.figures import Figure, Goal, percentile
from benchmarks.homes import People
from benchmarks.load import OPENAI
from benchmarks.measures import Bench

OTHERS = 12
"""People who talk calmly."""

SLOTS, EACH = 16, 3
"""Model calls at once, in all and for one person: what `models.limits` says when nothing is configured."""

CALM = f"{OPENAI}/paced:80x20~5"
"""What the others are answered by: 15 to 25 tokens, 80 a second."""

_GOAL = Goal(1.2)


@dataclass(frozen=True, slots=True)
class _Scene:
    """One trouble: who makes it, how, and what the configuration says besides."""

    what: str
    model: str
    people: int
    lines: int
    pause: float = 0.0
    once: bool = False
    others: str = CALM
    models: Mapping[str, Any] = field(default_factory=dict[str, Any])
    goal: Goal | None = _GOAL


def _scenes(bench: Bench) -> Iterator[_Scene]:
    flood = bench.sizes.flood
    limits = {"maxConcurrent": SLOTS, "perUser": EACH}
    yield _Scene(
        "one person's answers are slow: 3 at once, 10 tokens a second",
        model=f"{OPENAI}/paced:10x40",
        people=1,
        lines=3,
        models={"limits": limits},
    )
    hanging = _provider(bench, timeoutSeconds=2)
    yield _Scene(
        "3 people's provider hangs, 2 s until it is given up, the others' is its fallback",
        model="hanging/hang",
        people=3,
        lines=3,
        models={"limits": limits, "fallbacks": [CALM], "providers": {"hanging": hanging}},
    )
    yield _Scene(
        "8 people's provider answers 429 (again in 30 s), and they ask again after 20 ms",
        model="stormy/429:30",
        people=8,
        lines=8,
        pause=0.02,
        models={"limits": limits, "providers": {"stormy": _provider(bench)}},
    )
    yield _Scene(
        f"{flood} queued turns of one person, each in a session of its own",
        model=CALM,
        people=1,
        lines=flood,
        once=True,
        models={"limits": limits},
    )
    yield _Scene(
        f"{flood} queued turns of one person, who may have all {SLOTS} calls: only the order shares",
        model=CALM,
        people=1,
        lines=flood,
        once=True,
        models={"limits": limits | {"perUser": SLOTS}},
        goal=None,
    )
    yield _Scene(
        f"{flood} turns of one person, asked again at once, the endpoint instant: the processor is what is shared",
        model=f"{OPENAI}/instant:20",
        people=1,
        lines=flood,
        others=f"{OPENAI}/instant:20",
        models={"limits": limits},
        goal=None,
    )


def fairness(bench: Bench) -> Iterator[Figure]:
    """People beside somebody else's trouble, over `/v1`: their turns against the same alone, just before."""
    for scene in _scenes(bench):
        others = People("other", OTHERS, scene.others, tokens=True)
        makers = People("maker", scene.people, scene.model, tokens=True)
        with bench.home(others, makers, models=scene.models) as (home, _), bench.gateway(home) as gateway:
            alone = _crowd(bench, home, gateway, others)
            trouble = Trouble(tokens=_tokens(home, makers), lines=scene.lines, pause=scene.pause, once=scene.once)
            felt = _crowd(bench, home, gateway, others, trouble)
        paced = "15 to 25 tokens, 80 a second" if scene.others == CALM else "20 tokens at once"
        condition = (
            f"{scene.what}; {OTHERS} people, {paced}, {1000 * PAUSE[0]:.0f} to {1000 * PAUSE[1]:.0f} ms between, "
            f"{SLOTS} calls at once, {EACH} of one person unless said otherwise, OpenAI format, {bench.disk_name}"
        )
        p95 = percentile(felt.turns, 95)
        yield Figure(
            name="others' turn p95, against alone",
            condition=condition,
            unit="×",
            value=p95 / percentile(alone.turns, 95),
            goal=scene.goal,
            first=scene.goal is not None,
        )
        for whose, value in (
            ("others' turn p95, alone", percentile(alone.turns, 95)),
            ("others' turn p95, meanwhile", p95),
            ("others' slowest turn meanwhile", max(felt.turns)),
        ):
            yield Figure(name=whose, condition=scene.what, unit="ms", value=1000 * value)
        yield from _troublemakers(scene, felt)


def _troublemakers(scene: _Scene, felt: Felt) -> Iterator[Figure]:
    """How those fared who made the trouble."""
    seconds = felt.seconds
    yield Figure(
        name="troublemakers' own turns answered",
        condition=f"{scene.what}; in {seconds:.1f} s",
        unit="/s",
        value=len(felt.trouble) / seconds,
    )
    if felt.refused:
        yield Figure(
            name="troublemakers' own turns that ended in an error",
            condition=scene.what,
            unit="/s",
            value=felt.refused / seconds,
        )
    for percent in (50, 100) if felt.trouble else ():
        yield Figure(
            name=f"troublemakers' own turns, {'median' if percent == 50 else 'longest'} of those answered",
            condition=scene.what,
            unit="ms",
            value=1000 * percentile(felt.trouble, percent),
        )


def _provider(bench: Bench, **more: object) -> dict[str, object]:
    return {"api": "openai", "baseUrl": f"{bench.endpoint}/v1", **more}


def _tokens(home: Path, people: People) -> tuple[str, ...]:
    given = homes.tokens_of(home)
    return tuple(given[id] for id in people.ids)


def _crowd(
    bench: Bench, home: Path, gateway: process.Gateway, others: People, trouble: Trouble | None = None
) -> Felt:
    """Have the crowd's own process talk. Raises `RuntimeError` when one of the others stays unanswered."""
    crowd = Crowd(
        gateway=gateway.url,
        gateway_pid=gateway.pid,
        tokens=_tokens(home, others),
        turns=bench.sizes.fair_turns,
        trouble=trouble,
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.crowd"],
        input=msgspec.json.encode(crowd),
        stdout=subprocess.PIPE,
        cwd=process.ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"The crowd ended with status {done.returncode}.")
    return msgspec.json.decode(done.stdout, type=Felt)
