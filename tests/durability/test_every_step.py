"""The gateway is killed, or its disk says no, at every single write of every scene."""

from __future__ import annotations

import pytest

from tests.durability.lives import KILLS, Blow
from tests.durability.scenes import SCENES, allowed_once, steer_once
from tests.durability.sweeps import sweep

MAIN = ("plain", "effects")
"""The scenes that are played on PostgreSQL too."""


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("blow", Blow)
async def test_one_blow_at_each_write(scene: str, blow: Blow) -> None:
    """Whatever is written when it falls: nothing lost, nothing doubled, nothing out of order."""
    swept = await sweep(SCENES[scene], [blow])
    assert swept.wrong == []
    assert swept.blows > 4, "a scene without writes would prove nothing"


@pytest.mark.parametrize("scene", MAIN)
@pytest.mark.parametrize("blow", [Blow.KILLED_BEFORE, Blow.KILLED_AFTER, Blow.UNKNOWN])
async def test_one_blow_at_each_write_on_postgresql(scene: str, blow: Blow) -> None:
    """The same where the state is a served database, and a commit's end can truly be unknown."""
    swept = await sweep(SCENES[scene], [blow], postgres=True)
    assert swept.wrong == []
    assert swept.blows > 4, "a scene without writes would prove nothing"


async def test_what_joined_by_a_write_nobody_saw_the_end_of_has_joined() -> None:
    """Only a served database can keep an entry and say that it did not; the next try finds it."""
    swept = await sweep(steer_once, [Blow.UNKNOWN], postgres=True)
    assert swept.wrong == []


@pytest.mark.parametrize("blow", [Blow.KILLED_AFTER, Blow.UNKNOWN])
async def test_one_blow_at_each_write_of_a_yes_on_postgresql(blow: Blow) -> None:
    """Asked, allowed, used and done are what they were, also where another process kept them."""
    swept = await sweep(allowed_once, [blow], postgres=True)
    assert swept.wrong == []
    assert swept.blows > 4, "a scene without writes would prove nothing"


@pytest.mark.parametrize("gap", [1, 2])
@pytest.mark.parametrize("second", KILLS)
@pytest.mark.parametrize("scene", ["batch", "effects"])
async def test_killed_again_while_it_recovers(scene: str, second: Blow, gap: int) -> None:
    """A gateway that is killed once more, at its first or second write after the start, still keeps its word."""
    swept = await sweep(SCENES[scene], [Blow.KILLED_AFTER, second], gaps=[gap])
    assert swept.wrong == []
