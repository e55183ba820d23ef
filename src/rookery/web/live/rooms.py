"""Who is told what: each person's sockets, what happened to that person lately, and the turns that run now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, Protocol, assert_never

from msgspec import Struct, structs

from rookery.gateway.watchers import (
    Event,
    SessionChanged,
    SessionRemoved,
    TurnApproval,
    TurnDelta,
    TurnFinished,
    TurnJoined,
    TurnStarted,
    TurnWaiting,
    Where,
)
from rookery.ids import SessionId, UserId
from rookery.messages import OutboundMessage
from rookery.models import ModelReply, TextDelta, ToolCallDelta
from rookery.web.live import frames
from rookery.web.live.frames import Patch
from rookery.web.live.ring import Ring
from rookery.web.live.stream import Running, Stream
from rookery.web.markdown import is_heavy, rendered

KEPT_FOR = timedelta(minutes=10)
"""How long what happens to a person is still kept after their last socket is gone."""

RING_EVENTS = 1_000
RING_CHARACTERS = 512 * 1024
"""What is kept for one person at most."""


class Listener(Protocol):
    """A socket, as a room sees it."""

    rich: bool

    def offer(self, frame: str, resync: Callable[[], str]) -> None:
        """Send an event, or, when too much waits already, only `resync` instead of all that waits."""
        ...


class Snapshot(Struct, frozen=True):
    """Where a person's events stand, and the turn that runs in one session; taken in one step."""

    epoch: str
    seq: int
    running: Running | None


