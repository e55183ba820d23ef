"""One open socket: what waits to be sent to it, and what it may send."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from rookery.gateway.callers import Caller
from rookery.web.asgi import Send

QUEUE_FRAMES = 2_000
QUEUE_CHARACTERS = 1 << 20
"""What may wait for a slow client; when there is more, all of it goes, and the client is told to read anew."""

UNREAD_ANSWERS = 200
"""Answers to its own frames that a client may leave unread; then it is cut off."""

FRAMES_A_SECOND = 50.0
FRAMES_AT_ONCE = 100.0
"""What a client may send; what is more waits, unread, in the network."""

BROKEN_FRAMES = 20
"""Frames in a row that are no JSON a client may send; then it is cut off."""

PARTING_SECONDS = 1.0
"""How long a client that does not read has to hear why it is cut off."""

GOING_AWAY = 1012
TOO_MUCH = 1008
LOGGED_OUT = 4401

Wait = Callable[[float], Awaitable[None]]


class LiveSocket:
    """Sends in order, without anybody waiting for it. `caller` is who it was at the last look."""

    def __init__(self, send: Send, caller: Caller, *, rich: bool) -> None:
        self.caller = caller
        self.rich = rich
        self.closing: asyncio.Task[None] | None = None
        self._send = send
        self._serving = asyncio.current_task()
        self._waiting: deque[str] = deque()
        self._size = 0
        self._answers: deque[str] = deque()
        self._pump: asyncio.Task[None] | None = None

    def offer(self, frame: str, resync: Callable[[], str]) -> None:
        """Send an event; or, when too much waits already, only `resync` instead of all that waits."""
        if self.closing is not None:
            return
        self._size += len(frame)
        self._waiting.append(frame)
        if len(self._waiting) > QUEUE_FRAMES or self._size > QUEUE_CHARACTERS:
            self._waiting.clear()
            self._waiting.append(resync())
            self._size = len(self._waiting[0])
        self._start()

    def answer(self, frame: str) -> None:
        """Send an answer to something the client sent; it comes before events that wait, and is never dropped."""
        if self.closing is not None:
            return
        self._answers.append(frame)
        if len(self._answers) > UNREAD_ANSWERS:
            self.close(TOO_MUCH, "Read the answers before sending more.")
            return
        self._start()

    def close(self, code: int, reason: str) -> None:
        """Send no more of what waits, say why, and end; harmless when called again."""
        if self.closing is not None:
            return
        self._waiting.clear()
        self._answers.clear()
        if self._pump is not None:
            self._pump.cancel()
        self.closing = asyncio.ensure_future(self._part(code, reason))

    async def end(self) -> None:
        """The client is gone, or was told to go: end what this socket began."""
        tasks = [task for task in (self._pump, self.closing) if task is not None]
        if self._pump is not None:
            self._pump.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        if self._pump is None:
            self._pump = asyncio.ensure_future(self._send_waiting())

    async def _send_waiting(self) -> None:
        try:
            while self._answers or self._waiting:
                if self._answers:
                    frame = self._answers.popleft()
                else:
                    frame = self._waiting.popleft()
                    self._size -= len(frame)
                await self._send({"type": "websocket.send", "text": frame})
        except (OSError, RuntimeError):
            self._waiting.clear()  # the client is gone, which whoever reads from it is told too
        finally:
            self._pump = None

    async def _part(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(PARTING_SECONDS):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            # It does not read, so it cannot be told; ending the one who serves it ends the connection.
            if self._serving is not None:
                self._serving.cancel()
        except (OSError, RuntimeError):
            pass  # it is gone already, or was closed by the server itself


class Allowance:
    """How fast a client may send: `burst` at once, `rate` a second."""

    def __init__(self, clock: Callable[[], float], rate: float = FRAMES_A_SECOND, burst: float = FRAMES_AT_ONCE):
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = clock()

    def spend(self) -> float:
        """Take one, and return how many seconds the client has to wait for it."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._left / self._rate)
