"""The calls of one step: side by side where that harms nobody, alone and in order where it may."""

from __future__ import annotations

import asyncio

import pytest

from rookery.agents import Interrupted
from rookery.agents.calls import SIDE_BY_SIDE
from rookery.messages import Role, StopReason, ToolCallPart, text_of
from rookery.models.scripted import ScriptedModel, Step
from tests.agents.scene import Scene, asked, call, check_grammar, result, scene


def results(turn: Scene) -> list[tuple[str | None, str]]:
    return [(one.tool_call_id, text_of(one)) for one in turn.entries if one.role is Role.TOOL_RESULT]


async def until(turn: Scene, calls: int) -> None:
    """Let the run go on until so many calls of `look` are under way, and then as far as it can."""
    while len(turn.look.calls) < calls:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)


async def test_calls_without_effects_are_made_side_by_side() -> None:
    """The last one may end first; the results stand in the order the model wrote the calls."""
    turn = await scene()
    turn.look.gates = {name: asyncio.Event() for name in "abc"}
    turn.model = ScriptedModel([Step(calls=tuple(call("look", name, gate=name) for name in "abc")), "Seen."])
    running = asyncio.create_task(turn.goes_on())
    await until(turn, 3)
    assert turn.look.running == 3
    for name in "cab":
        assert turn.roles == "ua"
        turn.look.gates[name].set()
        await until(turn, 3)
    await running

    assert results(turn) == [("a", "look says 1"), ("b", "look says 2"), ("c", "look says 3")]
    check_grammar(turn.entries)


async def test_not_too_many_at_once() -> None:
    """A model that asks for a hundred things at once gets all of them, a few at a time."""
    turn = await scene()
    turn.look.gate = asyncio.Event()
    turn.model = ScriptedModel([Step(calls=tuple(call("look", f"c{n}", n=n) for n in range(30))), "Seen."])
    running = asyncio.create_task(turn.goes_on())
    await until(turn, SIDE_BY_SIDE)
    assert turn.look.running == SIDE_BY_SIDE
    turn.look.gate.set()
    await running
    assert (len(results(turn)), turn.look.most) == (30, SIDE_BY_SIDE)
    check_grammar(turn.entries)


async def test_a_call_with_effects_runs_alone_and_in_its_place() -> None:
    """What stands before it is done and written, what stands after it has not begun."""
    turn = await scene()
    turn.send.gate = asyncio.Event()
    wishes = (call("look", "c1", n=1), call("look", "c2", n=2), call("send", "c3"), call("look", "c4", n=4))
    turn.model = ScriptedModel([Step(calls=wishes), "Done."])
    running = asyncio.create_task(turn.goes_on())
    await turn.send.begun.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert turn.roles == "uarr"
    assert [one["n"] for one in turn.look.calls] == [1, 2]
    turn.send.gate.set()
    await running

    assert [one for one, _ in results(turn)] == ["c1", "c2", "c3", "c4"]
    assert [one["n"] for one in turn.look.calls] == [1, 2, 4]
    check_grammar(turn.entries)


async def test_one_broken_tool_loses_no_other_s_result() -> None:
    """The others run to their ends, what they said is kept, and nothing with effects is begun after that."""
    turn = await scene()
    turn.refused.error = KeyError("private words")
    broken = type(turn.look)("broken", error=KeyError("private words"))
    turn.further = [broken]
    turn.look.gate = asyncio.Event()
    wishes = (call("look", "c1"), call("broken", "c2"), call("look", "c3", n=3), call("send", "c4"))
    turn.model = ScriptedModel([Step(calls=wishes)])
    running = asyncio.create_task(turn.goes_on())
    await until(turn, 2)
    turn.look.gate.set()
    with pytest.raises(KeyError):
        await running

    told = dict(results(turn))
    assert (told["c1"], told["c3"]) == ("look says 1", "look says 2")
    assert "wrong with the tool" in told["c2"]
    assert turn.send.calls == []
    assert not any("private" in text for text in told.values())
    check_grammar(turn.entries)


