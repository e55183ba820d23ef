"""One terminal's side of a conversation: say something, show the answer, acknowledge what was shown."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never
from uuid import uuid4

import msgspec

from rookery.cli.screen import Screen
from rookery.cli.wire import BrokenOff, Wire, result_of
from rookery.gateway.frames import Frame
from rookery.gateway.shapes import (
    Ack,
    Attach,
    Attached,
    Delta,
    Finished,
    InLine,
    Reply,
    Said,
    Say,
    Started,
    Step,
    TerminalEvent,
)

SETTLE_SECONDS = 5.0
"""How long deliveries that are on their way are waited for; those that are late wait for the next time."""

_events = msgspec.json.Decoder(TerminalEvent)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a message ended: `done`, `failed`, `cancelled` or `interrupted` for a turn; `answered` for a command;
    `refused` for what was not let in; `waiting` for a turn that goes on, once somebody answers what it asks under
    the number `asks`. `detail` says why not, where that was not said by the reply."""

    status: str
    detail: str = ""
    asks: int | None = None

    @property
    def good(self) -> bool:
        return self.status in ("done", "answered")


class Talk:
    """A conversation over one wire; `attach` first. Whatever comes is read in a thread of its own."""

    def __init__(self, wire: Wire, screen: Screen) -> None:
        self._wire = wire
        self.screen = screen
        self._inbox: queue.Queue[Frame | None] = queue.Queue()
        self._attach_id = 0
        self._asides: Callable[[Reply], None] | None = None
        self._lock = threading.Lock()
        self._acks: set[int] = set()
        self.left: set[str] = set()
        """The turns that were left while they wait for a yes; what they say later is none of an exchange's."""

    def attach(self, ask: Attach) -> Attached:
        """Become the user's terminal, and show what waited for them. Raises `Failed`, `BrokenOff`."""
        self._attach_id = self._wire.ask("chat.attach", ask)
        threading.Thread(target=self._read, name="chat", daemon=True).start()
        attached: Attached | None = None
        shown = 0
        deadline = time.monotonic() + SETTLE_SECONDS
        while attached is None or shown < attached.waiting or self.owing:
            frame = self.next(deadline if attached is not None else None)
            if frame is None:
                break
            if frame.event:
                event = _events.decode(frame.event)
                if isinstance(event, Reply):
                    self.screen.earlier(event.text)
                    self.acknowledge(event)
                    shown += 1
            elif frame.id == self._attach_id or frame.id is None:
                attached = result_of(frame, Attached)
        assert attached is not None, "without an answer there was an error"
        return attached

    def exchange(self, text: str, message_id: str | None = None, *, alone: bool = False) -> Ended:
        """Say it, and show the answer. Raises `Failed`, `BrokenOff`, and `KeyboardInterrupt` at the second Ctrl-C.

        The first Ctrl-C asks for the answer to be stopped.
        """
        exchange = _Exchange(self, message_id or fresh_id(), alone=alone)
        exchange.begin(text)
        stopping = False
        while True:
            try:
                return exchange.follow()
            except KeyboardInterrupt:
                if stopping:
                    raise
                stopping = True
                exchange.stop()

    def asides_to(self, show: Callable[[Reply], None] | None) -> None:
        """While nothing is being said, let `show` have what comes; None: it waits for the next exchange.

        What came already is shown first. `show` is called in another thread.
        """
        with self._lock:
            self._asides = show
            while show is not None and not self._inbox.empty():
                frame = self._inbox.get_nowait()
                if frame is None:
                    self._inbox.put(None)
                    return
                self._aside(frame, show)

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    # --- for an exchange --------------------------------------------------------------------------------------

    def say(self, text: str, message_id: str, *, alone: bool) -> int:
        """Hand a message in; what became of it comes under the id returned."""
        return self._wire.ask("chat.say", Say(message_id=message_id, text=text, alone=alone))

    def next(self, deadline: float | None) -> Frame | None:
        """The next frame, None when there was none by the deadline. Raises `BrokenOff`."""
        try:
            frame = self._inbox.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        if frame is None:
            self._inbox.put(None)
            raise BrokenOff
        if frame.id in self._acks and not frame.event:
            self._acks.discard(frame.id)
        return frame

    def acknowledge(self, reply: Reply) -> None:
        """It was shown."""
        self._acks.add(self._wire.ask("chat.ack", Ack(delivery_id=reply.delivery_id)))

    @property
    def owing(self) -> bool:
        """Whether the gateway has not yet said that it kept an acknowledgement."""
        return bool(self._acks)

    # --- reading ----------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for frame in self._wire.frames():
            with self._lock:
                if self._asides is not None:
                    self._aside(frame, self._asides)
                else:
                    self._inbox.put(frame)
        self._inbox.put(None)

    def _aside(self, frame: Frame, show: Callable[[Reply], None]) -> None:
        if frame.event:
            event = _events.decode(frame.event)
            if isinstance(event, Reply):
                show(event)
                self.acknowledge(event)
        elif frame.id is not None:
            self._acks.discard(frame.id)


