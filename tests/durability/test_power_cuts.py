"""The power is cut, three hundred times, under the database and under the transcripts."""

from __future__ import annotations

from rookery.storage.sqlite import PRAGMAS
from tests.durability.power_cuts import (
    cut_under_the_database,
    cut_under_the_transcripts,
    operations_of,
    prepared,
)
from tests.durability.sweeps import directory

CUTS = 300


async def test_no_power_cut_takes_anything_back_that_was_committed() -> None:
    """Whatever of the unsynced writes survives, in whatever order: what was acknowledged is there, and whole."""
    files = await prepared()
    operations = await operations_of(files)

    wrong = [one for seed in range(CUTS) for one in await cut_under_the_database(files, seed, operations)]

    assert wrong == []


async def test_no_power_cut_takes_a_line_out_of_a_transcript() -> None:
    """What was appended is there, in order; a line that was broken off is set aside, and the session goes on."""
    wrong: list[str] = []
    for seed in range(CUTS):
        with directory(in_memory=True) as home:
            wrong += await cut_under_the_transcripts(home, seed)

    assert wrong == []


async def test_the_cuts_catch_a_database_that_does_not_sync() -> None:
    """With `synchronous=NORMAL`, and on a disk that lies about its syncs, some cut loses what was acknowledged."""
    files = await prepared()
    operations = await operations_of(files)
    careless = PRAGMAS.replace("synchronous=FULL", "synchronous=NORMAL")

    lost = [
        one
        for seed in range(40)
        for one in await cut_under_the_database(files, seed, operations, pragmas=careless)
    ]
    lied = [
        one for seed in range(40) for one in await cut_under_the_database(files, seed, operations, syncs=False)
    ]

    assert lost != []
    assert lied != []


async def test_the_cuts_catch_transcripts_that_do_not_sync() -> None:
    """Without the sync after an append some cut loses a line that was acknowledged."""
    wrong: list[str] = []
    for seed in range(40):
        with directory(in_memory=True) as home:
            wrong += await cut_under_the_transcripts(home, seed, syncs=False)

    assert any("are lost" in one for one in wrong)
