"""The run loop: every way it goes, stops, breaks and goes on."""

from __future__ import annotations

import asyncio

import pytest

from rookery.agents import Interrupted, words
from rookery.errors import ModelError, ModelErrorKind, StorageUnavailable, ToolFailed, ToolRetry
from rookery.messages import MessageEntry, Role, StopReason, TextPart, ThinkingPart, ToolCallPart, Usage, text_of
from rookery.models import INVALID_ARGUMENTS, Key, TextDelta
from rookery.models.scripted import ScriptedModel, Step
from tests.agents.scene import Scene, asked, call, check_grammar, entry, result, scene


async def test_an_answer_is_written_as_it_was_given() -> None:
    """One request, one entry: words, provider, model, usage and why it ended."""
    turn = await scene()
    last = await turn.runs(Step(text="Hi there.", thinking="A greeting.", usage=Usage(10, 3)))

    assert last == turn.entries[-1]
    assert last.content == (ThinkingPart("A greeting."), TextPart("Hi there."))
    assert (last.provider, last.model, last.usage, last.stop_reason) == (
        "test",
        "scripted",
        Usage(10, 3),
        StopReason.STOP,
    )
    assert "".join(event.text for event in turn.emitted if isinstance(event, TextDelta)) == "Hi there."
    check_grammar(turn.entries)


async def test_the_model_is_asked_with_everything_it_needs() -> None:
    """Instructions, the conversation, the tools that are allowed, and the key; nothing else decides the call."""
    turn = await scene()
    turn.endpoint = {"key": Key("secret"), "timeout_seconds": 7.0, "cache_salt": "salt"}
    await turn.runs("Hi.")

    [request] = turn.model.requests
    assert request.instructions == "Be kind."
    assert [text_of(message.entry) for message in request.history] == ["Hello."]
    assert [tool.name for tool in request.tools] == ["look", "pay", "send"]
    assert (request.key, request.timeout_seconds, request.cache_salt) == (Key("secret"), 7.0, "salt")


async def test_a_tool_is_called_and_its_result_read() -> None:
    """Call entry, call, result entry, next request, reply entry."""
    turn = await scene()
    last = await turn.runs(call("look", where="up"), "I looked.")

    assert turn.roles == "uara"
    assert turn.look.calls == [{"where": "up"}]
    told = turn.entries[2]
    assert (text_of(told), told.tool_call_id, told.tool_name, told.is_error) == (
        "look says 1",
        "c1",
        "look",
        False,
    )
    assert [message.entry for message in turn.model.requests[1].history] == turn.entries[:3]
    assert text_of(last) == "I looked."
    check_grammar(turn.entries)


async def test_several_calls_are_made_one_after_another() -> None:
    """In the order the model asked, each with its own result, also over several steps."""
    turn = await scene()
    both = Step(text="Let me see.", calls=(call("look", "c1", n=1), call("send", "c2"), call("look", "c3", n=2)))
    await turn.runs(both, call("look", "c1", n=3), "Done.")

    assert turn.roles == "uarrrara"
    assert [one["n"] for one in turn.look.calls] == [1, 2, 3]
    assert [one.tool_call_id for one in turn.entries if one.role is Role.TOOL_RESULT] == ["c1", "c2", "c3", "c1"]
    check_grammar(turn.entries)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (call("dance"), "There is no tool 'dance'"),
        (call("refused"), "You may not."),
        (ToolCallPart("c1", "look", {INVALID_ARGUMENTS: "{"}), "not a JSON object"),
    ],
)
async def test_a_call_that_cannot_be_made_is_told_to_the_model(wish: ToolCallPart, told: str) -> None:
    """It reads why, and goes on."""
    turn = await scene()
    last = await turn.runs(wish, "Never mind.")

    assert told in text_of(turn.entries[2])
    assert turn.entries[2].is_error
    assert not turn.entries[2].outcome_unknown
    assert text_of(last) == "Never mind."
    assert turn.refused.calls == []
    check_grammar(turn.entries)


