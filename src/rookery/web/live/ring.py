"""What happened lately to one person, kept so that a client that was away gets what it missed."""

from __future__ import annotations

import secrets
from collections import deque

from msgspec import Struct


class Kept(Struct, frozen=True):
    """One event as it is sent. `rich` is the same with what HTML clients ask for beside it; None where that was
    not made because nobody had asked then."""

    seq: int
    plain: str
    rich: str | None

    @property
    def size(self) -> int:
        beside = 0 if self.rich is None or self.rich is self.plain else len(self.rich)
        return len(self.plain) + beside


class Ring:
    """Events under their numbers, from 1; the oldest go when there are too many, or too many characters."""

    def __init__(self, *, events: int, characters: int) -> None:
        self.epoch = secrets.token_urlsafe(9)
        self.seq = 0
        self._events = events
        self._characters = characters
        self._kept: deque[Kept] = deque()
        self._size = 0

    def keep(self, plain: str, rich: str | None) -> Kept:
        """Keep an event, whose number is the next one."""
        self.seq += 1
        kept = Kept(self.seq, plain, rich)
        self._kept.append(kept)
        self._size += kept.size
        while self._kept and (len(self._kept) > self._events or self._size > self._characters):
            self._size -= self._kept.popleft().size
        return kept

    def after(self, seq: int, *, rich: bool) -> list[str] | None:
        """All events after a number; None when they are not all there any more, or never were."""
        oldest = self._kept[0].seq if self._kept else self.seq + 1
        if not oldest - 1 <= seq <= self.seq:
            return None
        missed = [kept for kept in self._kept if kept.seq > seq]
        if not rich:
            return [kept.plain for kept in missed]
        whole = [kept.rich for kept in missed if kept.rich is not None]
        return whole if len(whole) == len(missed) else None
