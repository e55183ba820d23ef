"""Nothing that belongs to one person reaches another, whatever the interleaving; and everybody is answered.

`scripts/prove isolation` runs more of them. One that failed runs again by its seed.
"""

from __future__ import annotations

import pytest

from tests.isolation import trials

EMBEDDED, SERVED = 450, 50


@pytest.mark.parametrize("first", range(0, EMBEDDED, 25))
async def test_people_stay_apart_on_the_embedded_database(first: int) -> None:
    """People who look alike, on networks and at every door, all at once, through crashes: 0 foreign bytes."""
    assert await _wrong(range(first, first + 25), postgres=False) == {}


@pytest.mark.parametrize("first", range(0, SERVED, 5))
async def test_people_stay_apart_on_postgresql(first: int) -> None:
    """The same, where all brains share one database."""
    assert await _wrong(range(1000 + first, 1000 + first + 5), postgres=True) == {}


async def _wrong(seeds: range, *, postgres: bool) -> dict[int, list[str]]:
    """What went wrong, by seed."""
    found = {seed: (await trials.one(seed, postgres=postgres)).wrong for seed in seeds}
    return {seed: wrong for seed, wrong in found.items() if wrong}
