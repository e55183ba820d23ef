"""Providers with formats of their own, through the extra: the same promises as every other client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rookery.config import load
from rookery.config.words import ProviderKind, ReplayThinking
from rookery.errors import ConfigError, ModelError, ModelErrorKind
from rookery.gateway.settings import providers_from
from rookery.messages import SenderNote, StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from rookery.messages.transcript import ImagePart
from rookery.models import Key, Model, ModelRequest, ModelStream
from rookery.models.pydantic_ai import PydanticAIModel, check_installed
from rookery.models.server import ServerOptions
from rookery.outbound.lazy import LazyOutbound
from tests.models import test_model_contract as contract
from tests.models.prompts import (
    NOON,
    TIME_TOOL,
    ask,
    assistant,
    heard,
    reply_of,
    result,
    text_in,
    text_streamed,
    user,
)
from tests.support.fake_gemini import WORDS, FakeGemini
from tests.support.fake_openai import FakeOpenAI

KEY = Key("AIza-the-key-of-the-house")


class Keyed:
    """A model that is asked with the house's key, where a test says nothing of keys."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def stream(self, request: ModelRequest) -> ModelStream:
        return self._model.stream(replace(request, key=request.key or KEY))

    async def close(self) -> None:
        await self._model.close()


@pytest.fixture
async def gemini() -> AsyncGenerator[FakeGemini, None]:
    fake = FakeGemini()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def google(gemini: FakeGemini) -> AsyncGenerator[Model, None]:
    model = open_google(gemini.base_url)
    yield Keyed(model)
    await model.close()


def open_google(base_url: str, **options: Any) -> PydanticAIModel:
    return PydanticAIModel(
        ProviderKind.GOOGLE, base_url, name="gem", now=lambda: NOON, options=ServerOptions(**options)
    )


def open_mistral(base_url: str) -> PydanticAIModel:
    return PydanticAIModel(ProviderKind.MISTRAL, base_url, name="mist", now=lambda: NOON)


MODELS: dict[str, Callable[[str, str], Model]] = {
    "words": lambda google, _: open_google(google),
    "think": lambda google, _: open_google(google),
    "tool-time": lambda google, _: open_google(google),
    "stream:20": lambda _, mistral: open_mistral(mistral),
}


@pytest.fixture(params=MODELS)
async def named(
    request: pytest.FixtureRequest, gemini: FakeGemini, fake: FakeOpenAI
) -> AsyncGenerator[tuple[str, Model], None]:
    """Each model with the name it is asked by, as the contract wants it."""
    model = MODELS[request.param](gemini.base_url, fake.base_url.removesuffix("/v1"))
    yield request.param, Keyed(model)
    await model.close()


test_the_reply_comes_once_and_last = contract.test_the_reply_comes_once_and_last
test_the_deltas_are_the_reply = contract.test_the_deltas_are_the_reply
test_tool_calls_are_what_it_stopped_for = contract.test_tool_calls_are_what_it_stopped_for
test_tokens_are_counted = contract.test_tokens_are_counted
test_leaving_early_is_clean = contract.test_leaving_early_is_clean
test_a_model_can_be_closed_twice = contract.test_a_model_can_be_closed_twice


async def test_a_reply_streams_with_what_it_used(google: Model) -> None:
    """Word by word; the cached tokens are part of the prompt's."""
    events = await heard(google, ask("words"))

    assert text_streamed(events) == "".join(WORDS)
    reply = await reply_of(google, ask("words"))
    assert events[-1] == reply
    assert reply.content == (TextPart("".join(WORDS)),)
    assert (reply.stop_reason, reply.usage) == (StopReason.STOP, Usage(30, 5, 12))


async def test_the_request_is_what_was_meant(google: Model, gemini: FakeGemini) -> None:
    """Instructions, words, names, pictures, calls, results and the context each have their place."""
    picture = ImagePart("att1", "image/png", "cat.png")
    history = (
        user("hello", sender=SenderNote("telegram", "default", "7", "Ann")),
        assistant("Hi."),
        user("what is this?", picture, ImagePart("att2", "image/png", "dog.png")),
        assistant(ToolCallPart("c1", "time", {"zone": "UTC"}), ToolCallPart("c2", "time", {})),
        result("c1", "12:00"),
        result("c2", "broken", is_error=True),
    )
    await heard(google, ask("words", *history, context="It is noon.", tools=(TIME_TOOL,), images={"att1": b"PNG"}))
    sent = gemini.asked[-1]

    assert sent["systemInstruction"]["parts"] == [{"text": "You are Rook."}]
    said = [(content["role"], content["parts"]) for content in sent["contents"]]
    assert said[0] == ("user", [{"text": 'From "Ann" (telegram:7):\n\nhello'}])
    assert said[1] == ("model", [{"text": "Hi."}])
    role, parts = said[2]
    assert role == "user"
    assert [part.get("text") for part in parts] == ["what is this?", None, "[Image: dog.png]", "It is noon."]
    assert parts[1]["inlineData"] == {"mime_type": "image/png", "data": "UE5H"}
    assert [part["functionCall"]["name"] for part in said[3][1]] == ["time", "time"]
    responses = [part["functionResponse"]["response"] for _, parts in said[4:] for part in parts]
    assert [list(response.values()) for response in responses] == [["12:00"], ["Error: broken"]]
    (tool,) = sent["tools"][0]["functionDeclarations"]
    assert (tool["name"], tool["description"]) == ("time", "The current time.")