@pytest.mark.parametrize("error", [ToolRetry("Say where."), ToolFailed("It is broken.")])
async def test_a_tool_s_own_error_is_told_to_the_model(error: ToolRetry | ToolFailed) -> None:
    """Whether it may try again is in the words."""
    turn = await scene()
    turn.look.error = error
    await turn.runs(call("look"), "I see.")
    assert text_of(turn.entries[2]) == error.detail
    assert turn.entries[2].is_error
    check_grammar(turn.entries)


async def test_a_tool_that_breaks_leaves_a_sound_transcript() -> None:
    """A mistake of a tool's own reaches whoever runs the turn, with a result written for the call.

    The call stood in the transcript without a result; every later request of that conversation was then
    refused by the provider, for ever.
    """
    turn = await scene()
    turn.look.error = KeyError("private words")
    with pytest.raises(KeyError):
        await turn.runs(Step(calls=(call("look", "c1"), call("send", "c2"))))

    check_grammar(turn.entries)
    first, second = turn.entries[2:]
    assert first.is_error
    assert "private words" not in text_of(first)
    assert second.is_error
    assert turn.send.calls == []


async def test_steps_are_bounded() -> None:
    """After the last allowed request the person is told; the calls made until then have their results."""
    turn = await scene()
    turn.max_steps = 3
    last = await turn.runs(*(call("look", f"c{number}") for number in range(9)))

    assert len(turn.model.requests) == 3
    assert (last.stop_reason, last.error_kind) == (StopReason.ERROR, "too_many_steps")
    assert last.error == words.TOO_MANY_STEPS.format(steps=3)
    check_grammar(turn.entries)


@pytest.mark.parametrize("kind", list(ModelErrorKind))
async def test_a_model_s_error_is_told_in_the_person_s_words(kind: ModelErrorKind) -> None:
    """Of each kind: what was said until then is kept, and nothing of the operator's detail is in it."""
    turn = await scene()
    last = await turn.runs(Step(text="Well, ", error=ModelError(kind, "key sk-123 of server x")))

    assert (last.stop_reason, last.error_kind) == (StopReason.ERROR, kind.value)
    assert last.error
    assert "sk-123" not in last.error
    assert text_of(last) == "Well, "
    assert turn.slots == 0
    check_grammar(turn.entries)


async def test_a_rate_limit_says_when() -> None:
    """The seconds the provider asked for are passed on."""
    turn = await scene()
    last = await turn.runs(ModelError(ModelErrorKind.RATE_LIMITED, "429", retry_after=6.6))
    assert last.error is not None
    assert "in 7 seconds" in last.error


async def test_without_a_key_nothing_is_asked() -> None:
    """The person is told, and no request was made."""
    turn = await scene()
    turn.endpoint = {"problem": ModelError(ModelErrorKind.NO_KEY, "no key")}
    last = await turn.runs()
    assert last.error_kind == "no_key"
    assert turn.model.requests == []


async def test_half_a_call_is_not_made() -> None:
    """A reply cut off at its length keeps its words and loses the call."""
    turn = await scene()
    last = await turn.runs(Step(text="I will ", calls=(call("send"),), stop_reason=StopReason.LENGTH))

    assert last.stop_reason is StopReason.LENGTH
    assert last.content == (TextPart("I will "),)
    assert turn.send.calls == []
    check_grammar(turn.entries)


@pytest.mark.parametrize(
    ("calls", "claimed", "roles"),
    [((call("look"),), StopReason.STOP, "uara"), ((), StopReason.TOOL_CALLS, "ua")],
)
async def test_what_a_reply_holds_counts_and_not_what_it_claims(
    calls: tuple[ToolCallPart, ...], claimed: StopReason, roles: str
) -> None:
    """Some servers end a step with calls by "stop", and one without any by "tool_calls"."""
    turn = await scene()
    await turn.runs(Step(text="So.", calls=calls, stop_reason=claimed), "Done.")
    assert turn.roles == roles
    check_grammar(turn.entries)


