"""The WebSocket of `/api/ws`: who may have one, what they may say on it, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, assert_never
from urllib.parse import parse_qs

from sqlalchemy import Connection

from rookery.channels.contract import HttpReply, problem
from rookery.channels.webchat import CHANNEL, WebChannel
from rookery.errors import InvalidInput, RookeryError, StorageUnavailable
from rookery.gateway.callers import Caller, still
from rookery.ids import SessionId, UserId
from rookery.web import markdown
from rookery.web.asgi import Head, Receive, Scope, Send, respond
from rookery.web.front import Front
from rookery.web.live import acts, frames
from rookery.web.live.frames import Message, Stop
from rookery.web.live.rooms import Rooms, Snapshot
from rookery.web.live.socket import (
    BROKEN_FRAMES,
    GOING_AWAY,
    LOGGED_OUT,
    TOO_MUCH,
    Allowance,
    LiveSocket,
    Wait,
)

SWEEP_SECONDS = 4.0
"""How often open sockets are looked at anew, for what nobody told of: a device that ran out, another gateway."""

SOCKETS_EACH = 50
SOCKETS_IN_ALL = 5_000


class LiveDoor:
    """All open sockets of this gateway. Listens to what happens from the moment it is made; `close` ends it."""

    def __init__(
        self,
        front: Front,
        *,
        rooms: Rooms | None = None,
        wait: Wait = asyncio.sleep,
        sockets_each: int = SOCKETS_EACH,
        sockets_in_all: int = SOCKETS_IN_ALL,
    ) -> None:
        self._front = front
        self._rooms = Rooms(front.now) if rooms is None else rooms
        self._wait = wait
        self._sockets_each = sockets_each
        self._sockets_in_all = sockets_in_all
        self._open: dict[UserId, set[LiveSocket]] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._warm: asyncio.Future[None] | None = None
        self._closed = False
        self._listening = ExitStack()
        self._listening.enter_context(front.gateway.watchers.listen(self._rooms.hear))
        self._listening.enter_context(front.gateway.revocations.listen(self._revoked))
        channel = front.gateway.channels.get(CHANNEL)
        if isinstance(channel, WebChannel):
            channel.on_notice = self._rooms.notice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket to its end."""
        caller = await self._admit(scope)
        if isinstance(caller, HttpReply):
            await _refuse(caller, scope, send)
            return
        asked = _query(scope)
        if asked.get("render") == "html":
            await self.warm()
        socket = LiveSocket(send, caller, rich=asked.get("render") == "html")
        self._add(socket)
        try:
            await receive()  # what asks to be let in
            await send({"type": "websocket.accept"})
            # What was taken back while this socket was not yet among those that are told of it.
            if await self._look_again(socket):
                self._greet(socket, asked)
                await self._serve(socket, receive)
            else:
                await _disconnected(receive)
        except OSError:
            pass  # the client is gone
        except asyncio.CancelledError:
            if socket.closing is None:
                raise
        finally:
            self._remove(socket)
            await socket.end()

    @property
    def sockets(self) -> int:
        """How many are open."""
        return self._count

    async def warm(self) -> None:
        """Have at hand what rendering needs; to be awaited before `snapshot` is asked for something rich."""
        if self._warm is None:
            self._warm = asyncio.ensure_future(asyncio.to_thread(markdown.warm))
        await asyncio.shield(self._warm)

    def position(self, user_id: UserId) -> tuple[str, int]:
        """Epoch and number of the last event of a person: who reads their state in the same step, and follows from
        there, misses nothing and sees nothing twice."""
        snapshot = self._rooms.snapshot(user_id)
        self._sweep_later()
        return snapshot.epoch, snapshot.seq

    def snapshot(self, user_id: UserId, session_id: SessionId, *, rich: bool = False) -> Snapshot:
        """The position, and the turn that runs in a session with its text so far; with `rich` rendered too."""
        self._sweep_later()
        return self._rooms.snapshot(user_id, session_id, rich=rich)

    async def sweep(self) -> None:
        """Look at all open sockets anew: those whose right ended are closed, and forgotten what nobody comes for.

        It happens by itself every few seconds while any is open.
        """
        self._rooms.tidy()
        sockets = list(self._all())
        if not sockets:
            return
        callers = {socket.caller.credential.id: socket.caller for socket in sockets}
        now = self._front.now()

        def look(connection: Connection) -> dict[str, Caller | None]:
            return {id: still(connection, caller, now) for id, caller in callers.items()}

        try:
            found = await self._front.gateway.database.read(look)
        except StorageUnavailable as error:
            self._front.log.warning("socket.not_checked", error=error.detail)
            return
        for socket in sockets:
            _keep_or_end(socket, found[socket.caller.credential.id])

    async def close(self) -> None:
        """End all sockets, and listen no more."""
        self._closed = True
        self._listening.close()
        if self._timer is not None:
            self._timer.cancel()
        self._rooms.close()
        sockets = list(self._all())
        for socket in sockets:
            socket.close(GOING_AWAY, "The gateway stops; come back in a moment.")
        closing = [socket.closing for socket in sockets if socket.closing is not None]
        await asyncio.gather(*closing, return_exceptions=True)

    # --- letting in --------------------------------------------------------------------------------------------

    async def _admit(self, scope: Scope) -> Caller | HttpReply:
        if self._closed:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "The gateway stops.", retry_after=1)
        try:
            caller = await self._front.entry.caller(scope, Head.of(scope))
        except StorageUnavailable as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, error.code, error.detail, retry_after=1)
        if isinstance(caller, HttpReply):
            return caller
        if len(self._open.get(caller.user.id, ())) >= self._sockets_each or self._count >= self._sockets_in_all:
            return problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_sockets",
                "Too many sockets are open; close one before opening another.",
                retry_after=10,
            )
        return caller

    def _add(self, socket: LiveSocket) -> None:
        self._open.setdefault(socket.caller.user.id, set()).add(socket)
        self._count += 1
        self._sweep_later()

    def _remove(self, socket: LiveSocket) -> None:
        user_id = socket.caller.user.id
        self._rooms.leave(user_id, socket)
        sockets = self._open[user_id]
        sockets.discard(socket)
        self._count -= 1
        if not sockets:
            del self._open[user_id]

    def _all(self) -> Iterator[LiveSocket]:
        for sockets in self._open.values():
            yield from sockets

    def _greet(self, socket: LiveSocket, asked: dict[str, str]) -> None:
        since = asked.get("since", "")
        known = int(since) if since.isascii() and since.isdecimal() and len(since) < 20 else None
        hello, *missed = self._rooms.join(socket.caller.user.id, socket, known, asked.get("epoch"))
        socket.answer(hello)
        for frame in missed:
            socket.offer(frame, lambda: hello)

    # --- what a client says ------------------------------------------------------------------------------------

    async def _serve(self, socket: LiveSocket, receive: Receive) -> None:
        allowance = Allowance(asyncio.get_running_loop().time)
        broken = 0
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            pause = allowance.spend()
            if pause:
                await self._wait(pause)
            if socket.closing is not None:
                continue
            text = message.get("text")
            try:
                asked = frames.decode(text if text is not None else message.get("bytes") or b"")
            except InvalidInput as error:
                broken += 1
                if broken > BROKEN_FRAMES:
                    socket.close(TOO_MUCH, "These are no frames of ours.")
                else:
                    socket.answer(_error(None, error.code, error.detail))
                continue
            broken = 0
            await self._answer(socket, asked)

    async def _answer(self, socket: LiveSocket, asked: frames.Asked) -> None:
        """Do what a client asks for, with the rights it has now."""
        key = asked.idempotency_key if isinstance(asked, Message) else None
        try:
            if not await self._look_again(socket):
                return
            await self._front.entry.note_use(socket.caller, self._front.now())
            match asked:
                case Message():
                    turn_id = await acts.say(self._front, socket.caller, asked)
                    socket.answer(
                        frames.encode(frames.Accepted(idempotency_key=asked.idempotency_key, turn_id=turn_id))
                    )
                case Stop():
                    await acts.stop(self._front, socket.caller, asked)
                case _:
                    assert_never(asked)
        except RookeryError as error:
            socket.answer(_error(key, error.code, error.detail))
        except Exception:
            self._front.log.exception("socket.broke")
            socket.answer(_error(key, "internal", "Something went wrong on our side."))

    # --- rights ------------------------------------------------------------------------------------------------

    async def _look_again(self, socket: LiveSocket) -> bool:
        """Whether its caller may still be here; the socket is closed when not. Raises `StorageUnavailable`."""
        now = self._front.now()
        found = await self._front.gateway.database.read(lambda connection: still(connection, socket.caller, now))
        return _keep_or_end(socket, found)

    def _revoked(self, user_id: UserId, credential_id: str | None) -> None:
        for socket in tuple(self._open.get(user_id, ())):
            if credential_id in (None, socket.caller.credential.id):
                _keep_or_end(socket, None)

    def _sweep_later(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep_now)

    def _sweep_now(self) -> None:
        self._timer = None
        if self._sweeping is None:
            self._sweeping = asyncio.ensure_future(self.sweep())
            self._sweeping.add_done_callback(self._swept)
        if self._count or not self._rooms.empty:
            self._sweep_later()

    def _swept(self, task: asyncio.Task[None]) -> None:
        self._sweeping = None
        if not task.cancelled() and task.exception() is not None:
            self._front.log.error("socket.sweep_broke", error=type(task.exception()).__name__)


def _keep_or_end(socket: LiveSocket, found: Caller | None) -> bool:
    if found is None:
        socket.close(LOGGED_OUT, "You are logged out.")
        return False
    socket.caller = found
    return socket.closing is None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _refuse(reply: HttpReply, scope: Scope, send: Send) -> None:
    """Answer the request that would have opened the socket: 403 to whoever is nobody, else what the reply says."""
    whoever = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    if reply.status in whoever or "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return

    async def as_websocket(message: Any) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await respond(reply, as_websocket)


def _query(scope: Scope) -> dict[str, str]:
    """The query's values by name, of a name that comes twice the last."""
    query = scope["query_string"].decode("latin-1")
    try:
        return {name: values[-1] for name, values in parse_qs(query, max_num_fields=20).items()}
    except ValueError:
        return {}


def _error(key: str | None, code: str, detail: str) -> str:
    return frames.encode(frames.Error(idempotency_key=key, code=code, detail=detail))
