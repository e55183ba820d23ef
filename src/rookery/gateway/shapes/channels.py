"""Channels, and the replies they could not send."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct


class Channel(Struct, frozen=True, rename="camel", kw_only=True):
    """A channel that runs; `waiting` and `deadLetters` count replies that are not sent yet, or never will be."""

    name: str
    accounts: tuple[str, ...]
    waiting: int
    dead_letters: int


class DeadLetterList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    channel: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class DeadLetter(Struct, frozen=True, rename="camel", kw_only=True):
    """A reply that will not be tried again, without its words; `problem` is what its network said last."""

    delivery_id: str
    agent_id: str
    channel: str
    account: str
    chat: str
    attempts: int
    problem: str
    ended_at: datetime


class DeadLetterRetry(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One delivery, or all of a channel; with neither, all there are."""

    delivery_id: str | None = None
    channel: str | None = None
