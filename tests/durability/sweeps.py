"""Playing a scene again and again, with a blow at each of its writes in turn."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.durability.lives import Blow, Lives
from tests.durability.play import Play, Scene
from tests.support.databases import fresh_database


@dataclass(slots=True)
class Swept:
    """What a sweep came to: how many plays, how many blows fell in them, and what was wrong."""

    plays: int = 0
    blows: int = 0
    wrong: list[str] = field(default_factory=list[str])


async def sweep(
    scene: Scene,
    blows: Sequence[Blow],
    *,
    gaps: Sequence[int] = (),
    postgres: bool = False,
    until_wrong: bool = False,
) -> Swept:
    """Play the scene with the first blow at its first write, at its second, …, until it ends before the blow.

    The further blows follow each `gaps` writes after the one before. `until_wrong` stops at the first play in
    which something was wrong.
    """
    swept = Swept()
    for first in itertools.count(1):
        at = itertools.accumulate([first, *gaps])
        plan = dict(zip(at, blows, strict=True))
        lives = Lives(plan)
        wrong = await play_once(scene, lives, postgres=postgres)
        swept.plays += 1
        swept.blows += len(lives.met)
        swept.wrong += [f"{scene.__name__}, {plan}: {one}" for one in wrong]
        if not lives.met or (wrong and until_wrong):
            return swept
    raise AssertionError("a scene ends")


async def play_once(scene: Scene, lives: Lives, *, postgres: bool = False) -> list[str]:
    """Play a scene over a state of its own, and say what was wrong."""
    with directory(in_memory=True) as home:
        if not postgres:
            return await Play(home, lives).perform(scene)
        with fresh_database() as database:
            return await Play(home, lives, postgres=database).perform(scene)


@contextmanager
def directory(*, in_memory: bool = False) -> Generator[Path]:
    """A directory that is gone at the end; in memory, where that is possible, when no disk is to be waited for."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="rookery-", dir=memory if in_memory and memory.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)
