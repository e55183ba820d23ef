"""Files that somebody edits while a gateway looks after them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from rookery.gateway.reload import LOOK_EVERY
from tests.support.clock import Clock


def save(path: Path, text: str, edit: int) -> None:
    """Save a file, as an editor does; each `edit` has a number of its own, which is the time it was made."""
    draft = path.with_suffix(".new")
    draft.write_text(text)
    os.utime(draft, (edit, edit))
    draft.rename(path)


async def looked(clock: Clock) -> None:
    """Let the gateway look at its files, and wait until it has done what it does about them."""
    while not clock.waited_for:
        await asyncio.sleep(0.001)
    await clock.passes(LOOK_EVERY)
    while not clock.waited_for:
        await asyncio.sleep(0.001)
