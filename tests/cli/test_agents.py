"""`rookery agent`."""

from __future__ import annotations

import pytest

from tests.cli.command import Rookery


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


def test_a_friend_is_added_changed_and_shown(house: Rookery) -> None:
    """Its id stays, whatever is changed; lists are written with commas, and nothing takes a word out."""
    added = house("agent", "add", "alice--sabrina", "--name", "Sabrina", "--relation", "friend")
    assert "rookery chat --user alice --agent alice--sabrina" in added.out
    changed = house("agent", "set", "alice--sabrina", "name=Brina", "who.roles=friend, coach", "who.language=de")
    assert "rookery agent show alice--sabrina" in changed.out
    house("agent", "set", "alice--sabrina", "who.language=", "persona=Be kind.", "enabled=false", "skills=a,b")
    shown = house("agent", "show", "alice--sabrina", "--json").json
    assert (shown["name"], shown["who"], shown["skills"]) == ("Brina", {"roles": ["friend", "coach"]}, ["a", "b"])
    told = house("agent", "show", "alice--sabrina").out
    for words in (
        "Brina, switched off",
        "alice's own, friend",
        "roles: friend, coach",
        "Be kind.",
        "Skills: a, b",
    ):
        assert words in told
    assert "alice's friend" in house("agent", "list").out
    assert "the personal assistant" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sabrina"], ["'alice--sabrina'", "sponsor"]),
        (["carl--sabrina"], ["'carl'"]),
        (["alice--main"], ["'main'"]),
        (["alice--张三"], ["'friend'"]),
        (["alice--sabrina", "--name", "2"], ["number"]),
        (["alice--sabrina", "--sponsor", "bob"], ["'--'"]),
    ],
)
def test_a_friend_that_cannot_be_added(house: Rookery, arguments: list[str], words: list[str]) -> None:
    """Each reason is said with what would be right."""
    house("agent", "add", *arguments).refused_with(*words)


def test_what_a_friend_cannot_be_is_told(house: Rookery) -> None:
    """By the word, and by what there is."""
    house("agent", "add", "alice--sabrina", "--name", "Sabrina")
    house("agent", "set", "alice--sabrina", "who.hat=red").refused_with("who.hat", "gender, roles")
    house("agent", "set", "alice--sabrina", "name=Rookery").refused_with("cannot be told", "'Rookery'")
    house("agent", "set", "alice--sabrina", "enabled=maybe").refused_with("enabled=maybe", "true or false")


def test_removing_a_friend_asks_first(house: Rookery) -> None:
    """Where nobody can be asked it says how; with `--yes` it is gone, and the main agent is never removed."""
    house("agent", "add", "alice--sabrina", "--name", "Sabrina")
    house("chat", "--user", "alice", "--agent", "alice--sabrina", "hello")
    house("agent", "remove", "alice--sabrina").refused_with("--yes")
    assert "everything that was said to it" in house("agent", "remove", "alice--sabrina", "--yes").out
    house("agent", "show", "alice--sabrina").refused_with("'alice--sabrina'")
    assert not (house.home.agents / "alice--sabrina").exists()
    house("agent", "remove", "alice", "--yes").refused_with("main assistant")


@pytest.mark.parametrize("setting", ["model", "modell=x", "=x"])
def test_a_setting_there_is_not(house: Rookery, setting: str) -> None:
    """What is misspelled is said, with what there is."""
    house("agent", "set", "bob", setting).refused_with(repr(setting), "KEY=VALUE", "model")


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
