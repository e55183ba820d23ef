"""`scripts/prove durability`: a real gateway under load, killed with -9 again and again.

Storms of some kills each, over a fresh home, until all kills or all minutes are used up.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

from tests.durability.storm import Outcome, Storm
from tests.durability.sweeps import directory
from tests.proofs.report import Proof

KILLS_PER_STORM = 100
READY_SECONDS = 2.0


def main() -> int:
    """Prove it, and return the exit status."""
    arguments = argparse.ArgumentParser(prog="prove durability", description=__doc__)
    arguments.add_argument("--kills", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    arguments.add_argument("--minutes", type=float, default=None, help="begin no further storm after so long")
    given = arguments.parse_args()
    return asyncio.run(_prove(given.kills, given.seed, given.minutes))


async def _prove(kills: int, seed: int, minutes: float | None) -> int:
    proof = Proof("durability", seed)
    end = None if minutes is None else time.monotonic() + minutes * 60
    outcomes: list[Outcome] = []
    done = 0
    while done < kills and (end is None or time.monotonic() < end):
        count = min(KILLS_PER_STORM, kills - done)
        with directory() as home:
            async with Storm(home, seed=seed + done) as storm:
                outcome = await storm.rages(count)
        outcomes.append(outcome)
        done += count
        print(f"{done} kills, {outcome.messages} messages in the last {count}, {len(outcome.failures)} failures")
    starts = sorted(start for outcome in outcomes for start in outcome.starts)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    p95 = starts[int(len(starts) * 0.95)]
    if p95 > READY_SECONDS:
        failures.append(f"ready again only after {p95:.2f} s (p95); the promise is {READY_SECONDS} s")
    figures = {
        "messages accepted": sum(outcome.messages for outcome in outcomes),
        "turns": sum(outcome.turns for outcome in outcomes),
        "deliveries": sum(outcome.deliveries for outcome in outcomes),
        "extra sends": sum(outcome.extra_sends for outcome in outcomes),
        "extra sends after one kill, at most": max(outcome.most_extra_sends_per_kill for outcome in outcomes),
        "orderly stops": sum(outcome.stops for outcome in outcomes),
        "ready again, seconds, p50": starts[len(starts) // 2],
        "ready again, seconds, p95": p95,
        "ready again, seconds, at most": starts[-1],
    }
    return proof.ends(done, failures, figures)


if __name__ == "__main__":
    raise SystemExit(main())
