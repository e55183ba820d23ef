"""What goes out in Anthropic's format: one body of known shape, which the strictest server takes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.config.words import ReplayThinking
from rookery.messages import SenderNote, TextPart, ThinkingPart, ToolCallPart
from rookery.messages.transcript import ImagePart
from rookery.models import ModelRequest, PromptMessage
from rookery.models.anthropic_request import FORM, PICTURE_LIMIT, AnthropicForm, encode_entry, most_output
from rookery.models.server import ServerOptions
from tests.models.prompts import TIME_TOOL, ask, assistant, result, user
from tests.support.fake_anthropic import LOOK_BACK, Prompt, counted, problem_with, prompt_of, signature

ALICE = SenderNote(channel="telegram", account="default", id="12345", name="Alice")
CAT = ImagePart("att_1", "image/png", "cat.png")
MARK = {"cache_control": {"type": "ephemeral"}}

encode_body = AnthropicForm("house").encode
thinking_back = {
    replay: AnthropicForm("house", ServerOptions(replay_thinking=replay)).encode for replay in ReplayThinking
}


def sent(request: ModelRequest, encode: Any = encode_body) -> dict[str, Any]:
    """The body as the server reads it, which has nothing against it."""
    body = msgspec.json.decode(encode(request)[0], type=dict[str, Any])
    assert problem_with(body) is None
    return body


def unmarked(body: dict[str, Any]) -> list[Any]:
    """The messages without marks."""
    return [
        message | {"content": [{k: v for k, v in block.items() if k not in MARK} for block in message["content"]]}
        for message in body["messages"]
    ]


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def test_a_whole_conversation_is_written_in_anthropics_words() -> None:
    """Results of one step go into one message, and so does what the person says behind them."""
    body = sent(
        ask(
            "claude-sonnet-5",
            user("What time is it?", "And where?"),
            assistant(
                ThinkingPart("Hm.", "sig"),
                "Let me look.",
                ToolCallPart("call_1", "time", {"zone": "UTC"}),
                ToolCallPart("call_2", "time", {}),
            ),
            result("call_1", "12:00"),
            result("call_2", "no such zone", is_error=True),
            user("Quick, please."),
            assistant("Noon."),
            user("Thanks"),
            tools=(TIME_TOOL,),
        )
    )

    assert body == {
        "model": "claude-sonnet-5",
        "max_tokens": 32_000,
        "stream": True,
        "tools": [
            {
                "name": "time",
                "description": "The current time.",
                "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}},
            }
        ],
        "system": [text("You are Rook.") | MARK],
        "messages": [
            {"role": "user", "content": [text("What time is it?\n\nAnd where?")]},
            {
                "role": "assistant",
                "content": [
                    text("Let me look."),
                    {"type": "tool_use", "id": "call_1", "name": "time", "input": {"zone": "UTC"}},
                    {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "12:00"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "no such zone", "is_error": True},
                    text("Quick, please.") | MARK,
                ],
            },
            {"role": "assistant", "content": [text("Noon.")]},
            {"role": "user", "content": [text("Thanks") | MARK]},
        ],
    }


def test_what_is_not_used_is_not_sent() -> None:
    """A salt goes only to a server that is said to take one."""
    assert sent(ask("m", instructions="")).keys() == {"model", "max_tokens", "stream", "messages"}
    assert b'"cache_salt":"alice"' in encode_body(ask("m", cache_salt="alice"))[0]


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-opus-4-1", 32_000),
        ("claude-sonnet-5", 32_000),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-7-sonnet-latest", 32_000),
        ("minimax-m3", 8192),
    ],
)
def test_a_reply_has_a_limit_that_its_model_takes(model: str, most: int) -> None:
    """The format demands one; the operator's word goes before ours."""
    assert most_output(model) == sent(ask(model))["max_tokens"] == most
    limited = AnthropicForm("house", ServerOptions(max_output_tokens=7)).encode
    assert sent(ask(model), limited)["max_tokens"] == 7


