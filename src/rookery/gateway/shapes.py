"""What operations are asked with and answer: plain facts, as they travel over the control socket."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct

Role = Literal["member", "admin"]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters, or no result."""


class Done(Struct, frozen=True, rename="camel"):
    """What was done, in one line for a person."""

    detail: str


# --- the house ----------------------------------------------------------------------------------------------


class Status(Struct, frozen=True, rename="camel", kw_only=True):
    """How a gateway stands. `running` is False when a command opened the state itself to look.

    `waiting` and `answering` count turns, `outbox` deliveries that are not sent yet, `deadLetters` those that
    never will be.
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
    address: str | None = None
    pid: int | None = None
    started_at: datetime | None = None


# --- people -------------------------------------------------------------------------------------------------


class UserAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str | None = None
    role: Role = "member"
    timezone: str = "UTC"
    language: str = "en"


class User(Struct, frozen=True, rename="camel", kw_only=True):
    """One person; `agents` are their own."""

    id: str
    name: str
    role: Role
    enabled: bool
    timezone: str
    language: str
    created_at: datetime
    agents: tuple[str, ...]


class IdentityChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """An address to link or unlink; `account` None is every account of the channel."""

    user_id: str
    channel: str
    sender: str
    account: str | None = None


class IdentityList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    user_id: str | None = None


class Identity(Struct, frozen=True, rename="camel", kw_only=True):
    """One address that is a user."""

    channel: str
    account: str | None
    sender: str
    user_id: str
    linked_at: datetime


# --- agents and their keys ----------------------------------------------------------------------------------


class AgentAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A shared agent."""

    id: str
    sponsor: str
    name: str | None = None
    persona: str = ""
    model: str | None = None


class AgentSet(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """`model` None is the default model."""

    agent_id: str
    model: str | None


class Agent(Struct, frozen=True, rename="camel", kw_only=True):
    """One agent; `configured` when `rookery.yaml` describes it, `keys` the shared keys it may use."""

    id: str
    name: str
    owner: str | None
    sponsor: str | None
    model: str | None
    persona: str
    configured: bool
    enabled: bool
    created_at: datetime
    keys: tuple[str, ...]


class KeyGrant(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    agent_id: str
    shared_key: str


class SharedKey(Struct, frozen=True, rename="camel", kw_only=True):
    """One shared key by its name, and who may use it; never the key.

    `provider` None: agents were granted it, but `rookery.yaml` has no such key any more.
    """

    name: str
    provider: str | None
    agents: tuple[str, ...]


# --- sessions -----------------------------------------------------------------------------------------------


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


class SessionShown(Struct, frozen=True, rename="camel", kw_only=True):
    """A session with the last of its entries, as the transcript has them; `earlier` are left out."""

    session: Session
    entries: tuple[Raw, ...]
    earlier: int


class ExportPart(Struct, frozen=True, rename="camel"):
    """Some more bytes of a transcript."""

    data: bytes


# --- checks -------------------------------------------------------------------------------------------------


class AgentNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    agent_id: str


class Finding(Struct, frozen=True, rename="camel"):
    """One thing looked at: whether it is well, what was seen, and the remedy where it is not."""

    check: str
    level: Literal["ok", "warn", "fail"]
    detail: str


# --- terminals ----------------------------------------------------------------------------------------------


class Attach(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Be a terminal of this user; what they say goes to `agent_id`'s `session`, or where it goes by itself."""

    user_id: str
    agent_id: str | None = None
    session: str | None = None


class Attached(Struct, frozen=True, rename="camel", kw_only=True):
    """The terminal stands. `waiting` deliveries of earlier are on their way to it."""

    user_id: str
    user_name: str
    agent_id: str
    agent_name: str
    waiting: int


class Say(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One message. `message_id` is the client's, so that it may say the same again after a break.

    `alone`: the client waits for the reply to this very message.
    """

    message_id: str
    text: str
    alone: bool = False


class Said(Struct, frozen=True, rename="camel", kw_only=True):
    """What became of it. `turn_id` is the turn it became, None when no turn answers it.

    Then, if `outcome` is `accepted`, the answer comes as a delivery. `ended` says that a message seen before
    was answered before.
    """

    outcome: str
    reason: str
    turn_id: str | None = None
    ended: bool = False


class Ack(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The client has shown this delivery."""

    delivery_id: str


class Started(Struct, frozen=True, rename="camel", tag_field="type", tag="started"):
    """A turn of this terminal began to be answered."""

    turn_id: str
    turn_ids: tuple[str, ...]


class Delta(Struct, frozen=True, rename="camel", tag_field="type", tag="delta"):
    """Some more characters of the reply."""

    turn_id: str
    text: str


class Step(Struct, frozen=True, rename="camel", tag_field="type", tag="step"):
    """The model asks for a tool; what it writes next is another text."""

    turn_id: str
    tool: str


class Finished(Struct, frozen=True, rename="camel", tag_field="type", tag="finished"):
    """A turn ended. `text` is the whole reply, which also comes as `deliveries` deliveries."""

    turn_id: str
    turn_ids: tuple[str, ...]
    status: str
    text: str
    deliveries: int


class Reply(Struct, frozen=True, rename="camel", tag_field="type", tag="delivery"):
    """One delivery for this user's terminals; it counts as sent when one of them acknowledged it."""

    delivery_id: str
    turn_id: str
    in_reply_to: str
    speaker: str
    text: str


TerminalEvent = Started | Delta | Step | Finished | Reply
