"""A reply that comes in pieces: what the wire formats have in common."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from rookery.errors import ModelError, ModelErrorKind
from rookery.models.errors import Private
from rookery.models.port import INVALID_ARGUMENTS, ModelEvent, ModelReply, TextDelta, ThinkingDelta, ToolCallDelta
from rookery.models.sse import EventStream

REPLY_LIMIT = 8 << 20
"""The most bytes a reply may have on the wire; beyond it the server is not making sense any more."""

MOST_CALLS = 256
"""The most tools one reply may call; a model that wants more of them at once is going astray."""

_T = TypeVar("_T")


class ReplyInParts(ABC):
    """One reply as it comes: bytes go in, deltas come out, and the whole reply at the end."""

    def __init__(self, who: str, *, private: Private, turn_mark: str) -> None:
        """`who`: the provider, for errors. `turn_mark` makes ids that the server left out unlike earlier ones."""
        self._who = who
        self._private = private
        self._turn_mark = turn_mark
        self._stream = EventStream()
        self._size = 0
        self._failure: ModelError | None = None
        self._understood = False
        self.done = False
        """The server said that this was all."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Nothing of the reply itself is missing, though usage may still come."""

    @abstractmethod
    def _take_payload(self, payload: bytes, events: Coalesced) -> None:
        """Take one event's data. Raises `ModelError` when it is none, or tells of an error."""

    @abstractmethod
    def _whole(self) -> ModelReply:
        """The reply, once nothing of it is missing."""

    @abstractmethod
    def _garbage(self, what: str) -> ModelError:
        """The error for a server that makes no sense."""

    def _check_calls(self, count: int) -> None:
        """Hang up on a reply with too many tool calls; it was counted all the same."""
        if count > MOST_CALLS:
            raise ModelError(
                ModelErrorKind.BROKEN_OFF, f"{self._who} called more than {MOST_CALLS} tools at once; we hung up."
            )

    def feed(self, piece: bytes) -> list[ModelEvent]:
        """What these bytes of a stream add; bytes that arrived together become one delta of each kind.

        Raises `ModelError` (`GARBAGE`, the kind of an error the server sent, or `BROKEN_OFF` for an answer so long
        that we hang up on it: it was counted all the same).
        """
        self._size += len(piece)
        if self._size > REPLY_LIMIT:
            raise ModelError(
                ModelErrorKind.BROKEN_OFF, f"{self._who} sent more than {REPLY_LIMIT} bytes; we hung up."
            )
        return self._take(self._stream.feed(piece))

    def feed_end(self) -> list[ModelEvent]:
        """What the end of a stream's bytes adds: an event whose closing blank line was left out."""
        last = [] if self.done else self._stream.end()
        self._understood = self._understood or bool(last)
        try:
            return self._take(last)
        except ModelError as error:
            if error.kind is ModelErrorKind.GARBAGE:
                return []  # half an event, because the stream broke off in it
            raise

    def feed_whole(self, body: bytes) -> list[ModelEvent]:
        """The same for a server that answers with one JSON object although a stream was asked for."""
        events = self._take([body])
        self.done = True
        return events

    def whole(self) -> ModelReply:
        """The reply, once its bytes have ended. Raises `ModelError`: `BROKEN_OFF`, `GARBAGE`, or
        the kind of an error that came together with the last words."""
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            if self._size and not self._understood:
                raise self._garbage("sent something that is not a reply")
            raise ModelError(ModelErrorKind.BROKEN_OFF, f"{self._who} stopped in the middle of its reply.")
        return self._whole()

    def _take(self, payloads: list[bytes]) -> list[ModelEvent]:
        events = Coalesced()
        for payload in payloads:
            said = payload.strip()
            if said == b"[DONE]":
                self.done = True
            elif said:
                try:
                    self._take_payload(said, events)
                except ModelError as error:
                    ready = events.all()
                    if not ready:
                        raise
                    # Words that came in the same bytes as the error came before it, and are heard before it.
                    self._failure, self.done = error, True
                    return ready
            if self.done:
                break
        return events.all()

    def _decoded(self, payload: bytes, decode: Callable[[bytes], _T]) -> _T:
        try:
            return decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            # Servers that cut text by UTF-16 units send half an emoji as an escape, which msgspec refuses.
            return decode(json.dumps(json.loads(payload), ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError) as error:
            raise self._garbage("sent something that is not a reply") from error


class Coalesced:
    """Deltas in order, neighbours of one kind joined."""

    __slots__ = ("_events", "_kind", "_name", "_pieces")

    def __init__(self) -> None:
        self._events: list[ModelEvent] = []
        self._kind: type[TextDelta] | type[ThinkingDelta] | int | None = None  # an int is a tool call's index
        self._name: str | None = None
        self._pieces: list[str] = []

    def add(self, kind: type[TextDelta] | type[ThinkingDelta], text: str) -> str:
        """Add characters and give them back as they are kept: NUL, which no message may hold, is dropped."""
        if "\0" in text:
            text = text.replace("\0", "")
        if self._kind is not kind:
            self._flush()
            self._kind = kind
        self._pieces.append(text)
        return text

    def add_call(self, index: int, name: str | None, arguments: str) -> None:
        """Some more of a tool call."""
        if self._kind != index:
            self._flush()
            self._kind = index
        self._name = name
        self._pieces.append(arguments)

    def all(self) -> list[ModelEvent]:
        """Everything that was added."""
        self._flush()
        return self._events

    def _flush(self) -> None:
        kind, text = self._kind, "".join(self._pieces)
        if isinstance(kind, int):
            self._events.append(ToolCallDelta(kind, self._name, text))
        elif kind is not None and text:
            self._events.append(kind(text))
        self._pieces.clear()


def arguments(written: str) -> dict[str, Any]:
    """The arguments of a tool call out of what the model wrote; what is no object is kept as it was written."""
    if not written.strip():
        return {}
    try:
        decoded: object = msgspec.json.decode(written)
    except (msgspec.DecodeError, RecursionError):
        return {INVALID_ARGUMENTS: written}
    # JSON objects have string keys
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {INVALID_ARGUMENTS: written}
