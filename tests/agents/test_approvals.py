"""Calls that a person has to allow first, as a run sees them."""

from __future__ import annotations

import asyncio

import pytest

from rookery.agents import Interrupted, Verdict, words
from rookery.messages import Role, StopReason, text_of
from rookery.models.scripted import ScriptedModel, Step
from tests.agents.scene import Asked, Scene, asked, call, check_grammar, result, scene


async def waiting(turn: Scene, *steps: Step) -> asyncio.Task[object]:
    """Let the run come to where it waits for a yes."""
    assert turn.asks is not None
    turn.model = ScriptedModel(steps)
    running = asyncio.create_task(turn.goes_on())
    while not turn.asks.asked and not running.done():
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    return running


def told(turn: Scene, id: str = "c1") -> str:
    return next(text_of(one) for one in turn.entries if one.tool_call_id == id)


PAY = Step(calls=(call("pay", "c1", to="Bob"),))


async def test_a_call_waits_for_a_yes() -> None:
    """Nothing is done and no model slot is held until the person says so; then it is done once."""
    turn = await scene()
    assert turn.asks is not None
    running = await waiting(turn, PAY, Step(text="Paid."))
    [wish] = turn.asks.asked
    assert (wish.words, wish.call, wish.entry_id, wish.place) == ("Pay Bob.", PAY.calls[0], "t1.1", 0)
    assert (turn.pay.calls, turn.slots, turn.roles) == ([], 0, "ua")

    turn.asks.says(Verdict.ALLOWED)
    await running
    assert turn.pay.calls == [{"to": "Bob"}]
    assert turn.asks.used == [wish]
    assert told(turn) == "pay says 1"
    check_grammar(turn.entries)


@pytest.mark.parametrize(
    ("verdict", "text"), [(Verdict.DENIED, words.DENIED), (Verdict.EXPIRED, words.UNANSWERED)]
)
async def test_without_a_yes_the_model_is_told_and_goes_on(verdict: Verdict, text: str) -> None:
    """The person said no, or nobody answered."""
    turn = await scene()
    assert turn.asks is not None
    running = await waiting(turn, PAY, Step(text="As you wish."))
    turn.asks.says(verdict)
    await running
    assert (turn.pay.calls, told(turn)) == ([], text)
    assert text_of(turn.entries[-1]) == "As you wish."
    check_grammar(turn.entries)


async def test_where_nobody_can_be_asked_nothing_is_done() -> None:
    """No yes is not a yes."""
    turn = await scene()
    turn.asks = None
    await turn.runs(PAY, "I cannot.")
    assert (turn.pay.calls, told(turn)) == ([], words.NOBODY_TO_ASK)
    check_grammar(turn.entries)


async def test_a_call_that_needs_no_yes_is_just_made() -> None:
    """The tool says so for each call."""
    turn = await scene()
    assert turn.asks is not None
    await turn.runs(call("pay", harmless=True), "Done.")
    assert (len(turn.pay.calls), turn.asks.asked) == (1, [])


async def test_a_call_that_makes_no_sense_is_not_asked_about() -> None:
    """The tool tells the model what is wrong with it."""
    turn = await scene()
    assert turn.asks is not None
    await turn.runs(call("pay", unclear=True), "Oh.")
    assert (told(turn), turn.pay.calls, turn.asks.asked) == ("Say to whom.", [], [])
    check_grammar(turn.entries)


async def test_one_question_after_another() -> None:
    """Two calls of one step are two questions, each answered for itself; what stands between waits its turn."""
    turn = await scene()
    asks = turn.asks
    assert asks is not None
    step = Step(calls=(call("pay", "c1", to="Bob"), call("look", "c2"), call("pay", "c3", to="Eve")))
    running = await waiting(turn, step, Step(text="Done."))
    assert (len(asks.asked), turn.look.calls) == (1, [])
    asks.says(Verdict.ALLOWED)
    while len(asks.asked) < 2:
        await asyncio.sleep(0)
    asks.says(Verdict.DENIED)
    await running

    assert turn.pay.calls == [{"to": "Bob"}]
    assert [wish.call.id for wish in asks.used] == ["c1"]
    assert told(turn, "c3") == words.DENIED
    check_grammar(turn.entries)


async def test_a_yes_that_was_taken_back_is_none() -> None:
    """Between the answer and the call the person was switched off, or the yes was for another call."""
    turn = await scene()
    asks = turn.asks
    assert asks is not None
    asks.may_use = False
    running = await waiting(turn, PAY, Step(text="Well."))
    asks.says(Verdict.ALLOWED)
    await running
    assert (turn.pay.calls, told(turn)) == ([], words.NO_LONGER_ALLOWED)
    check_grammar(turn.entries)


