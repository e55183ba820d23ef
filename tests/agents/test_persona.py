"""Who an agent is, in words to the model: the same facts are the same bytes."""

from __future__ import annotations

import pytest

from rookery.agents import prompt
from rookery.agents.persona import identity
from rookery.users.who import check_who


def test_a_main_agent_a_shared_one_and_a_friend_begin_differently():
    """Each says who it is and whose; and nothing that was not said of it."""
    assert identity("Rookery", person="Alice") == "You are Rookery, the personal assistant of Alice."
    assert identity("Desk", person=None).startswith("You are Desk, an assistant that several people talk to")
    assert identity("Sabrina", person="Alice", relation="girlfriend") == "You are Sabrina, Alice's girlfriend."


def test_who_is_told_a_line_each_in_one_order():
    """Whatever order it was written in."""
    said = {
        "responseLength": "medium",
        "language": "zh",
        "personalities": ["gentle", "witty"],
        "roles": ["friend"],
        "gender": "female",
        "description": "Met Alice at school.",
    }
    told = identity("Sabrina", person="Alice", relation="friend", who=check_who(said))
    assert told.splitlines() == [
        "You are Sabrina, Alice's friend.",
        "Met Alice at school.",
        "Your gender: female.",
        "What you are: friend.",
        "What you are like: gentle, witty.",
        "Answer in Chinese (zh), unless you are asked to use another language.",
        "Answer in a paragraph or two, unless more or less is asked for.",
    ]
    turned = check_who(dict(reversed(said.items())))
    assert identity("Sabrina", person="Alice", relation="friend", who=turned) == told


@pytest.mark.parametrize(
    ("tag", "called"),
    [("de-AT", "German (de-AT)"), ("PT-br", "Portuguese (PT-br)"), ("tlh", "the language 'tlh' (a BCP 47 tag)")],
)
def test_a_language_is_named_where_its_name_is_known(tag: str, called: str):
    """And told by its tag where it is not."""
    assert f"Answer in {called}, unless" in identity("S", person="A", who={"language": tag})


def test_the_persona_follows_and_what_one_turn_asks_stands_last():
    """So that what comes before stays the same."""
    assert (
        prompt.instructions("You are S.", " Be kind. \n", further="Rhyme.") == "You are S.\n\nBe kind.\n\nRhyme."
    )
