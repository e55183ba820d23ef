"""Many interleavings, one after another, each in a state of its own."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.isolation.interleaving import Outcome, interleave
from tests.isolation.mistakes import Mistake
from tests.support.databases import fresh_database

MOST_STEPS = 20


def in_memory() -> Path | None:
    """A directory that lives in memory, None where the system has none; what is proven here needs no disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else None


async def one(seed: int, *, steps: int | None = None, postgres: bool = False) -> Outcome:
    """The interleaving of this seed."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=in_memory())))
        database = stack.enter_context(fresh_database()) if postgres else None
        return await interleave(home, seed=seed, steps=steps or steps_of(seed), postgres=database)


def steps_of(seed: int) -> int:
    """How many steps the interleaving of a seed has, where nobody says otherwise."""
    return 6 + seed % (MOST_STEPS - 5)


async def caught(mistake: Mistake, tries: int = 100) -> str | None:
    """What the oracle says of a gateway that makes this mistake; None when it notices nothing in so many tries."""
    with mistake.apply():
        for seed in (mistake.shown_by, *range(tries)):
            if wrong := (await one(seed, steps=MOST_STEPS)).wrong:
                return f"seed {seed}: {wrong[0]}"
    return None
