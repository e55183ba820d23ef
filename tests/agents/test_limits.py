"""What bounds a run: its time, a tool's time, how long results are, and how often it may try the same."""

from __future__ import annotations

import asyncio

import pytest

from rookery.agents.repeats import IN_A_ROW
from rookery.agents.words import IN_CIRCLES, took_too_long
from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import Role, StopReason, TextPart, Usage, text_of
from rookery.models.scripted import ScriptedModel, Step
from rookery.sessions import Session
from rookery.tools import ToolLimits
from rookery.tools.toolset import MOST_ARGUMENT_BYTES, shortened
from tests.agents.scene import Counted, asked, call, check_grammar, entry, result, scene

MOMENT = 0.01
"""Seconds that are short, and yet enough for what does not wait."""


# --- the time of a turn --------------------------------------------------------------------------------------


async def test_a_turn_that_is_at_work_for_too_long_ends() -> None:
    """In the middle of the model's words: they are kept, and the person is told in words."""
    turn = await scene()
    turn.settings = {"max_seconds": MOMENT}
    last = await turn.runs(Step(text="Once upon a time", after=asyncio.Event()))

    assert (last.stop_reason, last.error_kind) == (StopReason.ERROR, "turn_too_long")
    assert last.error == took_too_long(MOMENT)
    assert text_of(last) == "Once upon a time"
    assert (turn.model.running, turn.slots) == (0, 0)
    check_grammar(turn.entries)


@pytest.mark.parametrize(("tool", "unknown"), [("look", False), ("send", True)])
async def test_it_ends_in_the_middle_of_a_tool_too(tool: str, unknown: bool) -> None:
    """The call is cut off and has a result; what may have had effects is unknown, the rest was not begun."""
    turn = await scene()
    turn.settings = {"max_seconds": MOMENT}
    turn.look.gate = turn.send.gate = asyncio.Event()
    last = await turn.runs(Step(calls=(call(tool, "c1"), call("send", "c2"))))

    assert last.error_kind == "turn_too_long"
    assert [(one.is_error, one.outcome_unknown) for one in turn.entries[2:4]] == [(True, unknown), (True, False)]
    check_grammar(turn.entries)


async def test_the_time_is_that_of_all_steps_together() -> None:
    """A run that never takes long for one step, and never ends, ends."""
    turn = await scene()
    turn.settings = {"max_seconds": 0.05}
    turn.max_steps = 10_000
    turn.model = ScriptedModel(_slowly(number) for number in range(10_000))
    last = await turn.goes_on()
    assert last.error_kind == "turn_too_long"
    assert len(turn.model.requests) > 1
    check_grammar(turn.entries)


def _slowly(number: int) -> Step:
    gate = asyncio.Event()
    asyncio.get_running_loop().call_later(0.005, gate.set)
    return Step(calls=(call("look", "c1", n=number),), before=gate)


async def test_waiting_for_a_free_model_costs_no_time() -> None:
    """The queue is not the person's fault: their turn has all of its time when it is its turn."""
    turn = await scene()
    turn.settings = {"max_seconds": 4 * MOMENT}
    turn.slot_after = 8 * MOMENT
    last = await turn.runs(Step(text="Here."))
    assert text_of(last) == "Here."

    turn = await scene()
    turn.settings = {"max_seconds": 4 * MOMENT}
    turn.slot_after = 8 * MOMENT
    last = await turn.runs(Step(text="Here", after=asyncio.Event()))
    assert last.error_kind == "turn_too_long", "the time goes on once the model is asked"


async def test_a_time_limit_that_is_reached_while_nothing_is_at_work_harms_nobody() -> None:
    """The answer is there before the time is over: it counts."""
    turn = await scene()
    turn.settings = {"max_seconds": 5.0}
    assert text_of(await turn.runs(call("look"), "Done.")) == "Done."
    check_grammar(turn.entries)


# --- the time of a tool --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "unknown"), [("look", False), ("send", True)])
async def test_a_tool_that_takes_too_long_is_cut_off(tool: str, unknown: bool) -> None:
    """The model is told so and goes on; whether something happened is unknown where that may be."""
    turn = await scene()
    turn.tool_limits = ToolLimits(seconds=MOMENT)
    turn.look.gate = turn.send.gate = asyncio.Event()
    await turn.runs(call(tool), "It takes too long.")

    told = turn.entries[2]
    assert (told.is_error, told.outcome_unknown) == (True, unknown)
    assert "longer than 0.01 seconds" in text_of(told)
    assert turn.look.running == turn.send.running == 0
    check_grammar(turn.entries)


