"""`scripts/prove steps`: random blows at random writes of every scene, several in each play."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter

from tests.durability.lives import Blow, Lives
from tests.durability.scenes import SCENES
from tests.durability.sweeps import play_once
from tests.proofs.report import Proof

WRITES = 24
"""A scene has about so many writes."""


def main() -> int:
    """Prove it, and return the exit status."""
    arguments = argparse.ArgumentParser(prog="prove steps", description=__doc__)
    arguments.add_argument("--plays", type=int, default=5000)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    arguments.add_argument("--minutes", type=float, default=None, help="begin no further play after so long")
    arguments.add_argument("--postgres", action="store_true", help="play on PostgreSQL")
    given = arguments.parse_args()
    return asyncio.run(_prove(given.plays, given.seed, given.minutes, postgres=given.postgres))


async def _prove(plays: int, seed: int, minutes: float | None, *, postgres: bool) -> int:
    proof = Proof("steps-postgres" if postgres else "steps", seed)
    end = None if minutes is None else time.monotonic() + minutes * 60
    failures: list[str] = []
    met: Counter[str] = Counter()
    played = 0
    while played < plays and (end is None or time.monotonic() < end):
        chance = random.Random(f"{seed}/{played}")
        name = chance.choice(list(SCENES))
        plan = {
            chance.randrange(1, WRITES): chance.choice(list(Blow)) for _ in range(chance.choice([1, 2, 2, 3, 4]))
        }
        lives = Lives(plan)
        failures += [
            f"{seed}/{played} {name} {plan}: {one}"
            for one in await play_once(SCENES[name], lives, postgres=postgres)
        ]
        met.update(lives.met)
        played += 1
    return proof.ends(played, failures, {"blows": met.total(), **met})


if __name__ == "__main__":
    raise SystemExit(main())
