"""The two wire formats as the benchmarks' endpoint speaks them: what a prompt is, and the events of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

_encode = msgspec.json.encode


class Counted(Struct, frozen=True):
    """What an answer says it used: tokens of the prompt, how many of them were read from the cache."""

    prompt: int = 10
    cached: int = 0


class _Message(Struct):
    role: str
    content: Raw = Raw(b"null")


class Asked(Struct):
    """What stands in a request, in either format; the prompt's parts as they were written."""

    model: str = ""
    tools: Raw = Raw(b"[]")
    system: Raw = Raw(b'""')
    messages: Raw = Raw(b"[]")

    @property
    def prompt(self) -> bytes:
        """All of the prompt in the order in which providers read it, without the marks that say what to cache.

        It ends with the last message, so that the next request of a conversation can go on from there.
        """
        written = b"\n".join((bytes(self.tools), bytes(self.system), bytes(self.messages).strip()[:-1]))
        return _MARK.sub(b"", written)

    @property
    def has_result(self) -> bool:
        """Whether its last message is what a tool said."""
        last = msgspec.json.decode(self.messages, type=list[_Message])[-1]
        return last.role == "tool" or b'"tool_result"' in bytes(last.content)


_MARK = re.compile(rb',"cache_control":\{[^}]*\}')


class Shape(Protocol):
    """One wire format: the events of a streamed answer, each as it is sent."""

    def begin(self, counted: Counted) -> bytes:
        """What comes before the first word."""
        ...

    def word(self, text: str) -> bytes:
        """One delta."""
        ...

    def end(self, counted: Counted, words: int) -> bytes:
        """What comes after the last word."""
        ...

    def call(self, name: str, counted: Counted) -> bytes:
        """A whole answer that calls a tool with no arguments."""
        ...

    def error(self, status: int) -> bytes:
        """The body of an answer that is none."""
        ...


class OpenAIShape:
    """`POST /v1/chat/completions`."""

    def begin(self, counted: Counted) -> bytes:
        del counted  # it stands at the end
        return b""

    def word(self, text: str) -> bytes:
        return _chunk([{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}])

    def end(self, counted: Counted, words: int) -> bytes:
        return self._end("stop", counted, words)

    def call(self, name: str, counted: Counted) -> bytes:
        called = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}
        delta = {"index": 0, "delta": {"tool_calls": [called]}, "finish_reason": None}
        return _chunk([delta]) + self._end("tool_calls", counted, 1)

    def error(self, status: int) -> bytes:
        kind = "rate_limit_error" if status == 429 else "server_error"
        return _encode({"error": {"message": f"Status {status}.", "type": kind, "param": None, "code": None}})

    def _end(self, reason: str, counted: Counted, words: int) -> bytes:
        usage = {
            "prompt_tokens": counted.prompt,
            "completion_tokens": words,
            "total_tokens": counted.prompt + words,
            "prompt_tokens_details": {"cached_tokens": counted.cached},
        }
        finish = _chunk([{"index": 0, "delta": {}, "finish_reason": reason}])
        return finish + _chunk([], usage=usage) + b"data: [DONE]\n\n"


class AnthropicShape:
    """`POST /v1/messages`."""

    def begin(self, counted: Counted) -> bytes:
        return self._start(counted) + self._block({"type": "text", "text": ""})

    def word(self, text: str) -> bytes:
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def end(self, counted: Counted, words: int) -> bytes:
        del counted  # it stands at the beginning
        return self._end("end_turn", words)

    def call(self, name: str, counted: Counted) -> bytes:
        block = self._block({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}})
        arguments = _event(
            "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{}"}
        )
        return self._start(counted) + block + arguments + self._end("tool_use", 1)

    def error(self, status: int) -> bytes:
        kind = "rate_limit_error" if status == 429 else "api_error"
        return _encode({"type": "error", "error": {"type": kind, "message": f"Status {status}."}})

    def _start(self, counted: Counted) -> bytes:
        usage = {
            "input_tokens": counted.prompt - counted.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": counted.cached,
            "output_tokens": 1,
        }
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "bench"}
        return _event(
            "message_start", message=message | {"content": list[str](), "stop_reason": None, "usage": usage}
        )

    def _block(self, block: dict[str, Any]) -> bytes:
        return _event("content_block_start", index=0, content_block=block)

    def _end(self, reason: str, words: int) -> bytes:
        stopped = {"stop_reason": reason, "stop_sequence": None}
        return (
            _event("content_block_stop", index=0)
            + _event("message_delta", delta=stopped, usage={"output_tokens": words})
            + _event("message_stop")
        )


SHAPES: dict[str, Shape] = {"/chat/completions": OpenAIShape(), "/messages": AnthropicShape()}
"""The formats by how the path ends."""


def shared(earlier: bytes, later: bytes) -> int:
    """How many bytes at its beginning a later prompt has in common with an earlier one."""
    low, high = 0, min(len(earlier), len(later))
    while low < high:
        middle = (low + high + 1) // 2
        if earlier[:middle] == later[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def events(shape: Shape, words: Iterable[str], counted: Counted, count: int) -> list[bytes]:
    """A whole answer, a piece for each delta; its beginning comes with the first, its end with the last."""
    pieces = [shape.word(word) for word in words]
    pieces[0] = shape.begin(counted) + pieces[0]
    pieces[-1] += shape.end(counted, count)
    return pieces


def _chunk(choices: list[dict[str, Any]], **fields: Any) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "bench"}
    return b"data: " + _encode(chunk | {"choices": choices} | fields) + b"\n\n"


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind} | fields))