async def test_a_tool_may_say_its_own_time() -> None:
    """One that is known to be slow is given more, one that is to be quick less."""
    turn = await scene()
    turn.tool_limits = ToolLimits(seconds=MOMENT)
    slow = _Slow("slow", 5.0)
    turn.further = [slow]
    slow.gate = asyncio.Event()
    asyncio.get_running_loop().call_later(4 * MOMENT, slow.gate.set)
    await turn.runs(call("slow"), "There.")
    assert text_of(turn.entries[2]) == "slow says 1"


class _Slow(Counted):
    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(name)
        self.seconds = seconds


async def test_a_tool_s_own_timeout_is_its_own_mistake() -> None:
    """A `TimeoutError` out of a tool that was quick is no time limit of ours."""
    turn = await scene()
    turn.look.error = TimeoutError("inside")
    with pytest.raises(TimeoutError, match="inside"):
        await turn.runs(call("look"))
    check_grammar(turn.entries)


# --- how long things are -------------------------------------------------------------------------------------


async def test_a_long_result_loses_its_middle() -> None:
    """Beginning and end are kept, and how much is left out is said."""
    turn = await scene()
    turn.tool_limits = ToolLimits(result_chars=100)
    turn.look.says = "a" * 400 + "b" * 600
    await turn.runs(call("look"), "Long.")
    told = text_of(turn.entries[2])
    assert told.startswith("a" * 50)
    assert told.endswith("b" * 50)
    assert "900 characters are left out here" in told
    assert not turn.entries[2].is_error


@pytest.mark.parametrize("most", [1, 2, 7, 100])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 101])
def test_what_is_left_out_and_what_is_kept_are_the_whole(most: int, length: int) -> None:
    """Nothing is left out of what is short enough; else exactly `most` characters are kept."""
    text = "".join(chr(ord("a") + number % 26) for number in range(length))
    told = shortened(text, most)
    if length <= most:
        assert told == text
    else:
        head, _, rest = told.partition("\n\n[… ")
        said, _, tail = rest.partition(" here …]\n\n")
        assert len(head) + len(tail) == most
        assert text.startswith(head)
        assert text.endswith(tail)
        assert said.startswith(str(length - most))


async def test_a_result_is_always_valid_text() -> None:
    """A lone surrogate out of some file name would make a line that no transcript can hold."""
    turn = await scene()
    turn.look.says = "a\udcffb"
    await turn.runs(call("look"), "Odd.")
    assert text_of(turn.entries[2]) == "a?b"


async def test_arguments_have_a_size_too() -> None:
    """A call with a whole library in it is not made, and the model is told why."""
    turn = await scene()
    await turn.runs(call("look", book="x" * MOST_ARGUMENT_BYTES), "Too much.")
    assert turn.look.calls == []
    assert turn.entries[2].is_error
    assert str(MOST_ARGUMENT_BYTES) in text_of(turn.entries[2])


# --- going in circles ----------------------------------------------------------------------------------------


async def test_the_same_call_with_the_same_result_is_not_made_for_ever() -> None:
    """After five times it is refused with a clear word; a model that asks once more ends the turn."""
    turn = await scene()
    turn.look.says = "nothing new"
    last = await turn.runs(*[call("look", where="up")] * 20)

    assert (last.stop_reason, last.error_kind, last.error) == (StopReason.ERROR, "in_circles", IN_CIRCLES)
    assert len(turn.look.calls) == IN_A_ROW
    assert len(turn.model.requests) == IN_A_ROW + 2
    told = [text_of(one) for one in turn.entries if one.role is Role.TOOL_RESULT]
    assert all("made 5 times in a row" in text for text in told[IN_A_ROW:])
    check_grammar(turn.entries)


async def test_a_model_that_listens_goes_on() -> None:
    """It reads that the call was refused, does something else, and may come back to it later."""
    turn = await scene()
    turn.look.says = "nothing new"
    same = call("look", where="up")
    last = await turn.runs(*[same] * 6, call("look", where="down"), same, "I see.")
    assert text_of(last) == "I see."
    assert len(turn.look.calls) == IN_A_ROW + 2
    check_grammar(turn.entries)


