"""The offline model: says what it is, answers from the conversation, calls tools when asked to."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.messages import SenderNote, StopReason, ToolCallPart
from rookery.models import ModelReply, PromptMessage, TextDelta, ToolSpec
from rookery.models.demo import INTRODUCTION, DemoModel
from tests.models.prompts import TIME_TOOL, ask, assistant, heard, reply_of, result, text_in, user

NOTE_TOOL = ToolSpec(
    "note-book",
    "Write something down.",
    {"type": "object", "properties": {"text": {"type": "string"}, "copies": {"type": "integer"}}},
)
ALICE = SenderNote(channel="telegram", account="a", id="1", name="Alice")
BOB = SenderNote(channel="telegram", account="a", id="2", name="Alice")


async def answers(*lines: str | PromptMessage, context: str = "") -> list[str]:
    """A conversation, line by line, and what the model answers to each; `INTRODUCTION` is taken off."""
    history: list[PromptMessage] = []
    replies: list[str] = []
    for line in lines:
        history.append(user(line) if isinstance(line, str) else line)
        reply = await reply_of(DemoModel(), ask("demo", *history, context=context, tools=(TIME_TOOL, NOTE_TOOL)))
        history.append(assistant(*reply.content))
        replies.append(text_in(reply).removeprefix(f"{INTRODUCTION}\n\n"))
    return replies


async def last_answer(*lines: str | PromptMessage, context: str = "") -> str:
    return (await answers(*lines, context=context))[-1]


async def called(text: str) -> tuple[str, dict[str, object]]:
    """The one call that a text makes it ask for."""
    reply = await reply_of(DemoModel(), ask("demo", user(text), tools=(TIME_TOOL, NOTE_TOOL)))
    [call] = reply.content
    assert isinstance(call, ToolCallPart)
    assert reply.stop_reason is StopReason.TOOL_CALLS
    return call.name, call.arguments


async def test_it_says_what_it_is_first_and_when_asked() -> None:
    """Nobody takes it for a language model."""
    first = text_in(await reply_of(DemoModel(), ask("demo", user("hello"))))
    later = text_in(await reply_of(DemoModel(), ask("demo", user("hello"), assistant(first), user("hi again"))))

    assert first.startswith("I am Rookery's offline demo model: no language model")
    assert INTRODUCTION not in later
    for question in ("Who are you?", "what are you", "Are you ChatGPT?", "what model is this?"):
        assert INTRODUCTION in await last_answer("hello", question)


@pytest.mark.parametrize(
    ("said", "asked", "answer"),
    [
        ("My name is Alice.", "What is my name?", "Your name is Alice."),
        ("I'm called Alice", "who am I?", "Your name is Alice."),
        ("My locker code is 4711!", "what's my locker code", "Your locker code is 4711."),
        (
            "Please remember that my locker code is 4711.",
            "do you know my locker code?",
            "Your locker code is 4711.",
        ),
        ("The wifi password is hunter.2", "tell me the wifi password", "The wifi password is hunter.2."),
        ("I live in Madrid. I work at a bank.", "Where do I live?", "You live in Madrid."),
        ("I like tea and my cat", "What do I like?", "You like tea and your cat."),
        ("Bob is my brother", "Who is Bob?", "Bob is your brother."),
        ("my code is 1\nmy code is 2", "What is my code?", "Your code is 2."),
    ],
)
async def test_it_answers_what_was_stated_before(said: str, asked: str, answer: str) -> None:
    """Statements of the conversation can be asked for."""
    assert await last_answer(said, asked) == answer


async def test_it_does_not_know_what_was_not_said_here() -> None:
    """It has nothing but the conversation, and says so."""
    for question in ("What is Bob's secret?", "what is my name?", "Tell me Alice's locker code", "Why?"):
        answer = await last_answer("hello", question)
        assert answer.startswith("I do not know")
        assert "nothing in our conversation says" in answer


async def test_it_sums_up_what_it_knows_and_what_was_said() -> None:
    """Both in the order of the conversation."""
    lines = ("My name is Alice.", "I like tea", "remember milk and eggs")

    assert await last_answer(*lines, "What did I say?") == (
        "You said: “My name is Alice.”; “I like tea”; “remember milk and eggs”."
    )
    for question in ("What do you know about me?", "summarise", "Please summarize our conversation"):
        assert await last_answer(*lines, question) == (
            "From our conversation I know: your name is Alice; you like tea; "
            "you asked me to remember “milk and eggs”."
        )


async def test_it_counts_messages() -> None:
    """Which shows how much of a conversation reached it."""
    assert await last_answer("a", "b", "How many messages are there?") == (
        "You have written 3 messages here; I have answered 2."
    )


async def test_in_a_group_mine_is_the_writers_own() -> None:
    """People are told apart by their id: a display name proves nothing."""
    secret = user("My locker code is 4711. The door is blue.", sender=ALICE)

    assert await last_answer(secret, user("what is my locker code?", sender=ALICE)) == "Your locker code is 4711."
    assert "4711" not in await last_answer(secret, user("what is my locker code?", sender=BOB))
    assert "4711" not in await last_answer(secret, user("what do you know about me?", sender=BOB))
    assert "4711" not in await last_answer(secret, user("what did I say?", sender=BOB))
    assert await last_answer(secret, user("what is the door?", sender=BOB)) == "The door is blue."


async def test_what_is_handed_in_with_the_question_counts_too() -> None:
    """So that recalled memory can be tried without a key; the conversation has the last word."""
    context = "Remembered:\n- my locker code is 1\n- my bike is red"

    assert await last_answer("what is my bike?", context=context) == "Your bike is red."
    assert await last_answer("my locker code is 2", "what is my locker code?", context=context) == (
        "Your locker code is 2."
    )


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("What time is it?", "time", {}),
        ("what's the time right now", "time", {}),
        ("What time is it in Europe/Paris?", "time", {"zone": "Europe/Paris"}),
        ("Hello. What is the current time in New York now?", "time", {"zone": "New York"}),
        ("use the time tool", "time", {}),
        ("Please call the TIME tool with zone=Asia/Tokyo.", "time", {"zone": "Asia/Tokyo"}),
        ('use the note-book tool with text="a. b, c" copies=2', "note-book", {"text": "a. b, c", "copies": 2}),
        ("use note-book with buy milk", "note-book", {"text": "buy milk"}),
        ('run the note-book tool {"text": "x", "copies": 1}', "note-book", {"text": "x", "copies": 1}),
        ("use the note-book tool with copies=many", "note-book", {"copies": "many"}),
    ],
)
async def test_it_calls_tools_in_plain_words(text: str, name: str, arguments: dict[str, object]) -> None:
    """Any tool it is given, with the arguments as its schema wants them."""
    assert await called(text) == (name, arguments)


async def test_it_answers_in_words_after_the_result() -> None:
    """And does not call again for the same question."""
    question, call = user("what time is it?"), assistant(ToolCallPart("call_1_0", "time", {}))

    async def after(*results: PromptMessage) -> str:
        reply = await reply_of(DemoModel(), ask("demo", question, call, *results, tools=(TIME_TOOL,)))
        return text_in(reply).removeprefix(f"{INTRODUCTION}\n\n")

    assert await after(result("call_1_0", "12:00")) == "The time tool says: 12:00"
    assert (
        await after(result("call_1_0", '{"zone":"UTC","hour":12}')) == "The time tool says: zone: UTC; hour: 12."
    )
    assert await after(result("call_1_0", "no such zone", is_error=True)) == "The time tool failed: no such zone"
    assert "is not known" in await after(result("call_1_0", "…", outcome_unknown=True))


async def test_it_calls_no_tool_that_it_was_not_given() -> None:
    """It says which ones there are."""
    assert await last_answer("use the rocket tool") == (
        "There is no tool “rocket” here; the tools I can call: time, note-book."
    )
    reply = await reply_of(DemoModel(), ask("demo", user("what time is it?")))
    assert "I do not know" in text_in(reply)


async def test_calls_of_different_turns_have_different_ids() -> None:
    """A result is never taken for that of an earlier call."""
    once = (user("use the time tool"),)
    first = (await reply_of(DemoModel(), ask("demo", *once, tools=(TIME_TOOL,)))).content[0]
    again = (*once, assistant(first), result("x", "12:00"), user("use the time tool"))
    second = (await reply_of(DemoModel(), ask("demo", *again, tools=(TIME_TOOL,)))).content[0]

    assert isinstance(first, ToolCallPart)
    assert isinstance(second, ToolCallPart)
    assert first.id != second.id


async def test_it_streams_word_by_word() -> None:
    """So that streaming can be seen without a key."""
    events = await heard(DemoModel(), ask("demo", user("hello")))

    assert len([event for event in events if isinstance(event, TextDelta)]) > 10


@given(st.lists(st.text(max_size=80), max_size=5), st.text(max_size=60))
async def test_it_answers_anything_the_same_way_twice(said: list[str], context: str) -> None:
    """Whatever is written, there is an answer, and it is always the same."""
    request = ask("demo", *map(user, said), context=context, tools=(TIME_TOOL, NOTE_TOOL))
    first = await heard(DemoModel(), request)

    assert first == await heard(DemoModel(), request)
    assert isinstance(first[-1], ModelReply)
    assert first[-1].content


@pytest.mark.parametrize(
    "unit", ["use ", "a", "use the \t", "x=“", ". ", "my a is ", "which do i ", "use a tool , ", "=", "\n"]
)
async def test_no_text_keeps_it_busy(unit: str) -> None:
    """The rules stay quick on a text made to be slow."""
    text = unit * (1_000_000 // len(unit))
    began = time.process_time()
    await last_answer(text, text + "?")

    assert time.process_time() - began < 2