class Rooms:
    """All people's rooms. Events come in by `hear` and `notice`, in the event loop."""

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        ring_events: int = RING_EVENTS,
        ring_characters: int = RING_CHARACTERS,
    ) -> None:
        self._now = now
        self._ring_events = ring_events
        self._ring_characters = ring_characters
        self._rooms: dict[UserId, _Room] = {}
        self._streams: dict[SessionId, Stream] = {}
        self._ending: dict[SessionId, _Ending] = {}

    # --- coming and going ------------------------------------------------------------------------------------

    def join(self, user_id: UserId, listener: Listener, since: int | None, epoch: str | None) -> list[str]:
        """Let a socket be told from now on; the frames it is sent first: a hello, and what it missed.

        It is sent a resync where it missed more than is kept.
        """
        room = self._room(user_id)
        if listener.rich:
            self._enrich(user_id, room)
        room.listeners.add(listener)
        ring = room.ring
        first = [frames.encode(frames.Hello(epoch=ring.epoch, seq=ring.seq))]
        if since is None or epoch != ring.epoch:
            return first
        missed = ring.after(since, rich=listener.rich)
        return [*first, room.resync()] if missed is None else [*first, *missed]

    def leave(self, user_id: UserId, listener: Listener) -> None:
        """A socket is gone."""
        room = self._rooms.get(user_id)
        if room is not None:
            room.listeners.discard(listener)
            room.left_at = self._now()

    def snapshot(self, user_id: UserId, session_id: SessionId | None = None, *, rich: bool = False) -> Snapshot:
        """Where a person's events stand: a client that begins after it misses none and sees none twice.

        With a session, also the turn that runs there; `rich` has its text rendered, now and from now on.
        """
        room = self._room(user_id)
        if rich:
            self._enrich(user_id, room)
        stream = None if session_id is None else self._streams.get(session_id)
        theirs = stream is not None and stream.where.user_id == user_id
        running = stream.running(rich=rich) if stream is not None and theirs else None
        return Snapshot(room.ring.epoch, room.ring.seq, running)

    @property
    def empty(self) -> bool:
        """Whether nothing is kept for anybody."""
        return not self._rooms

    def tidy(self) -> None:
        """Forget what happened to people who have been away too long."""
        now = self._now()
        for user_id, room in list(self._rooms.items()):
            if not room.listeners and abs(now - room.left_at) > KEPT_FOR:
                del self._rooms[user_id]

    def close(self) -> None:
        """Tell nobody any more."""
        for stream in self._streams.values():
            stream.quiet()
        for ending in self._ending.values():
            ending.task.cancel()
        self._rooms.clear()
        self._streams.clear()

    def _room(self, user_id: UserId) -> _Room:
        room = self._rooms.get(user_id)
        if room is not None:
            room.left_at = self._now()
        else:
            ring = Ring(events=self._ring_events, characters=self._ring_characters)
            room = self._rooms[user_id] = _Room(ring, self._now())
            # What was written before is part of the state that the room begins with.
            for stream in self._streams.values():
                if stream.where.user_id == user_id:
                    stream.take()
        return room

    # --- what happens ----------------------------------------------------------------------------------------

    def hear(self, where: Where, event: Event) -> None:
        """Something happened in a session."""
        if where.user_id is None:
            return
        ending = self._ending.get(where.session_id)
        if ending is not None:
            ending.behind.append((where, event))
        else:
            self._tell(where, where.user_id, event)

    def notice(self, message: OutboundMessage) -> None:
        """Something is said to a person outside of an answer."""
        room = self._rooms.get(UserId(message.route.chat.id))
        if room is None:
            return
        speaker = frames.Speaker(message.speaker.agent_id, message.speaker.name)
        room.tell(
            frames.Notice(
                seq=room.ring.seq + 1,
                speaker=speaker,
                text=message.text,
                turn_id=message.delivery_id.partition(".")[0],
                delivery_id=message.delivery_id,
            )
        )

    def _tell(self, where: Where, user_id: UserId, event: Event) -> None:
        match event:
            case TurnDelta():
                self._hear_delta(where, user_id, event)
            case TurnStarted():
                self._begin(where, event)
                room = self._rooms.get(user_id)
                if room is not None:
                    started = frames.TurnStarted(
                        **room.about(where), turn_id=event.turn_id, turn_ids=tuple(event.turn_ids)
                    )
                    room.tell(started)
            case TurnJoined():
                self._join(where, user_id, event)
            case TurnWaiting():
                self._tell_position(where, user_id, event)
            case TurnApproval():
                self._tell_approval(where, user_id, event)
            case TurnFinished():
                self._finish(where, user_id, event)
            case SessionChanged() | SessionRemoved():
                room = self._rooms.get(user_id)
                if room is not None:
                    changed = isinstance(event, SessionChanged)
                    told = frames.SessionUpdated if changed else frames.SessionRemoved
                    room.tell(told(**room.about(where)))
            case _:
                assert_never(event)

    # --- a turn's text ---------------------------------------------------------------------------------------

    def _begin(self, where: Where, event: TurnStarted) -> Stream:
        before = self._streams.get(where.session_id)
        if before is not None:
            before.quiet()
        stream = self._streams[where.session_id] = Stream(where, event.turn_id, event.turn_ids)
        return stream

    def _join(self, where: Where, user_id: UserId, event: TurnJoined) -> None:
        stream = self._streams.get(where.session_id)
        if stream is None or stream.turn_id != event.turn_id:
            return
        self._tell_text(stream)
        stream.turn_ids = tuple(event.turn_ids)
        room = self._rooms.get(user_id)
        if room is not None:
            about = room.about(where)
            room.tell(frames.TurnJoined(**about, turn_id=event.turn_id, turn_ids=stream.turn_ids))

    def _hear_delta(self, where: Where, user_id: UserId, event: TurnDelta) -> None:
        stream = self._streams.get(where.session_id)
        if stream is None or stream.turn_id != event.turn_id:
            return
        match event.event:
            case TextDelta(text=text) if text:
                self._go_on(stream)
                stream.say(text)
                self._tell_soon(user_id, stream)
            case ToolCallDelta(index=index, name=str(name)):
                self._go_on(stream)
                if stream.call(index):
                    self._tell_tool(stream, user_id, name)
            case ModelReply():
                stream.step_is_over = True
            case _:
                pass

    def _go_on(self, stream: Stream) -> None:
        """What the model writes after its step is over belongs to the next one."""
        if stream.step_is_over:
            self._tell_text(stream)
            stream.next_step()

    def _tell_tool(self, stream: Stream, user_id: UserId, name: str) -> None:
        self._tell_text(stream)
        room = self._rooms.get(user_id)
        if room is not None:
            about = room.about(stream.where)
            room.tell(frames.TurnTool(**about, turn_id=stream.turn_id, step=stream.step, tool=name))

    def _tell_approval(self, where: Where, user_id: UserId, event: TurnApproval) -> None:
        stream = self._streams.get(where.session_id)
        if stream is not None and stream.turn_id == event.turn_id:
            self._tell_text(stream)
        room = self._rooms.get(user_id)
        if room is not None:
            told = frames.TurnApproval(
                **room.about(where),
                turn_id=event.turn_id,
                n=event.n,
                state=event.state,
                tool=event.tool,
                words=event.words,
                arguments=event.arguments,
                expires_at=event.expires_at,
            )
            room.tell(told)

    def _tell_position(self, where: Where, user_id: UserId, event: TurnWaiting) -> None:
        stream = self._streams.get(where.session_id)
        if stream is None or stream.turn_id != event.turn_id:
            return
        self._tell_text(stream)
        stream.position = event.position
        room = self._rooms.get(user_id)
        if room is not None:
            room.tell(frames.TurnWaiting(**room.about(where), turn_id=event.turn_id, position=event.position))

    def _tell_soon(self, user_id: UserId, stream: Stream) -> None:
        if stream.timer is not None or user_id not in self._rooms:
            return
        loop = asyncio.get_running_loop()
        due = stream.told_at + stream.pause
        # What comes in one turn of the loop is told as one, also when it could be told at once.
        stream.timer = (
            loop.call_soon(self._tell_text, stream)
            if due <= loop.time()
            else loop.call_at(due, self._tell_text, stream)
        )

    def _tell_text(self, stream: Stream) -> None:
        stream.quiet()
        where = stream.where
        room = None if where.user_id is None else self._rooms.get(where.user_id)
        blocks = stream.render() if room is not None and room.rich else None
        text = stream.take()
        if room is None or not text:
            return
        began = perf_counter()
        patch = None if blocks is None else blocks.add(text)
        delta = frames.TurnDelta(**room.about(where), turn_id=stream.turn_id, step=stream.step, text=text)
        room.tell(delta, patch)
        stream.cost = perf_counter() - began
        stream.told_at = asyncio.get_running_loop().time()

    def _enrich(self, user_id: UserId, room: _Room) -> None:
        """Render what runs: from now on its events say how the rendered text changes."""
        if room.rich:
            return
        room.rich = True
        for stream in self._streams.values():
            if stream.where.user_id == user_id:
                stream.render()

    # --- the end of a turn -----------------------------------------------------------------------------------

    def _finish(self, where: Where, user_id: UserId, event: TurnFinished) -> None:
        stream = self._streams.get(where.session_id)
        room = self._rooms.get(user_id)
        if stream is None or stream.turn_id != event.turn_id:
            # It ended without ever having begun; there is no text that could become its reply.
            if room is not None:
                room.tell(_finished(room, where, event, 0), room.blank(event.text))
            return
        self._tell_text(stream)
        # A turn that was stopped has no reply; what it had written stays as it is.
        whole = event.text or stream.text
        rich = room is not None and room.rich
        if rich and is_heavy(whole):
            # What comes next in this session waits, so that the end of a turn is told before what follows it.
            task = asyncio.ensure_future(self._finish_later(where, user_id, event, stream, whole))
            self._ending[where.session_id] = _Ending(task)
        else:
            self._end(where, user_id, event, stream, rendered(whole) if rich else None)

    async def _finish_later(
        self, where: Where, user_id: UserId, event: TurnFinished, stream: Stream, whole: str
    ) -> None:
        blocks = await asyncio.to_thread(rendered, whole)
        self._end(where, user_id, event, stream, blocks)
        ending = self._ending.pop(where.session_id)
        for behind, later in ending.behind:
            self.hear(behind, later)

    def _end(
        self, where: Where, user_id: UserId, event: TurnFinished, stream: Stream, blocks: list[str] | None
    ) -> None:
        stream.quiet()
        if self._streams.get(where.session_id) is stream:
            del self._streams[where.session_id]
        room = self._rooms.get(user_id)
        if room is not None:
            patch = None if blocks is None else stream.render().become(blocks)
            room.tell(_finished(room, where, event, stream.step), patch)