async def test_a_tool_is_called_and_its_result_is_read(google: Model) -> None:
    """The call comes with its arguments decoded; what is sent back with it is understood."""
    reply = await reply_of(google, ask("tool-time", user("time?"), tools=(TIME_TOOL,)))
    (call,) = reply.content
    assert isinstance(call, ToolCallPart)
    assert (call.name, call.arguments, reply.stop_reason) == ("time", {"zone": "UTC"}, StopReason.TOOL_CALLS)

    history = (user("time?"), assistant(call), result(call.id, "12:00"))
    assert text_in(await reply_of(google, ask("tool-time", *history, tools=(TIME_TOOL,)))) == "It is noon."


async def test_thoughts_go_back_to_whom_they_belong(gemini: FakeGemini) -> None:
    """And to nobody else: another provider's thoughts stay here."""
    model = open_google(gemini.base_url, replay_thinking=ReplayThinking.TURN)
    reply = await reply_of(Keyed(model), ask("think"))
    assert [type(part) for part in reply.content] == [ThinkingPart, TextPart]

    for provider, thought in (("gem", True), ("another", False)):
        mine = assistant(ThinkingPart("Well, well.", "c2lnbmVk"), ToolCallPart("c1", "time", {}))
        mine.entry = msgspec.structs.replace(mine.entry, provider=provider)
        await heard(Keyed(model), ask("words", user("think"), mine, result("c1", "12:00")))
        sent = [part for content in gemini.asked[-1]["contents"] for part in content["parts"]]
        assert any(part.get("thought") for part in sent) == thought
    await model.close()


@pytest.mark.parametrize(
    ("model", "reason"),
    [("long", StopReason.LENGTH), ("refused", StopReason.REFUSED), ("blocked", StopReason.REFUSED)],
)
async def test_why_it_stopped_is_told(google: Model, model: str, reason: StopReason) -> None:
    """A reply that is not whole says so."""
    assert (await reply_of(google, ask(model))).stop_reason is reason


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("400", ModelErrorKind.BAD_REQUEST),
        ("401", ModelErrorKind.WRONG_KEY),
        ("402", ModelErrorKind.NO_CREDIT),
        ("403", ModelErrorKind.NOT_PERMITTED),
        ("404", ModelErrorKind.UNKNOWN_MODEL),
        ("429", ModelErrorKind.RATE_LIMITED),
        ("500", ModelErrorKind.OVERLOADED),
        ("503", ModelErrorKind.OVERLOADED),
        ("too-long", ModelErrorKind.CONTEXT_TOO_LONG),
        ("cut", ModelErrorKind.BROKEN_OFF),
        ("unfinished", ModelErrorKind.BROKEN_OFF),
        ("html", ModelErrorKind.GARBAGE),
    ],
)
async def test_each_error_is_told_apart(
    google: Model, gemini: FakeGemini, model: str, kind: ModelErrorKind
) -> None:
    """By the same kinds as everywhere, after one request and not more."""
    with pytest.raises(ModelError) as caught:
        await heard(google, ask(model, user("a secret of mine that nobody repeats")))

    assert caught.value.kind is kind
    assert caught.value.retry_after == (7.0 if model == "429" else None)
    assert len(gemini.asked) == 1
    for private in (KEY.secret, "a secret of mine"):
        assert private not in str(caught.value)


async def test_nobody_there_is_told_as_that() -> None:
    """The operator hears which address to look at."""
    model = open_google("http://127.0.0.1:9")
    with pytest.raises(ModelError) as caught:
        await heard(Keyed(model), ask("words"))
    await model.close()

    assert caught.value.kind is ModelErrorKind.UNREACHABLE


@pytest.mark.parametrize("model", ["hang", "slow"])
async def test_a_call_ends_when_its_time_is_over(google: Model, gemini: FakeGemini, model: str) -> None:
    """Whether or not something was heard; and the provider sees us leave."""
    await heard(google, ask("words"))  # the first question waits for the library, which is not what is timed here
    with pytest.raises(ModelError) as caught:
        await heard(google, ask(model, timeout_seconds=0.5))

    assert caught.value.kind is ModelErrorKind.TIMED_OUT
    await gemini.hung_up.wait()