class _Exchange:
    """One message, from being said to being answered."""

    def __init__(self, talk: Talk, message_id: str, *, alone: bool) -> None:
        self._talk = talk
        self._message_id = message_id
        self._alone = alone
        self._say_id = 0
        self._said: Said | None = None
        self._turns: set[str] = set()
        self._finished: dict[str, Finished] = {}
        self._replies: list[Reply] = []
        self._stops: set[str] = set()
        self._answers: set[str] = set()
        self._unasked: int | None = None
        """The number of a question that nobody here can be asked."""

    def begin(self, text: str) -> None:
        self._say_id = self._talk.say(text, self._message_id, alone=self._alone)

    def stop(self) -> None:
        """Ask for the answer to be stopped; what the gateway says to that is noted."""
        stop_id = fresh_id()
        self._stops.add(stop_id)
        self._talk.say("/stop", stop_id, alone=False)

    def follow(self) -> Ended:
        """Take what comes until the message is answered."""
        while self._said is None:
            self._take(self._talk.next(None))
        said = self._said
        if said.outcome in ("refused", "ignored"):
            return Ended("refused", said.reason)
        if said.turn_id is None or said.ended:
            return self._without_turn(said)
        while said.turn_id not in self._finished:
            if self._unasked is not None:
                self._talk.left |= self._turns
                self._gather(lambda: not self._talk.owing)
                return Ended("waiting", asks=self._unasked)
            self._take(self._talk.next(None))
        return self._with_turn(self._finished[said.turn_id])

    def _with_turn(self, finished: Finished) -> Ended:
        if finished.text:
            self._talk.screen.reply(finished.text)
        elif finished.status == "done":
            self._talk.screen.reply("")
        acknowledged = 0

        def have_all() -> bool:
            nonlocal acknowledged
            for reply in self._replies:  # each has been shown, and makes way for the next
                if _is_notice(reply):
                    self._talk.screen.aside(reply.text)
                else:
                    acknowledged += 1
                self._talk.acknowledge(reply)
            self._replies.clear()
            return acknowledged >= finished.deliveries and not self._stops and not self._talk.owing

        self._gather(have_all)
        return Ended(finished.status, "" if finished.text else _WHY.get(finished.status, finished.status))

    def _without_turn(self, said: Said) -> Ended:
        """A command's answer, or one that was made before a break, is a delivery and nothing else."""
        self._gather(lambda: bool(self._replies))
        for reply in self._replies:
            self._talk.screen.speaks(reply.speaker)
            self._talk.screen.reply(reply.text)
            self._talk.acknowledge(reply)
        self._gather(lambda: not self._talk.owing)
        if self._replies:
            return Ended("answered")
        return Ended(
            "answered" if said.ended else "failed", "This was answered before." if said.ended else _NO_ANSWER
        )

    def _gather(self, enough: Callable[[], bool]) -> None:
        """Take what comes until it is enough, or time is up."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not enough():
            frame = self._talk.next(deadline)
            if frame is None:
                return
            self._take(frame)

    def _take(self, frame: Frame | None) -> None:
        assert frame is not None, "without a deadline there is always a frame"
        if frame.event:
            self._hear(_events.decode(frame.event))
        elif frame.id == self._say_id or frame.id is None:
            self._said = result_of(frame, Said)

    def _hear(self, event: TerminalEvent) -> None:
        if self._is_of_a_turn_left(event):
            return  # its deliveries are shown as what they are, answers to something earlier
        match event:
            case Started():
                self._turns.add(event.turn_id)
                self._talk.screen.speaks(event.speaker)
            case InLine():
                self._talk.screen.in_line(event.position)
            case Delta():
                self._talk.screen.delta(event.text)
            case Step():
                self._talk.screen.step(event.tool)
            case Finished():
                self._turns.add(event.turn_id)
                self._finished |= dict.fromkeys(event.turn_ids, event)
            case Reply():
                self._hear_reply(event)
            case _:
                assert_never(event)

    def _is_of_a_turn_left(self, event: TerminalEvent) -> bool:
        if not isinstance(event, Started | Delta | Step | Finished) or event.turn_id not in self._talk.left:
            return False
        if isinstance(event, Finished) and self._said is not None and self._said.turn_id in event.turn_ids:
            self._talk.left.discard(event.turn_id)  # what was said now had joined it
            return False
        return True

    def _hear_reply(self, reply: Reply) -> None:
        if reply.in_reply_to in self._stops:
            self._stops.discard(reply.in_reply_to)
            self._talk.screen.broken_off(reply.text)
            self._talk.acknowledge(reply)
        elif reply.in_reply_to in self._answers:
            self._answers.discard(reply.in_reply_to)
            self._talk.screen.aside(reply.text)
            self._talk.acknowledge(reply)
        elif reply.asks is not None and reply.turn_id in self._turns:
            self._talk.acknowledge(reply)
            self._ask(reply.text, reply.asks)
        elif reply.in_reply_to == self._message_id or reply.turn_id in self._turns:
            self._replies.append(reply)
        else:
            # Acknowledged now: those behind it are sent only then.
            self._talk.screen.earlier(reply.text)
            self._talk.acknowledge(reply)

    def _ask(self, question: str, number: int) -> None:
        """Ask whether a call may be made; what is said to that counts, wherever it is said first."""
        allowed = self._talk.screen.asked(question)
        if allowed is None:
            self._unasked = number
            return
        answer_id = fresh_id()
        self._answers.add(answer_id)
        self._talk.say(f"/{'approve' if allowed else 'deny'} {number}", answer_id, alone=False)


def _is_notice(reply: Reply) -> bool:
    """Whether the gateway said it as it took the message in; what a turn says has the number of an entry."""
    return reply.delivery_id.split(".")[1:2] == ["0"]


_NO_ANSWER = "no answer came; `rookery status` says whether it waits"
_WHY = {
    "cancelled": "stopped",
    "interrupted": "broken off by your next message",
    "failed": "this could not be answered; `rookery doctor` may say why",
}


def fresh_id() -> str:
    """A message id that no other message has."""
    return uuid4().hex
