"""`rookery space`."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.cli.command import Rookery


def test_a_group_is_let_in_listed_and_put_out(house: Rookery) -> None:
    """It gets an agent of its own, which it finds again when it is let in anew."""
    admitted = house("space", "admit", "telegram", "-100123", "--sponsor", "alice")
    assert admitted.status == 0, admitted
    assert admitted.out.startswith("telegram:-100123 is let in; Rookery (space--")

    [space] = house("space", "list", "--json").json
    assert (space["channel"], space["account"], space["kind"], space["chat"]) == (
        "telegram",
        None,
        "group",
        "-100123",
    )
    assert (space["sponsor"], space["admittedBy"], space["answering"]) == ("alice", "operator", True)
    assert datetime.fromisoformat(space["admittedAt"]).tzinfo is not None
    assert space["agentId"] in house("space", "list").out

    removed = house("space", "remove", "telegram", "-100123")
    assert removed.out == f"telegram:-100123 is answered no more; what {space['agentId']} remembers is kept.\n"
    assert house("space", "list", "--json").json == []

    house("space", "admit", "telegram", "-100123", "--sponsor", "bob", "--name", "Ada")
    [again] = house("space", "list", "--json").json
    assert (again["agentId"], again["agentName"], again["sponsor"]) == (space["agentId"], "Ada", "bob")


def test_a_group_with_a_shared_agent(house: Rookery) -> None:
    """The shared agent that was named answers it; ids unique per account need theirs."""
    house("agent", "add", "desk", "--sponsor", "bob")
    arguments = ("webhook", "7", "--account", "default", "--agent", "desk", "--sponsor", "alice")
    assert house("space", "admit", *arguments, "--kind", "channel").status == 0
    [space] = house("space", "list", "--json").json
    assert (space["agentId"], space["account"], space["kind"]) == ("desk", "default", "channel")
    house("space", "remove", "webhook", "7", "--account", "default").refused_with(
        "webhook@default:7", "not let in"
    )
    assert house("space", "remove", "webhook", "7", "--account", "default", "--kind", "channel").status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["telegram", "7", "--sponsor", "carl"], ["'carl'", "alice, bob"]),
        (["telegram", "7", "--sponsor", "alice", "--agent", "desk"], ["'desk'"]),
        (["telegram", "7", "--sponsor", "alice", "--agent", "bob"], ["'bob'", "shared agent"]),
        (["telgram", "7", "--sponsor", "alice"], ["'telegram'"]),
        (["terminal", "7", "--sponsor", "alice"], ["terminal has no groups"]),
        (["webhook", "7", "--sponsor", "alice"], ["account"]),
        (["telegram", "", "--sponsor", "alice"], ["empty"]),
        (["telegram", "7\n8", "--sponsor", "alice"], ["control characters"]),
        (["telegram", "7", "--sponsor", "alice", "--name", " "], ["name"]),
        (["telegram", "7", "--sponsor", "alice", "--agent", "bob", "--name", "Ada"], ["'bob'", "name"]),
    ],
)
def test_a_group_that_cannot_be_let_in(house: Rookery, arguments: list[str], words: list[str]) -> None:
    """What does not fit is refused with a line that says why, and nothing is let in."""
    house("space", "admit", *arguments).refused_with(*words)
    assert house("space", "list", "--json").json == []


def test_a_group_is_let_in_once(house: Rookery) -> None:
    """Also when one of the two names an account and the other all of them; no group is given another's agent."""
    house("space", "admit", "telegram", "7", "--sponsor", "alice", "--account", "work")
    house("space", "admit", "telegram", "7", "--sponsor", "bob").refused_with("telegram@work:7", "already")
    assert house("space", "admit", "telegram", "7", "--sponsor", "bob", "--account", "home").status == 0
    first, _ = house("space", "list", "--json").json
    own = ("telegram", "8", "--sponsor", "bob", "--agent", first["agentId"])
    house("space", "admit", *own).refused_with("group's own agent")


def test_a_group_that_a_binding_names(rookery: Rookery) -> None:
    """The configuration has the last word, so letting the group in by name is refused."""
    rookery("user", "add", "alice")
    rookery.configure(
        "agents: {list: [{id: desk, sponsor: alice}]}\n"
        "bindings: [{agentId: desk, match: {channel: telegram, peer: {kind: group, id: '7'}}}]\n"
    )
    rookery("space", "admit", "telegram", "7", "--sponsor", "alice").refused_with("bindings", "'desk'")
    assert rookery("space", "admit", "telegram", "8", "--sponsor", "alice").status == 0


def test_only_its_own_group_is_bound_to_its_agent(rookery: Rookery) -> None:
    """A rule that gives a group's own agent to others stops the start."""
    rookery("user", "add", "alice")
    rookery("space", "admit", "telegram", "8", "--sponsor", "alice")
    [space] = rookery("space", "list", "--json").json
    match = "{channel: telegram, account: work}"
    rookery.configure(f"bindings: [{{agentId: {space['agentId']}, match: {match}}}]\n")
    assert "answers its own group and nobody else" in rookery("doctor").out
