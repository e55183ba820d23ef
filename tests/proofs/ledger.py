"""`scripts/prove ledger`: the sum over people is what the endpoints counted, and a kill loses no call.

Rounds in which everybody asks at once and somebody's call comes to nothing, compared call by call; then kills of a
real process under load, after which every call the endpoint saw is in the ledger, and what ended is exact.
"""

from __future__ import annotations

import argparse
import asyncio
import random

from tests.durability.storm import Storm
from tests.durability.sweeps import directory
from tests.proofs.report import Proof
from tests.usage.household import Household

PEOPLE = 12
ROUNDS_PER_HOUSE = 50
KILLS_PER_STORM = 100


def main() -> int:
    """Prove it, and return the exit status."""
    arguments = argparse.ArgumentParser(prog="prove ledger", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=500)
    arguments.add_argument("--kills", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    given = arguments.parse_args()
    return asyncio.run(_prove(given.rounds, given.kills, given.seed))


async def _prove(rounds: int, kills: int, seed: int) -> int:
    proof = Proof("ledger", seed)
    failures: list[str] = []
    compared = nano = 0
    for first in range(0, rounds, ROUNDS_PER_HOUSE):
        with directory(in_memory=True) as home:
            async with Household.open(home / "home", PEOPLE) as house:
                await house.plays(random.Random(seed + first), min(ROUNDS_PER_HOUSE, rounds - first))
                for person in house.people:
                    await house.stops(person)
                failures += await house.wrong()
                rows = await house.rows()
        compared += len(rows)
        nano += sum(row["nano_usd"] for row in rows)
        print(f"{compared} calls compared, {len(failures)} failures")
    seen = kept = guessed = 0
    for first in range(0, kills, KILLS_PER_STORM):
        with directory() as home:
            async with Storm(home, seed=seed + first) as storm:
                outcome = await storm.rages(min(KILLS_PER_STORM, kills - first))
        failures += outcome.failures
        seen, kept, guessed = seen + outcome.calls_seen, kept + outcome.calls, guessed + outcome.calls_guessed
        print(f"{seen} calls seen under {min(first + KILLS_PER_STORM, kills)} kills, {len(failures)} failures")
    figures = {
        "calls compared one by one": compared,
        "nano-dollars in them": nano,
        "kills": kills,
        "calls the endpoint saw under kills": seen,
        "rows for them": kept,
        "of these with a guess, for their end was not seen": guessed,
    }
    return proof.ends(compared + seen, failures, figures)


if __name__ == "__main__":
    raise SystemExit(main())
