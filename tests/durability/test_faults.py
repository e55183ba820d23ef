"""A disk that fails at the n-th call, under the real process: nothing false is said, and it recovers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.durability.faulty import OUTAGE, Fault, FaultyHouse, build_shim, sweep
from tests.durability.mistakes import in_a_process

pytestmark = pytest.mark.whole  # it builds the faulty disk with a C compiler, which PyPI does not bring

STEPS = {
    (Fault.SYNC_EIO, 1): 1,
    (Fault.SYNC_EIO, OUTAGE): 1,
    (Fault.WRITE_SHORT, 1): 1,
    (Fault.WRITE_ENOSPC, 1): 1,
    (Fault.WRITE_ENOSPC, OUTAGE): 3,
    (Fault.KILL, 1): 5,
}
"""The faults, and at every how many-th call each is tried here; `scripts/prove faults` tries every call."""


@pytest.mark.timeout(240)
async def test_no_call_that_fails_makes_a_receipt_false_or_a_message_lost(tmp_path: Path) -> None:
    """A receipt is true at once; the message is one turn, answered once the disk works, without a restart."""
    shim = build_shim(tmp_path)

    swept = await asyncio.gather(
        *(
            sweep(tmp_path / f"{fault.name}-{count}", shim, fault, count, step=step)
            for (fault, count), step in STEPS.items()
        )
    )

    assert [wrong for one in swept for wrong in one.wrong] == []
    assert all(one.trials > 3 for one in swept)
    assert sum(one.refused for one in swept) > 10, "the disk was bad enough for some messages to be refused"


async def test_the_faults_catch_a_receipt_given_too_early(tmp_path: Path) -> None:
    """A gateway that tells the network before the commit is found out by the first full disk."""
    mistake = in_a_process("told before the commit", tmp_path)

    async with FaultyHouse(tmp_path / "home", build_shim(tmp_path), environ=mistake, patience=3.0) as house:
        trial = await house.survives(Fault.WRITE_ENOSPC, at=1, count=OUTAGE)

    assert any("receipted with 202 and not kept" in one for one in trial.wrong)


async def test_a_plain_turn_syncs_five_times(tmp_path: Path) -> None:
    """Counted at the system calls of the real process, in a session that exists."""
    async with FaultyHouse(tmp_path / "home", build_shim(tmp_path)) as house:
        before = house.control["syncs"]
        trial = await house.survives(Fault.NONE, at=0)
        assert trial.wrong == []
        assert house.control["syncs"] - before <= 5
