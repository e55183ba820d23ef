"""A network for tests: every connect() of this process is written down; what goes through ends at a server here.

    with Wire() as wire: ...      # sockets are watched for as long as the block lasts

What is watched is `socket.socket.connect` itself, below every check of ours and of aiohttp: what is not written
down there has not been connected to.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch

NETWORK = (socket.AF_INET, socket.AF_INET6)


@dataclass
class Names:
    """A name server: what each name leads to, by turns for those in `turning`; and what was asked."""

    known: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    turning: dict[str, deque[Sequence[str]]] = field(default_factory=dict[str, deque[Sequence[str]]])
    asked: list[str] = field(default_factory=list[str])
    default: Sequence[str] = ("93.184.216.34",)

    async def look_up(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host in self.turning:
            answers = self.turning[host]
            answers.rotate(-1)
            return answers[-1]
        return self.known.get(host, self.default)


@dataclass(frozen=True)
class Asked:
    """One request as the server got it; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """Watches connects; over IPv4 the other end answers `answer(request)`, over IPv6 nobody does."""

    def __init__(self, answer: Callable[[Asked], bytes] | None = None) -> None:
        self.connects: list[str] = []
        """Every address that was given to connect(), in order."""
        self.requests: list[Asked] = []
        self.answer: Callable[[Asked], bytes] = answer or _good
        self.names: list[str] = []
        """The server names that TLS handshakes began with."""
        self.held: asyncio.Event | None = None
        """While there is one that is not set, requests are taken and not answered."""
        self._waiting: list[asyncio.Future[None]] = []
        self._port = 0
        self._server: asyncio.Server | None = None
        self._patch: Any = None

    async def start(self, *, certificate: Path | None = None) -> None:
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            context.sni_callback = lambda _, name, __: self.names.append(name)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None, "Start the wire first."
        if self.held is not None:
            self.held.set()
        self._server.close()
        await self._server.wait_closed()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds; it is asked again whenever a request comes in."""
        while not holds():
            happened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(happened)
            await happened

    def _happened(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set_result(None)

    def __enter__(self) -> Wire:
        connect = socket.socket.connect
        wire = self

        def watched(sock: socket.socket, address: Any) -> None:
            if sock.family not in NETWORK:
                connect(sock, address)
                return
            wire.connects.append(str(address[0]))
            if sock.family == socket.AF_INET6:
                # Not every machine that runs this has IPv6; that it was tried is what counts.
                raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody answers on IPv6 here")
            connect(sock, ("127.0.0.1", wire._port))

        self._patch = patch.object(socket.socket, "connect", watched)
        self._patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patch.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            asked = Asked(line, headers, body)
            self.requests.append(asked)
            self._happened()
            if self.held is not None:
                await self.held.wait()
            writer.write(self.answer(asked))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _good(_: Asked) -> bytes:
    return reply(200, b"good")


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer; header names are written with `_` for `-`."""
    lines = [f"HTTP/1.1 {status} Fine", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body