def test_further_fields_stand_beside_ours() -> None:
    """As the operator wrote them."""
    extra = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "metadata": {"user_id": "ü"}}
    form = AnthropicForm("house", ServerOptions(extra_body=extra))

    assert sent(ask("m"), form.encode).items() >= extra.items()


def test_context_follows_the_last_words_of_the_person() -> None:
    """In a block of its own, which no mark stands on; before it everything is as it will be in the next turn."""
    body = sent(ask("m", user("one"), assistant("two"), user("three"), context="It is noon."))

    assert body["messages"][-1] == {"role": "user", "content": [text("three") | MARK, text("It is noon.")]}


def test_it_begins_and_ends_with_the_person() -> None:
    """The format wants that; a heartbeat, or a conversation cut at its head, has it otherwise."""
    for request in (ModelRequest("m", "", ()), ask("m", assistant("Good morning.")), ask("m", assistant("  "))):
        messages = sent(request)["messages"]
        assert (messages[0]["role"], messages[-1]["role"]) == ("user", "user")
    assert unmarked(sent(ModelRequest("m", "", (), context="It is noon.")))[-1]["content"][-1] == text(
        "It is noon."
    )


def test_what_says_nothing_is_left_out() -> None:
    """Blank text is refused there; an empty result is a result without content."""
    call = assistant(" \n", ToolCallPart("a", "time", {}))
    messages = unmarked(sent(ask("m", user(" "), assistant(""), user("and?"), call, result("a", " "))))

    assert messages[0]["content"] == [text("[Empty message]"), text("and?")]
    assert messages[2]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]


def test_ids_that_came_from_elsewhere_are_made_to_fit() -> None:
    """Of other characters, or numbered anew in each step; the results follow their calls."""
    odd = ToolCallPart("functions.time:0", "time", {})
    step = (assistant(odd), result(odd.id, "noon"))
    messages = sent(ask("m", user("?"), *step, *step, *step))["messages"]

    uses = [block["id"] for message in messages for block in message["content"] if "id" in block]
    results = [b["tool_use_id"] for message in messages for b in message["content"] if "tool_use_id" in b]
    assert uses == results
    assert len(set(uses)) == 3


