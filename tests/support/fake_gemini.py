"""An endpoint in Google's Gemini format that does what its model's name says; real bytes over a real socket.

words            five words, one event each
think            a thought, then words
tool-NAME        calls the tool NAME with {"zone": "UTC"}, and answers in words once there is a result
echo             the JSON of the request's contents
slow             one word, and then nothing for ever
hang             reads the request and never answers
cut              two words, then the connection is lost
unfinished       two words, then the body ends properly, without a finish reason
long, refused    two words, ended by the limit or by the provider's judgement
blocked          the prompt itself is refused
NNN              that HTTP status with Google's error body for it
too-long         Google's 400 for a prompt that does not fit
html             200 and a web page
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

WORDS = ("one ", "two ", "three ", "four ", "five")

_USAGE = {"promptTokenCount": 30, "cachedContentTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 35}

_ERRORS: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Invalid value at 'contents'."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    402: ("FAILED_PRECONDITION", "Your credit balance is too low."),
    403: ("PERMISSION_DENIED", "Your API key was reported as leaked."),
    404: ("NOT_FOUND", "models/404 is not found for API version v1beta."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current rate; please retry."),
    500: ("INTERNAL", "An internal error has occurred."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}
_TOO_LONG = "The input token count (1048580) exceeds the maximum number of tokens allowed (1048576)."


class FakeGemini:
    """The endpoint and what it saw."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        """The bodies of the requests."""
        self.keys: list[str] = []
        """The key that each request came with."""
        self.hung_up = asyncio.Event()
        """Somebody left before the answer was whole."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def base_url(self) -> str:
        assert self._server is not None, "Start the endpoint first."
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Hang up on everybody and give back the port."""
        assert self._server is not None, "Start the endpoint first."
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = [line.partition(":") for line in head.split("\r\n")[1:]]
                headers = {name.lower(): value.strip() for name, _, value in lines}
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append(msgspec.json.decode(body, type=dict[str, Any]))
                self.keys.append(headers.get("x-goog-api-key", ""))
                model = head.split(" ")[1].partition("/models/")[2].partition(":")[0]
                if not await self._answer(model, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, model: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        if model.isdigit() or model == "too-long":
            status, (label, message) = (400, ("INVALID_ARGUMENT", _TOO_LONG))
            if model.isdigit():
                status, (label, message) = int(model), _ERRORS[int(model)]
            error: dict[str, Any] = {"code": status, "message": message, "status": label}
            if status == 429:
                kind = "type.googleapis.com/google.rpc.RetryInfo"
                error["details"] = [{"@type": kind, "retryDelay": "7s"}]
            writer.write(_whole(status, "application/json", msgspec.json.encode({"error": error})))
            return True
        if model == "html":
            writer.write(_whole(200, "text/html", b"<!doctype html><title>Log in to the WiFi</title>"))
            return True
        if model != "hang":
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for event in self._events(model):
                data = b"data: " + msgspec.json.encode(event) + b"\r\n\r\n"
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
                await asyncio.sleep(0)
        if model in {"hang", "slow"}:
            await reader.read()
            self.hung_up.set()
            return False
        if model == "cut":
            writer.transport.abort()
            return False
        writer.write(b"0\r\n\r\n")
        return True

    def _events(self, model: str) -> Iterator[dict[str, Any]]:
        match model.partition("-"):
            case ("words", _, _):
                yield from (_said({"text": word}) for word in WORDS[:-1])
                yield _said({"text": WORDS[-1]}, "STOP")
            case ("think", _, _):
                yield _said({"text": "Well, well.", "thought": True})
                yield _said({"text": "A thought.", "thoughtSignature": "c2lnbmVk"}, "STOP")
            case ("tool", _, name):
                if any("functionResponse" in part for part in self.asked[-1]["contents"][-1]["parts"]):
                    yield _said({"text": "It is noon."}, "STOP")
                else:
                    yield _said({"functionCall": {"name": name, "args": {"zone": "UTC"}}}, "STOP")
            case ("echo", _, _):
                yield _said({"text": msgspec.json.encode(self.asked[-1]).decode()}, "STOP")
            case ("slow", _, _):
                yield _said({"text": "one "})
            case ("cut" | "unfinished", _, _):
                yield from (_said({"text": word}) for word in WORDS[:2])
            case ("long", _, _):
                yield _said({"text": "one "}, "MAX_TOKENS")
            case ("refused", _, _):
                yield _said({"text": "one "}, "SAFETY")
            case ("blocked", _, _):
                yield {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 30}}
            case _:
                raise AssertionError(f"no such behaviour: {model}")


def _said(part: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
    event: dict[str, Any] = {"candidates": [candidate], "modelVersion": "fake", "responseId": "fake"}
    if finish is not None:
        candidate["finishReason"] = finish
        event["usageMetadata"] = _USAGE
    return event


def _whole(status: int, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} Fake\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
