"""`rookery session`: what the operator may see, and that the person can see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Rookery

WORDS = "my locker code is 4711"


@pytest.fixture
def talked(house: Rookery) -> Rookery:
    """A house in which Alice has said something."""
    assert house("chat", "--user", "alice", WORDS).status == 0
    return house


def test_a_listing_by_agent_holds_nobodys_words(talked: Rookery) -> None:
    """The operator sees that a session is there, and how large, without looking into it."""
    talked("session", "new", "--user", "alice", "--title", "Trip to Rome")
    listed = talked("session", "list", "--agent", "alice", "--json")
    assert {session["title"] for session in listed.json} == {None}
    assert "Rome" not in talked("session", "list", "--agent", "alice").out
    assert "The operator looked: session.list" not in talked("chat", "--user", "alice", "/status").out


def test_a_listing_by_user_has_titles_and_leaves_a_mark(talked: Rookery) -> None:
    """Titles are a person's words: who reads them is on record, and the person can see it."""
    talked("session", "new", "--user", "alice", "--title", "Trip to Rome")
    found = talked("session", "list", "--user", "alice", "--json").json
    assert {session["title"] for session in found} == {None, "Trip to Rome"}
    [main] = [session for session in found if session["sessionKey"] == "agent:alice:main"]
    assert main["kind"] == "direct"
    assert main["status"] == "active"
    assert main["entryCount"] == 2
    assert main["places"] == ["agent:alice:main"]
    assert main["costUsd"] == 0  # with the demo
    assert "The operator looked: session.list alice" in talked("chat", "--user", "alice", "/status").out


def test_what_was_said_is_shown_on_the_record(talked: Rookery) -> None:
    """Content needs `--user`, and the person sees that the operator looked."""
    shown = talked("session", "show", "main", "--user", "alice")
    assert WORDS in shown.out
    assert "alice can see that you looked" in shown.err
    assert "The operator looked: session.show" in talked("chat", "--user", "alice", "/status").out
    assert talked("session", "show", "main").status == 2


@pytest.mark.parametrize("spelling", ["main", "agent:alice:main", "internal:main:main", "<id>"])
def test_a_session_has_several_names(talked: Rookery, spelling: str) -> None:
    """Its key, the short forms of its place, and its `sessionId` all name it."""
    session_id = talked("session", "list", "--user", "alice", "--json").json[0]["sessionId"]
    shown = talked("session", "show", spelling.replace("<id>", session_id), "--user", "alice", "--json").json
    assert shown["session"]["sessionId"] == session_id
    assert [entry["role"] for entry in shown["entries"]] == ["user", "assistant"]


def test_another_persons_session_is_not_found(talked: Rookery) -> None:
    """What is foreign and what does not exist answer alike."""
    session_id = talked("session", "list", "--agent", "alice", "--json").json[0]["sessionId"]
    for name in ("agent:alice:main", session_id, "main", "nonsense", "../../alice", ""):
        talked("session", "show", name, "--user", "bob").refused_with("'bob' has no session", repr(name))
        talked("session", "export", name, "--user", "bob").refused_with("'bob' has no session")
    talked("session", "show", "main", "--user", "carl").refused_with("'carl'", "alice, bob")
    talked("session", "show", "main", "--user", "bob", "--agent", "alice").refused_with("no agent 'alice'")
    assert "The operator looked" not in talked("chat", "--user", "alice", "/status").out


def test_a_listing_needs_somebody(talked: Rookery) -> None:
    """Whose sessions, has to be said."""
    assert talked("session", "list").status == 2
    talked("session", "list", "--user", "carl").refused_with("'carl'")
    talked("session", "list", "--agent", "carl").refused_with("'carl'")
    talked("session", "list", "--user", "bob", "--agent", "alice").refused_with("no agent 'alice'")


def test_the_last_entries_are_shown_first(talked: Rookery) -> None:
    """A long session is not poured out at once."""
    talked("chat", "--user", "alice", "what is my locker code?")
    shown = talked("session", "show", "main", "--user", "alice", "--last", "1")
    assert "3 earlier entries" in shown.out
    assert WORDS not in shown.out
    assert WORDS in talked("session", "show", "main", "--user", "alice", "--all").out


def test_the_transcript_is_exported(talked: Rookery, tmp_path: Path) -> None:
    """The export is the transcript: a header, then one JSON object a line."""
    out = tmp_path / "alice.jsonl"
    assert talked("session", "export", "main", "--user", "alice", "-o", str(out)).status == 0
    header, *entries = [json.loads(line) for line in out.read_text().splitlines()]
    assert (header["type"], header["agentId"]) == ("session", "alice")
    assert len(entries) == 2
    assert out.stat().st_mode & 0o777 == 0o600
    talked("session", "export", "main", "--user", "alice", "-o", str(out)).refused_with("is there already")
    assert "The operator looked: session.export" in talked("chat", "--user", "alice", "/status").out


def test_a_session_is_opened_for_a_person(talked: Rookery) -> None:
    """It is written when the command returns, and can be talked in."""
    opened = talked("session", "new", "--user", "bob", "--title", "Garden", "--json").json
    assert opened["title"] == "Garden"
    assert opened["sessionKey"] == f"agent:bob:chat:{opened['sessionId']}"
    assert opened["kind"] == "chat"
    said = talked("chat", "--user", "bob", "--session", opened["sessionId"], "hello")
    assert said.status == 0
    assert len(talked("session", "list", "--user", "bob", "--json").json) == 1


@pytest.mark.parametrize("title", ["", "  ", "two\nlines"])
def test_a_title_that_is_none(talked: Rookery, title: str) -> None:
    """A title is some words on one line."""
    talked("session", "new", "--user", "bob", "--title", title).refused_with("title")
