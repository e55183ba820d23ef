"""The sum over people is what the endpoints counted: to the token, to the nano-dollar, call by call."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.usage.household import INEXACT, Household


async def test_the_ledger_says_what_the_endpoints_counted(tmp_path: Path) -> None:
    """People who write at once, tools, failures of every kind, other endpoints after them, and answers cut short.

    Every call an endpoint saw has one row, on the bill of whose key it came with; what was heard to its end is
    exact, and what was not is marked as a guess.
    """
    async with Household.open(tmp_path / "home", 5) as house:
        await house.plays(Random(7), len(INEXACT))
        for person in house.people[:2]:
            await house.stops(person)
        rows = await house.rows()

        assert await house.wrong() == []
        assert len(rows) > len(INEXACT) * 6
        assert {row["status"] for row in rows} == {"settled", "failed", "estimated"}
        assert {row["error"] for row in rows if row["status"] == "estimated"} >= {"cancelled", "broken_off", None}


async def test_a_call_that_is_not_written_down_is_missed(tmp_path: Path) -> None:
    """The comparison finds one row that is gone, and one token that was not counted."""
    async with Household.open(tmp_path / "home", 2) as house:
        for person in house.people:
            await house.says(person, "hello")
        await house.hears_out()
        assert await house.wrong() == []
        house.endpoints["sure"].requests.append(house.endpoints["sure"].last)
        assert any("not in the ledger" in one for one in await house.wrong())
        house.endpoints["sure"].requests.pop()
        for key, usage in house.endpoints["sure"].counted.items():
            house.endpoints["sure"].counted[key] = usage + type(usage)(output_tokens=1)
        assert len(await house.wrong()) == 2
