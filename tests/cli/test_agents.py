"""`rookery agent` and `rookery key`."""

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


def test_a_shared_agent_is_added(house: Rookery) -> None:
    """A shared agent has a sponsor; people's own are listed beside it."""
    added = house("agent", "add", "helpdesk", "--sponsor", "alice", "--name", "Help", "--persona", "Be kind.")
    assert added.status == 0
    agents = {agent["id"]: agent for agent in house("agent", "list", "--json").json}
    assert agents["helpdesk"]["sponsor"] == "alice"
    assert agents["helpdesk"]["persona"] == "Be kind."
    assert agents["alice"]["owner"] == "alice"
    assert "shared, alice pays" in house("agent", "list").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["helpdesk", "--sponsor", "carl"], ["'carl'", "alice, bob"]),
        (["alice", "--sponsor", "alice"], ["'alice'"]),
        (["help desk", "--sponsor", "alice"], ["'help-desk'"]),
        (["helpdesk", "--sponsor", "alice", "--model", "nonsense"], ["'nonsense'", "provider/model"]),
    ],
)
def test_an_agent_that_cannot_be_added(house: Rookery, arguments: list[str], words: list[str]) -> None:
    """Each reason is said with what would be right."""
    house("agent", "add", *arguments).refused_with(*words)


def test_the_model_is_set_and_set_back(house: Rookery) -> None:
    """`model=` chooses a model, an empty one the default."""
    assert house("agent", "set", "bob", "model=openai/gpt-x").status == 0
    assert "openai/gpt-x" in house("agent", "list").out
    assert "default model" in house("agent", "set", "bob", "model=").out


@pytest.mark.parametrize("setting", ["model", "modell=x", "=x"])
def test_a_setting_there_is_not(house: Rookery, setting: str) -> None:
    """A misspelled setting is wrong usage."""
    ran = house("agent", "set", "bob", setting)
    assert ran.status == 2
    assert "model" in ran.err


def test_the_model_of_a_configured_agent_is_the_files(rookery: Rookery) -> None:
    """What `rookery.yaml` describes is not changed behind its back."""
    rookery("user", "add", "alice")
    rookery.configure("agents: { list: [ { id: helpdesk, sponsor: alice } ] }")
    rookery("agent", "set", "helpdesk", "model=offline/demo").refused_with("rookery.yaml", "agents.list")


def test_a_model_that_is_not_allowed(rookery: Rookery) -> None:
    """`models.allowed` holds for the operator's commands, too."""
    rookery("user", "add", "alice")
    rookery.configure("models: { allowed: [offline/demo] }")
    rookery("agent", "set", "alice", "model=openai/gpt-x").refused_with("models.allowed", "offline/demo")


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
    assert ran[3].json == [{"name": "house", "provider": "local", "agents": ["alice"]}]
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
    assert "(gone from rookery.yaml)" in rookery("key", "list").out
    assert "rookery key ungrant alice house" in rookery("doctor").out
    assert rookery("key", "ungrant", "alice", "house").status == 0


def test_without_shared_keys(rookery: Rookery) -> None:
    """Where there is none, the line says where they would be."""
    rookery("user", "add", "alice")
    with running(rookery.home):
        rookery("key", "grant", "alice", "house").refused_with("models.sharedKeys")