async def test_a_call_whose_result_changes_may_be_made_again() -> None:
    """Looking whether something is done yet is no circle as long as the answer is another."""
    turn = await scene()
    last = await turn.runs(*[call("look", where="up")] * 9, "Done.")
    assert text_of(last) == "Done."
    assert len(turn.look.calls) == 9


async def test_the_order_of_arguments_makes_no_difference() -> None:
    """The same call is the same however the model writes its JSON."""
    turn = await scene()
    turn.look.says = "nothing new"
    one, other = call("look", a=1, b=2), call("look", b=2, a=1)
    last = await turn.runs(*[one, other] * 5)
    assert last.error_kind == "in_circles"
    assert len(turn.look.calls) == IN_A_ROW


async def test_what_was_tried_before_a_crash_counts() -> None:
    """The circle is read from the transcript."""
    turn = await scene()
    turn.look.says = "done"
    for number in range(IN_A_ROW):
        await turn.wrote(asked(1 + 2 * number, call("look")), result(2 + 2 * number, call("look")))
    await turn.runs(call("look"), "Well.")
    assert turn.look.calls == []


# --- conversations that are too long -------------------------------------------------------------------------


class Compactor:
    """A seam that shortens when it is told to, by saying so."""

    def __init__(self, shorter: bool) -> None:
        self.shorter = shorter
        self.filled: list[int] = []
        self.overflows = 0

    async def filling(self, session: Session, tokens: int) -> None:
        """Told how full it is."""
        del session
        self.filled.append(tokens)

    async def overflowed(self, session: Session) -> bool:
        """Everything of the turn is in the transcript by now."""
        assert session.entries
        self.overflows += 1
        return self.shorter


TOO_LONG = ModelError(ModelErrorKind.CONTEXT_TOO_LONG, "too many tokens")


async def test_a_conversation_that_was_shortened_is_asked_once_more() -> None:
    """The person notices nothing."""
    turn = await scene()
    turn.shortening = seam = Compactor(shorter=True)
    assert text_of(await turn.runs(TOO_LONG, "Here it is.")) == "Here it is."
    assert seam.overflows == 1
    check_grammar(turn.entries)


async def test_it_is_asked_once_more_and_not_twice() -> None:
    """What is still too long is told to the person, with what they can do."""
    turn = await scene()
    turn.shortening = seam = Compactor(shorter=True)
    last = await turn.runs(TOO_LONG, TOO_LONG)
    assert (last.error_kind, seam.overflows) == ("context_too_long", 1)
    assert last.error is not None
    assert "/new" in last.error


async def test_each_step_may_overflow() -> None:
    """A tool's result may be what was too much; that step is asked once more too."""
    turn = await scene()
    turn.shortening = seam = Compactor(shorter=True)
    last = await turn.runs(TOO_LONG, call("look"), TOO_LONG, "Here.")
    assert (text_of(last), seam.overflows) == ("Here.", 2)
    check_grammar(turn.entries)


@pytest.mark.parametrize("seam", [Compactor(shorter=False), None])
async def test_what_cannot_be_shortened_ends_in_words(seam: Compactor | None) -> None:
    """Without a seam, or when it finds nothing to leave out, nothing is asked again."""
    turn = await scene()
    turn.shortening = seam
    last = await turn.runs(TOO_LONG)
    assert last.error_kind == "context_too_long"
    assert len(turn.model.requests) == 1
    check_grammar(turn.entries)


async def test_the_seam_is_told_how_full_it_is_before_each_step() -> None:
    """By what the model counted last, and a guess of what came since."""
    turn = await scene()
    turn.shortening = seam = Compactor(shorter=True)
    await turn.wrote(
        entry(1, Role.ASSISTANT, call("look"), stop_reason=StopReason.TOOL_CALLS),
        entry(2, Role.TOOL_RESULT, TextPart("x" * 4000), tool_call_id="c1", tool_name="look"),
    )
    turn.look.says = "y" * 400
    await turn.runs(Step(calls=(call("look", "c2"),), usage=Usage(5000, 100)), "Done.")
    first, second = seam.filled
    assert 1000 < first < 1020
    assert second == 5100 + 100