async def test_a_tool_that_cancels_itself_is_a_broken_tool() -> None:
    """Something inside it was cancelled, and nobody asked the run to end: it does not end without a word."""
    turn = await scene()
    turn.look.error = asyncio.CancelledError()
    with pytest.raises(RuntimeError, match="from within"):
        await turn.runs(Step(calls=(call("look", "c1"), call("look", "c2"))))
    assert len(results(turn)) == 2
    check_grammar(turn.entries)


async def test_a_stop_while_several_run_keeps_what_has_ended() -> None:
    """The others are cancelled and said to be stopped; none of them had effects, so nothing is unknown."""
    turn = await scene()
    turn.look.gates = {name: asyncio.Event() for name in "abc"}
    wishes = (*(call("look", name, gate=name) for name in "abc"), call("send", "d"))
    turn.model = ScriptedModel([Step(calls=wishes)])
    running = asyncio.create_task(turn.goes_on())
    await until(turn, 3)
    turn.look.gates["b"].set()
    await until(turn, 3)
    turn.interruption.ask(StopReason.STOPPED)
    last = await running

    assert last.stop_reason is StopReason.STOPPED
    assert results(turn) == [
        ("a", "Stopped by the person."),
        ("b", "look says 2"),
        ("c", "Stopped by the person."),
        ("d", "Stopped by the person."),
    ]
    assert not any(one.outcome_unknown for one in turn.entries)
    assert turn.look.running == 0
    check_grammar(turn.entries)


async def test_when_the_gateway_stops_while_several_run_they_are_made_again() -> None:
    """Nothing is written, nothing goes on behind the gateway's back, and the next start makes them anew."""
    turn = await scene()
    turn.look.gate = asyncio.Event()
    turn.model = ScriptedModel([Step(calls=(call("look", "c1", n=1), call("look", "c2", n=2))), "Seen."])
    running = asyncio.create_task(turn.goes_on())
    await until(turn, 2)
    turn.interruption.ask(None)
    with pytest.raises(Interrupted):
        await running
    assert (turn.roles, turn.look.running) == ("ua", 0)

    turn.interruption, turn.look.gate = type(turn.interruption)(), None
    await turn.goes_on()
    assert (turn.roles, len(turn.look.calls)) == ("uarra", 4)
    check_grammar(turn.entries)


async def test_after_a_crash_only_the_call_that_may_have_begun_is_unknown() -> None:
    """Results are written before the next call with effects begins: what stands behind it did not begin."""
    turn = await scene()
    calls = (call("look", "c1"), call("send", "c2"), call("send", "c3"))
    await turn.wrote(asked(1, *calls), result(2, calls[0]))
    await turn.runs("Well.")

    assert [(one.tool_call_id, one.outcome_unknown) for one in turn.entries[2:5]] == [
        ("c1", False),
        ("c2", True),
        ("c3", False),
    ]
    assert len(turn.send.calls) == 1
    check_grammar(turn.entries)


async def test_after_a_crash_before_what_has_no_effects_nothing_is_unknown() -> None:
    """The first call has no result, so the one with effects behind it cannot have begun."""
    turn = await scene()
    await turn.wrote(asked(1, call("look", "c1"), call("send", "c2")))
    await turn.runs("Well.")
    assert (len(turn.look.calls), len(turn.send.calls)) == (1, 1)
    assert not any(one.outcome_unknown for one in turn.entries)
    check_grammar(turn.entries)


async def test_calls_that_share_an_id_each_get_a_result() -> None:
    """Some servers call every call `call_0`."""
    turn = await scene()
    await turn.runs(Step(calls=(call("look", "c1", n=1), call("send", "c1"), call("look", "c1", n=2))), "Done.")
    assert [one for one, _ in results(turn)] == ["c1"] * 3
    assert (len(turn.look.calls), len(turn.send.calls)) == (2, 1)
    assert turn.roles == "uarrra"


async def test_of_calls_that_share_an_id_a_crash_loses_none() -> None:
    """As many results as were written count as done, in the model's order."""
    turn = await scene()
    wishes = (call("look", "c1", n=1), ToolCallPart("c1", "look", {"n": 2}))
    await turn.wrote(asked(1, *wishes), result(2, wishes[0]))
    await turn.runs("Done.")
    assert turn.look.calls == [{"n": 2}]
    assert turn.roles == "uarra"
