"""`scripts/prove faults`: each write and sync of a message fails, once or until the disk is mended, or kills."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time

from tests.durability.faulty import SWEEPS, Sweep, build_shim, sweep
from tests.durability.sweeps import directory
from tests.proofs.report import Proof


def main() -> int:
    """Prove it, and return the exit status."""
    arguments = argparse.ArgumentParser(prog="prove faults", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=1, help="whole sweeps of all faults")
    arguments.add_argument("--minutes", type=float, default=None, help="begin no further round after so long")
    given = arguments.parse_args()
    return asyncio.run(_prove(given.rounds, given.minutes))


async def _prove(rounds: int, minutes: float | None) -> int:
    proof = Proof("faults", 0)
    end = None if minutes is None else time.monotonic() + minutes * 60
    swept: list[Sweep] = []
    figures: dict[str, float | int | str] = {}
    for number in itertools.count():
        if number == rounds or (number and end is not None and time.monotonic() > end):
            break
        with directory() as place:
            shim = build_shim(place)
            done = await asyncio.gather(
                *(sweep(place / f"{fault.name}-{count}", shim, fault, count) for fault, count in SWEEPS)
            )
        swept += done
        for (fault, count), one in zip(SWEEPS, done, strict=True):
            name = f"{fault.name}, {'one call' if count == 1 else 'until mended'}"
            figures[name] = int(figures.get(name, 0)) + one.trials
    figures["messages refused with 503 and taken later"] = sum(one.refused for one in swept)
    return proof.ends(sum(one.trials for one in swept), [wrong for one in swept for wrong in one.wrong], figures)


if __name__ == "__main__":
    raise SystemExit(main())
