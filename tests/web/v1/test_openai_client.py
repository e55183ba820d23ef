"""The official `openai` client, unchanged, as people use it."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

from rookery.errors import ModelError, ModelErrorKind
from rookery.ids import UserId
from rookery.messages import StopReason, ToolCallPart, Usage
from rookery.models.scripted import Step
from rookery.users import agents
from tests.web.v1.conftest import SAYS, V1House, assistant, system, user

BE_KIND = "You are Rookery, the personal assistant of Alice."


async def said(client: AsyncOpenAI, *messages: Any, **more: Any) -> str:
    """Ask, and return the words of the answer."""
    create: Any = client.chat.completions.create  # `more` picks the overload, which nobody can tell beforehand
    answer: ChatCompletion = await create(model=more.pop("model", "rookery"), messages=list(messages), **more)
    return answer.choices[0].message.content or ""


async def streamed(client: AsyncOpenAI, *messages: Any, **more: Any) -> list[Any]:
    """Ask for a stream, and return its chunks."""
    stream = await client.chat.completions.create(
        model=more.pop("model", "rookery"), messages=list(messages), stream=True, **more
    )
    return [chunk async for chunk in stream]


def words(chunks: list[Any]) -> str:
    """What the chunks say together."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


# --- answers ------------------------------------------------------------------------------------------------


async def test_a_whole_answer(house: V1House) -> None:
    """One question, one answer, with the turn's id, its usage and the model as it was called."""
    house.script.append(Step(text="Hello, Alice.", usage=Usage(12, 3, cached_tokens=8)))
    async with await house.openai("alice") as alice:
        answer = await alice.chat.completions.create(model="rookery", messages=[user("hello")])

    [turn] = await house.rows("turns")
    assert (answer.id, answer.object, answer.model) == (f"chatcmpl-{turn.turn_id}", "chat.completion", "rookery")
    assert answer.created == int(house.clock.now().timestamp())
    assert answer.system_fingerprint is None
    [choice] = answer.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert (choice.message.role, choice.message.content) == ("assistant", "Hello, Alice.")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 3, 15)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 8


async def test_a_streamed_answer(house: V1House) -> None:
    """The first chunk says who speaks, the last why it ends; all are one answer's."""
    async with await house.openai("alice") as alice:
        chunks = await streamed(alice, user("hello"))

    assert chunks[0].choices[0].delta.role == "assistant"
    assert words(chunks) == SAYS
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_stream_that_tells_its_usage(house: V1House) -> None:
    """Asked for, one more chunk without choices says what the turn used."""
    house.script.append(Step(text="Yes.", usage=Usage(7, 2)))
    async with await house.openai("alice") as alice:
        chunks = await streamed(alice, user("hello"), stream_options={"include_usage": True})

    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 2)
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:-1]] == ["stop"]


async def test_words_come_while_the_model_speaks(house: V1House) -> None:
    """The first words are there before the model has ended; the end only when the turn is committed."""
    gate = asyncio.Event()
    house.script.append(Step(text="Once upon a time.", after=gate))
    async with await house.openai("alice") as alice:
        stream = await alice.chat.completions.create(model="rookery", messages=[user("a tale")], stream=True)
        heard = ""
        async for chunk in stream:
            heard += chunk.choices[0].delta.content or ""
            if heard == "Once upon a time.":
                [running] = await house.rows("turns")
                assert running.finished_at is None
                gate.set()
                break
        rest = [chunk async for chunk in stream]

    assert rest[-1].choices[0].finish_reason == "stop"
    [turn] = await house.rows("turns")
    assert turn.status == "done"


async def test_an_answer_cut_at_the_models_limit(house: V1House) -> None:
    """`length`, and nothing added to what the model said."""
    house.script += [Step(text="Half a", stop_reason=StopReason.LENGTH)] * 2
    async with await house.openai("alice") as alice:
        answer = await alice.chat.completions.create(model="rookery", messages=[user("go on")])
        chunks = await streamed(alice, user("go on"))

    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("length", "Half a")
    assert (words(chunks), chunks[-1].choices[0].finish_reason) == ("Half a", "length")


