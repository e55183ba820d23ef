"""What a call would use, guessed before it is made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rookery.messages import ThinkingPart, ToolCallPart
from rookery.messages.transcript import ImagePart
from rookery.models.words import estimated, tokens_in
from tests.models.prompts import ask, assistant, user


def test_a_message_is_measured_once_in_its_life() -> None:
    """Words, thoughts and calls count; a picture has no length."""
    message = assistant("four", ThinkingPart("five!"), ToolCallPart("a", "time", {"a": 1}))

    assert message.characters == len("four" + "five!" + "time" + '{"a":1}')
    assert message.call_ids == ("a",)
    assert user("look", ImagePart("att_1", "image/png")).characters == 4


@given(st.lists(st.text(max_size=30), min_size=1), st.text(max_size=30), st.text(max_size=30))
def test_a_guess_goes_by_all_that_is_sent(said: list[str], instructions: str, context: str) -> None:
    """The same request is always guessed alike."""
    request = ask("m", *map(user, said), instructions=instructions, context=context)
    usage = estimated(request, ())

    assert usage.estimated
    assert usage == estimated(request, ())
    assert usage.input_tokens == tokens_in(len("".join(said)) + len(instructions) + len(context))
