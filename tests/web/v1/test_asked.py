"""Reading a request: what is new in it, what is refused and where, and that nothing breaks the reader."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateway.turns import Earlier
from rookery.messages import Role
from rookery.web.v1 import asked
from rookery.web.v1.asked import MAX_MESSAGES, MAX_NAME, Asked
from rookery.web.v1.problems import Problem, Unanswerable


def read(messages: Any = None, *, header: str | None = None, **fields: Any) -> Asked:
    """Read a request of these messages."""
    if messages is None:
        messages = [{"role": "user", "content": "hello"}]
    return asked.read(msgspec.json.encode({"model": "rookery", "messages": messages, **fields}), header)


def refused(*arguments: Any, **fields: Any) -> Problem:
    """Why a request is refused."""
    with pytest.raises(Unanswerable) as error:
        read(*arguments, **fields)
    assert error.value.problem.status == 400
    return error.value.problem


def talk(*said: str) -> list[dict[str, str]]:
    """Messages written as `u:…`, `a:…`, `s:…` and `d:…`."""
    roles = {"u": "user", "a": "assistant", "s": "system", "d": "developer"}
    return [{"role": roles[one[0]], "content": one[2:]} for one in said]


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}


def test_pictures_are_words_too() -> None:
    """A message may be a picture alone; with a name only the new ones are read."""
    messages = [{"role": "user", "content": [PICTURE]}, *talk("a:first"), {"role": "user", "content": [PICTURE]}]
    nameless, named = read(messages), read(messages, user="x")

    assert [(one.data, one.earlier) for one in nameless.pictures] == [(b"ABC", None), (b"ABC", 0)]
    assert [(one.data, one.earlier) for one in named.pictures] == [(b"ABC", None)]
    assert nameless.text == ""


def test_what_follows_the_last_answer_is_new() -> None:
    """Several messages are one; what is empty is left out."""
    question = read(talk("u:one", "a:first", "s:be kind", "u:two", "u: ", "d:be brief", "u:three"))

    assert question.text == "two\n\nthree"
    assert question.aside.instructions == "be kind\n\nbe brief"
    assert question.aside.earlier == (Earlier(Role.USER, "one"), Earlier(Role.ASSISTANT, "first"))


def test_a_session_knows_what_came_before() -> None:
    """With a name the context is the session's; the instructions are the request's all the same."""
    question = read(talk("s:be kind", "u:one", "a:first", "u:two"), user="diary")

    assert (question.text, question.session) == ("two", "diary")
    assert (question.aside.instructions, question.aside.earlier) == ("be kind", ())


def test_messages_without_words_are_no_context() -> None:
    """An assistant's message may have no content; models are not shown it."""
    question = read([{"role": "assistant", "content": None}, *talk("a:", "u:two")])

    assert question.aside.earlier == ()


@pytest.mark.parametrize("messages", [[], talk("s:be kind"), talk("u:one", "a:first"), talk("u: \n")])
def test_somebody_has_to_say_something(messages: Any) -> None:
    """There must be something to answer."""
    assert refused(messages).param == "messages"


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ({"role": "tool", "content": "42", "tool_call_id": "c"}, "messages[0]", "unsupported"),
        ({"role": "function", "content": "42", "name": "f"}, "messages[0]", "unsupported"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, "messages[0]", "unsupported"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "messages[0]", "unsupported"),
        ({"role": "chef", "content": "x"}, "messages[0].role", None),
        ({"role": "user"}, "messages[0].content", None),
        ({"role": "user", "content": "a\0b"}, "messages[0].content", None),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0]", None),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[0].content[0]", "unsupported"),
        ({"role": "user", "content": 5}, "messages[0].content", None),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0]", None),
        ({"role": "system", "content": [PICTURE]}, "messages[0].content[0]", "unsupported"),
        ({"role": "user", "content": [PICTURE] * 21}, "messages", None),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
            },
            "messages[0].content[0].image_url.url",
            "unsupported",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}]},
            "messages[0].content[0].image_url.url",
            None,
        ),
        ({"content": "x"}, "messages[0]", None),
        ("hello", "messages[0]", None),
    ],
)
def test_messages_that_cannot_be_read(message: Any, param: str, code: str | None) -> None:
    """The error names the place."""
    problem = refused([message, *talk("u:hello")])

    assert (problem.param, problem.code) == (param, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"stream": "yes"}, "stream"), ({"user": 5}, "user"), ({"model": None}, "model"), ({"n": 2}, "n")],
)
def test_fields_that_cannot_be_read(fields: dict[str, Any], param: str) -> None:
    """The error names the field."""
    assert refused(**fields).param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"model":"rookery"}', b'{"messages":[]}'])