async def test_an_empty_answer(house: V1House) -> None:
    """A model that says nothing is an answer without words."""
    house.script += [Step(), Step()]
    async with await house.openai("alice") as alice:
        assert await said(alice, user("hm")) == ""
        chunks = await streamed(alice, user("hm"))

    assert (chunks[0].choices[0].delta.role, words(chunks)) == ("assistant", "")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_said_between_steps(house: V1House, stream: bool) -> None:
    """What the agent says before it uses a tool of its own is part of the answer, streamed or not."""
    look = ToolCallPart("c1", "time", {})
    house.script += [Step(text="Let me see.", calls=(look,)), "It is noon."]
    async with await house.openai("alice") as alice:
        heard = words(await streamed(alice, user("?"))) if stream else await said(alice, user("?"))

    assert heard == "Let me see.\n\nIt is noon."


async def test_a_reply_is_in_no_outbox(house: V1House) -> None:
    """Whoever holds the line has the answer; nothing is sent anywhere else."""
    async with await house.openai("alice") as alice:
        await said(alice, user("hello"), user="diary")
        await said(alice, user("/help"), user="diary")

    assert await house.rows("outbox") == []


# --- what the model is shown --------------------------------------------------------------------------------


async def test_without_a_name_the_request_is_all_there_is(house: V1House) -> None:
    """The messages are the whole context, system and developer below the persona, and nothing is remembered."""
    async with await house.openai("alice") as alice:
        await said(
            alice,
            system("Answer in rhyme."),
            user("one"),
            assistant("first"),
            {"role": "developer", "content": "Be brief."},
            user("two"),
            user("three"),
        )
        await said(alice, user("four"))

    assert house.prompt(0) == [
        ("system", f"{BE_KIND}\n\nAnswer in rhyme.\n\nBe brief."),
        ("user", "one"),
        ("assistant", "first"),
        ("user", "two\n\nthree"),
    ]
    assert house.prompt(1) == [("system", BE_KIND), ("user", "four")]
    assert {session.status for session in await house.sessions("alice")} <= {"deleted"}
    assert await house.rows("places") == []


async def test_with_a_name_only_what_is_new_is_heard(house: V1House) -> None:
    """The session knows what was said; the client's own copy of it changes nothing."""
    house.script += ["first", "second"]
    async with await house.openai("alice") as alice:
        await said(alice, system("Rhyme."), user("one"), user="my diary: Tag/1")
        await said(alice, user("CHANGED"), assistant("ALSO CHANGED"), user("two"), user="my diary: Tag/1")

    assert house.prompt(0) == [("system", f"{BE_KIND}\n\nRhyme."), ("user", "one")]
    assert house.prompt(1) == [("system", BE_KIND), ("user", "one"), ("assistant", "first"), ("user", "two")]
    [place] = await house.rows("places")
    assert place.session_key == "agent:alice:api:my~20diary~3A~20Tag~2F1"


async def test_the_header_names_the_session(house: V1House) -> None:
    """It is heard before `user`."""
    async with await house.openai("alice") as alice:
        await said(alice, user("x"), user="other", extra_headers={"X-Rookery-Session-Key": "day 1"})

    assert [place.session_key for place in await house.rows("places")] == ["agent:alice:api:day~201"]


async def test_a_full_key_is_the_session_itself(house: V1House) -> None:
    """What Alice said on Telegram goes on here, and its answer stands there."""
    await house.link("alice", "telegram", "a1")
    await house.telegram.says("a1", "by telegram")
    await house.idle()
    async with await house.openai("alice") as alice:
        await said(alice, user("by openai"), user="agent:alice:main")

    assert [text for role, text in house.prompt() if role == "user"] == ["by telegram", "by openai"]
    assert len(house.telegram.heard_by("a1")) == 1