_ALIKE: Patch = ()


class _Room:
    """One person: who listens, and what happened lately. `rich` once somebody asked for rendered text."""

    def __init__(self, ring: Ring, now: datetime) -> None:
        self.ring = ring
        self.listeners: set[Listener] = set()
        self.rich = False
        self.left_at = now

    def about(self, where: Where) -> dict[str, Any]:
        """What every event of a session says; it is the next one."""
        return {
            "seq": self.ring.seq + 1,
            "session_key": where.session_key,
            "session_id": where.session_id,
            "agent_id": where.agent_id,
        }

    def tell(self, event: frames.Event, patch: Patch | None = _ALIKE) -> None:
        """Keep an event and send it; encoded once, however many listen.

        `patch` goes to those who want rendered text; None says that there is none, though they would need it.
        """
        plain = frames.encode(event)
        rich = None if patch is None else frames.encode(structs.replace(event, patch=patch)) if patch else plain
        kept = self.ring.keep(plain, rich)
        for listener in tuple(self.listeners):
            listener.offer(plain if not listener.rich or kept.rich is None else kept.rich, self.resync)

    def resync(self) -> str:
        return frames.encode(frames.Resync(epoch=self.ring.epoch, seq=self.ring.seq))

    def blank(self, text: str) -> Patch | None:
        """The patch that puts a text where there was none."""
        return [[number, html] for number, html in enumerate(rendered(text))] if self.rich else None


@dataclass(slots=True)
class _Ending:
    """A turn whose last rendering is still being made, and what happened in its session since."""

    task: asyncio.Task[None]
    behind: list[tuple[Where, Event]] = field(default_factory=list[tuple[Where, Event]])


def _finished(room: _Room, where: Where, event: TurnFinished, step: int) -> frames.TurnFinished:
    return frames.TurnFinished(
        **room.about(where),
        turn_id=event.turn_id,
        turn_ids=tuple(event.turn_ids),
        status=event.status,
        reply=event.text,
        error=event.error,
        step=step,
    )