def test_bodies_that_are_none(body: bytes) -> None:
    """What is no request is refused, and what is missing is named."""
    with pytest.raises(Unanswerable) as error:
        asked.read(body, None)
    assert error.value.problem.status == 400
    assert error.value.problem.message.endswith(".")


def test_a_field_that_is_missing() -> None:
    """Its name is what the error is about."""
    with pytest.raises(Unanswerable) as error:
        asked.read(b'{"messages":[]}', None)
    assert error.value.problem.param == "model"


def test_too_many_messages() -> None:
    """There is an end to what is read."""
    assert refused(talk("u:x") * (MAX_MESSAGES + 1)).param == "messages"


def test_names_of_sessions() -> None:
    """Any words; an empty name is none, the header is heard first and is UTF-8."""
    assert read(user="").session is None
    assert read(user="a/b: ü").session == "a/b: ü"
    assert read(user="body", header="head").session == "head"
    assert read(user="body", header="").session == "body"
    assert read(header="café ☕".encode().decode("latin-1")).session == "café ☕"
    assert refused(header="caf\xe9").param == "X-Rookery-Session-Key"
    assert refused(user="ü" * (MAX_NAME // 2 + 1)).param == "user"
    assert refused(user="a\0").param == "user"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "refusal", "image_url", ""]) | _VALUES}, optional={"text": _VALUES}
)
_MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "developer", "tool"]) | _VALUES},
    optional={"content": st.text() | st.lists(_PARTS, max_size=3) | _VALUES, "tool_calls": _VALUES},
)
_BODIES = st.fixed_dictionaries(
    {"model": st.just("rookery"), "messages": st.lists(_MESSAGES, max_size=4)},
    optional=dict.fromkeys(
        ("user", "n", "tools", "functions", "tool_choice", "stream", "stream_options", "other"), _VALUES
    ),
)


@given(st.one_of(_BODIES, _VALUES).map(msgspec.json.encode) | st.binary(max_size=30))
def test_nothing_breaks_the_reader(body: bytes) -> None:
    """Whatever comes in is a question with words, or refused with 400 in words."""
    found: Asked | Problem
    try:
        found = asked.read(body, None)
    except Unanswerable as error:
        found = error.problem
    if isinstance(found, Problem):
        assert (found.status, bool(found.message)) == (400, True)
    else:
        assert found.text.strip() or found.pictures
        assert found.session != ""
        assert all(one.text.strip() for one in found.aside.earlier)


@given(st.lists(st.tuples(st.sampled_from("uasd"), st.text("xy \n", min_size=1, max_size=4)), max_size=8))
def test_every_word_has_its_place(said: list[tuple[str, str]]) -> None:
    """No message of a request is lost, and none is heard twice."""
    messages = talk(*(f"{role}:{text}" for role, text in said))
    try:
        question = read(messages)
    except Unanswerable:
        return
    heard = "".join([question.aside.instructions, *(one.text for one in question.aside.earlier), question.text])
    written = "".join(text for role, text in said if text.strip() or role in "sd")
    assert sorted(heard.replace("\n", "")) == sorted(written.replace("\n", ""))
