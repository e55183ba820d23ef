"""Each way a call can fail, told apart through the real client from a real endpoint."""

from __future__ import annotations

import gzip
import socket
import threading
from datetime import datetime

import msgspec
import pytest

from rookery.errors import ModelError, ModelErrorKind
from rookery.models import ModelRequest
from rookery.models.openai import OpenAIModel
from rookery.outbound.client import Outbound
from tests.models.prompts import NOON, ask, heard, user, with_key
from tests.support.fake_openai import JSON, Canned, FakeOpenAI

Kind = ModelErrorKind


async def failure(model: OpenAIModel, request: ModelRequest) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await heard(model, request)
    return caught.value


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("400", Kind.BAD_REQUEST),
        ("401", Kind.WRONG_KEY),
        ("402", Kind.NO_CREDIT),
        ("403", Kind.NOT_PERMITTED),
        ("404", Kind.UNKNOWN_MODEL),
        ("429", Kind.RATE_LIMITED),
        ("500", Kind.OVERLOADED),
        ("502", Kind.OVERLOADED),
        ("529", Kind.OVERLOADED),
        ("307", Kind.GARBAGE),
        ("context-too-long", Kind.CONTEXT_TOO_LONG),
        ("garbage-html", Kind.GARBAGE),
        ("garbage-sse", Kind.GARBAGE),
        ("error-in-stream", Kind.OVERLOADED),
        ("break-mid-stream", Kind.BROKEN_OFF),
        ("end-mid-stream", Kind.BROKEN_OFF),
        ("close-at-once", Kind.BROKEN_OFF),
    ],
)
async def test_each_failure_has_its_kind(openai: OpenAIModel, behaviour: str, kind: ModelErrorKind) -> None:
    """The person is told what happened, and whoever can mend it knows that it is them."""
    error = await failure(openai, ask(behaviour))

    assert kind is error.kind
    assert error.detail.startswith("house ")


