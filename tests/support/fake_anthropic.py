"""An Anthropic-compatible endpoint that does what its model's name says, and is as strict as the real one.

    instant, instant:N   a reply of N words (default 2) in one write
    stream:N             the same, one write an event, letting the loop turn between them
    echo                 the text of every block of the request, joined by newlines
    split                a reply dribbled one byte at a time
    slow                 the beginning, then one word with each `FakeAnthropic.tick`, for ever
    hang                 reads the request and never answers
    tool:NAME            calls the tool NAME with {}, and answers in words once there is a result
    tools:NAMExN         the same with N calls at once
    think                a signed thought, a sealed one, then words
    think-tool:NAME      a signed thought and a call, then a thought and words
    refusal              two words, then it refuses to go on
    NNN                  that HTTP status (401, 402, 429, 500, 529, …) with Anthropic's error body for it
    context-too-long     Anthropic's 400 for it
    garbage-html         200 and a web page
    garbage-sse          200 and a stream that is not JSON
    error-in-stream      two words, then an error event
    break-mid-stream     two words, then the connection is lost
    end-mid-stream       two words, then the body ends properly
    close-at-once        hangs up before any answer
    no-usage             two words, and nothing is counted
    plain-json           answers JSON although a stream was asked for

Requests that the real one would refuse are refused in its words. It counts a token for four characters, keeps a
prompt cache by key as the real one does, and signs thoughts so that one that was changed, or stands behind other
words than it was thought behind, is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from rookery.messages import Usage
from tests.support.fake_openai import JSON, SSE, Canned, Connection, FakeOpenAI, Recorded, chunk, head, whole

LOOK_BACK = 20
"""How many blocks before a mark the cache is looked up."""

MOST_MARKS = 4

_encode = msgspec.json.Encoder(order="sorted").encode


class FakeAnthropic(FakeOpenAI):
    """The endpoint and what it saw."""

    def __init__(self, *, keep: int = 1000) -> None:
        super().__init__(keep=keep)
        self.cached: dict[str, set[str]] = {}
        """The beginnings of prompts that were kept, by key."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as the real endpoint reads it: blocks one after another, and which of them are marked."""

    blocks: tuple[bytes, ...]
    """Without marks; each knows its side."""
    marks: tuple[int, ...]

    def beginning(self, end: int) -> str:
        """What stands for everything up to this block, itself included."""
        return hashlib.sha256(b"\n".join(self.blocks[: end + 1])).hexdigest()

    def tokens(self, begin: int, end: int) -> int:
        return sum(-(-len(block) // 4) for block in self.blocks[begin:end])


def prompt_of(body: dict[str, Any]) -> Prompt:
    """The blocks of a request, in the order in which the cache compares them: tools, system, messages."""
    blocks: list[bytes] = []
    marks: list[int] = []
    sided = [("tools", tool) for tool in body.get("tools", [])]
    sided += [("system", block) for block in body.get("system", [])]
    sided += [(message["role"], block) for message in body["messages"] for block in message["content"]]
    for side, block in sided:
        if "cache_control" in block:
            marks.append(len(blocks))
        blocks.append(_encode([side, {key: value for key, value in block.items() if key != "cache_control"}]))
    return Prompt(tuple(blocks), tuple(marks))


def counted(prompt: Prompt, kept: set[str]) -> Usage:
    """What a prompt costs with these beginnings kept; those that it marks are kept from now on."""
    read = 0
    for mark in prompt.marks:
        for place in range(mark, max(-1, mark - LOOK_BACK), -1):
            if prompt.beginning(place) in kept:
                read = max(read, place + 1)
                break
    written = max((mark + 1 for mark in prompt.marks), default=0)
    kept.update(prompt.beginning(mark) for mark in prompt.marks)
    total = prompt.tokens(0, len(prompt.blocks))
    return Usage(
        total,
        0,
        cached_tokens=prompt.tokens(0, read),
        cache_write_tokens=prompt.tokens(read, max(read, written)),
    )


def problem_with(body: dict[str, Any]) -> str | None:
    """Why the real endpoint would refuse this request, in its words; None when it would not."""
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return "max_tokens: Field required"
    unknown = body.keys() - _FIELDS
    if unknown:
        return f"{min(unknown)}: Extra inputs are not permitted"
    return _problem_with_blocks(body) or _problem_with_turns(body["messages"]) or _problem_with_thoughts(body)


def _problem_with_blocks(body: dict[str, Any]) -> str | None:
    marks = 0
    for where, block in _places(body):
        marks += "cache_control" in block
        kind = block.get("type", "tool")
        if kind not in _BLOCK_FIELDS or block.keys() - _BLOCK_FIELDS[kind] - {"cache_control"}:
            return f"{where}: Input tag or field of {sorted(block)} does not match any of the expected ones"
        if kind == "text" and not block["text"].strip():
            return f"{where}: text content blocks must contain non-whitespace text"
        if kind in {"thinking", "redacted_thinking"} and "cache_control" in block:
            return f"{where}: cache_control cannot be set for thinking blocks"
        if kind in {"tool_use", "tool_result"}:
            given = block["id"] if kind == "tool_use" else block["tool_use_id"]
            if not re.fullmatch(r"[a-zA-Z0-9_-]+", given):
                return f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        if kind == "image" and len(block["source"]["data"]) > 5 << 20:
            return f"{where}.image.source.base64: image exceeds 5 MB maximum"
    return f"A maximum of 4 blocks with cache_control may be provided. Found {marks}." if marks > 4 else None


def _problem_with_turns(messages: list[dict[str, Any]]) -> str | None:
    if not messages:
        return "messages: at least one message is required"
    if messages[-1]["role"] != "user":
        return (
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    used: set[str] = set()
    open_calls: list[str] = []
    for place, message in enumerate(messages):
        content = message["content"]
        if message["role"] != ("user", "assistant")[place % 2]:
            return "messages: roles must alternate between user and assistant, beginning with user"
        if not content:
            return f"messages.{place}: all messages must have non-empty content"
        kinds = [block["type"] for block in content]
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        if kinds[: len(results)] != ["tool_result"] * len(results):
            return f"messages.{place}: tool_result blocks must come first"
        if sorted(results) != sorted(open_calls):
            return (
                f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks immediately after"
            )
        open_calls = [block["id"] for block in content if block["type"] == "tool_use"]
        if not used.isdisjoint(open_calls) or len(set(open_calls)) < len(open_calls):
            return "messages: `tool_use` ids must be unique"
        used.update(open_calls)
        allowed = _USER_BLOCKS if message["role"] == "user" else _ASSISTANT_BLOCKS
        if not allowed.issuperset(kinds):
            return f"messages.{place}: {message['role']} messages cannot hold {kinds}"
        if kinds[-1] in {"thinking", "redacted_thinking"}:
            return f"messages.{place}: The final block in an assistant message cannot be `thinking`."
    return None


def _problem_with_thoughts(body: dict[str, Any]) -> str | None:
    prompt = prompt_of(body)
    place = len(body.get("tools", [])) + len(body.get("system", []))
    messages: list[dict[str, Any]] = body["messages"]
    for number, message in enumerate(messages):
        for index, block in enumerate(message["content"]):
            if block["type"] in {"thinking", "redacted_thinking"}:
                text = block.get("thinking", "")
                signed, _, bound = block.get("signature", block.get("data", "")).partition(".")
                where = f"messages.{number}.content.{index}: Invalid `signature` in `thinking` block."
                if signed != signature(text):
                    return where
                if bound and bound != prompt.beginning(place - 1):
                    return f"{where} The block is bound to a different conversation."
            place += 1
    thinks = body.get("thinking", {}).get("type") == "enabled"
    called = len(messages) > 1 and messages[-1]["content"][0]["type"] == "tool_result"
    if thinks and called and messages[-2]["content"][0]["type"] not in {"thinking", "redacted_thinking"}:
        return "messages: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
    return None


def _places(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, tool in enumerate(body.get("tools", [])):
        yield f"tools.{number}", tool
    for number, block in enumerate(body.get("system", [])):
        yield f"system.{number}", block
    for number, message in enumerate(body["messages"]):
        for index, block in enumerate(message["content"]):
            yield f"messages.{number}.content.{index}", block


def signature(thinking: str, behind: str = "") -> str:
    """The signature of a thought; `behind` binds it to what stood before it."""
    signed = hashlib.sha256(b"thought " + thinking.encode()).hexdigest()
    return f"{signed}.{behind}" if behind else signed


class AnthropicConnection(Connection):
    """One client's connection."""

    _usage = Usage()

    def _answer(self, request: Recorded) -> None:
        server = cast("FakeAnthropic", self._server)  # it makes no other connections
        server.requests.append(request)
        if not request.path.endswith("/v1/messages"):
            known = request.path.endswith("/v1/models")
            self._write(whole(200 if known else 404, JSON, b'{"data":[]}' if known else b""))
            return
        body = request.json
        model = str(body.get("model", ""))
        server.counts[model] += 1
        self._owing = True
        self._request = request
        problem = problem_with(body)
        if "anthropic-version" not in request.headers:
            problem = "anthropic-version: header is required"
        if problem is not None:
            self._done(whole(400, JSON, error_body("invalid_request_error", problem)))
        else:
            self._usage = counted(prompt_of(body), server.cached.setdefault(request.key, set()))
            self._obey(model, body, request)
        server.happened()

    def _word(self) -> bytes:
        return event("content_block_delta", index=0, delta={"type": "text_delta", "text": "word1 "})

    def _obey(self, model: str, body: dict[str, Any], request: Recorded) -> None:
        name, _, parameter = model.partition(":")
        canned = self._server.canned(model)
        if canned is not None:
            self._server.count(request, canned.usage or Usage())
            self._serve(canned)
        elif name in {"hang", "close-at-once"}:
            if name == "close-at-once":
                self.hang_up()
        elif name.isdigit():
            kind, message = ERRORS.get(int(name), ERRORS[500])
            self._done(whole(int(name), JSON, error_body(kind, message), b"retry-after: 7\r\n"))
        elif name in _FIXED:
            self._done(whole(*_FIXED[name]))
        elif name == "slow":
            self._slow = True
            self._bill(0)
            self._write(
                head(200, SSE) + chunk(b"".join([self._start(), *_opened(0, {"type": "text", "text": ""})]))
            )
        elif name == "plain-json":
            self._bill(1)
            content = [{"type": "text", "text": "word1 word2 "}]
            usage = _usage(self._usage) | {"output_tokens": 1}
            said = {"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
            self._done(whole(200, JSON, _encode(said)))
        else:
            self._stream(name, parameter, body)

    def _stream(self, name: str, parameter: str, body: dict[str, Any]) -> None:
        blocks, reason = self._reply(name, parameter, body)
        words = sum(len(block.pieces) for block in blocks)
        self._bill(words)
        broken = name in {"error-in-stream", "break-mid-stream", "end-mid-stream"}
        events = list(self._events(blocks, reason, words, counts=name != "no-usage"))
        if broken:
            events = events[:4]  # the beginning, the block, two words
        if name == "error-in-stream":
            events.append(b"event: error\ndata: " + error_body("overloaded_error", "Overloaded") + b"\n\n")
        if name == "break-mid-stream":
            self._serve(Canned((b"".join(events),), end="cut"))
        elif name == "split":
            self._pump(bytes([byte]) for byte in b"".join(_streamed(events)))
        elif name == "stream":
            self._pump(_streamed(events))
        else:
            self._done(b"".join(_streamed([b"".join(events)])))

    def _reply(self, name: str, parameter: str, body: dict[str, Any]) -> tuple[list[Block], str]:
        last = body["messages"][-1]["content"]
        results = [str(block.get("content", "")) for block in last if block["type"] == "tool_result"]
        tool, _, times = parameter.rpartition("x") if name == "tools" else (parameter, "", "")
        if name in {"tool", "tools", "think-tool"} and results:
            return [*self._thoughts(name, body), _words([f"{tool} said: ", ", ".join(results)])], "end_turn"
        if name in {"tool", "tools", "think-tool"}:
            turn = len(body["messages"])
            calls = [
                Block({"type": "tool_use", "id": f"toolu_{turn}_{n}", "name": tool, "input": {}}, ("{", "}"))
                for n in range(int(times or 1))
            ]
            return [*self._thoughts(name, body), *calls], "tool_use"
        if name == "think":
            return [*self._thoughts(name, body), _words(["Thought of it."])], "end_turn"
        if name == "echo":
            said = [_said(block) for message in body["messages"] for block in message["content"]]
            return [_words(["\n".join(said)])], "end_turn"
        count = 3 if name == "split" else int(parameter or 2)
        return [_words([f"word{n} " for n in range(1, count + 1)])], "refusal" if name == "refusal" else "end_turn"

    def _thoughts(self, name: str, body: dict[str, Any]) -> Iterator[Block]:
        if name not in {"think", "think-tool"}:
            return
        prompt = prompt_of(body)
        behind = prompt.beginning(len(prompt.blocks) - 1)
        yield Block(
            {"type": "thinking", "thinking": "", "signature": ""},
            ("Well, ", "well."),
            signature("Well, well.", behind),
        )
        if name == "think":
            yield Block({"type": "redacted_thinking", "data": signature("")}, ())

    def _events(self, blocks: list[Block], reason: str, words: int, *, counts: bool) -> Iterator[bytes]:
        yield self._start(counts=counts)
        for index, block in enumerate(blocks):
            opened, *ping = _opened(index, block.begins)
            yield opened
            for piece in block.pieces:
                yield event("content_block_delta", index=index, delta=block.delta(piece))
            if block.signature:
                delta = {"type": "signature_delta", "signature": block.signature}
                yield event("content_block_delta", index=index, delta=delta)
            yield from ping
            yield event("content_block_stop", index=index)
        usage = {"output_tokens": words} if counts else {}
        yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
        yield event("message_stop")

    def _start(self, *, counts: bool = True) -> bytes:
        usage = _usage(self._usage) if counts else {}
        message: dict[str, Any] = {"id": "msg_fake", "type": "message", "role": "assistant", "content": []}
        return event("message_start", message=message | {"usage": usage})

    def _bill(self, words: int) -> None:
        assert self._request is not None, "what is counted was asked for"
        self._server.count(self._request, msgspec.structs.replace(self._usage, output_tokens=words))


FakeAnthropic.speaks = AnthropicConnection


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a reply, and the pieces it is streamed in."""

    begins: dict[str, Any]
    pieces: tuple[str, ...]
    signature: str = ""

    def delta(self, piece: str) -> dict[str, str]:
        kind, name = _DELTAS[self.begins["type"]]
        return {"type": kind, name: piece}


def event(kind: str, **fields: Any) -> bytes:
    """One event as it is streamed."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def error_body(kind: str, message: str, **more: Any) -> bytes:
    """An error as the real endpoint words it."""
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_fake"}
    )


def _opened(index: int, block: dict[str, Any]) -> tuple[bytes, bytes]:
    return event("content_block_start", index=index, content_block=block), event("ping")


def _words(words: Iterable[str]) -> Block:
    return Block({"type": "text", "text": ""}, tuple(words))


def _said(block: dict[str, Any]) -> str:
    return str(block.get("text") or block.get("content") or "")


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": 1,
        "service_tier": "standard",
    }


def _streamed(events: Iterable[bytes]) -> Iterator[bytes]:
    yield head(200, SSE)
    yield from map(chunk, events)
    yield b"0\r\n\r\n"


_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}
_FIELDS = frozenset(
    {"model", "max_tokens", "messages", "system", "tools", "stream", "thinking", "metadata", "temperature"}
)
_BLOCK_FIELDS = {
    "tool": {"name", "description", "input_schema"},
    "text": {"type", "text"},
    "image": {"type", "source"},
    "tool_use": {"type", "id", "name", "input"},
    "tool_result": {"type", "tool_use_id", "content", "is_error"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
}
_USER_BLOCKS = frozenset({"text", "image", "tool_result"})
_ASSISTANT_BLOCKS = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})
ERRORS = {
    400: (
        "invalid_request_error",
        "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens",
    ),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your account has a billing problem."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: 404"),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    429: (
        "rate_limit_error",
        "This request would exceed your organization's rate limit of 50 requests per minute.",
    ),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
_FIXED = {
    "context-too-long": (
        400,
        JSON,
        error_body("invalid_request_error", "prompt is too long: 214384 tokens > 200000 maximum"),
    ),
    "garbage-html": (200, "text/html", b"<!doctype html><title>Log in to the WiFi</title>"),
    "garbage-sse": (200, SSE, b"data: {this is no JSON\n\n"),
}
