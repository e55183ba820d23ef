"""`scripts/prove mistakes`: how many of the mistakes put into the product the oracles catch, and by what."""

from __future__ import annotations

import asyncio

import pytest

from tests.durability import play
from tests.durability.mistakes import MISTAKES
from tests.durability.scenes import SCENES
from tests.durability.sweeps import sweep
from tests.proofs.report import Proof


def main() -> int:
    """Prove it, and return the exit status."""
    return asyncio.run(_prove())


async def _prove() -> int:
    proof = Proof("mistakes", 0)
    play.PATIENCE = 4.0
    missed: list[str] = []
    for name, mistake in MISTAKES.items():
        with pytest.MonkeyPatch.context() as patch:
            mistake.make(patch)
            swept = await sweep(SCENES[mistake.scene], [mistake.blow], until_wrong=True)
        print(f"{name}: {swept.wrong[0] if swept.wrong else 'NOT CAUGHT'}")
        if not swept.wrong:
            missed.append(name)
    caught = len(MISTAKES) - len(missed)
    return proof.ends(len(MISTAKES), missed, {"mutation score": f"{caught} of {len(MISTAKES)}"})


if __name__ == "__main__":
    raise SystemExit(main())
