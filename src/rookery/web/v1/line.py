"""The line a client holds open for one answer: what streams by, and whether there still is somebody to hear it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from rookery.gateway.callers import Caller
from rookery.gateway.gateway import Gateway
from rookery.gateway.turns import Turn
from rookery.gateway.watchers import TurnDelta, TurnEvent, TurnFinished, TurnStarted
from rookery.ids import UserId
from rookery.models import TextDelta, ToolCallDelta
from rookery.web.asgi import Receive


class Line:
    """One request, from before it is known whose it is until it is answered, inside `with`.

    Whatever ends it early, a closed connection, a right taken back or the end of the block, stops its turn.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.turn: Turn | None = None
        self.answer: str | None = None
        """What a command said."""
        self.finished: TurnFinished | None = None
        self.gone = False
        """Whether the client closed the connection."""
        self.revoked = False
        """Whether the caller may not be here any more."""
        self._gateway = gateway
        self._stack = ExitStack()
        self._caller: Caller | None = None
        self._taken_back: list[tuple[UserId, str | None]] = []
        self._over = False
        self._news = asyncio.Event()
        self._quiet = False
        self._quiet_at = 0.0
        self._patience: asyncio.TimerHandle | None = None
        self._on_revocation: Callable[[], None] | None = None
        self._fresh: list[str] = []
        self._said: list[str] = []
        self._new_step = False
        self._anew = False

    def __enter__(self) -> Self:
        self._stack.enter_context(self._gateway.revocations.listen(self._on_revoked))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()
        if self._patience is not None:
            self._patience.cancel()
        self._stack.close()

    # --- who holds it, and what for --------------------------------------------------------------------------

    def belongs_to(self, caller: Caller) -> None:
        """It is known now whose line it is. What was taken back while their token was looked up counts."""
        self._caller = caller
        for user_id, credential_id in self._taken_back:
            self._on_revoked(user_id, credential_id)

    def watch(self, receive: Receive) -> None:
        """Notice when the client closes the connection; its request has been read to the end."""

        async def until_closed() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        watching = asyncio.ensure_future(until_closed())
        watching.add_done_callback(self._on_closed)
        self._stack.callback(watching.cancel)

    def queued(self, turn: Turn) -> None:
        """The turn is accepted, and begins after this."""
        self.turn = turn
        if self._over:
            # The commit was seen after everybody had left; the lane hears of the turn right after this.
            asyncio.get_running_loop().call_soon(self._stop_turn)
            return
        self._stack.callback(self._gateway.watchers.follow(turn.agent_id, turn.session_id, self._on_event))

    def answered(self, text: str) -> None:
        """The message was a command."""
        self.answer = text

    # --- what is heard on it ---------------------------------------------------------------------------------

    async def news(self, seconds: float | None = None) -> bool:
        """Wait until there is something new; False when there was nothing for so many seconds."""
        if seconds is not None:
            self._be_patient(seconds)
        await self._news.wait()
        self._news.clear()
        quiet, self._quiet = self._quiet, False
        return not quiet

    @property
    def over(self) -> bool:
        """Whether the turn has ended, or the line before it."""
        return self.finished is not None or self.gone or self.revoked

    @asynccontextmanager
    async def while_it_lasts(self, seconds: float) -> AsyncGenerator[None]:
        """Let the block take as long as it needs; but only so many seconds more once a right is taken back.

        Raises `TimeoutError`. Who waits for a client that does not read hears no news.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds if self.revoked else None) as allowed:
            self._on_revocation = lambda: allowed.reschedule(loop.time() + seconds)
            try:
                yield
            finally:
                self._on_revocation = None

    def fresh_words(self) -> str:
        """What was said and not handed out yet."""
        text = "".join(self._fresh)
        if text:
            self._said.append(text)
            self._fresh.clear()
        return text

    def last_words(self) -> str:
        """What is still to be said of an answer that is whole."""
        assert self.finished is not None, "asked when the turn has ended"
        fresh, said, whole = self.fresh_words(), "".join(self._said), self.finished.text
        if not said or not self._anew:
            return fresh if said else whole
        return whole.removeprefix(said) if whole.startswith(said) else f"\n\n{whole}"

    def _on_event(self, event: TurnEvent) -> None:
        assert self.turn is not None, "it is followed once it is known"
        if event.turn_id != self.turn.turn_id:
            return  # somebody else's turn in the same session
        match event:
            case TurnStarted():
                # Begun anew, because the storage failed: what the model says now may be the same once more.
                self._anew = bool(self._said or self._fresh)
            case TurnDelta(event=TextDelta(text=text)) if not self._anew:
                if self._new_step and (self._said or self._fresh):
                    self._fresh.append("\n\n")
                self._new_step = False
                self._fresh.append(text)
                self._wake()
            case TurnDelta(event=ToolCallDelta()):
                self._new_step = True
            case TurnFinished():
                self.finished = event
                self._wake()
            case _:
                pass

    def _wake(self) -> None:
        self._quiet = False
        self._news.set()

    def _be_patient(self, seconds: float) -> None:
        """From now on so many seconds may be quiet; one timer serves for all the words of an answer."""
        if self._quiet:
            self._quiet = False  # it was while nobody waited
            self._news.clear()
        loop = asyncio.get_running_loop()
        self._quiet_at = loop.time() + seconds
        if self._patience is None:
            self._patience = loop.call_at(self._quiet_at, self._on_patience)

    def _on_patience(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._quiet_at:
            self._patience = loop.call_at(self._quiet_at, self._on_patience)
            return
        self._patience = None
        if not self._news.is_set():
            self._quiet = True
            self._news.set()

    # --- how it ends early -----------------------------------------------------------------------------------

    def _on_closed(self, watching: asyncio.Task[None]) -> None:
        if not watching.cancelled():
            self.gone = True
            self._hang_up()

    def _on_revoked(self, user_id: UserId, credential_id: str | None) -> None:
        if self._caller is None:
            self._taken_back.append((user_id, credential_id))
        elif user_id == self._caller.user.id and credential_id in (None, self._caller.credential.id):
            self.revoked = True
            self._hang_up()
            if self._on_revocation is not None:
                self._on_revocation()

    def _hang_up(self) -> None:
        if not self._over:
            self._over = True
            self._stop_turn()
        self._wake()

    def _stop_turn(self) -> None:
        if self.turn is not None and self.finished is None:
            self._gateway.lanes.stop([self.turn.turn_id])
