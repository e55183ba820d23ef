"""The control socket: the command line's way to a running gateway.

A unix socket in the home that only our own user, and root, may speak through. Whoever does is the operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from rookery.errors import ConfigError, InvalidInput, RookeryError
from rookery.gateway.address import address_of
from rookery.gateway.frames import LONGEST_REQUEST, Problem, Request
from rookery.gateway.log import Logger
from rookery.gateway.operations import Operations, read_params
from rookery.gateway.shapes import Ack, Attach, Nothing, Say, TerminalEvent

if TYPE_CHECKING:
    from rookery.gateway.terminals import Terminal

PeerUid = Callable[[socket.socket], int]
"""The user id of the process at the other end of a unix socket."""

FLUSH_SECONDS = 1.0
"""How long a client may take to read the last of what it was told."""

_GONE = (ConnectionError, BrokenPipeError)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Request).decode


class ControlSocket:
    """Listens at `path` from `async with` on, for as long as the block lasts. The home's lock is the caller's."""

    def __init__(
        self, path: Path, operations: Operations, log: Logger, *, peer_uid: PeerUid | None = None
    ) -> None:
        self._path = path
        self._operations = operations
        self._log = log
        self._peer_uid = peer_uid or uid_of_peer
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        listening = _listen(self._path)
        self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=LONGEST_REQUEST)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None, "the socket was opened by the block that ends here"
        self._server.close()
        self._path.unlink(missing_ok=True)
        connections = dict(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for writer in connections.values():
            writer.transport.abort()  # of those, too, whose task never came to its first step
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer), name="control connection")
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self._operations, reader, writer, self._log)
        peer: socket.socket = writer.get_extra_info("socket")
        uid = self._peer_uid(peer)
        if uid not in (os.geteuid(), 0):
            self._log.warning("control.refused", uid=uid)
            await connection.refuse("The gateway of this home belongs to another user of this machine.")
            return
        await connection.run()


async def converse(end: socket.socket, operations: Operations, log: Logger) -> None:
    """Serve one connection that came about in another way, until the client leaves it."""
    reader, writer = await asyncio.open_connection(sock=end, limit=LONGEST_REQUEST)
    await _Connection(operations, reader, writer, log).run()


class _Connection:
    """One client: its requests are answered one after the other; events of its terminal come in between."""

    def __init__(
        self, operations: Operations, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Logger
    ) -> None:
        self._operations = operations
        self._reader = reader
        self._writer = writer
        self._log = log
        self._terminal: Terminal | None = None

    async def run(self) -> None:
        """Answer until the client leaves, or says something that cannot be read on from."""
        try:
            while (line := await self._next()) is not None:
                await self._answer(line)
        except _GONE:
            pass
        finally:
            if self._terminal is not None:
                await self._terminal.close()
            await self._hang_up()

    async def refuse(self, why: str) -> None:
        """Say no and hang up."""
        with contextlib.suppress(*_GONE):
            await self._send(None, "error", Problem("refused", why))
        await self._hang_up()

    async def _next(self) -> bytes | None:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            detail = f"A request may have at most {LONGEST_REQUEST} bytes."
            await self._send(None, "error", Problem("too_large", detail))
            return None

    async def _answer(self, line: bytes) -> None:
        request: Request | None = None
        try:
            request = _read(line)
            result = await self._carry_out(request)
            await self._send(request.id, "result", result)
        except RookeryError as error:
            await self._fail(request, error.code, error.detail)
        except _GONE:
            raise
        except Exception:
            self._log.exception("control.broke", method=None if request is None else request.method[:80])
            await self._fail(request, "internal", "Something went wrong inside the gateway; its log says where.")

    async def _carry_out(self, request: Request) -> object:
        match request.method:
            case "chat.attach":
                ask: Attach = read_params(Attach, request.params)
                if self._terminal is None:
                    from rookery.gateway.terminals import Terminal

                    self._terminal = Terminal(self._operations.desk.house.gateway, self._teller(request.id))
                return await self._terminal.attach(ask)
            case "chat.say":
                say: Say = read_params(Say, request.params)
                return await self._attached().say(say)
            case "chat.ack":
                ack: Ack = read_params(Ack, request.params)
                await self._attached().ack(ack)
                return Nothing()
            case _:
                running = self._operations.call(request.method, request.params)
                if isinstance(running, AsyncGenerator):
                    async with contextlib.aclosing(running) as events:
                        async for event in events:
                            await self._send(request.id, "event", event)
                    return Nothing()
                return await running

    def _attached(self) -> Terminal:
        if self._terminal is None:
            raise InvalidInput("Attach first: chat.attach says whose terminal this is.")
        return self._terminal

    def _teller(self, id: int) -> Callable[[TerminalEvent], Awaitable[None]]:
        async def tell(event: TerminalEvent) -> None:
            await self._send(id, "event", event)

        return tell

    async def _fail(self, request: Request | None, code: str, detail: str) -> None:
        await self._send(None if request is None else request.id, "error", Problem(code, detail))

    async def _send(self, id: int | None, what: str, content: object) -> None:
        self._writer.write(_encode({"id": id, what: content}) + b"\n")
        await self._writer.drain()

    async def _hang_up(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._writer.wait_closed()
        except OSError:  # a TimeoutError is one: whoever does not read by now is not waited for
            self._writer.transport.abort()


def _read(line: bytes) -> Request:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"This is no request, which is {{id, method, params}} as JSON on one line: {error}"
        ) from None


def uid_of_peer(peer: socket.socket) -> int:
    """Who is at the other end, as the kernel knows it."""
    if sys.platform == "darwin":
        # struct xucred of sys/ucred.h: version, uid, …
        raw = peer.getsockopt(0, 1, 76)
        return struct.unpack_from("=II", raw)[1]
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
    return struct.unpack("=iII", raw)[1]


def _listen(path: Path) -> socket.socket:
    """Bind the socket, in place of one that a dead gateway left: the home's lock proves that it is dead."""
    if path.exists() and not path.is_socket():
        raise ConfigError(f"{path} is in the way: the control socket belongs there. Move it elsewhere.")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with address_of(path) as address:
            listening.bind(address)
    except OSError as error:
        listening.close()
        raise ConfigError(f"The control socket {path} cannot be made: {error.strerror or error}.") from error
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening
