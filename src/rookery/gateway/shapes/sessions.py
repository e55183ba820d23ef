"""Sessions: one's own, and those the operator looks at."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from rookery.errors import InvalidInput
from rookery.gateway.shapes.common import Line

Tags = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=20)]


class Session(Struct, frozen=True, rename="camel", kw_only=True):
    """One session. `title`, `label` and `tags` are a person's words and are there only for `--user`.

    `places` are the keys at which it lives now.
    """

    session_key: str
    session_id: str
    agent_id: str
    kind: str
    title: str | None
    label: str | None
    tags: tuple[str, ...]
    status: str
    archived_at: datetime | None
    archived_reason: str | None
    channel_binding: str | None
    created_at: datetime
    updated_at: datetime
    entry_count: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    places: tuple[str, ...]


class SessionRef(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One session, by key (the live session there) or `sessionId`."""

    session: str


class SessionQuery(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One page of somebody's own sessions; `active` has the pinned ones too. None filters nothing.

    `channel`: those of one network. `cursor` is the `nextCursor` of the page before.
    """

    status: Literal["active", "pinned", "archived", "deleted", "all"] = "active"
    tag: str | None = None
    channel: str | None = None
    agent_id: str | None = None
    limit: int = 50
    cursor: str | None = None


class SessionPage(Struct, frozen=True, rename="camel", kw_only=True):
    """Sessions, latest first; `nextCursor` None when these were the last."""

    items: tuple[Session, ...]
    next_cursor: str | None


class SessionOpen(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A session to begin. `title` is shown to people, `label` a client's own name for it.

    `scope`: `isolated`, a place of its own; or the place that all of this person's messages share (`per-sender`),
    those on the page (`per-channel`), or everything said to the agent (`global`). `ephemeral`: it takes one
    message and is destroyed when that is answered.
    """

    label: Line | None = None
    title: Line | None = None
    tags: Tags = ()
    scope: Literal["isolated", "per-sender", "per-channel", "global"] = "isolated"
    agent_id: str | None = None
    ephemeral: bool = False


class SessionOpened(Struct, frozen=True, rename="camel", kw_only=True):
    """The session that lives there; `new` when it was begun now."""

    session: Session
    new: bool


class SessionChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a session; null takes it away, what is left out stays."""

    session: str
    title: Line | UnsetType | None = UNSET
    label: Line | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET


class SessionRemove(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """`purge`: nothing of it stays; otherwise it goes to the bin."""

    session: str
    purge: bool = False


class SessionList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The sessions of one agent, or of all agents that are `user_id`'s own."""

    user_id: str | None = None
    agent_id: str | None = None


class SessionNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One session of a user's own agents, by key, short form or `sessionId`; `last` entries, None for all."""

    user_id: str
    session: str
    agent_id: str | None = None
    last: int | None = None


class SessionNew(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    user_id: str
    agent_id: str | None = None
    title: str | None = None


def check_lines(*texts: str | None) -> None:
    """Raises `InvalidInput` for a title, label or tag that is not some words on one line."""
    for text in texts:
        if text is not None and (not text.strip() or not text.isprintable()):
            raise InvalidInput("A title, label or tag is some words on one line; leave it out to have none.")