@pytest.mark.parametrize("reason", [StopReason.STOPPED, StopReason.INTERRUPTED])
async def test_a_stop_ends_the_waiting(reason: StopReason) -> None:
    """The question is withdrawn, the call has a result, and nothing was done: nothing is unknown."""
    turn = await scene()
    asks = turn.asks
    assert asks is not None
    running = await waiting(turn, Step(calls=(*PAY.calls, call("send", "c2"))))
    turn.interruption.ask(reason)
    await running
    assert asks.withdrawn == asks.asked
    assert turn.entries[-1].stop_reason is reason
    assert (told(turn), told(turn, "c2")) == ("Stopped by the person.",) * 2
    assert not any(one.outcome_unknown for one in turn.entries)
    assert (turn.pay.calls, turn.send.calls) == ([], [])
    check_grammar(turn.entries)


async def test_when_the_gateway_stops_it_goes_on_waiting_at_the_next_start() -> None:
    """Asked once; the answer of before or after the start counts alike."""
    turn = await scene()
    asks = turn.asks
    assert asks is not None
    running = await waiting(turn, PAY, Step(text="Paid."))
    turn.interruption.ask(None)
    with pytest.raises(Interrupted):
        await running
    assert (turn.roles, asks.withdrawn) == ("ua", [])

    turn.interruption = type(turn.interruption)()
    again = asyncio.create_task(turn.goes_on())
    for _ in range(10):
        await asyncio.sleep(0)
    asks.says(Verdict.ALLOWED)
    await again
    assert (len(asks.asked), len(turn.pay.calls)) == (1, 1)
    check_grammar(turn.entries)


@pytest.mark.parametrize("effects", [True, False])
@pytest.mark.parametrize(
    ("stood", "calls", "unknown"),
    [
        (Verdict.ALLOWED, 1, False),
        (Verdict.USED, 0, True),
        (Verdict.DENIED, 0, False),
        (Verdict.EXPIRED, 0, False),
    ],
)
async def test_after_a_crash_it_goes_on_from_what_is_kept(
    effects: bool, stood: Verdict, calls: int, unknown: bool
) -> None:
    """Allowed and not used: it is made. Used and without a result: unknown, whatever the tool says of effects."""
    turn = await scene()
    asks = turn.asks
    assert asks is not None
    turn.pay.effects = effects
    await turn.wrote(asked(1, call("pay", to="Bob")))
    asks.stands["t1.1", 0] = stood
    await turn.runs("Well.")
    assert (len(turn.pay.calls), turn.entries[2].outcome_unknown) == (calls, unknown)
    assert asks.asked == []
    check_grammar(turn.entries)


async def test_a_call_behind_one_that_waits_is_not_unknown_after_a_crash() -> None:
    """It cannot have begun."""
    turn = await scene()
    asks = turn.asks
    assert asks is not None
    wishes = (call("pay", "c1", to="Bob"), call("send", "c2"))
    await turn.wrote(asked(1, *wishes))
    asks.stands["t1.1", 0] = Verdict.DENIED
    await turn.runs("Well.")
    assert len(turn.send.calls) == 1
    assert not any(one.outcome_unknown for one in turn.entries)
    check_grammar(turn.entries)


async def test_a_yes_is_for_one_call_and_not_for_one_like_it() -> None:
    """The same arguments once more are another question."""
    turn = await scene()
    asks = turn.asks
    assert asks is not None
    await turn.wrote(asked(1, call("pay", to="Bob")), result(2, call("pay")))
    asks.stands["t1.1", 0] = Verdict.USED
    running = await waiting(turn, PAY, Step(text="Well."))
    assert [wish.entry_id for wish in asks.asked] == ["t1.3"]
    asks.says(Verdict.DENIED)
    await running
    assert turn.pay.calls == []
    check_grammar(turn.entries)


async def test_waiting_for_a_person_costs_no_time() -> None:
    """They may take longer than a turn may be at work."""
    turn = await scene()
    turn.settings = {"max_seconds": 0.02}
    asks = turn.asks
    assert asks is not None
    turn.model = ScriptedModel([PAY, "Paid."])
    running = asyncio.create_task(turn.goes_on())
    asyncio.get_running_loop().call_later(0.05, asks.says, Verdict.ALLOWED)
    assert text_of(await running) == "Paid."
    check_grammar(turn.entries)


async def test_the_twin_keeps_what_it_promises() -> None:
    """A yes is taken once, and only for what was asked."""
    turn = await scene()
    asks = Asked()
    turn.asks = asks
    running = await waiting(turn, PAY, Step(text="Paid."))
    asks.says(Verdict.ALLOWED)
    await running
    assert not await asks.use(asks.asked[0])
    assert [one.role for one in turn.entries] == [Role.USER, Role.ASSISTANT, Role.TOOL_RESULT, Role.ASSISTANT]
