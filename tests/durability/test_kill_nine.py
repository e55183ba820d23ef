"""A real gateway process under load, killed with -9 at random points."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.durability.mistakes import in_a_process
from tests.durability.storm import Storm

KILLS = 50
READY_SECONDS = 2.0


@pytest.mark.timeout(300)
async def test_fifty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Every message that was receipted is one turn, in order, answered; a start takes no two seconds."""
    async with Storm(tmp_path / "home", seed=50) as storm:
        outcome = await storm.rages(KILLS)

    assert outcome.failures == []
    assert outcome.messages > KILLS
    assert outcome.extra_sends <= outcome.deliveries
    assert outcome.ready_p50 <= READY_SECONDS


async def test_the_storm_catches_a_turn_that_is_forgotten(tmp_path: Path) -> None:
    """A gateway that does not take up what had begun is found out by a few kills."""
    mistake = in_a_process("running turn forgotten", tmp_path)

    async with Storm(tmp_path / "home", seed=1, environ=mistake, patience=2.0) as storm:
        outcome = await storm.rages(3)

    assert any(
        "has 0 replies" in failure or "told to the model 0 times" in failure for failure in outcome.failures
    )
