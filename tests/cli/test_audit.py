"""`rookery audit`, and what `rookery doctor` says of the trail."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime

import pytest

from tests.cli.command import Rookery


@pytest.fixture
def done(house: Rookery) -> Rookery:
    """A house in which the operator let groups in and put one out."""
    house("space", "admit", "telegram", "1", "--sponsor", "alice")
    house("space", "admit", "telegram", "2", "--sponsor", "bob")
    house("space", "remove", "telegram", "1")
    return house


def harm(rookery: Rookery, statement: str) -> None:
    with closing(sqlite3.connect(rookery.home.database)) as database:
        database.execute(statement)
        database.commit()


def test_what_was_done_is_listed_newest_first(done: Rookery) -> None:
    """Who, for whom, what and on what; in pages, by person, action and time."""
    rows = done("audit", "list", "--action", "space.", "--json").json
    assert [(row["action"], row["onBehalfOf"]) for row in rows] == [
        ("space.remove", "alice"),
        ("space.admit", "bob"),
        ("space.admit", "alice"),
    ]
    assert {row["actor"] for row in rows} == {"operator"}
    assert rows[0]["object"].startswith("telegram:1 space--")
    assert datetime.fromisoformat(rows[0]["at"]).tzinfo is not None

    def actions(*arguments: str) -> list[str]:
        return [row["action"] for row in done("audit", "list", "--json", *arguments).json]

    assert actions("--user", "bob")[0] == "space.admit"
    assert actions("--limit", "1") == ["space.remove"]
    assert actions("--limit", "1", "--before", str(rows[0]["seq"])) == ["space.admit"]
    assert actions("--since", "1h", "--action", "space.remove") == ["space.remove"]
    assert actions("--since", "2999-01-01") == []
    assert actions("--until", "2000-01-01") == []
    table = done("audit", "list", "--limit", "2")
    assert "space.remove" in table.out
    assert f"--before {rows[1]['seq']}" in table.err
    done("audit", "list", "--since", "soon").refused_with("'soon'")
    assert done("audit", "list", "--limit", "0").status == 2


def test_a_whole_trail(done: Rookery) -> None:
    """Said in a line, or as JSON."""
    ran = done("audit", "verify")
    assert ran.status == 0
    assert ran.out.startswith("The trail is whole: ")
    found = done("audit", "verify", "--json").json
    assert (found["problem"], found["atSeq"], found["spoiled"]) == (None, None, 0)
    assert found["rows"] >= 3
    assert "audit trail: All" in done("doctor").out


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET on_behalf_of = 'bob' WHERE action = 'space.remove'",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit WHERE seq > 1",
    ],
)
def test_a_trail_that_was_touched(rookery: Rookery, statement: str) -> None:
    """Verifying ends with status 1 and says where; the doctor says it too, for ever."""
    rookery("user", "add", "alice")
    rookery("space", "admit", "telegram", "1", "--sponsor", "alice")
    rookery("space", "remove", "telegram", "1")
    harm(rookery, statement)
    ran = rookery("audit", "verify")
    assert ran.status == 1
    assert ran.out.startswith("The trail is broken: Row ")
    found = rookery("audit", "verify", "--json")
    assert found.status == 1
    assert found.json["atSeq"] >= 1
    rookery("space", "admit", "telegram", "2", "--sponsor", "alice")
    doctor = rookery("doctor")
    assert doctor.status == 1
    assert "fail  audit trail: Row " in doctor.out


def test_heads_on_another_disk(rookery: Rookery) -> None:
    """The second place is written like the first, and shows what is cut when the first is gone."""
    elsewhere = rookery.home.path.parent / "elsewhere"
    elsewhere.mkdir()
    rookery.configure(f"audit: {{anchorFile: {elsewhere}/heads.jsonl}}\n")
    rookery("user", "add", "alice")
    assert (elsewhere / "heads.jsonl").read_bytes() == rookery.home.audit_heads.read_bytes()
    assert "on the disk of the home" in rookery("doctor").out
    [head] = [json.loads(line) for line in rookery.home.audit_heads.read_text().splitlines()]
    rookery.home.audit_heads.unlink()
    harm(rookery, "DELETE FROM audit")
    assert rookery("audit", "verify", "--json").json["atSeq"] == head["seq"]
    rookery.configure(f"audit: {{anchorFile: {elsewhere}/gone/heads.jsonl}}\n")
    assert "fail  audit heads: " in rookery("doctor").out


@pytest.mark.parametrize("path", ["heads.jsonl", "/mnt/heads/", "''", "7"])
def test_an_anchor_file_that_cannot_be(rookery: Rookery, path: str) -> None:
    """It is named by its whole path."""
    rookery("user", "add", "alice")
    rookery.configure(f"audit: {{anchorFile: {path}}}\n")
    rookery("status").refused_with("audit.anchorFile")