async def test_parts_of_text(house: V1House) -> None:
    """Content may be parts; those of text are read."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    async with await house.openai("alice") as alice:
        await said(alice, {"role": "user", "content": parts})

    assert house.prompt()[-1] == ("user", "one\n\ntwo")


async def test_unknown_fields_are_ignored(house: V1House) -> None:
    """Whatever else a client sets does no harm, and no good."""
    async with await house.openai("alice") as alice:
        answer = await said(
            alice,
            user("hello"),
            n=1,
            tools=[],
            tool_choice="none",
            temperature=0.2,
            max_tokens=5,
            seed=7,
            stop=["x"],
            response_format={"type": "text"},
            extra_body={"nobody": {"knows": [None]}},
        )

    assert answer == SAYS


async def test_chat_commands(house: V1House) -> None:
    """What people can type anywhere they can type here; the answer is the assistant's message."""
    async with await house.openai("alice") as alice:
        assert "Alice (alice)" in await said(alice, user("/whoami"))
        assert "/new" in words(await streamed(alice, user("/help")))
        assert "Nothing is kept" in await said(alice, user("/new Holidays"))
        await said(alice, user("one"), user="diary")
        assert "begins here" in await said(alice, user("/new Holidays"), user="diary")
        await said(alice, user("two"), user="diary")

    assert [text for role, text in house.prompt() if role == "user"] == ["two"]


# --- models -------------------------------------------------------------------------------------------------


async def test_the_models_are_the_agents_one_may_talk_to(house: V1House) -> None:
    """The main one first, then others of one's own and shared ones; nobody else's, and no group's."""
    await house.friend("alice", "sabrina")
    await house.friend("bob", "hugo")
    await house.shared_agent("helpdesk", sponsor="bob")
    await house.database.write(
        lambda connection: agents.add_space_agent(
            connection, sponsor=UserId("alice"), name="Family", now=house.clock.now()
        )
    )
    await house.shared_agent("closed", sponsor="alice")
    await house.switch("closed", on=False)
    async with await house.openai("alice") as alice:
        names = [model.id async for model in alice.models.list()]
        one = await alice.models.retrieve("rookery/helpdesk")
        own = await alice.models.retrieve("rookery/alice")

    assert names == ["rookery", "rookery/alice--sabrina", "rookery/helpdesk"]
    assert (one.id, one.object, one.owned_by) == ("rookery/helpdesk", "model", "rookery")
    assert own.id == "rookery/alice"


async def test_another_agent_answers_under_its_name(house: V1House) -> None:
    """`rookery/<agentId>` is another of one's own, the main one by its id, or a shared one."""
    await house.friend("alice", "sabrina")
    async with await house.openai("alice") as alice:
        for model in ("rookery/alice--sabrina", "rookery/alice", "rookery"):
            answer = await alice.chat.completions.create(model=model, messages=[user("hi")], user="x")
            assert answer.model == model

    assert sorted(place.session_key for place in await house.rows("places")) == [
        "agent:alice--sabrina:api:x",
        "agent:alice:api:x",
    ]


async def test_a_key_of_another_agent_of_theirs(house: V1House) -> None:
    """With the plain model a full key picks the agent too."""
    await house.friend("alice", "sabrina")
    async with await house.openai("alice") as alice:
        await said(alice, user("hi"), user="agent:alice--sabrina:main")

    [turn] = await house.rows("turns")
    assert (turn.agent_id, turn.session_key) == ("alice--sabrina", "agent:alice--sabrina:main")


async def test_two_people_call_their_sessions_alike(house: V1House) -> None:
    """On a shared agent the same name is another session for each, whatever they write into it."""
    await house.person("alice-x")
    await house.shared_agent("helpdesk", sponsor="bob")
    async with (
        await house.openai("alice") as alice,
        await house.openai("bob") as bob,
        await house.openai("alice-x") as other,
    ):
        for client, name in (
            (alice, "plan"),
            (bob, "plan"),
            (other, "plan"),
            (bob, "alice/plan"),
            (alice, "x/plan"),
        ):
            await said(client, user(f"secret of {name}"), model="rookery/helpdesk", user=name)
        await said(alice, user("again"), model="rookery/helpdesk", user="plan")

    assert len(await house.rows("places")) == 5
    assert len({turn.session_id for turn in await house.rows("turns")}) == 5
    assert [text for role, text in house.prompt() if role == "user"] == ["secret of plan", "again"]


