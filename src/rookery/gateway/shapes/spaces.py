"""Groups that were let in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

GroupKind = Literal["group", "channel"]


class SpaceAdmit(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Let a group in. `account` None is every account of the channel; `agent_id` None makes the group an agent of
    its own, called `name`."""

    channel: str
    chat: str
    sponsor: str
    kind: GroupKind = "group"
    account: str | None = None
    agent_id: str | None = None
    name: str | None = None


class SpaceNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    channel: str
    chat: str
    kind: GroupKind = "group"
    account: str | None = None


class Space(Struct, frozen=True, rename="camel", kw_only=True):
    """A group that was let in. `answering` is False while its sponsor or its agent is disabled."""

    channel: str
    account: str | None
    kind: GroupKind
    chat: str
    agent_id: str
    agent_name: str
    sponsor: str
    admitted_by: str
    admitted_at: datetime
    answering: bool
