"""HTTP as light as it gets, so that what is measured is the gateway and not the one who asks.

One request at a time on a line that stays open, sent as bytes that were made beforehand. Enough for the two
servers the benchmarks ask and for the one caller they answer; no general client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit


def post(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole POST request, ready to be written."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Line(asyncio.Protocol):
    """One connection to a server, opened with `Line.to`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[float] | None = None
        self._mark: bytes | None = None
        self.marked = 0.0
        """The moment at which the mark of `ask` had come."""

    @classmethod
    async def to(cls, url: str) -> Line:
        """Connect. Raises `OSError`."""
        parts = urlsplit(url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 80
        _, line = await asyncio.get_running_loop().create_connection(cls, host, port)
        return line

    async def ask(self, request: bytes, *, mark: bytes | None = None) -> float:
        """Send a request; returns the moment (`perf_counter`) at which the last byte of its answer came.

        `mark` is something in the answer; when it had come stands in `marked` afterwards.
        Raises `ValueError` for any status but 2xx and `ConnectionError` when the server hangs up.
        """
        assert self._transport is not None, "a line is open before it is used"
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._mark = mark
        self._transport.write(request)
        return await answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Every stream client is given one; uvloop's does not inherit from it.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("The server hung up before it answered."))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._mark is not None and self._mark in self._received:
            self._mark, self.marked = None, perf_counter()
        if not _is_whole(self._received):
            return
        moment = perf_counter()
        received = bytes(self._received[:600])
        self._received.clear()
        if self._answer is None or self._answer.done():
            return
        if received[9:10] == b"2":
            self._answer.set_result(moment)
        else:
            self._answer.set_exception(ValueError(f"The server answered {received!r}"))


class Callbacks(asyncio.Protocol):
    """One connection to our own server, by which replies come in; each is answered 200.

    `waiting` has a future for each message whose reply is awaited, by message id; it gets the moment at which
    the last byte of the reply came.
    """

    def __init__(self, waiting: dict[bytes, asyncio.Future[float]]) -> None:
        self._waiting = waiting
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # as above

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        if not _is_whole(received):
            return
        moment = perf_counter()
        self._received = b""
        assert self._transport is not None, "data comes over an open connection"
        self._transport.write(_TAKEN)
        begin = received.index(_REPLY_TO) + len(_REPLY_TO)
        waiting = self._waiting.pop(received[begin : received.index(b'"', begin)], None)
        if waiting is not None and not waiting.done():
            waiting.set_result(moment)


_TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_REPLY_TO = b'"inReplyTo":"'


def _is_whole(received: bytes | bytearray) -> bool:
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(received[:end]).lower()
    begin = head.find(b"\r\ncontent-length:")
    if begin < 0:
        return received.endswith(b"\r\n0\r\n\r\n")
    length = int(head[begin + 17 :].split(b"\r\n", 1)[0])
    return len(received) >= end + 4 + length
