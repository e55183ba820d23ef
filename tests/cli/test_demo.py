"""`rookery demo`, and that it would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from rookery.cli.demo import ALICE, BOB, Heard, leaks_in, leaks_under
from rookery.gateway.home import Home
from tests.cli.command import Rookery


def test_the_demo_shows_isolation(rookery: Rookery, tmp_path: Path) -> None:
    """Both get their own secret back, neither the other's, and it is said what to do next."""
    ran = rookery.anywhere("demo")
    assert ran.status == 0, ran
    assert f"Your secret word is {ALICE.secret}." in ran.out
    assert f"Your secret word is {BOB.secret}." in ran.out
    assert ran.out.count("Refused: ") == 3
    assert "none held the other's secret" in ran.out
    assert "rookery user add you" in ran.out
    assert not (tmp_path / ".rookery").exists()


def _answers(**changed: str) -> list[Heard]:
    told = {"alice": ALICE.secret, "bob": BOB.secret} | changed
    return [Heard(ALICE, "?", told["alice"]), Heard(BOB, "?", told["bob"])]


def test_a_leak_in_an_answer_is_noticed() -> None:
    """An answer that holds the other's secret is a leak; one that holds nothing shows nothing."""
    assert leaks_in(_answers()) == []
    assert len(leaks_in(_answers(bob=f"{BOB.secret} {ALICE.secret}"))) == 1
    assert len(leaks_in(_answers(bob="I do not know."))) == 1


@pytest.mark.parametrize("place", ["agents/bob/sessions/1.jsonl", "agents/bob/agent.db", "logs/rookery.jsonl"])
def test_a_leak_in_a_file_is_noticed(tmp_path: Path, place: str) -> None:
    """Any file of Bob's brain, and the log, is looked into."""
    home = Home(tmp_path)
    for person in (ALICE, BOB):
        own = home.agents / person.id / "sessions" / "0.jsonl"
        own.parent.mkdir(parents=True)
        own.write_text(person.secret)
    home.logs.mkdir()
    assert leaks_under(home) == []
    leaky = tmp_path / place
    leaky.write_bytes(b"\0\xff" + ALICE.secret.encode() + b"\0")
    assert len(leaks_under(home)) == 1
    leaky.unlink()
    (home.agents / "bob" / "sessions" / "0.jsonl").unlink()
    assert "shows nothing" in leaks_under(home)[0]