async def test_a_shared_agent_is_told_who_writes(house: V1House) -> None:
    """Earlier messages of the request too, for they are the same person's."""
    await house.shared_agent("helpdesk", sponsor="bob")
    async with await house.openai("alice") as alice:
        await said(alice, user("one"), assistant("first"), user("two"), model="rookery/helpdesk")

    senders = [message.entry.sender for message in house.model.requests[-1].history]
    assert [None if one is None else (one.channel, one.id) for one in senders] == [
        ("api", "alice"),
        None,
        ("api", "alice"),
    ]


# --- errors -------------------------------------------------------------------------------------------------


async def test_who_is_nobody(house: V1House) -> None:
    """No token of this house: 401, in OpenAI's format."""
    async with AsyncOpenAI(base_url=house.base, api_key="rk_nobody", max_retries=0) as nobody:
        with pytest.raises(openai.AuthenticationError) as refused:
            await said(nobody, user("hello"))
        with pytest.raises(openai.AuthenticationError):
            await nobody.models.list()

    assert refused.value.code == "invalid_api_key"
    assert refused.value.type == "invalid_request_error"
    assert house.model.requests == []


@pytest.mark.parametrize(
    "model", ["gpt-4o", "rookery/", "rookery/bob", "rookery/nobody", "rookery/a b", "rookery/bob--x"]
)
async def test_models_that_are_not_there(house: V1House, model: str) -> None:
    """Somebody else's agent and none at all read alike, word for word but for the name."""
    await house.friend("bob", "x")
    async with await house.openai("alice") as alice:
        with pytest.raises(openai.NotFoundError) as absent:
            await said(alice, user("hello"), model=model)
        with pytest.raises(openai.NotFoundError) as unlisted:
            await alice.models.retrieve(model)

    assert (absent.value.code, absent.value.param) == ("model_not_found", "model")
    assert absent.value.body == unlisted.value.body
    expected = f"The model {model!r} does not exist. GET /v1/models lists those you can use."
    assert absent.value.body["message"] == expected  # pyright: ignore
    assert await house.rows("turns") == await house.rows("seen") == []


@pytest.mark.parametrize(
    "key", ["agent:bob:main", "agent:nobody:main", "agent:helpdesk:api:bob~2Fplan", "agent:helpdesk:api:x"]
)
@pytest.mark.parametrize("model", ["rookery", "rookery/alice", "rookery/helpdesk"])
async def test_sessions_that_are_not_theirs(house: V1House, model: str, key: str) -> None:
    """A full key of somebody else's session is answered as one of none."""
    await house.shared_agent("helpdesk", sponsor="bob")
    async with await house.openai("bob") as bob, await house.openai("alice") as alice:
        await said(bob, user("mine"), model="rookery/helpdesk", user="plan")
        with pytest.raises(openai.NotFoundError) as absent:
            await said(alice, user("yours"), model=model, user=key)

    assert (absent.value.code, absent.value.param) == ("session_not_found", "user")
    assert absent.value.body["message"] == f"There is no session {key!r} here."  # pyright: ignore
    assert len(await house.rows("turns")) == 1


async def test_an_agent_that_is_switched_off(house: V1House) -> None:
    """It is theirs, so they are told why it does not answer."""
    await house.friend("alice", "sabrina")
    await house.switch("alice--sabrina", on=False)
    await house.switch("alice", on=False)
    async with await house.openai("alice") as alice:
        for model in ("rookery", "rookery/alice--sabrina"):
            with pytest.raises(openai.PermissionDeniedError, match="switched off") as refused:
                await said(alice, user("hello"), model=model)
            assert refused.value.code == "refused"
        assert [model.id async for model in alice.models.list()] == []


