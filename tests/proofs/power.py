"""`scripts/prove power`: power cuts under the database and under the transcripts, each from a seed of its own."""

from __future__ import annotations

import argparse
import asyncio
import random
import time

from tests.durability.power_cuts import cut_under_the_database, cut_under_the_transcripts, operations_of, prepared
from tests.durability.sweeps import directory
from tests.proofs.report import Proof


def main() -> int:
    """Prove it, and return the exit status."""
    arguments = argparse.ArgumentParser(prog="prove power", description=__doc__)
    arguments.add_argument("--cuts", type=int, default=10_000, help="so many under each of the two")
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    arguments.add_argument("--minutes", type=float, default=None, help="make no further cut after so long")
    given = arguments.parse_args()
    return asyncio.run(_prove(given.cuts, given.seed, given.minutes))


async def _prove(cuts: int, seed: int, minutes: float | None) -> int:
    proof = Proof("power", seed)
    end = None if minutes is None else time.monotonic() + minutes * 60
    files = await prepared()
    operations = await operations_of(files)
    failures: list[str] = []
    done = 0
    while done < cuts and (end is None or time.monotonic() < end):
        failures += await cut_under_the_database(files, seed + done, operations)
        with directory(in_memory=True) as home:
            failures += await cut_under_the_transcripts(home, seed + done)
        done += 1
    figures = {"cuts under the database": done, "cuts under the transcripts": 2 * done}
    return proof.ends(3 * done, failures, figures)


if __name__ == "__main__":
    raise SystemExit(main())
