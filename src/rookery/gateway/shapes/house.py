"""The house: how it stands, and what a look at it found."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct


class Status(Struct, frozen=True, rename="camel", kw_only=True):
    """How a gateway stands. `running` is False when a command opened the state itself to look.

    `waiting` and `answering` count turns, `outbox` deliveries that are not sent yet, `deadLetters` those that
    never will be, `keysCooling` keys that are left alone for a while because they failed.
    """

    running: bool
    version: str
    home: str
    database: Literal["sqlite", "postgresql"]
    users: int
    agents: int
    waiting: int
    answering: int
    outbox: int
    dead_letters: int
    keys_cooling: int = 0
    address: str | None = None
    pid: int | None = None
    started_at: datetime | None = None


class Finding(Struct, frozen=True, rename="camel"):
    """One thing looked at: whether it is well, what was seen, and the remedy where it is not."""

    check: str
    level: Literal["ok", "warn", "fail"]
    detail: str
