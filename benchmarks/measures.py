"""What is measured, one function a subject; each makes its own homes and gives its figures."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import Any

import msgspec
import uvloop

from benchmarks import homes, process, syncs
from benchmarks.figures import Figure, Goal, median, percentile
from benchmarks.homes import People
from benchmarks.load import Heard, Job
from rookery.ids import AgentId
from rookery.sessions import Brain, FileBrains
from rookery.storage.threads import WriterThreads


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. `rounds` and `starts` are repeated measures of which the median counts."""

    alone_people: int = 50
    alone_turns: int = 5
    rounds: int = 3
    together_turns: int = 1280
    starts: int = 5
    people: int = 1000
    sessions_each: int = 10
    listed: int = 10_000
    listings: int = 100
    counted_turns: int = 5
    sockets: int = 1000
    watchers: int = 50
    streamed_words: int = 1000
    paced_turns: int = 2
    fair_turns: int = 14
    flood: int = 1000
    talk_turns: int = 20


QUICK = Sizes(
    alone_people=4,
    alone_turns=3,
    rounds=1,
    together_turns=160,
    starts=1,
    people=64,
    sessions_each=2,
    listed=500,
    listings=5,
    counted_turns=3,
    sockets=50,
    watchers=5,
    streamed_words=100,
    paced_turns=1,
    fair_turns=2,
    flood=50,
    talk_turns=4,
)
"""Enough to see that everything works, too little to say how fast it is."""

DISK = "disk"
"""What a real disk is called in a condition."""

TOGETHER = 32
"""Sessions at once."""

LONG = 200
"""Messages of history in a long session."""

TURNS_A_SECOND = {20: Goal(350, 700, at_least=True), 200: Goal(200, 400, at_least=True)}
"""How many, by the tokens of a reply."""

CPU_A_TURN = Goal(3, 1.5)
"""Milliseconds, for a reply of 20 tokens."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measure needs: the endpoint, the gateway's command, how much, and a place on a disk."""

    endpoint: str
    command: Sequence[str]
    sizes: Sizes
    disk: Path
    disk_name: str

    @property
    def synced(self) -> bool:
        """Whether it is a real disk: where the figures that were asked for are taken."""
        return self.disk_name == DISK

    @contextmanager
    def home(self, *groups: People, **more: Any) -> Generator[tuple[Path, int]]:
        """A home of its own for the block, and the port its replies go to; `more` is for its configuration."""
        directory = Path(mkdtemp(prefix="rookery-bench-", dir=self.disk))
        port = process.free_port()
        try:
            made = homes.make(directory, groups, endpoint=self.endpoint, callback_port=port, more=more)
            yield made, port
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def gateway(
        self, home: Path, environ: dict[str, str] | None = None
    ) -> AbstractContextManager[process.Gateway]:
        """The gateway of a home, running for the block."""
        return process.gateway(home, self.command, environ)

    def bare(self, turns: int, model: str) -> Heard:
        """So many requests straight to the endpoint, 32 at once."""
        people = tuple(map(str, range(TOGETHER)))
        return _load(Job(kind="bare", people=people, turns=turns, endpoint=self.endpoint, model=model))


def added_latency(bench: Bench) -> Iterator[Figure]:
    """One message at a time: what the gateway adds to the endpoint's own time, short and long sessions."""
    sizes = bench.sizes
    kinds = {
        f"fresh sessions (2 to {2 * sizes.alone_turns} messages)": People("fresh", sizes.alone_people),
        f"{LONG} messages of history": People("long", sizes.alone_people, sessions=1, history=LONG),
    }
    with bench.home(*kinds.values()) as (home, port), bench.gateway(home) as gateway:
        for kind, people in kinds.items():
            heard = _load(
                Job(
                    kind="alone",
                    people=people.ids,
                    turns=sizes.alone_turns,
                    endpoint=bench.endpoint,
                    model=homes.answers(20),
                    bare_history=people.history,
                    gateway=gateway.url,
                    gateway_pid=gateway.pid,
                    secret=homes.SECRET,
                    callback_port=port,
                )
            )
            bare = percentile(heard.bare, 50)
            condition = f"{kind}, 20-token replies in one write, OpenAI format, {bench.disk_name}"
            for percent, goal in ((50, Goal(5, 3)), (99, Goal(15, 8))):
                yield Figure(
                    name=f"webhook turn, added latency p{percent}",
                    condition=condition,
                    unit="ms",
                    value=1000 * (percentile(heard.turns, percent) - bare),
                    bare=1000 * percentile(heard.bare, percent),
                    goal=goal,
                )


