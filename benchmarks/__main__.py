"""`python -m benchmarks`: measure everything, print it, and write it down."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import completions, fairness, logins, measures, pace, process, prompts, sockets, syncs
from benchmarks.figures import Chapter, Figure, Report, show, write_json, write_page
from benchmarks.measures import DISK, QUICK, Bench, Sizes

Measure = Callable[[Bench], Iterator[Figure]]

ON_EACH_DISK: tuple[Measure, ...] = (
    measures.added_latency,
    measures.throughput,
    completions.added_latency_v1,
    completions.throughput_v1,
)
ON_DISK: tuple[Measure, ...] = (
    completions.paced_tokens,
    fairness.fairness,
    prompts.prompt_prefix,
    measures.start,
    measures.memory_after_talk,
    measures.listing,
    logins.login,
    logins.token_check,
    sockets.idle_sockets,
    sockets.fan_out,
)

IN_MEMORY = Path("/dev/shm")
"""Where a sync takes no time, so that what is left is the gateway's own work; Linux has it."""

PAGE = process.ROOT / "docs" / "benchmarks.md"
REPORTS = process.ROOT / "reports"


def main() -> int:
    """Run what the command line says; 0 when everything could be measured, whatever came out."""
    asked = _arguments()
    began = time.perf_counter()
    chapters: list[Chapter] = []
    syncs_took: list[float] = []
    paces: list[float] = []
    load: list[float] = []
    with process.endpoint() as endpoint:
        bench = Bench(endpoint, shlex.split(asked.gateway), QUICK if asked.quick else Sizes(), asked.disk, DISK)
        for measure, on in _plan(bench):
            if asked.only and asked.only not in measure.__name__:
                continue
            print(f"{time.perf_counter() - began:5.0f} s  {measure.__name__}, {on.disk_name}", file=sys.stderr)
            load.append(os.getloadavg()[0])
            syncs_took.append(syncs.time_of_one(bench.disk))
            paces.append(pace.time_of_fixed_work())
            chapters.append(Chapter(_about(measure, on), tuple(measure(on))))
    report = Report(
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=_machine(),
        notes=_notes(syncs_took, paces, load),
        seconds=time.perf_counter() - began,
        chapters=tuple(chapters),
    )
    show(report)
    write_json(report, REPORTS / ("benchmarks-quick.json" if asked.quick else "benchmarks.json"))
    if not (asked.quick or asked.only):
        write_page(report, PAGE)
    return 0


def _plan(bench: Bench) -> Iterator[tuple[Measure, Bench]]:
    in_memory = replace(bench, disk=IN_MEMORY, disk_name="memory for a disk")
    for measure in ON_EACH_DISK:
        yield measure, bench
        if IN_MEMORY.is_dir():
            yield measure, in_memory
    if syncs.can_count():
        yield measures.synced_commits, bench
    for measure in ON_DISK:
        yield measure, bench


def _about(measure: Measure, on: Bench) -> str:
    assert measure.__doc__ is not None, "every measure says what it measures"
    return measure.__doc__.strip() if on.synced else f"{measure.__doc__.strip()} With {on.disk_name}."


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="only see whether everything works, in a minute or so"
    )
    parser.add_argument("--only", default="", metavar="NAME", help="only measures whose name holds NAME")
    parser.add_argument(
        "--disk", type=Path, default=Path(tempfile.gettempdir()), metavar="DIR", help="where the homes are made"
    )
    parser.add_argument(
        "--gateway",
        default=shlex.join(process.GATEWAY),
        metavar="COMMAND",
        help="the command to run as the gateway, up to the word `up`; for profilers",
    )
    return parser.parse_args()


def _notes(syncs_took: Sequence[float], paces: Sequence[float], load: Sequence[float]) -> tuple[str, ...]:
    synced = (
        f"One synced append of 500 bytes took {_range(syncs_took, 1000)} ms on the disk; a turn's reply waits for "
        "four such, one after another. “Memory for a disk” is where a sync takes no time."
    )
    busy = (
        f"The load average was {_range(load)} meanwhile; load and endpoint run on the same machine as the gateway."
    )
    now = (
        f"The machine's pace: the same Python (`pace.py`) took {_range(paces, 1000)} ms of processor time. "
        "Shared processors are not always equally fast; two runs are compared by it."
    )
    bare = (
        "The bare endpoint's figures are for the same client, the same number of lines, and as many messages in "
        "the request. Instant answers come at once, all deltas in one write, unless a row says otherwise; load, "
        "endpoint and gateway share the processors, so a figure a second holds the endpoint's work too."
    )
    return synced, now, busy, bare


def _machine() -> str:
    return f"{os.cpu_count()} cores {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def _range(values: Sequence[float], factor: float = 1) -> str:
    return f"{min(values) * factor:.2g} to {max(values) * factor:.2g}"


if __name__ == "__main__":
    sys.exit(main())
