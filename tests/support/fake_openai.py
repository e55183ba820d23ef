"""An OpenAI-compatible endpoint that does what its model's name says; real bytes over a real socket.

    instant, instant:N   a reply of N words (default 2) in one write: the benchmarks' endpoint
    paced:RxN            a reply of N words, R of them a second, each the nanosecond at which it was written
    stream:N             the same, one write a word, letting the loop turn between them
    echo                 the text of every message of the request, joined by newlines
    split                a reply dribbled one byte at a time
    slow                 the headers, then one word with each `FakeOpenAI.tick`, for ever
    hang                 reads the request and never answers
    tool:NAME            calls the tool NAME with {}, and answers in words once there is a result
    NNN                  that HTTP status (401, 402, 429, 500, …) with OpenAI's error body for it
    context-too-long     OpenAI's 400 for it
    garbage-html         200 and a web page
    garbage-sse          200 and a stream that is not JSON
    error-in-stream      two words, then an error object
    break-mid-stream     two words, then the connection is lost
    end-mid-stream       two words, then the body ends properly, without finish_reason and without [DONE]
    close-at-once        hangs up before any answer
    no-usage, no-done    two words, and a stream that leaves that out
    plain-json           answers JSON although a stream was asked for

`FakeOpenAI.serve(model, canned)` answers any other model with given bytes. It can run in a process of its own:
`python -m tests.support.fake_openai --port 9100`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast

import msgspec

from rookery.messages import Usage

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.encode


class FakeOpenAI:
    """The endpoint and what it saw."""

    speaks: type[Connection]
    """What speaks to one client."""

    def __init__(self, *, keep: int = 1000) -> None:
        """`keep`: how many of the last requests `requests` holds."""
        self.counts: Counter[str] = Counter()
        """Requests by model."""
        self.requests: deque[Recorded] = deque(maxlen=keep)
        self.connections = 0
        """Connections that were ever opened."""
        self.counted: dict[str, Usage] = {}
        """What was counted, by the key that was sent, also for answers that nobody heard to their end."""
        self.hung_up = 0
        """Answers that were under way, or owed, when the client closed the connection."""
        self.open: set[Connection] = set()
        self.refused: dict[str, Canned] = {}
        """What is answered to requests with these keys, whatever the model."""
        self._canned: dict[str, Canned] = {}
        self._server: asyncio.Server | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def base_url(self) -> str:
        assert self._server is not None, "Start the endpoint first."
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/v1"

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: self.speaks(self), host, port, backlog=1024
        )

    async def stop(self) -> None:
        """Hang up on everybody and give back the port."""
        assert self._server is not None, "Start the endpoint first."
        self._server.close()
        for connection in list(self.open):
            connection.hang_up()
        await self.until(lambda: not self.open)
        await self._server.wait_closed()

    def count(self, request: Recorded, usage: Usage) -> None:
        """Put this on the bill of whoever asked."""
        self.counted[request.key] = self.counted.get(request.key, Usage()) + usage

    def serve(self, model: str, canned: Canned) -> None:
        """Answer requests for this model with these bytes."""
        self._canned[model] = canned

    def canned(self, model: str) -> Canned | None:
        return self._canned.get(model)

    def refuse(self, key: str, status: int) -> None:
        """Answer requests with this key by OpenAI's error for a status, which says the key once more."""
        body = _encode(_error(f"{_ERRORS[status]['error']['message']} You sent {key}.", *_ERROR_WORDS[status]))
        self.refused[key] = Canned((body,), status, JSON)

    def tick(self) -> None:
        """Let every `slow` stream say one more word."""
        for connection in list(self.open):
            connection.tick()

    def finish(self) -> None:
        """End the body of every answer that is left open."""
        for connection in list(self.open):
            connection.finish()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds; it is asked again whenever something happens here."""
        while not holds():
            happened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(happened)
            await happened

    def happened(self) -> None:
        """Wake up who waits in `until`."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it came in."""

    path: str
    head: bytes
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])

    @property
    def key(self) -> str:
        """The key that came with it, empty without one."""
        headers = self.headers
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def headers(self) -> dict[str, str]:
        """Header names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer given byte for byte; `parts` are written one by one, the loop turning between them.

    `end`: `clean` ends the body, `cut` closes the connection before its end, `stay` leaves it open
    until `FakeOpenAI.finish`. `usage` is what is counted for it.
    """

    parts: tuple[bytes, ...] = ()
    status: int = 200
    content_type: str = SSE
    headers: dict[str, str] = field(default_factory=dict[str, str])
    end: Literal["clean", "cut", "stay"] = "clean"
    usage: Usage | None = None


class _Asked(msgspec.Struct):
    model: str = ""
    stream: bool = False


_decode_asked = msgspec.json.Decoder(_Asked).decode


