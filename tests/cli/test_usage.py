"""`rookery usage` and `/usage`: what model calls used and cost."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing

from rookery.gateway.shapes import UsageRow, as_csv
from tests.cli.command import Rookery


def _spend(rookery: Rookery, nano: int, *, unpriced: bool = False, status: str = "settled") -> None:
    """Put what the demo's calls used on the bill, as if it had been a dear model."""
    with closing(sqlite3.connect(rookery.home.database)) as database:
        database.execute("UPDATE ledger SET nano_usd = ?, unpriced = ?, status = ?", (nano, unpriced, status))
        database.commit()


def test_what_was_used_is_shown_by_whatever_is_asked(house: Rookery) -> None:
    """A table, JSON or CSV; by person when nothing is said, and free with the demo."""
    assert "No model was called." in house("usage").err
    house("chat", "--user", "alice", "hello")
    [row] = house("usage", "--json").json
    assert (row["key"], row["calls"], row["costUsd"], row["costNanoUsd"]) == ("alice", 1, 0.0, 0)
    assert row["inputTokens"] > 0
    assert "$0.00" in house("usage").out
    assert house("usage", "--by", "model", "--json").json[0]["key"] == "offline/demo"
    [line] = csv.DictReader(io.StringIO(house("usage", "--by", "agent", "--csv").out))
    assert (line["key"], line["calls"]) == ("alice", "1")
    assert house("usage", "--user", "bob", "--json").json == []
    assert house("usage", "--since", "1h", "--json").json == [row]
    assert house("usage", "--until", "2000-01-01", "--json").json == []


def test_what_is_not_sure_is_marked(house: Rookery) -> None:
    """A guess, and a price nobody knows, are told beside the sums."""
    house("chat", "--user", "alice", "hello")
    _spend(house, 12_345_678_900, status="estimated")
    shown = house("usage")
    assert "$12.35 ~" in shown.out
    assert "1 call is counted by a guess" in shown.err
    assert house("usage", "--json").json[0]["costUsd"] == 12.3456789
    _spend(house, 0, unpriced=True)
    shown = house("usage")
    assert "1 call is without a known price" in shown.err
    [row] = house("usage", "--json").json
    assert (row["costUsd"], row["unpricedCalls"]) == (None, 1)


def test_what_cannot_be_asked(house: Rookery) -> None:
    """In one line each."""
    assert house("usage", "--by", "colour").status == 2
    assert house("usage", "--csv", "--json").status == 2
    house("usage", "--user", "nobody").refused_with("nobody")
    house("usage", "--since", "soon").refused_with("soon")
    house("usage", "--since", "2h", "--until", "2000-01-01").refused_with("There is no time between")
    house("usage", "--timezone", "Atlantis/Capital").refused_with("Atlantis")


def test_a_person_is_told_what_they_pay_for(house: Rookery) -> None:
    """Today and this month, in a direct chat."""
    assert "Today: nothing was used." in house("chat", "--user", "alice", "/usage").out
    house("chat", "--user", "alice", "hello")
    assert "Today: 1 model call, " in house("chat", "--user", "alice", "/usage").out
    _spend(house, 1_500_000_000, status="estimated")
    told = house("chat", "--user", "alice", "/usage").out
    assert "$1.50. The numbers are a guess." in told
    _spend(house, 1_500_000_000)
    house("chat", "--user", "alice", "hello again")  # the demo guesses
    assert "$1.50. 1 of them counted by a guess." in house("chat", "--user", "alice", "/usage").out
    _spend(house, 0, unpriced=True)
    assert "what that costs is not known." in house("chat", "--user", "alice", "/usage").out
    assert "Today: nothing was used." in house("chat", "--user", "bob", "/usage").out


def test_a_name_that_a_spreadsheet_would_run_is_text() -> None:
    """A model's name comes from a file, and is nobody's formula."""
    for key in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a"b,c'):
        row = UsageRow(
            key=key,
            calls=1,
            input_tokens=2,
            cached_tokens=0,
            output_tokens=3,
            cost_usd=1e-9,
            cost_nano_usd=1,
            cache_write_tokens=0,
            estimated_calls=0,
            failed_calls=0,
            unpriced_calls=0,
        )
        [read] = csv.DictReader(io.StringIO(as_csv([row])))
        assert read["key"] == (key if key.startswith("a") else f"'{key}")
        assert read["costUsd"] == "0.000000001"
