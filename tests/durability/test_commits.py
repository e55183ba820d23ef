"""What a plain turn costs, and what it costs is five synced writes."""

from __future__ import annotations

from pathlib import Path

from tests.durability.lives import Lives
from tests.durability.play import Play
from tests.durability.scenes import SCENES
from tests.durability.sweeps import play_once


async def test_a_plain_turn_is_five_synced_writes() -> None:
    """Accepted, what was asked, what was answered, the turn's end with its outbox rows, sent."""
    lives = Lives({})

    assert await play_once(SCENES["keyed"], lives) == []

    assert lives.synced <= 5


async def test_a_batch_costs_no_more_than_a_plain_turn(tmp_path: Path) -> None:
    """Three messages answered together are three acceptances and one turn."""
    lives = Lives({})

    async def three(play: Play) -> None:
        await play.says("alice", "hold a")
        await play.model.asked(1)
        for text in ("b", "c", "d"):
            await play.says("alice", text)
        play.curtain.set()

    assert await Play(tmp_path, lives).perform(three) == []
    assert lives.synced <= 4 + 2 * 4