class Connection(asyncio.Protocol):
    """One client's connection: requests one after another, each with a Content-Length."""

    def __init__(self, server: FakeOpenAI) -> None:
        self._server = server
        self._request: Recorded | None = None
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._owing = False
        self._slow = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Every stream server is given one; uvloop's does not inherit from it.
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections += 1
        self._server.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._owing:
            self._server.hung_up += 1
        self._server.open.discard(self)
        self._server.happened()

    def hang_up(self) -> None:
        self._owing = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while not self._owing:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end])
            whole = end + 4 + _content_length(head)
            if len(self._received) < whole:
                return
            body = bytes(self._received[end + 4 : whole])
            del self._received[:whole]
            self._answer(Recorded(head.split(b" ", 2)[1].decode("latin-1"), head, body))

    def tick(self) -> None:
        if self._slow:
            self._count(0, 1)
            self._write(chunk(self._word()))

    def finish(self) -> None:
        if self._owing:
            self._done(_END)

    def _answer(self, request: Recorded) -> None:
        server = self._server
        server.requests.append(request)
        if not request.path.endswith("/chat/completions"):
            body = _MODELS if request.path.endswith("/models") else b"404 page not found"
            self._write(whole(200 if body is _MODELS else 404, JSON, body))
            return
        asked = _decode_asked(request.body)
        server.counts[asked.model] += 1
        self._owing = True
        self._request = request
        self._behave(asked, request)
        server.happened()

    def _word(self) -> bytes:
        """One more word of a stream without an end."""
        return _words(1)

    def _count(self, asked: int, answered: int) -> None:
        assert self._request is not None, "what is counted was asked for"
        self._server.count(self._request, Usage(asked, answered))

    def _behave(self, asked: _Asked, request: Recorded) -> None:
        name, _, parameter = asked.model.partition(":")
        refused = self._server.refused
        canned = (refused.get(request.key) if refused else None) or self._server.canned(asked.model)
        if canned is not None:
            self._server.count(request, canned.usage or Usage())
            self._serve(canned)
        elif name == "instant":
            count = int(parameter or 2)
            self._count(_ASKED, count)
            self._done(_instant_stream(count) if asked.stream else _instant_whole(count))
        elif name == "stream":
            self._count(_ASKED, int(parameter or 2))
            self._pump([head(200, SSE), *map(chunk, _events(_count(int(parameter or 2)))), _END])
        elif name == "paced":
            rate, _, count = parameter.partition("x")
            self._count(_ASKED, int(count))
            self._pace(1 / int(rate), int(count))
        elif name == "echo":
            text = "\n".join(str(message.get("content") or "") for message in request.json["messages"])
            self._count(_ASKED, 1)
            self._done(_streamed(_events([text])) if asked.stream else whole(200, JSON, _completion(text)))
        elif name == "split":
            self._count(_ASKED, 3)
            self._pump(bytes([byte]) for byte in _streamed(_events(_count(3))))
        elif name == "slow":
            self._slow = True
            self._count(_ASKED, 0)
            self._write(head(200, SSE))
        elif name == "tool":
            last = request.json["messages"][-1]
            self._count(_ASKED, 1)
            reply = _events([f"{parameter} said: {last['content']}"])
            self._done(_streamed(reply if last["role"] == "tool" else _tool_call(parameter)))
        elif name == "hang":
            pass
        elif name == "close-at-once":
            self.hang_up()
        elif name == "break-mid-stream":
            self._count(_ASKED, 2)
            self._serve(Canned((_words(2),), end="cut"))
        elif name.isdigit():
            self._done(whole(int(name), JSON, _encode(_ERRORS.get(int(name), _ERRORS[500])), _RETRY_AFTER))
        else:
            status, content_type, body = _FIXED.get(name, _UNKNOWN)
            if name in _ANSWERED:
                self._count(_ASKED, _ANSWERED[name])
            self._done(whole(status, content_type, body))

    def _serve(self, canned: Canned) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in canned.headers.items()).encode()
        written = [head(canned.status, canned.content_type, extra), *map(chunk, canned.parts)]
        self._pump([*written, _END] if canned.end == "clean" else written, canned.end)

    def _pump(self, pieces: Iterable[bytes], end: Literal["clean", "cut", "stay"] = "clean") -> None:
        """Write piece by piece, letting the loop turn after each."""
        loop = asyncio.get_running_loop()

        def step(rest: Iterator[bytes]) -> None:
            piece = next(rest, None)
            if piece is not None:
                self._write(piece)
                loop.call_soon(step, rest)
            elif end == "clean":
                self._done(b"")
            elif end == "cut":
                self.hang_up()

        step(iter(pieces))

    def _pace(self, pause: float, count: int) -> None:
        """Say a word each `pause` seconds: the nanosecond at which it is said, by the clock that does not jump."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._write(head(200, SSE))

        def say(number: int) -> None:
            if number == count:
                self._done(b"".join(map(chunk, _events([]))) + _END)
                return
            end = "\n\n" if number % 20 == 19 else " "
            self._write(chunk(b"".join(list(_events([f"{time.monotonic_ns()}{end}"]))[:1])))
            loop.call_at(began + (number + 1) * pause, say, number + 1)

        say(0)

    def _done(self, data: bytes) -> None:
        self._write(data)
        self._owing = self._slow = False
        if self._received:
            self.data_received(b"")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


FakeOpenAI.speaks = Connection


def event(**fields: Any) -> bytes:
    """One `chat.completion.chunk` as it is streamed."""
    return b"data: " + _encode(_CHUNK | fields) + b"\n\n"


def _events(words: Iterable[str], *, usage: bool = True) -> Iterator[bytes]:
    count = 0
    for count, word in enumerate(words, 1):  # noqa: B007
        yield event(choices=[{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}])
    yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if usage:
        yield event(choices=[], usage=_usage(count))
    yield DONE


def _words(count: int) -> bytes:
    """The stream's beginning, without any end."""
    return b"".join(list(_events(_count(count)))[:count])