def test_pictures_that_are_shown_stand_in_their_places() -> None:
    """As base64; what the format does not take is named."""
    svg, big = ImagePart("att_2", "image/svg+xml"), ImagePart("att_3", "image/png", "big.png")
    request = ask(
        "m",
        user("look", CAT, svg, big, "there", sender=ALICE),
        images={"att_1": b"\x89PNG", "att_2": b"<svg>", "att_3": b"x" * PICTURE_LIMIT},
    )
    [message] = unmarked(sent(request))

    assert message["content"] == [
        text('From "Alice" (telegram:12345):\n'),
        text("look"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
        text("[Image]"),
        text("[Image: big.png]"),
        text("there"),
    ]
    assert b"iVBORw" not in encode_body(request)[1]


def test_a_picture_that_is_not_shown_is_named() -> None:
    """The model knows that there was something."""
    [message] = unmarked(sent(ask("m", user("look", CAT))))

    assert message["content"] == [text("look\n\n[Image: cat.png]")]


THOUGHT = ThinkingPart("Hm.", signature("Hm."))
SEALED = ThinkingPart("", redacted=signature(""))
UNSIGNED = ThinkingPart("loose")


def two_turns(provider: str = "house") -> tuple[PromptMessage, ...]:
    """An answer with thoughts, then a question in the middle of whose answer a tool was called."""
    call = ToolCallPart("a", "time", {})
    return (
        user("one", turn_id="t1"),
        assistant(THOUGHT, SEALED, "first", turn_id="t1", provider=provider),
        user("two", turn_id="t2"),
        assistant(THOUGHT, UNSIGNED, "second", call, turn_id="t2", provider=provider),
        result("a", "noon", turn_id="t2"),
        user("wait, also this", turn_id="t2"),
    )


@pytest.mark.parametrize(
    ("replay", "first", "second"),
    [
        (ReplayThinking.NEVER, ["text"], ["text", "tool_use"]),
        (ReplayThinking.TURN, ["text"], ["thinking", "text", "tool_use"]),
        (ReplayThinking.ALWAYS, ["thinking", "redacted_thinking", "text"], ["thinking", "text", "tool_use"]),
    ],
)
def test_thoughts_go_back_as_they_came(replay: ReplayThinking, first: list[str], second: list[str]) -> None:
    """With their signatures, as far as the operator says; one that nobody signed stays here."""
    messages = sent(ask("m", *two_turns()), thinking_back[replay])["messages"]

    assert [block["type"] for block in messages[1]["content"]] == first
    assert [block["type"] for block in messages[3]["content"]] == second
    if first[0] == "thinking":
        assert messages[1]["content"][0]["signature"] == THOUGHT.signature


@pytest.mark.parametrize("replay", ReplayThinking)
def test_thoughts_go_to_nobody_else(replay: ReplayThinking) -> None:
    """Another provider could not read them, and has no business with them."""
    body = thinking_back[replay](ask("m", *two_turns(provider="other")))[0]

    assert b"Hm." not in body
    assert b"thinking" not in body


def test_a_thought_with_nothing_behind_it_is_left_out() -> None:
    """The format allows no message that ends with one."""
    messages = sent(
        ask("m", user("one"), assistant(THOUGHT, provider="house")), thinking_back[ReplayThinking.ALWAYS]
    )

    assert b"Hm." not in msgspec.json.encode(messages)


def test_a_message_is_encoded_once_in_its_life() -> None:
    """The same bytes object goes out with every call."""
    message = user("hello")
    encode_body(ask("m", message))

    assert message.wire(FORM, encode_entry) is message.wire(FORM, encode_entry)


texts = st.text(max_size=20)
call_ids = st.text("ab.:1", min_size=1, max_size=3)
thoughts = st.sampled_from([THOUGHT, SEALED, UNSIGNED, ThinkingPart("", signature(""))])
parts = st.one_of(texts.map(TextPart), thoughts)


@st.composite
def turns(draw: st.DrawFn) -> list[PromptMessage]:
    """One turn as a run writes it: what was said, steps with calls and all their results, perhaps an answer."""
    fields: dict[str, Any] = {"turn_id": draw(st.uuids().map(str))}
    provider = draw(st.sampled_from(["house", "other"]))
    said = [user(*draw(st.lists(texts, min_size=1, max_size=2)), **fields)]
    for _ in range(draw(st.integers(0, 3))):
        ids = draw(st.lists(call_ids, min_size=1, max_size=3, unique=True))
        calls = [ToolCallPart(id, "time", {"of": draw(texts)}) for id in ids]
        said.append(assistant(*draw(st.lists(parts, max_size=3)), *calls, provider=provider, **fields))
        said += [result(id, draw(texts), is_error=draw(st.booleans()), **fields) for id in ids]
        if draw(st.booleans()):
            said.append(user(draw(texts), **fields))
    if draw(st.booleans()):
        said.append(assistant(*draw(st.lists(parts, min_size=1, max_size=3)), provider=provider, **fields))
    return said


histories = st.lists(turns(), max_size=4).map(lambda many: [message for turn in many for message in turn])


@given(histories, texts, texts, st.sampled_from(ReplayThinking))
def test_any_history_of_ours_is_taken(
    history: list[PromptMessage], instructions: str, context: str, replay: ReplayThinking
) -> None:
    """The strictest reader has nothing against it, whoever said what and wherever it ended."""
    request = ModelRequest("m", instructions, history, context=context, tools=(TIME_TOOL,))
    body = msgspec.json.decode(thinking_back[replay](request)[0], type=dict[str, Any])

    assert problem_with(body) is None


@given(histories, turns(), st.sampled_from([ReplayThinking.NEVER, ReplayThinking.ALWAYS]))
def test_the_next_call_begins_with_the_whole_of_the_last(
    history: list[PromptMessage], turn: list[PromptMessage], replay: ReplayThinking
) -> None:
    """Byte for byte but for the marks, so that nothing is read twice at full price."""
    asked = [*history, user("and now?", turn_id="now")]
    encode = thinking_back[replay]
    before = encode(ModelRequest("m", "You are Rook.", asked))[1]
    after = encode(ModelRequest("m", "You are Rook.", [*asked, assistant("So."), *turn]))[1]

    assert after.startswith(before.removesuffix(b"]}"))


@given(histories, turns(), texts)
def test_a_context_changes_nothing_before_it(
    history: list[PromptMessage], turn: list[PromptMessage], context: str
) -> None:
    """What a turn is told for itself stands behind everything that lasts."""
    asked = [*history, user("and now?", turn_id="now")]
    stable = encode_body(ModelRequest("m", "", asked))[1].removesuffix(b"]}")
    first = encode_body(ModelRequest("m", "", asked, context=context))[1]
    second = encode_body(ModelRequest("m", "", [*asked, assistant("So."), *turn], context=context))[1]

    assert first.startswith(stable)
    assert second.startswith(stable)


def cached(*requests: ModelRequest, encode: Any = encode_body) -> list[tuple[Prompt, int, int]]:
    """Each request with the tokens that were read from the cache, and those that were written to it."""
    kept: set[str] = set()
    found: list[tuple[Prompt, int, int]] = []
    for request in requests:
        prompt = prompt_of(sent(request, encode))
        usage = counted(prompt, kept)
        found.append((prompt, usage.cached_tokens, usage.cache_write_tokens))
    return found


def test_turn_after_turn_reads_what_the_turn_before_wrote() -> None:
    """Everything up to the question before is in the cache, and only what is new is written."""
    said: list[PromptMessage] = []
    requests: list[ModelRequest] = []
    for number in range(30):
        said.append(user(f"question {number}"))
        requests.append(ask("m", *said))
        said.append(assistant(f"answer {number}"))
    found = cached(*requests)

    for (before, _, _), (_, read, _) in pairwise(found):
        assert read == before.tokens(0, len(before.blocks))


@pytest.mark.parametrize("at_once", [1, 3, LOOK_BACK + 5])
def test_the_steps_of_a_turn_read_what_the_step_before_wrote(at_once: int) -> None:
    """However many results come at once, and whatever the turn is told for itself."""
    said = [user("first"), assistant("well"), user("go")]
    requests = [ask("m", *said, context="It is noon.")]
    for step in range(6):
        calls = [ToolCallPart(f"call_{step}_{n}", "time", {}) for n in range(at_once)]
        said += [assistant(*calls), *(result(call.id, "noon") for call in calls)]
        requests.append(ask("m", *said, context="It is noon."))
    found = cached(*requests)

    for (before, _, _), (_, read, _) in pairwise(found[1:]):
        assert read == before.tokens(0, len(before.blocks))
    assert found[1][1] == found[0][0].tokens(0, len(found[0][0].blocks) - 1)  # all but the context


def test_what_a_turn_said_for_itself_costs_the_next_turn_only_that() -> None:
    """After a long turn with a context, the next one still finds everything up to that turn's question."""
    said = [user("first " * 50), assistant("well " * 50), user("go")]
    requests = [ask("m", *said, context="It is noon.")]
    for step in range(30):
        said += [assistant(ToolCallPart(f"call_{step}", "time", {})), result(f"call_{step}", "noon")]
    requests.append(ask("m", *said, context="It is noon."))
    said += [assistant("Done."), user("thanks")]
    requests.append(ask("m", *said, context="It is one."))
    found = cached(*requests)

    until_the_question = requests[0].history[:3]
    blocks = 1 + len(until_the_question)  # the instructions, and a block each
    assert found[2][1] >= found[0][0].tokens(0, blocks)
