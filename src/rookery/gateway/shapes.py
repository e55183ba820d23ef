"""What operations are asked with and answer: plain facts, as they travel over the control socket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from rookery.errors import InvalidInput

Role = Literal["member", "admin"]
GroupKind = Literal["group", "channel"]

Secret = Annotated[str, Meta(extra={"secret": True})]
"""What only its owner may know: it is kept in no form but one that cannot be guessed back, and never compared with
what another request said."""


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
    """A new person. A `password` given here is one to come in with once: they are asked to change it."""

    id: str
    name: str | None = None
    role: Role = "member"
    timezone: str = "UTC"
    language: str = "en"
    password: Secret | None = None


class PasswordChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One's own new password, and what it was."""

    password: Secret
    current: Secret | None = None


class UserNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    user_id: str


class UserChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a person; None leaves it as it is."""

    user_id: str
    name: str | None = None
    role: Role | None = None
    enabled: bool | None = None
    timezone: str | None = None
    language: str | None = None


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


# --- coming in ----------------------------------------------------------------------------------------------


class Login(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """`username` is a user's id, in whatever case it is typed."""

    username: str
    password: Secret


class Setup(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The first admin, with the code of the set-up link; `username` becomes their id."""

    code: Secret
    username: str
    password: Secret
    name: str | None = None
    timezone: str = "UTC"
    language: str = "en"


class SetupLink(Struct, frozen=True, rename="camel", kw_only=True):
    """Where the first admin is made, until `expires_at`, once."""

    url: str
    expires_at: datetime


class Me(Struct, frozen=True, rename="camel", kw_only=True):
    """The person who asks. `preferences` is how the page looks to them, as the page itself put it."""

    id: str
    name: str
    role: Role
    timezone: str
    language: str
    preferences: dict[str, Any]
    must_change_password: bool


class MeChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of oneself; None leaves it as it is, and a preference that is null is taken out."""

    name: str | None = None
    timezone: str | None = None
    language: str | None = None
    preferences: dict[str, Any] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> MeChange:
        """Read what `PATCH /api/me` was sent: what is not known is a preference, such as `theme`.

        Raises `InvalidInput` for what is nobody's own to change, and for values of the wrong kind.
        """
        own = {name: fields[name] for name in ("name", "timezone", "language") if name in fields}
        nested = fields.get("preferences", {})
        for name in _NOT_PREFERENCES & fields.keys():
            raise InvalidInput(f"{name} cannot be changed here.")
        for name, value in own.items():
            if value is not None and not isinstance(value, str):
                raise InvalidInput(f"{name} is a text.")
        if not isinstance(nested, dict):
            raise InvalidInput("preferences is an object.")
        others = {name: value for name, value in fields.items() if name not in own and name != "preferences"}
        return cls(**own, preferences={**nested, **others} or None)


_NOT_PREFERENCES = frozenset({"id", "role", "enabled", "agents", "createdAt", "mustChangePassword", "password"})


class PasswordSet(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A new password; `current` is what it was, for one's own."""

    user_id: str
    password: Secret
    current: Secret | None = None


class TokenNew(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A new API token of `user_id`, None for whoever asks."""

    name: str = "token"
    user_id: str | None = None


class TokenMade(Struct, frozen=True, rename="camel", kw_only=True):
    """A token just made. `token` is shown this once."""

    id: str
    user_id: str
    name: str
    token: Secret
    created_at: datetime


class TokenList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The tokens of `user_id`; None for those of whoever asks, and to the operator everybody's."""

    user_id: str | None = None


class Token(Struct, frozen=True, rename="camel", kw_only=True):
    """An API token, without its secret. `used_at` is right to five minutes."""

    id: str
    user_id: str
    name: str
    created_at: datetime
    used_at: datetime


class Device(Struct, frozen=True, rename="camel", kw_only=True):
    """Where somebody logged in; `current` when it is the one that asks. `used_at` is right to five minutes."""

    id: str
    name: str
    created_at: datetime
    used_at: datetime
    current: bool


class CredentialNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One token or device of `user_id`; None for one of whoever asks, and to the operator anybody's."""

    id: str
    user_id: str | None = None


# --- agents and their keys ----------------------------------------------------------------------------------


class AgentAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A shared agent."""

    id: str
    sponsor: str
    name: str | None = None
    persona: str = ""
    model: str | None = None


class AgentChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of an agent; what is left out stays. A `model` that is null is the default model."""

    agent_id: str
    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    persona: Annotated[str, Meta(max_length=20_000)] | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


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


Line = Annotated[str, Meta(min_length=1, max_length=200)]
"""A few words on one line."""

Tags = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=20)]


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


class SessionRef(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One session, by key (the live session there) or `sessionId`."""

    session: str


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


class EntriesAsk(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The last `limit` entries of a session, or those before `before`, the `nextCursor` of the page after them."""

    session: str
    before: str | None = None
    limit: int = 50


class Running(Struct, frozen=True, rename="camel", kw_only=True):
    """The turn that is being answered now, for the messages of `turnIds`.

    `text` is what was streamed of its step `step` so far, `blocks` the same as HTML, where that was asked for.
    """

    turn_id: str
    turn_ids: tuple[str, ...]
    step: int
    text: str
    blocks: tuple[str, ...] | None


class Moment(Struct, frozen=True, rename="camel", kw_only=True):
    """Where a person's stream of events stands, and the turn that runs in one session."""

    epoch: str
    seq: int
    running: Running | None


class Underway(Struct, frozen=True, rename="camel", kw_only=True):
    """A message whose answer is not in the entries yet; `text` is what it says."""

    turn_id: str
    text: str
    created_at: datetime


class Entries(Struct, frozen=True, rename="camel", kw_only=True):
    """Entries in their order, as the transcript has them, and what goes on: all as it was at one moment.

    `nextCursor` leads to the entries before these. Events of the WebSocket with the same `epoch` and a higher
    `seq` came after that moment. `running` is the turn being answered, `waiting` the messages of no entry yet.
    """

    items: tuple[dict[str, Any], ...]
    next_cursor: str | None
    epoch: str
    seq: int
    running: Running | None
    waiting: tuple[Underway, ...]


class SessionExport(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    session: str
    format: Literal["jsonl", "markdown"] = "jsonl"


class Exported(Struct, frozen=True, rename="camel", kw_only=True):
    """A whole session as a file."""

    name: str
    content_type: str
    data: bytes


class AttachmentRef(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A file that was handed in before."""

    attachment_id: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Line = "file"
    content_type: Line = "application/octet-stream"


class AttachmentAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A file to be kept for an agent; None is one's own. `contentType` is what its sender says it is."""

    name: str
    content_type: str | None
    agent_id: str | None
    data: bytes


class AttachmentNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One file; of the agent named, or of any that one has."""

    attachment_id: str
    agent_id: str | None = None


class AttachmentShown(Struct, frozen=True, rename="camel", kw_only=True):
    """A file that is kept. `contentType` goes by what it holds; `size` is in bytes."""

    attachment_id: str
    name: str
    content_type: str
    size: int
    created_at: datetime


class MessageSend(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A message to a session; an empty place of one's own agent opens one. A chat command is answered as one.

    `wait`: seconds to wait for the answer.
    """

    session: str
    text: str = ""
    attachments: Annotated[tuple[AttachmentRef, ...], Meta(max_length=20)] = ()
    wait: Annotated[float, Meta(ge=0, le=120)] | None = None


class TurnNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    turn_id: str


class TurnUsage(Struct, frozen=True, rename="camel", kw_only=True):
    """Tokens of all model calls of a turn."""

    input_tokens: int
    output_tokens: int


class Turn(Struct, frozen=True, rename="camel", kw_only=True):
    """One message on its way to its reply. `reply` is what the person is told, `error` why there is none.

    Messages sent in a burst may be answered by one reply; each of their turns shows it, one of them the usage.
    """

    turn_id: str
    session_key: str
    session_id: str
    status: Literal["queued", "running", "waiting", "done", "failed", "cancelled", "interrupted"]
    reply: str | None
    error: str | None
    usage: TurnUsage
    created_at: datetime
    finished_at: datetime | None


class Stopped(Struct, frozen=True, rename="camel", kw_only=True):
    """The turns that were stopped, or will not be begun."""

    turn_ids: tuple[str, ...]


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


# --- groups that were let in ----------------------------------------------------------------------------------


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


# --- the audit trail ------------------------------------------------------------------------------------------


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
    cannot be read, `at_seq` the row where the trail breaks.
    """

    rows: int
    anchors: int
    spoiled: int
    problem: str | None
    at_seq: int | None


# --- channels -----------------------------------------------------------------------------------------------


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