# --- ended from outside --------------------------------------------------------------------------------------


async def stopped_while(
    turn: Scene, running: asyncio.Task[MessageEntry], reason: StopReason | None
) -> MessageEntry:
    turn.interruption.ask(reason)
    return await running


@pytest.mark.parametrize("reason", [StopReason.STOPPED, StopReason.INTERRUPTED])
async def test_a_stop_keeps_what_was_said_so_far(reason: StopReason) -> None:
    """In mid-stream: the words are kept with the reason, the model is hung up on, its slot given back."""
    turn = await scene()
    turn.model = ScriptedModel([Step(text="Once upon a time", after=asyncio.Event())])
    running = asyncio.create_task(turn.goes_on())
    while len(turn.emitted) < 4:
        await asyncio.sleep(0)
    last = await stopped_while(turn, running, reason)

    assert (last.stop_reason, text_of(last)) == (reason, "Once upon a time")
    assert (turn.model.abandoned, turn.model.running, turn.slots) == (1, 0, 0)
    check_grammar(turn.entries)


async def test_a_stop_before_the_first_word_says_nothing() -> None:
    """The entry is there, without content, so that the turn is known to have ended."""
    turn = await scene()
    turn.interruption.ask(StopReason.STOPPED)
    last = await turn.runs()
    assert (last.stop_reason, last.content) == (StopReason.STOPPED, ())
    assert turn.model.requests == []


@pytest.mark.parametrize(("tool", "unknown"), [("look", False), ("send", True)])
async def test_a_stop_during_a_tool_settles_every_call(tool: str, unknown: bool) -> None:
    """What may have had effects is said to be unknown; the rest did not happen. No model is asked again."""
    turn = await scene()
    working = turn.look if tool == "look" else turn.send
    working.gate = asyncio.Event()
    turn.model = ScriptedModel([Step(calls=(call(tool, "c1"), call("look", "c2")))])
    running = asyncio.create_task(turn.goes_on())
    await working.begun.wait()
    last = await stopped_while(turn, running, StopReason.STOPPED)

    assert last.stop_reason is StopReason.STOPPED
    assert [(one.tool_call_id, one.is_error, one.outcome_unknown) for one in turn.entries[2:4]] == [
        ("c1", True, unknown),
        ("c2", True, False),
    ]
    assert len(turn.model.requests) == 1
    check_grammar(turn.entries)


async def test_when_the_gateway_stops_nothing_is_written() -> None:
    """The transcript stands as it was; the next start asks the model again."""
    turn = await scene()
    turn.model = ScriptedModel([Step(text="Once", after=asyncio.Event()), "Here it is."])
    running = asyncio.create_task(turn.goes_on())
    await turn.model.asked(1)
    with pytest.raises(Interrupted):
        await stopped_while(turn, running, None)
    assert turn.roles == "u"

    turn.interruption = type(turn.interruption)()
    assert text_of(await turn.goes_on()) == "Here it is."
    assert turn.roles == "ua"
    check_grammar(turn.entries)


async def test_when_the_gateway_stops_during_a_tool_its_end_stays_open() -> None:
    """The call stands without a result, for the next start to settle."""
    turn = await scene()
    turn.send.gate = asyncio.Event()
    turn.model = ScriptedModel([call("send"), "I do not know whether it was sent."])
    running = asyncio.create_task(turn.goes_on())
    await turn.send.begun.wait()
    with pytest.raises(Interrupted):
        await stopped_while(turn, running, None)
    assert turn.roles == "ua"

    turn.interruption = type(turn.interruption)()
    await turn.goes_on()
    assert turn.roles == "uara"
    assert turn.entries[2].outcome_unknown
    assert len(turn.send.calls) == 1
    check_grammar(turn.entries)


# --- going on from wherever the transcript stands ------------------------------------------------------------


