"""Whatever the moment at which a run is ended from outside, what it leaves is whole.

A run is let go on for so many turns of the event loop, and ended then: by the person, by a newer message, by the
gateway's end, or by the end of its own task. Hypothesis chooses the script and the moment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.agents import Interrupted, Verdict
from rookery.errors import ModelError, ModelErrorKind
from rookery.ids import AgentId, SessionId
from rookery.messages import Role, StopReason, TextPart, ToolCallPart
from rookery.models.scripted import Script, Step
from rookery.sessions.brains import MemoryBrains
from rookery.tools import ToolContext
from tests.agents.scene import NOW, Counted, Scene, check_grammar, entry


class Lingers(Counted):
    """A tool that takes as many turns of the loop as it is told, and one more to clean up behind itself."""

    done = 0

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del context
        self.calls.append(arguments)
        self.running += 1
        try:
            for _ in range(arguments["turns"]):
                await asyncio.sleep(0)
            self.done += 1
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                self.running -= 1
        return f"{self.spec.name} {len(self.calls)}"


_calls = st.lists(
    st.tuples(st.sampled_from(["look", "send", "pay", "nothing"]), st.integers(0, 4)), min_size=1, max_size=4
)
_steps = st.lists(st.one_of(_calls, st.sampled_from(["some words", "error"])), max_size=4)


@dataclass(frozen=True)
class Play:
    """A script, the moment at which it is ended, and how."""

    steps: list[Any]
    moment: int
    how: str
    verdict: Verdict


_plays = st.builds(
    Play,
    steps=_steps,
    moment=st.integers(0, 90),
    how=st.sampled_from(["stopped", "interrupted", "shutdown", "cancelled"]),
    verdict=st.sampled_from([Verdict.ALLOWED, Verdict.DENIED, Verdict.EXPIRED]),
)


def _script(play: Play) -> list[Script]:
    script: list[Script] = []
    for number, step in enumerate(play.steps):
        if step == "error":
            script.append(ModelError(ModelErrorKind.OVERLOADED, "busy"))
        elif isinstance(step, str):
            script.append(step)
        else:
            parts = tuple(
                ToolCallPart(f"c{place}", name, {"turns": turns, "to": f"{number}-{place}"})
                for place, (name, turns) in enumerate(step)
            )
            script.append(Step(text="Let me see.", calls=parts))
    return [*script, "The end.", "The end.", "The end."]


async def _scene() -> Scene:
    async with MemoryBrains().use(AgentId("alice")) as brain:
        turn = Scene(await brain.open_session(SessionId("s1"), "agent:alice:main", NOW))
    turn.look, turn.send = Lingers("look"), Lingers("send", effects=True)
    await turn.wrote(entry(0, Role.USER, TextPart("Hello.")))
    return turn


async def _play(play: Play) -> None:
    turn = await _scene()
    turn.model = type(turn.model)(_script(play))
    running = asyncio.create_task(turn.goes_on())
    await _answering(turn, play, running, play.moment)
    reasons = {"stopped": StopReason.STOPPED, "interrupted": StopReason.INTERRUPTED, "shutdown": None}
    if play.how == "cancelled":
        running.cancel()
    else:
        turn.interruption.ask(reasons[play.how])
    await _answering(turn, play, running, 10_000)
    left = not running.cancelled() and running.exception() is None
    for _ in range(5):
        await asyncio.sleep(0)
    assert turn.slots == turn.model.running == 0
    _check_nothing_goes_on(turn)
    if left:
        check_grammar(turn.entries)
        _check_one_end(turn)
    else:
        assert running.cancelled() or isinstance(running.exception(), Interrupted)
        await _go_on(turn, play)


async def _go_on(turn: Scene, play: Play) -> None:
    """The next start takes it up where it stands, and ends it."""
    before = len(turn.entries)
    turn.interruption = type(turn.interruption)()
    again = asyncio.create_task(turn.goes_on())
    await _answering(turn, play, again, 10_000)
    await again
    assert len(turn.entries) > before or turn.entries[-1].stop_reason is not StopReason.TOOL_CALLS
    check_grammar(turn.entries)
    _check_one_end(turn)


async def _answering(turn: Scene, play: Play, running: asyncio.Task[Any], turns: int) -> None:
    """Let the loop turn so often, or until the run has ended, and answer whatever the person is asked."""
    asks = turn.asks
    assert asks is not None
    for _ in range(turns):
        if running.done():
            return
        await asyncio.sleep(0)
        if asks.word is not None and not asks.word.done():
            asks.says(play.verdict)
    if turns == 10_000:
        raise AssertionError("the run does not come to its end")


def _check_nothing_goes_on(turn: Scene) -> None:
    assert turn.look.running == turn.send.running == turn.pay.running == 0, "a tool runs behind the run's back"
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("tool ")] == []


def _check_one_end(turn: Scene) -> None:
    """Exactly one last answer and nothing after it; and nothing with effects was done twice."""
    answers = [one for one in turn.entries if one.role is Role.ASSISTANT]
    ends = [one for one in answers if one.stop_reason is not StopReason.TOOL_CALLS]
    assert ends == [turn.entries[-1]]
    for tool in (turn.send, turn.pay):
        made = [call["to"] for call in tool.calls]
        assert len(made) == len(set(made)), f"{tool.spec.name} was done twice: {made}"
    done = {one.tool_call_id for one in turn.entries if one.role is Role.TOOL_RESULT}
    assert None not in done


@settings(max_examples=400, deadline=None)
@given(_plays)
def test_a_run_may_be_ended_at_any_moment(play: Play) -> None:
    """Stopped, interrupted, cut off by the gateway's end, or cancelled: every call has its result, the transcript
    one last answer, and no deed was done twice, also after the next start has taken it up."""
    asyncio.run(_play(play))


@settings(max_examples=100, deadline=None)
@given(_steps, st.integers(1, 60), st.sampled_from(list(Verdict)[1:4]))
def test_it_may_be_cut_off_again_and_again(steps: list[Any], every: int, verdict: Verdict) -> None:
    """A gateway that stops every few moments gets every turn to its end all the same."""

    async def play() -> None:
        turn = await _scene()
        script = Play(steps, every, "shutdown", verdict)
        turn.model = type(turn.model)([*_script(script), *["The end."] * 50])
        for round in range(60):
            running = asyncio.create_task(turn.goes_on())
            await _answering(turn, script, running, every + 10 * round)
            turn.interruption.ask(None)
            await asyncio.wait([running])
            _check_nothing_goes_on(turn)
            if running.exception() is None:
                break
            turn.interruption = type(turn.interruption)()
        check_grammar(turn.entries)
        _check_one_end(turn)

    asyncio.run(play())