def _tool_call(name: str) -> Iterator[bytes]:
    call = {"index": 0, "id": "call_fake", "type": "function", "function": {"name": name, "arguments": ""}}
    for part in (call, {"index": 0, "function": {"arguments": "{}"}}):
        yield event(choices=[{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": None}])
    yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
    yield event(choices=[], usage=_usage(1))
    yield DONE


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return _encode(
        _CHUNK
        | {"object": "chat.completion", "usage": _usage(1)}
        | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    )


def _count(words: int) -> Iterator[str]:
    return (f"word{number} " for number in range(1, words + 1))


def _usage(words: int) -> dict[str, int]:
    return {"prompt_tokens": _ASKED, "completion_tokens": words, "total_tokens": _ASKED + words}


@lru_cache(maxsize=64)
def _instant_stream(count: int) -> bytes:
    return _streamed(_events(_count(count)))


@lru_cache(maxsize=64)
def _instant_whole(count: int) -> bytes:
    return whole(200, JSON, _completion("".join(_count(count))))


def _streamed(events: Iterable[bytes]) -> bytes:
    return head(200, SSE) + b"".join(map(chunk, events)) + _END


def head(status: int, content_type: str, extra: bytes = b"") -> bytes:
    line = f"HTTP/1.1 {status} Fake\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n"
    return line.encode() + extra + b"\r\n"


def whole(status: int, content_type: str, body: bytes, extra: bytes = b"") -> bytes:
    line = f"HTTP/1.1 {status} Fake\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return line.encode() + extra + b"\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


_ASKED = 10
"""The tokens of every prompt, as this endpoint counts them."""

_ANSWERED = {"error-in-stream": 2, "end-mid-stream": 2, "no-usage": 2, "no-done": 2, "plain-json": 1}
"""The tokens of the answers that are always the same."""

_END = b"0\r\n\r\n"
_RETRY_AFTER = b"Retry-After: 7\r\n"
_CHUNK: dict[str, Any] = {
    "id": "chatcmpl-fake",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "fake",
}
_MODELS = _encode({"object": "list", "data": [{"id": "instant", "object": "model", "owned_by": "fake"}]})


def _error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_ERRORS = {
    400: _error("Unrecognized request argument supplied: oops", "invalid_request_error", None),
    401: _error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    402: _error("Insufficient credits.", "billing_error", None),
    403: _error("Country, region, or territory not supported", "request_forbidden", None),
    404: _error("The model `404` does not exist.", "invalid_request_error", "model_not_found"),
    429: _error("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded"),
    500: _error("The server had an error while processing your request.", "server_error", None),
    529: _error("Overloaded", "overloaded_error", None),
}
_ERROR_WORDS = {status: (said["error"]["type"], said["error"]["code"]) for status, said in _ERRORS.items()}
_TOO_LONG = _error(
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    "invalid_request_error",
    "context_length_exceeded",
)
_UNKNOWN = (404, JSON, _encode(_ERRORS[404]))
_FIXED: dict[str, tuple[int, str, bytes]] = {
    "context-too-long": (400, JSON, _encode(_TOO_LONG)),
    "garbage-html": (200, "text/html", b"<!doctype html><title>Log in to the WiFi</title>"),
    "garbage-sse": (200, SSE, b"data: {this is no JSON\n\ndata: [DONE]\n\n"),
    "error-in-stream": (200, SSE, _words(2) + b"data: " + _encode(_ERRORS[500]) + b"\n\n"),
    "end-mid-stream": (200, SSE, _words(2)),
    "no-usage": (200, SSE, b"".join(_events(_count(2), usage=False))),
    "no-done": (200, SSE, b"".join(_events(_count(2))).removesuffix(DONE)),
    "plain-json": (200, JSON, _completion("word1 word2 ")),
}


async def _serve_for_ever(host: str, port: int) -> None:
    fake = FakeOpenAI(keep=1)
    await fake.start(host, port)
    print(fake.base_url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Listen until interrupted; the base URL is printed once connections are taken."""
    arguments = argparse.ArgumentParser(description="An OpenAI-compatible endpoint for tests and benchmarks.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=0)
    given = arguments.parse_args()
    try:
        import uvloop

        uvloop.run(_serve_for_ever(given.host, given.port))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
