"""`rookery key`: what goes in is never shown again."""

from __future__ import annotations

import pytest

from tests.cli.command import Rookery, running

KEYS = """
models:
  providers:
    local: { api: openai, baseUrl: "http://127.0.0.1:9/v1" }
  sharedKeys:
    house: { provider: local, keyFrom: "env:ROOKERY_TEST_SECRET" }
"""
SECRET = "sk-never-shown-anywhere"


def test_an_agent_is_given_keys_of_its_own(house: Rookery) -> None:
    """From standard input; listed by provider, profile and last four, in the order in which they are used."""
    ran = [
        house("key", "set", "alice", "openai", stdin=f"  {SECRET}\n"),
        house(
            "key", "set", "alice", "openai", "--profile", "work", "--first", stdin="sk-another-key-of-hers-1234"
        ),
        house("key", "list", "alice"),
        house("key", "list", "--json"),
        house("key", "list", "bob"),
        house("doctor"),
        house("status", "--json"),
        house("audit", "list"),
        house("key", "revoke", "alice", "openai", "--profile", "work"),
        house("key", "list", "alice", "--json"),
        house("key", "revoke", "alice", "openai"),
    ]
    assert ran[0].out == "alice has the key openai/default (…here) from its next call on.\n"
    assert [one["profile"] for one in ran[3].json["agents"]] == ["work", "default"]
    assert ran[3].json["agents"][0]["lastFour"] == "1234"
    assert "ready" in ran[2].out
    assert "There is no key yet" in ran[4].err
    assert ran[6].json["keysCooling"] == 0
    assert [one["profile"] for one in ran[9].json["agents"]] == ["default"]
    assert [one.status for one in ran if one is not ran[5]] == [0] * (len(ran) - 1)
    assert not any(SECRET in one.out + one.err for one in ran)
    written = [path.read_bytes() for path in house.home.path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in data for data in written)
    house("key", "revoke", "alice", "openai").refused_with("alice has no key 'openai'", "it has none")


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["alicia", "openai"], SECRET, ["'alicia'", "there is alice"]),
        (["alice", "opnai"], SECRET, ["'opnai'", "there are: anthropic, openai", "models.providers"]),
        (["alice", "openai", "--profile", "a b"], SECRET, ["'a b'", "name of a profile"]),
        (["alice", "openai"], "\n", ["nothing on standard input"]),
        (["alice", "openai"], "  \n", ["empty"]),
        (["alice", "openai"], "sk two", ["a space"]),
        (["alice", "openai"], "x" * 9000, ["8192 bytes"]),
    ],
)
def test_a_key_that_cannot_be_set(house: Rookery, arguments: list[str], stdin: str, words: list[str]) -> None:
    """Each reason is said with what would be right, and without the key."""
    ran = house("key", "set", *arguments, stdin=stdin)
    ran.refused_with(*words)
    assert SECRET not in ran.err


def test_a_key_is_shared_from_the_store(house: Rookery) -> None:
    """Sealed, granted and taken back by name; taken away it is gone from everybody."""
    ran = [
        house("key", "share", "family", "openai", stdin=SECRET),
        house("key", "grant", "alice", "family"),
        house("key", "list", "--json"),
        house("key", "list"),
        house("key", "ungrant", "alice", "family"),
        house("key", "grant", "bob", "family"),
        house("key", "unshare", "family"),
    ]
    assert [one.status for one in ran] == [0] * len(ran)
    [shared] = ran[2].json["shared"]
    assert (shared["name"], shared["source"], shared["agents"], shared["lastFour"]) == (
        "family",
        "store",
        ["alice"],
        "here",
    )
    assert "bob had it" in ran[6].out
    assert not any(SECRET in one.out + one.err for one in ran)
    house("key", "unshare", "family").refused_with("'family'", "rookery key share")


def test_a_name_in_the_file_and_in_the_store_is_refused(rookery: Rookery, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the sharing, and at the start when the file came later; the way out is said, and works."""
    rookery("user", "add", "alice")
    monkeypatch.setenv("ROOKERY_TEST_SECRET", SECRET)
    assert rookery("key", "share", "house", "openai", stdin=SECRET).status == 0
    rookery.configure(KEYS)
    [finding] = [line for line in rookery("doctor").out.splitlines() if "rookery key unshare house" in line]
    assert "models.sharedKeys" in finding
    assert rookery("key", "unshare", "house").status == 0
    rookery("key", "share", "house", "local", stdin=SECRET).refused_with("models.sharedKeys", "'house'")


def test_keys_are_granted_and_never_shown(rookery: Rookery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared key has a name; who may use it is shown, the key itself never."""
    monkeypatch.setenv("ROOKERY_TEST_SECRET", SECRET)
    rookery("user", "add", "alice")
    rookery.configure(KEYS)
    ran = [
        rookery("key", "list"),
        rookery("key", "grant", "alice", "house"),
        rookery("key", "list"),
        rookery("key", "list", "--json"),
        rookery("config", "show"),
        rookery("doctor"),
        rookery("agent", "list", "--json"),
        rookery("key", "ungrant", "alice", "house"),
    ]
    assert [one.status for one in ran] == [0] * len(ran)
    assert "(nobody)" in ran[0].out
    assert [(one["name"], one["source"], one["agents"]) for one in ran[3].json["shared"]] == [
        ("house", "config", ["alice"])
    ]
    assert not any(SECRET in one.out + one.err for one in ran)
    rookery("key", "ungrant", "alice", "house").refused_with("'house'", "'alice'")
    rookery("key", "grant", "alice", "hause").refused_with("'hause'", "there is house")
    rookery("key", "grant", "alicia", "house").refused_with("'alicia'", "there is alice")


def test_a_key_that_left_the_file_is_still_listed(rookery: Rookery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant of a key that is gone can be seen, and taken back."""
    monkeypatch.setenv("ROOKERY_TEST_SECRET", SECRET)
    rookery("user", "add", "alice")
    rookery.configure(KEYS)
    rookery("key", "grant", "alice", "house")
    rookery.configure("")
    assert "(gone)" in rookery("key", "list").out
    assert "rookery key ungrant alice house" in rookery("doctor").out
    assert rookery("key", "ungrant", "alice", "house").status == 0


def test_without_shared_keys(rookery: Rookery) -> None:
    """Where there is none, the line says where they would be."""
    rookery("user", "add", "alice")
    with running(rookery.home):
        rookery("key", "grant", "alice", "house").refused_with("models.sharedKeys")