async def test_a_reply_that_is_there_is_the_end() -> None:
    """Nobody is asked again."""
    turn = await scene()
    there = entry(1, Role.ASSISTANT, TextPart("Hi."), stop_reason=StopReason.STOP)
    await turn.wrote(there)
    assert text_of(await turn.runs()) == "Hi."
    assert turn.roles == "ua"


@pytest.mark.parametrize("reason", [StopReason.ERROR, StopReason.STOPPED, StopReason.LENGTH, StopReason.REFUSED])
async def test_an_end_of_another_kind_is_the_end_too(reason: StopReason) -> None:
    """An error that was told once is not tried again behind the person's back."""
    turn = await scene()
    await turn.wrote(entry(1, Role.ASSISTANT, stop_reason=reason))
    assert (await turn.runs()).stop_reason is reason


async def test_a_call_without_effects_is_made_again() -> None:
    """Looking twice harms nobody."""
    turn = await scene()
    await turn.wrote(asked(1, call("look")))
    await turn.runs("I looked.")
    assert len(turn.look.calls) == 1
    assert not turn.entries[2].is_error
    check_grammar(turn.entries)


async def test_a_call_with_effects_is_never_made_again() -> None:
    """Its outcome is unknown, the model is told so, and the run goes on."""
    turn = await scene()
    await turn.wrote(asked(1, call("send")))
    await turn.runs("Did it arrive?")

    assert turn.send.calls == []
    assert turn.entries[2].outcome_unknown
    assert "Do not repeat it" in text_of(turn.entries[2])
    check_grammar(turn.entries)


async def test_of_several_calls_only_those_without_result_are_settled() -> None:
    """One was done, one may have been, one is harmless."""
    turn = await scene()
    calls = (call("send", "c1"), call("send", "c2"), call("look", "c3"))
    await turn.wrote(asked(1, *calls), result(2, calls[0]))
    await turn.runs("Well.")

    assert [(one.tool_call_id, one.outcome_unknown) for one in turn.entries[2:5]] == [
        ("c1", False),
        ("c2", True),
        ("c3", False),
    ]
    assert (len(turn.send.calls), len(turn.look.calls)) == (0, 1)
    check_grammar(turn.entries)


async def test_after_the_last_result_the_model_is_asked_next() -> None:
    """A step whose calls are all answered is done."""
    turn = await scene()
    await turn.wrote(asked(1, call("send")), result(2, call("send")))
    await turn.runs("Sent.")
    assert turn.send.calls == []
    assert turn.roles == "uara"
    check_grammar(turn.entries)


async def test_steps_of_before_count_as_well() -> None:
    """A turn that crashes again and again does not get more requests for it."""
    turn = await scene()
    turn.max_steps = 1
    await turn.wrote(asked(1, call("look")), result(2, call("look")))
    assert (await turn.runs()).error_kind == "too_many_steps"


async def test_what_cannot_be_written_ends_the_run_and_the_next_one_goes_on() -> None:
    """The storage fails at each write in turn; run again, the turn ends once, and no effect is repeated."""
    for failing in range(4):
        turn = await scene()
        turn.model = ScriptedModel([Step(calls=(call("send", "c1"),)), *["Sent."] * 3])
        append, writes = turn.session.append, iter(range(9))

        async def fails_once(*entries: MessageEntry, append=append, writes=writes, failing=failing) -> None:  # pyright: ignore
            if next(writes) == failing:  # pyright: ignore
                raise StorageUnavailable
            await append(*entries)  # pyright: ignore

        turn.session.append = fails_once  # pyright: ignore
        last: MessageEntry | None = None
        for _ in range(2):
            try:
                last = await turn.goes_on()
                break
            except StorageUnavailable:
                turn.model = ScriptedModel(
                    [Step(calls=(call("send", "c1"),)) if failing == 0 else "Sent.", "Sent."]
                )
        assert last is not None
        assert text_of(last) == "Sent."
        assert len(turn.send.calls) == 1
        check_grammar(turn.entries)
