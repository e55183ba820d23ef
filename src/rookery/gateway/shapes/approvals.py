"""Tool calls that wait for a person's yes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct


class Approval(Struct, frozen=True, rename="camel", kw_only=True):
    """A call that waits until the person whose turn it is allows it. `words` say what it would do, `arguments` are
    those of the tool `tool`; after `expiresAt` the model is told that nobody answered."""

    n: int
    tool: str
    words: str
    arguments: Mapping[str, Any]
    asked_at: datetime
    expires_at: datetime


class ApprovalWord(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A yes or a no."""

    allow: bool


class ApprovalAnswer(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The answer to one of them. It holds for exactly that call, once."""

    turn_id: str
    n: int
    allow: bool


class ApprovalAnswered(Struct, frozen=True, rename="camel", kw_only=True):
    """How it stands now: "used" once the call was begun."""

    turn_id: str
    n: int
    state: Literal["allowed", "denied", "used"]