async def test_leaving_hangs_up_at_the_provider(google: Model, gemini: FakeGemini) -> None:
    """Nobody pays for words that nobody reads."""
    async with aclosing(google.stream(ask("slow"))) as events:
        await anext(events)

    await gemini.hung_up.wait()


async def test_closing_the_client_ends_what_is_under_way(google: Model, gemini: FakeGemini) -> None:
    """Whoever reads gets an error, and later questions are not asked."""
    waiting = asyncio.ensure_future(heard(google, ask("slow")))
    while not gemini.asked:
        await asyncio.sleep(0)
    await google.close()

    for question in (waiting, heard(google, ask("words"))):
        with pytest.raises(ModelError) as caught:
            await question
        assert caught.value.kind is ModelErrorKind.BROKEN_OFF
    assert len(gemini.asked) == 1


async def test_no_key_is_ever_taken_from_the_environment(
    google: Model, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a key, not a proxy, not another address: what is not granted is not used, whoever's it is."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "decoy-of-the-environment")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    bare = open_google(gemini.base_url)
    for nothing in (None, Key("")):
        with pytest.raises(ModelError) as caught:
            await heard(bare, ask("words", key=nothing))
        assert caught.value.kind is ModelErrorKind.NO_KEY
    await bare.close()

    for key in (KEY, Key("another-key"), KEY):
        await heard(google, ask("words", key=key))
    assert gemini.keys == [KEY.secret, "another-key", KEY.secret]


async def test_mistral_gets_the_key_it_was_granted(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own format, its own address, our key."""
    monkeypatch.setenv("MISTRAL_API_KEY", "decoy-of-the-environment")
    model = open_mistral(fake.base_url.removesuffix("/v1"))
    assert text_in(await reply_of(model, ask("stream:3", key=KEY))).split() == ["word1", "word2", "word3"]
    with pytest.raises(ModelError) as caught:
        await heard(model, ask("429", key=KEY))
    await model.close()

    assert fake.requests[0].headers["authorization"] == f"Bearer {KEY.secret}"
    assert (caught.value.kind, caught.value.retry_after) == (ModelErrorKind.RATE_LIMITED, 7.0)


PROVIDERS = """
models:
  default: gemini/gemini-9
  providers:
    gemini: { api: pydantic-ai, kind: google }
    le-chat: { api: pydantic-ai, kind: mistral, baseUrl: "http://127.0.0.1:9" }
  sharedKeys:
    house: { provider: gemini, keyFrom: "env:SOME_KEY" }
"""


def test_a_provider_is_configured_by_its_kind(tmp_path: Path) -> None:
    """Its address is known where none is written; it is not asked without a key."""
    path = tmp_path / "rookery.yaml"
    path.write_text(PROVIDERS)
    config = load(path, {"SOME_KEY": "k"})
    providers, _ = providers_from(config, LazyOutbound(), lambda: NOON)

    assert isinstance(providers["gemini"].open(), PydanticAIModel)
    assert not providers["gemini"].keyless
    assert not providers["le-chat"].keyless
    configured = [config.models.provider(name) for name in ("gemini", "le-chat")]
    assert [provider and provider.paths_begin for provider in configured] == [
        "https://generativelanguage.googleapis.com",
        "http://127.0.0.1:9",
    ]


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("{ api: pydantic-ai }", "kind is one of: google, mistral"),
        ("{ api: openai, kind: google }", "only there"),
        ("{ api: pydantic-ai, kind: gogle }", "'google'"),
        ("{ api: pydantic-ai, kind: google, extraBody: { a: 1 } }", "takes no extraBody"),
    ],
)
def test_a_provider_that_cannot_be_is_refused(tmp_path: Path, provider: str, said: str) -> None:
    """When the file is read, with what would be right."""
    path = tmp_path / "rookery.yaml"
    path.write_text(f"models: {{ providers: {{ x: {provider} }} }}\n")

    with pytest.raises(ConfigError, match=said):
        load(path, {})


def test_without_the_extra_the_start_says_how_to_get_it() -> None:
    """Not the first question, and not with a traceback."""
    with pytest.raises(ConfigError, match=r"models\.providers\.gem .* pip install 'rookery\[providers\]'"):
        check_installed("gem", ProviderKind.GOOGLE, lambda _: None)
    check_installed("gem", ProviderKind.GOOGLE)


def test_nothing_of_it_is_imported_before_it_is_asked() -> None:
    """Whoever does not use it does not pay for it: neither opening nor configuring imports the library."""
    program = (
        "import sys; from rookery.config.words import ProviderKind; import rookery.gateway.settings;"
        "from rookery.models.pydantic_ai import PydanticAIModel, check_installed;"
        "check_installed('gem', ProviderKind.GOOGLE);"
        "PydanticAIModel(ProviderKind.GOOGLE, 'http://127.0.0.1:9', name='gem', now=lambda: None);"
        "print([name for name in ('pydantic_ai', 'httpx2', 'google.genai', 'mistralai') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout == "[]\n"