def throughput(bench: Bench) -> Iterator[Figure]:
    """32 people at once, each writing again as soon as they are answered."""
    sizes = bench.sizes
    groups = {
        words: [People(f"w{words}-{number}-", TOGETHER, homes.answers(words)) for number in range(sizes.rounds)]
        for words in (20, 200)
    }
    with bench.home(*groups[20], *groups[200]) as (home, port), bench.gateway(home) as gateway:
        for words, rounds in groups.items():
            bare: list[Heard] = []
            heard: list[Heard] = []
            for people in rounds:
                bare.append(bench.bare(sizes.together_turns, homes.answers(words)))
                heard.append(
                    _load(
                        Job(
                            kind="together",
                            people=people.ids,
                            turns=sizes.together_turns,
                            endpoint=bench.endpoint,
                            model=homes.answers(words),
                            gateway=gateway.url,
                            gateway_pid=gateway.pid,
                            secret=homes.SECRET,
                            callback_port=port,
                        )
                    )
                )
            history = 2 * (sizes.together_turns // TOGETHER + 1)
            condition = (
                f"{TOGETHER} sessions at once, 2 to ~{history} messages, {words}-token replies in one write, "
                f"OpenAI format, {bench.disk_name}"
            )
            yield Figure(
                name="webhook turns a second",
                condition=condition,
                unit="/s",
                value=median([sizes.together_turns / each.seconds for each in heard]),
                bare=median([sizes.together_turns / each.seconds for each in bare]),
                goal=TURNS_A_SECOND[words],
                first=bench.synced,
            )
            yield Figure(
                name="a webhook turn's latency p99 meanwhile",
                condition=condition,
                unit="ms",
                value=1000 * median([percentile(each.turns, 99) for each in heard]),
                bare=1000 * median([percentile(each.turns, 99) for each in bare]),
            )
            yield Figure(
                name="CPU a webhook turn",
                condition=condition,
                unit="ms",
                value=1000 * median([each.gateway_cpu / sizes.together_turns for each in heard]),
                goal=CPU_A_TURN if words == 20 else None,
                first=bench.synced and words == 20,
            )


def synced_commits(bench: Bench) -> Iterator[Figure]:
    """How many synced commits a plain turn costs, one at a time, so that none shares another's sync."""
    sizes = bench.sizes
    people = People("counted", sizes.alone_people)
    with bench.home(people) as (home, port):
        counter = syncs.Counter(home)
        with bench.gateway(home, counter.environ) as gateway:
            job = Job(
                kind="alone",
                people=people.ids,
                turns=0,
                endpoint=bench.endpoint,
                model=homes.answers(20),
                gateway=gateway.url,
                gateway_pid=gateway.pid,
                secret=homes.SECRET,
                callback_port=port,
            )
            _load(job)  # makes the brains
            time.sleep(0.5)  # the last delivery is marked after its callback
            before = counter.read()
            # Each person's first message of a job is one more.
            turns = (sizes.counted_turns + 1) * people.count
            _load(msgspec.structs.replace(job, turns=sizes.counted_turns))
            time.sleep(0.5)
            counts = counter.read().since(before)
    condition = f"one message at a time, {turns} turns"
    yield Figure(
        name="synced commits a turn", condition=condition, unit="", value=counts.commits / turns, goal=Goal(5)
    )
    yield Figure(
        name="syncs a turn, checkpoints included", condition=condition, unit="", value=sum(counts) / turns
    )


def start(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to the first 200 of /readyz, and what the process holds then."""
    sizes = bench.sizes
    full = People("person", sizes.people, sessions=sizes.sessions_each, history=2)
    kinds = {
        "empty home": (),
        "home as the last run left it, 1 person": (People("only", 1),),
        f"{full.count} people, {full.count * full.sessions} sessions": (full,),
    }
    for kind, groups in kinds.items():
        taken: list[float] = []
        held: list[process.Memory] = []
        with bench.home(*groups) as (home, _):
            for _ in range(sizes.starts + 1):
                if not groups:
                    for file in home.glob("gateway.db*"):
                        file.unlink()
                with bench.gateway(home) as gateway:
                    taken.append(gateway.seconds)
                    time.sleep(0.5)
                    held.append(process.memory(gateway.pid))
        counted = taken[1:]  # the first one compiles what is not compiled yet and warms the disk's cache
        yield Figure(
            name="start to ready, median",
            condition=kind,
            unit="s",
            value=median(counted),
            goal=Goal(0.7 if full in groups else 0.6, 0.3),
            first=full in groups or not groups,
        )
        yield Figure(name="start to ready, fastest", condition=kind, unit="s", value=min(counted))
        if groups:
            yield Figure(
                name="idle memory, RSS",
                condition=kind,
                unit="MB",
                value=median([memory.rss for memory in held]),
                goal=Goal(95, 80),
                first=True,
            )
            yield Figure(
                name="idle memory, PSS", condition=kind, unit="MB", value=median([memory.pss for memory in held])
            )


def memory_after_talk(bench: Bench) -> Iterator[Figure]:
    """What the process holds after everybody wrote once."""
    people = People("person", bench.sizes.people, sessions=bench.sizes.sessions_each, history=2)
    with bench.home(people) as (home, port), bench.gateway(home) as gateway:
        heard = _load(
            Job(
                kind="once",
                people=people.ids,
                turns=people.count,
                endpoint=bench.endpoint,
                model=homes.answers(20),
                gateway=gateway.url,
                gateway_pid=gateway.pid,
                secret=homes.SECRET,
                callback_port=port,
            )
        )
        time.sleep(0.5)
        held = process.memory(gateway.pid)
    condition = f"after {people.count} people wrote once"
    yield Figure(
        name="memory, RSS", condition=condition, unit="MB", value=held.rss, goal=Goal(180, 140), first=True
    )
    yield Figure(name="memory, PSS", condition=condition, unit="MB", value=held.pss)
    yield Figure(
        name="first turns a second",
        condition=f"{people.count} people, {TOGETHER} at once, each brain opened for it, {bench.disk_name}",
        unit="/s",
        value=people.count / heard.seconds,
    )


def listing(bench: Bench) -> Iterator[Figure]:
    """The latest 100 sessions of a brain that has many, as a list shows them."""
    directory = Path(mkdtemp(prefix="rookery-bench-", dir=bench.disk))
    try:
        first, again, changed = uvloop.run(_list(directory, bench.sizes))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    condition = f"100 of {bench.sizes.listed} sessions of one brain, in process"
    yield Figure(
        name="listing", condition=condition, unit="ms", value=1000 * median(again), goal=Goal(5, 3), first=True
    )
    yield Figure(
        name="listing, after one session grew",
        condition=condition,
        unit="ms",
        value=1000 * median(changed),
        goal=Goal(5, 3),
        first=True,
    )
    yield Figure(name="listing, the brain just opened", condition=condition, unit="ms", value=1000 * first)


async def _list(directory: Path, sizes: Sizes) -> tuple[float, list[float], list[float]]:
    agent_id = AgentId("lister")
    opened = list(homes.sessions_of(agent_id, sizes.listed, datetime.now(UTC)))
    await homes.write_transcripts(directory, opened, history=2)
    threads = WriterThreads(2)
    brains = FileBrains(directory, threads)
    async with brains.use(agent_id) as brain:
        await brain.catch_up()
    await brains.close()
    async with brains.use(agent_id) as brain:
        first = await _timed_listing(brain)
        again = [await _timed_listing(brain) for _ in range(sizes.listings)]
        changed: list[float] = []
        for number, place in enumerate(opened[: sizes.listings]):
            session = await brain.open_session(place.session_id, place.opened_key, place.moved_at)
            await session.append(homes.said(place, f"more-{number}"))
            changed.append(await _timed_listing(brain))
    await brains.close()
    await threads.close()
    return first, again, changed


async def _timed_listing(brain: Brain) -> float:
    began = perf_counter()
    page = await brain.sessions(100)
    taken = perf_counter() - began
    assert len(page) == 100, "there are more than are asked for"
    return taken


def _load(job: Job) -> Heard:
    """Have the load's own process do a job. Raises `RuntimeError` when a message stays unanswered."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        cwd=process.ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"The load {job.kind!r} ended with status {done.returncode}.")
    return msgspec.json.decode(done.stdout, type=Heard)