def said(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            429,
            said(error={"message": "You exceeded your current quota", "type": "insufficient_quota"}),
            Kind.NO_CREDIT,
        ),
        (400, said(error={"message": "Your credit balance is too low", "type": "x"}), Kind.NO_CREDIT),
        # llama.cpp
        (
            400,
            said(
                error={
                    "code": 400,
                    "message": "the request exceeds the available context size, try increasing it",
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": 9000,
                    "n_ctx": 4096,
                }
            ),
            Kind.CONTEXT_TOO_LONG,
        ),
        # vLLM, before and after its errors were wrapped
        (
            400,
            said(
                object="error",
                message="This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
                type="BadRequestError",
                param=None,
                code=400,
            ),
            Kind.CONTEXT_TOO_LONG,
        ),
        (
            404,
            said(error={"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}),
            Kind.UNKNOWN_MODEL,
        ),
        # Ollama
        (
            404,
            said(error={"message": "model 'x' not found", "type": "api_error", "code": None}),
            Kind.UNKNOWN_MODEL,
        ),
        (500, said(error="llama runner process has terminated"), Kind.OVERLOADED),
        # Google's endpoint wraps its error in a list
        (
            400,
            b'[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]',
            Kind.WRONG_KEY,
        ),
        (400, said(error={"message": "filtered", "code": "content_filter"}), Kind.CONTENT_REFUSED),
        (422, said(detail=[{"loc": ["body"], "msg": "field required", "input": "a secret"}]), Kind.BAD_REQUEST),
        (413, b"too large", Kind.CONTEXT_TOO_LONG),
        (408, b"", Kind.TIMED_OUT),
        (504, b"", Kind.TIMED_OUT),
        # OpenRouter
        (
            403,
            said(error={"message": "Your input was flagged", "code": 403, "metadata": {"reasons": ["violence"]}}),
            Kind.CONTENT_REFUSED,
        ),
        (400, said(error={"message": "x/y is not a valid model ID", "code": 400}), Kind.UNKNOWN_MODEL),
        # DeepSeek
        (400, said(error={"message": "Model Not Exist", "type": "invalid_request_error"}), Kind.UNKNOWN_MODEL),
        # Mistral
        (400, said(object="error", message="Invalid model: x", type="invalid_model"), Kind.UNKNOWN_MODEL),
        # xAI
        (
            429,
            said(
                code="exhausted", error="Your team has used all available credits or reached its spending limit."
            ),
            Kind.NO_CREDIT,
        ),
        # Hugging Face
        (
            422,
            said(error="`inputs` tokens + `max_new_tokens` must be <= 4096", error_type="validation"),
            Kind.CONTEXT_TOO_LONG,
        ),
        # Groq: one request is more than a minute allows
        (
            413,
            said(error={"message": "Request too large", "type": "tokens", "code": "rate_limit_exceeded"}),
            Kind.RATE_LIMITED,
        ),
        (503, b"<html>busy</html>", Kind.OVERLOADED),
        (418, b"\xff\x00", Kind.BAD_REQUEST),
        (400, b'{"error":{"message":7,"code":[],"type":{}},"detail":null}', Kind.BAD_REQUEST),
    ],
)
async def test_servers_say_it_in_many_ways(
    openai: OpenAIModel, fake: FakeOpenAI, status: int, body: bytes, kind: ModelErrorKind
) -> None:
    """The body decides where the status alone would mislead."""
    fake.serve("m", Canned((body,), status=status, content_type=JSON))
    error = await failure(openai, ask("m"))

    assert kind is error.kind
    assert "a secret" not in error.detail


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b'data: {"error":{"message":"slow down","type":"rate_limit_error"}}\n\n', Kind.RATE_LIMITED),
        (b'data: {"error":{"message":"context window exceeded","code":400}}\n\n', Kind.CONTEXT_TOO_LONG),
        (b'data: {"object":"error","message":"bad","type":"BadRequestError","code":400}\n\n', Kind.BAD_REQUEST),
        (b'data: {"error":{"message":"whatever"}}', Kind.OVERLOADED),
        (b'error: {"code":500,"message":"slot failed","type":"server_error"}\n\n', Kind.OVERLOADED),
    ],
)
async def test_an_error_inside_the_stream_has_its_kind(
    openai: OpenAIModel, fake: FakeOpenAI, stream: bytes, kind: ModelErrorKind
) -> None:
    """The status was 200 long before the server found out."""
    fake.serve("m", Canned((stream,)))

    assert kind is (await failure(openai, ask("m"))).kind


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"Retry-After": "7"}, "", 7.0),
        ({"Retry-After": "1.5"}, "", 1.5),
        ({"Retry-After-Ms": "250", "Retry-After": "1"}, "", 0.25),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, "", 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, "", 0.0),
        ({"Retry-After": "soon"}, "", None),
        ({"Retry-After": f"Mon, 01 Jan {10**20} 00:00:00 GMT"}, "", None),
        ({"Retry-After": "Mon, 01 Jan 2027 00:00:00 +99999999999999"}, "", None),
        ({}, "Rate limit reached. Please try again in 20ms. Visit us.", 0.02),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Please retry after 12 seconds", 12.0),
        ({}, "Too fast.", None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, "", 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m2.5s"}, "", 62.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, "", 0.02),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "20ms"}, "", None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1772366430000"}, "", 30.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1772366430"}, "", 30.0),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-03-01T12:00:05Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-03-01T12:00:40Z",
                "anthropic-ratelimit-output-tokens-remaining": "900",
                "anthropic-ratelimit-output-tokens-reset": "2026-03-01T12:05:00Z",
            },
            "",
            40.0,
        ),
    ],
)
async def test_how_long_to_wait_is_read_where_it_stands(
    openai: OpenAIModel, fake: FakeOpenAI, headers: dict[str, str], message: str, seconds: float | None
) -> None:
    """In a header as seconds or a date, or in the words."""
    body = said(error={"message": message, "type": "rate_limit_error"})
    fake.serve("m", Canned((body,), status=429, content_type=JSON, headers=headers))

    assert seconds == (await failure(openai, ask("m"))).retry_after


async def test_an_address_that_no_server_can_have_is_said_to_be_wrong(outbound: Outbound) -> None:
    """Two dots in a row, or a part of the name that is too long: it is baseUrl, not the answer."""
    for host in ("models..example", f"{'a' * 70}.example"):
        model = OpenAIModel(outbound, f"http://{host}/v1", name="house", now=lambda: NOON)
        error = await failure(model, ask("m"))
        assert error.kind is Kind.UNREACHABLE
        assert "check baseUrl" in error.detail


