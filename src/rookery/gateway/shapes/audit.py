"""The audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct


class AuditList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Rows, newest first: those that concern `user_id` or that they did, of `action` (or all that begin with it,
    when it ends in '.'), from `since` on and before `until`; `before` is the `seq` of the last row read."""

    user_id: str | None = None
    action: str | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[int, Meta(ge=0, lt=1 << 62)] | None = None


class AuditEntry(Struct, frozen=True, rename="camel", kw_only=True):
    """Who did what, on whose behalf, to what, and what the gate said of it."""

    seq: int
    at: datetime
    actor: str
    on_behalf_of: str | None
    action: str
    object: str
    decision: str
    hash: str


class AuditChecked(Struct, frozen=True, rename="camel", kw_only=True):
    """What looking through the whole audit trail found: `problem` None when it is whole.

    `anchors` are the heads kept beside the database that it was compared with, `spoiled` the lines there that
    cannot be read, `at_seq` the row where the trail breaks. `redacted` rows lost their names with people who were
    erased, and are vouched for.
    """

    rows: int
    redacted: int = 0
    anchors: int
    spoiled: int
    problem: str | None
    at_seq: int | None
