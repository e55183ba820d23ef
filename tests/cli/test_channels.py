"""`rookery channel`."""

from __future__ import annotations

from tests.cli.command import Rookery


def test_channels_are_listed(house: Rookery) -> None:
    """A table for people, JSON for programs; the terminal is always there."""
    assert "terminal" in house("channel", "list").out
    found = {one["name"]: one for one in house("channel", "list", "--json").json}
    assert found["terminal"] == {"name": "terminal", "accounts": [], "waiting": 0, "deadLetters": 0}


def test_nothing_is_dead(house: Rookery) -> None:
    """An empty list says so, and there is nothing to try again."""
    empty = house("channel", "dead-letters")
    assert (empty.status, empty.out) == (0, "")
    assert "still tried" in empty.err
    assert house("channel", "dead-letters", "--json").json == []
    house("channel", "retry").refused_with("no dead letter on any channel", "rookery channel dead-letters")
    house("channel", "retry", "abc.1.0").refused_with("'abc.1.0'")


def test_a_limit_that_is_none(house: Rookery) -> None:
    """A wrong number is wrong usage."""
    assert house("channel", "dead-letters", "--limit", "0").status == 2
