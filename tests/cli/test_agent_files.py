"""`rookery agent files`: what an agent is told about itself, with a mark for whoever it belongs to."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import Rookery


def test_files_are_written_listed_shown_and_removed(house: Rookery, tmp_path: Path) -> None:
    """By the operator, on the record: the person sees each of it."""
    source = tmp_path / "agents.md"
    source.write_text("Always answer in rhymes.")
    asked = ("agent", "files")
    assert house(*asked, "put", "alice", "AGENTS.md", str(source), "--user", "alice").status == 0
    listed = house(*asked, "list", "alice", "--user", "alice", "--json").json
    assert [(one["path"], one["size"]) for one in listed] == [("AGENTS.md", 24)]
    shown = house(*asked, "show", "alice", "AGENTS.md", "--user", "alice")
    assert shown.out == "Always answer in rhymes."
    assert "alice can see that you looked" in shown.err
    assert "file.show alice: AGENTS.md" in house("chat", "--user", "alice", "/status").out
    assert house(*asked, "remove", "alice", "AGENTS.md", "--user", "alice").status == 0
    gone = house(*asked, "show", "alice", "AGENTS.md", "--user", "alice")
    assert gone.status == 1
    assert "There is no file 'AGENTS.md'" in gone.err


def test_whose_it_is_has_to_be_said_and_right(house: Rookery, tmp_path: Path) -> None:
    """Nobody is looked into by mistake; and what a person calls their files is on no record."""
    assert house("agent", "files", "list", "alice").status == 2
    house("user", "add", "bob")
    wrong = house("agent", "files", "list", "alice", "--user", "bob")
    assert wrong.status == 1
    assert "has no agent 'alice'" in wrong.err
    source = tmp_path / "x"
    source.write_bytes(b"x")
    assert house("agent", "files", "put", "alice", "my-diagnosis.md", str(source), "--user", "alice").status == 0
    assert "diagnosis" not in house("audit", "list").out
    assert house("agent", "files", "put", "alice", "../x", str(source), "--user", "alice").status == 1