async def test_what_an_error_quotes_of_a_long_prompt_is_looked_for_beside_the_loop(
    fake: FakeOpenAI, outbound: Outbound
) -> None:
    """A storm of refusals of long conversations delays nobody else, and quotes no more than others."""
    threads: set[int] = set()

    def now() -> datetime:
        threads.add(threading.get_ident())
        return NOON

    body = said(error={"message": "You said: my locker code is 4711. Too fast.", "type": "rate_limit_error"})
    headers = {"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}
    fake.serve("m", Canned((body,), status=429, content_type=JSON, headers=headers))
    model = OpenAIModel(outbound, fake.base_url, name="house", now=now)
    for filling, beside in (("", False), ("word " * 20_000, True)):
        threads.clear()
        asked = ask("m", user(f"{filling}my locker code is 4711"))
        error = await failure(model, asked)
        assert (error.kind, error.retry_after) == (Kind.RATE_LIMITED, 30.0)
        assert "locker" not in error.detail
        assert (threads != {threading.get_ident()}) is beside


async def test_a_silent_server_times_out(openai: OpenAIModel) -> None:
    """The deadline is of the whole call, whatever the server does or does not."""
    assert Kind.TIMED_OUT is (await failure(openai, ask("hang", timeout_seconds=0.05))).kind


async def test_a_server_that_stops_talking_times_out(openai: OpenAIModel) -> None:
    """The deadline holds in mid-stream too."""
    assert Kind.TIMED_OUT is (await failure(openai, ask("slow", timeout_seconds=0.05))).kind


async def test_silence_has_a_limit_of_its_own(fake: FakeOpenAI, outbound: Outbound) -> None:
    """A stream that stalls is given up long before its deadline."""
    model = OpenAIModel(outbound, fake.base_url, name="house", now=lambda: NOON, idle_seconds=0.05)

    assert Kind.TIMED_OUT is (await failure(model, ask("slow"))).kind


async def test_nobody_listening_is_unreachable(outbound: Outbound) -> None:
    """The operator is told which address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        model = OpenAIModel(outbound, f"http://127.0.0.1:{port}/v1", name="house", now=lambda: NOON)
        error = await failure(model, ask("m"))

    assert Kind.UNREACHABLE is error.kind
    assert str(port) in error.detail


@pytest.mark.parametrize("base_url", ["ftp://127.0.0.1/v1", "not a url", "http://", "http://[::1/v1"])
async def test_an_address_that_is_none_is_unreachable(outbound: Outbound, base_url: str) -> None:
    """A typo in the configuration is a clear error and not a crash."""
    model = OpenAIModel(outbound, base_url, name="house", now=lambda: NOON)

    assert Kind.UNREACHABLE is (await failure(model, ask("m"))).kind


async def test_a_server_that_speaks_no_http_is_garbage(fake: FakeOpenAI, openai: OpenAIModel) -> None:
    """Somebody else listens on that port."""
    fake.serve("m", Canned((b"hello",), headers={"Content-Length": "x"}))

    assert Kind.GARBAGE is (await failure(openai, ask("m"))).kind


async def test_a_reply_larger_than_any_is_garbage(fake: FakeOpenAI, openai: OpenAIModel) -> None:
    """A plain JSON answer is read whole, up to a limit."""
    fake.serve("m", Canned((b" " * (9 << 20),), content_type=JSON))

    assert Kind.GARBAGE is (await failure(openai, ask("m"))).kind


async def test_an_endless_error_page_is_still_that_error(fake: FakeOpenAI, openai: OpenAIModel) -> None:
    """The status says enough."""
    fake.serve("m", Canned((b"x" * 70_000,) * 3, status=401, end="stay"))

    assert Kind.WRONG_KEY is (await failure(openai, ask("m"))).kind


async def test_a_compression_bomb_is_garbage(fake: FakeOpenAI, openai: OpenAIModel) -> None:
    """The limit is of the bytes after unpacking."""
    bomb = gzip.compress(b" " * (64 << 20))
    fake.serve("m", Canned((bomb,), content_type=JSON, headers={"Content-Encoding": "gzip"}))

    assert Kind.GARBAGE is (await failure(openai, ask("m"))).kind


async def test_a_key_that_no_header_can_carry_is_wrong(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """A key pasted with its line break is refused here and never sent."""
    error = await failure(openai, ask("instant", key=with_key("sk-1\nX-Evil: 1")))

    assert Kind.WRONG_KEY is error.kind
    assert "sk-1" not in error.detail
    assert not fake.requests


async def test_an_errors_words_hold_neither_key_nor_prompt(openai: OpenAIModel, fake: FakeOpenAI) -> None:
    """Servers quote what they were sent; the log must not."""
    key, prompt = "very-secret-0123456789", 'my locker\ncode is "4711" ünd more'
    message = f"Bad key {key} (sk-proj-abcdef123456), cannot read {prompt}: at line 1. " + "x" * 500
    fake.serve("m", Canned((said(error={"message": message}),), status=400, content_type=JSON))
    error = await failure(openai, ask("m", user(prompt), key=with_key(key)))

    assert error.detail.startswith("house answered 400: Bad key … (…), cannot read ")
    assert not any(word in error.detail for word in (key, "sk-proj", "locker", "4711"))
    assert len(error.detail) < 250
    assert key not in repr(error.__dict__)


async def test_a_missing_path_hints_at_the_base_url(fake: FakeOpenAI, outbound: Outbound) -> None:
    """The commonest mistake is a baseUrl without /v1."""
    fake.serve("m", Canned((b"404 page not found",), status=404, content_type="text/plain"))
    model = OpenAIModel(outbound, fake.base_url, name="house", now=lambda: NOON)

    assert "/v1" in (await failure(model, ask("m"))).detail