TOO_MUCH: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "tools"),
    ({"functions": [{"name": "f", "parameters": {}}]}, "functions"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"function_call": "auto"}, "function_call"),
]


@pytest.mark.parametrize(("more", "param"), TOO_MUCH)
async def test_what_is_not_built(house: V1House, more: dict[str, Any], param: str) -> None:
    """It is refused by name, rather than left out in silence."""
    async with await house.openai("alice") as alice:
        with pytest.raises(openai.BadRequestError) as refused:
            await said(alice, user("hello"), **more)

    assert (refused.value.code, refused.value.param) == ("unsupported", param)


OF_MODELS = [
    (ModelErrorKind.RATE_LIMITED, openai.RateLimitError, 429, "rate_limit_exceeded"),
    (ModelErrorKind.OVERLOADED, openai.InternalServerError, 503, "overloaded"),
    (ModelErrorKind.TIMED_OUT, openai.InternalServerError, 504, "timed_out"),
    (ModelErrorKind.CONTEXT_TOO_LONG, openai.BadRequestError, 400, "context_length_exceeded"),
    (ModelErrorKind.CONTENT_REFUSED, openai.BadRequestError, 400, "content_filter"),
    *(
        (kind, openai.InternalServerError, 502, kind.value)
        for kind in ModelErrorKind
        if kind
        not in (
            ModelErrorKind.RATE_LIMITED,
            ModelErrorKind.OVERLOADED,
            ModelErrorKind.TIMED_OUT,
            ModelErrorKind.CONTEXT_TOO_LONG,
            ModelErrorKind.CONTENT_REFUSED,
        )
    ),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("kind", "error", "status", "code"), OF_MODELS)
async def test_a_model_that_fails(
    house: V1House, kind: ModelErrorKind, error: type[openai.APIStatusError], status: int, code: str, stream: bool
) -> None:
    """Before its first word, the status says so, streamed or not, in words for people and without the detail."""
    house.script.append(ModelError(kind, "key sk-123 of server x"))
    async with await house.openai("alice") as alice:
        with pytest.raises(error) as failed:
            await (streamed if stream else said)(alice, user("hello"))

    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert "sk-123" not in str(failed.value)
    [turn] = await house.rows("turns")
    assert (turn.status, turn.error) == ("failed", kind.value)


async def test_a_model_that_fails_in_the_middle(house: V1House) -> None:
    """What was said is heard, and then the error; whole answers are none."""
    broken = Step(text="Well, ", error=ModelError(ModelErrorKind.BROKEN_OFF, "gone"))
    house.script += [broken, broken]
    async with await house.openai("alice") as alice:
        with pytest.raises(openai.InternalServerError):
            await said(alice, user("hello"))
        stream = await alice.chat.completions.create(model="rookery", messages=[user("hello")], stream=True)
        heard = [await anext(stream), await anext(stream)]
        with pytest.raises(openai.APIError) as failed:
            await anext(stream)

    assert words(heard) == "Well, "
    assert failed.value.code == "broken_off"


async def test_a_named_question_is_not_asked_again_by_itself(house: V1House) -> None:
    """OpenAI's client repeats what failed; what stands in a session already would be said three times."""
    house.script += [ModelError(ModelErrorKind.OVERLOADED, "busy")] * 2
    async with AsyncOpenAI(base_url=house.base, api_key=await house.secret("alice"), max_retries=2) as alice:
        with pytest.raises(openai.InternalServerError):
            await said(alice, user("hello"), user="diary")

    assert len(house.model.requests) == 1


async def test_a_gateway_that_stops(house: V1House) -> None:
    """Nothing is accepted any more: 503, and when to come again."""
    house.gateway.accepting = False
    async with await house.openai("alice") as alice:
        with pytest.raises(openai.InternalServerError) as refused:
            await said(alice, user("hello"))

    assert (refused.value.status_code, refused.value.response.headers["retry-after"]) == (503, "1")
