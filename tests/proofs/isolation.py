"""`scripts/prove isolation`: people who look alike, on networks and at every door of the web, all at once, and not
a byte of one with another.

Each interleaving has a seed of its own, printed when something went wrong: `--seed SEED --n 1` plays it again.
Every seventh runs on PostgreSQL. Afterwards each mistake that is known from elsewhere is made on purpose, and
has to be noticed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

from tests.isolation.interleaving import Outcome
from tests.isolation.mistakes import MISTAKES
from tests.isolation.trials import caught, one
from tests.proofs.report import Proof

SERVED_EVERY = 7
SAY_EVERY = 100


def main() -> int:
    """Prove it, and return the exit status."""
    arguments = argparse.ArgumentParser(prog="prove isolation", description=__doc__)
    arguments.add_argument("--n", type=int, default=1000, help="interleavings")
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="the first one's seed")
    arguments.add_argument("--minutes", type=float, default=None, help="begin no further one after so long")
    given = arguments.parse_args()
    return asyncio.run(_prove(given.n, given.seed, given.minutes))


async def _prove(n: int, first: int, minutes: float | None) -> int:
    proof = Proof("isolation", first)
    end = None if minutes is None else time.monotonic() + minutes * 60
    outcomes: dict[int, Outcome] = {}
    for seed in range(first, first + n):
        if end is not None and time.monotonic() >= end:
            break
        outcomes[seed] = await one(seed, postgres=_served(seed))
        if outcomes[seed].wrong:
            print(f"seed {seed}: {outcomes[seed].wrong[0]}", flush=True)
        if len(outcomes) % SAY_EVERY == 0:
            print(f"{len(outcomes)} interleavings, {sum(bool(one.wrong) for one in outcomes.values())} failures")
    failures = [f"seed {seed}: {outcome.wrong[0]}" for seed, outcome in outcomes.items() if outcome.wrong]

    missed: list[str] = []
    for mistake in MISTAKES:
        noticed = await caught(mistake)
        print(f"{mistake}: {noticed or 'NOT CAUGHT'}")
        if noticed is None:
            missed.append(f"not caught: {mistake}")
    figures = {
        "on PostgreSQL": sum(map(_served, outcomes)),
        "messages": sum(outcome.messages for outcome in outcomes.values()),
        "prompts looked at": sum(outcome.prompts for outcome in outcomes.values()),
        "replies looked at": sum(outcome.replies for outcome in outcomes.values()),
        "answers and frames looked at": sum(outcome.shown for outcome in outcomes.values()),
        "canaries": sum(outcome.canaries for outcome in outcomes.values()),
        "mutation score": f"{len(MISTAKES) - len(missed)} of {len(MISTAKES)}",
    }
    return proof.ends(len(outcomes), [*failures, *missed], figures)


def _served(seed: int) -> bool:
    return seed % SERVED_EVERY == SERVED_EVERY - 1


if __name__ == "__main__":
    raise SystemExit(main())
