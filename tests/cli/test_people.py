"""`rookery user` and `rookery identity`."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.cli.command import Rookery


def test_the_first_person_makes_the_home(rookery: Rookery) -> None:
    """On an empty machine one command is enough to have a home with a person in it."""
    added = rookery("user", "add", "alice")

    assert added.status == 0
    assert "rookery chat --user alice" in added.out
    assert rookery.home.path.stat().st_mode & 0o777 == 0o700
    assert rookery.home.database.stat().st_mode & 0o777 == 0o600


def test_people_are_listed(house: Rookery) -> None:
    """A table for people, JSON with camelCase keys and RFC 3339 times for programs."""
    table = house("user", "list")
    assert "alice" in table.out
    assert "Europe/Madrid" in table.out

    first, second = house("user", "list", "--json").json
    assert (first["id"], first["name"], first["role"], first["agents"]) == ("alice", "Alice", "member", ["alice"])
    assert second["timezone"] == "UTC"
    assert datetime.fromisoformat(first["createdAt"]).tzinfo is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["alice"], ["'alice'"]),
        (["ALICE"], ["'alice'", "another id"]),
        (["bob smith"], ["'bob-smith'"]),
        (["a--b"], ["'--'"]),
        (["system"], ["'system-1'"]),
        (["carol", "--timezone", "Mars/Olympus"], ["'Mars/Olympus'", "Europe/Madrid"]),
        (["carol", "--name", "  "], ["name"]),
    ],
)
def test_a_person_who_cannot_be_added(house: Rookery, arguments: list[str], words: list[str]) -> None:
    """What does not fit is refused with a line that says what would."""
    house("user", "add", *arguments).refused_with(*words)
    assert len(house("user", "list", "--json").json) == 2


def test_a_role_there_is_not(house: Rookery) -> None:
    """A wrong word for an option is wrong usage."""
    ran = house("user", "add", "carol", "--role", "king")
    assert ran.status == 2
    assert "member" in ran.err


def test_addresses_are_linked_listed_and_unlinked(house: Rookery) -> None:
    """An address is one person's until it is unlinked."""
    assert house("identity", "link", "alice", "telegram", "123").out == "telegram:123 is alice now.\n"
    assert house("identity", "link", "bob", "webhook", "7", "--account", "default").status == 0
    assert "webhook@default:7" in house("identity", "list").out
    [linked] = house("identity", "list", "--user", "alice", "--json").json
    assert (linked["channel"], linked["account"], linked["sender"], linked["userId"]) == (
        "telegram",
        None,
        "123",
        "alice",
    )

    house("identity", "link", "bob", "telegram", "123").refused_with("'alice'", "unlink it there first")
    assert house("identity", "unlink", "alice", "telegram", "123").status == 0
    assert house("identity", "link", "bob", "telegram", "123").status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["carl", "telegram", "1"], ["'carl'", "alice, bob"]),
        (["bob", "telgram", "1"], ["'telegram'"]),
        (["bob", "webhook", "1"], ["account"]),
        (["bob", "terminal", "alice"], ["terminal needs no linking"]),
        (["bob", "telegram", ""], ["sender"]),
        (["bob", "telegram", " 1"], ["' 1'"]),
        (["bob", "telegram", "1\n2"], ["control characters"]),
        (["bob", "telegram", "1", "--account", ""], ["account"]),
    ],
)
def test_an_address_that_cannot_be_linked(house: Rookery, arguments: list[str], words: list[str]) -> None:
    """Unknown people and channels, and ids that no network has, are refused."""
    house("identity", "link", *arguments).refused_with(*words)
    assert house("identity", "list", "--json").json == []


def test_an_address_that_is_not_theirs(house: Rookery) -> None:
    """Whoever mistypes sees what there is to unlink."""
    house("identity", "link", "bob", "telegram", "123")
    house("identity", "unlink", "bob", "telegram", "124").refused_with("telegram:124", "They have telegram:123")


def test_an_empty_list_says_what_to_do(rookery: Rookery) -> None:
    """Nothing to list is no error, and no empty table."""
    rookery.configure("")
    ran = rookery("user", "list")
    assert (ran.status, ran.out) == (0, "")
    assert "rookery user add ID" in ran.err
    assert rookery("user", "list", "--json").json == []


def test_the_people_a_configuration_names_can_be_added(rookery: Rookery) -> None:
    """A file may be there before its people; once they are, what it describes is there too."""
    rookery.configure("agents: { list: [ { id: helpdesk, sponsor: alice } ] }")
    rookery("chat", "--user", "alice", "hello").refused_with("'alice'", "rookery user add")
    assert rookery("user", "add", "bob").status == 0
    assert rookery("user", "add", "alice").status == 0
    assert "helpdesk" in rookery("agent", "list").out


def test_what_is_said_of_a_person_is_changed(house: Rookery) -> None:
    """By which kinds of channel they may come in, too; all and none have words of their own."""
    for written, kept, told in (
        ("web,im", ["im", "web"], "im, web"),
        ("none", [], "no kind of channel"),
        ("all", None, "every kind of channel"),
    ):
        changed = house("user", "set", "bob", f"permissions={written}", "name=Robert")
        assert changed.status == 0
        assert f"They may use: {told}." in changed.out
        assert f"May use: {told}" in house("user", "show", "bob").out
        bob = next(one for one in house("user", "list", "--json").json if one["id"] == "bob")
        assert (bob["permissions"], bob["name"]) == (kept, "Robert")


@pytest.mark.parametrize(
    "setting", ["permissions", "permissions=", "permissions=fax", "permissions=all,im", "shoes=8", "role=king"]
)
def test_a_setting_that_there_is_not_changes_nothing(house: Rookery, setting: str) -> None:
    """It is said what could be written instead."""
    before = house("user", "show", "bob", "--json").json
    refused = house("user", "set", "bob", setting)
    assert refused.status != 0
    assert any(word in refused.err for word in ("permissions", "api", "admin"))
    assert house("user", "show", "bob", "--json").json == before
