"""What `rookery.yaml` can say: every section, key and default; `models.py` has the part about models.

Fields are the file's camelCase keys in snake_case; both spellings are read. `load.load` reads a file, and
adds the checks that look at several sections at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import (
    Field,
    model_validator,
)

from rookery.config.addresses import ACCOUNT_SCOPED
from rookery.config.fields import (
    AbsolutePath,
    AccountName,
    Address,
    AgentName,
    BareUrl,
    ChannelName,
    Count,
    CountFromZero,
    DatabaseUrl,
    Flag,
    Host,
    Hour,
    ListOf,
    LongSecret,
    ModelName,
    Network,
    PeerKind,
    PlainSegment,
    Port,
    Seconds,
    SecretText,
    Senders,
    Text,
    Usd,
    UserName,
    WebUrl,
    wrong,
)
from rookery.config.models import Models
from rookery.config.section import NullIsEmpty, Section, mapping, section
from rookery.config.words import (
    BindingSession,
    DmPolicy,
    DmScope,
    GroupPolicy,
    IsolationScope,
    MasterKeyPlace,
    Processors,
    QueueMode,
    ResetMode,
    ResetType,
    SessionBinding,
)


class Gateway(Section):
    """Where the gateway listens and what it is called from outside."""

    host: Host = Field(default="127.0.0.1", description="The address the gateway listens on.")
    port: Port = Field(default=8484, description="The port the gateway listens on; 0 takes any free one.")
    public_url: BareUrl | None = Field(
        default=None, description="The address people open, when a proxy stands in front."
    )
    allowed_hosts: ListOf[Host] = Field(default=(), description="Further names the `Host` header may hold.")
    trusted_proxies: ListOf[Network] = Field(
        default=(), description="Proxies whose forwarding headers are believed."
    )
    processors: Processors = Field(
        default=Processors.ONE,
        description="`one` keeps the event loop and the writers on one processor, which spares a wake-up with "
        "each step between them; `all` leaves it to the system. Read at the start.",
    )


class Database(Section):
    """Where the state lives."""

    url: DatabaseUrl = Field(
        default=None, description="postgresql://… as the application's role; null keeps SQLite under the home."
    )
    owner_url: DatabaseUrl = Field(
        default=None,
        description="The PostgreSQL role that owns the schema; needed whenever it is made or migrated.",
    )


class AgentDefaults(Section):
    """What holds for every agent that says nothing else."""

    model: ModelName | None = Field(
        default=None, description="The model, as provider/model; null: `models.default`."
    )
    skills: tuple[Text, ...] | None = Field(
        default=None, description="The skills an agent has; null: all installed ones."
    )
    tools: ListOf[Text] = Field(
        default=("time", "sessions", "memory", "knowledge", "schedules"), description="The toolsets an agent has."
    )
    max_steps: Count = Field(default=25, description="Model requests in one turn before it ends.")
    max_seconds: Seconds = Field(
        default=600.0,
        description="Seconds a turn may be at work; waiting for a free model or for a yes is not counted.",
    )
    tool_seconds: Seconds = Field(
        default=60.0, description="Seconds one call of a tool may take that says nothing else itself."
    )
    max_result_chars: Count = Field(
        default=50_000, description="Characters of a tool's result that the model reads; the middle is left out."
    )
    approval_minutes: Count = Field(
        default=30, description="Minutes in which a person can allow what a tool may only do with their yes."
    )
    persona: Text | None = Field(default=None, description="Who an agent is, in instructions to the model.")


class SharedAgent(Section):
    """An agent that answers several people; its sponsor pays."""

    id: AgentName = Field(description="The agent's id, unique regardless of case.")
    sponsor: UserName = Field(description="The user who pays for it.")
    name: Text | None = Field(default=None, description="The name people see; null: the id.")
    persona: Text | None = Field(default=None, description="Who it is, in instructions to the model.")
    model: ModelName | None = Field(default=None, description="Its model, as provider/model; null: the default.")
    guest_messages_per_day: CountFromZero = Field(
        default=50, description="Messages each guest may write to it in a day of its sponsor's; 0: none."
    )


class Agents(Section):
    """Agents that do not belong to one person, and what all agents have in common."""

    defaults: AgentDefaults = section("What holds for every agent that says nothing else.")
    list: ListOf[SharedAgent] = Field(default=(), description="The shared agents.")

    def shared(self, agent_id: str) -> SharedAgent | None:
        """The shared agent of that id; None when no shared agent is called so."""
        return next((agent for agent in self.list if agent.id == agent_id), None)


class Peer(Section):
    """One chat of a channel."""

    kind: PeerKind = Field(description="What sort of chat: dm (or direct), group, channel (or room).")
    id: Text = Field(description="The chat's id as its network knows it; for dm the sender's.")


class Match(Section):
    """Which messages a binding is for; what is left out matches anything."""

    channel: ChannelName = Field(description="The channel.")
    account: AccountName | None = Field(default=None, description="Our account there; null: every account.")
    peer: Peer | None = Field(default=None, description="One chat; null: every chat.")

    @model_validator(mode="after")
    def _a_peer_needs_its_account(self) -> Match:
        if self.peer is not None and self.account is None and self.channel in ACCOUNT_SCOPED:
            raise wrong(
                f"names a peer and no account; ids of {self.channel} are unique only within one, so add account"
            )
        return self


class Binding(Section):
    """The rule that picks the agent for a message that was let in."""

    agent_id: AgentName = Field(description="The agent that answers.")
    match: Match = Field(description="Which messages this is for.")
    session: BindingSession | None = Field(
        default=None, description="How these messages are grouped into sessions."
    )


class Isolation(Section):
    """Places by channel or sender for everybody, in one switch."""

    enabled: Flag = Field(default=False, description="Whether `defaultScope` holds where nothing else is said.")
    default_scope: IsolationScope = Field(default=IsolationScope.PER_CHANNEL, description="What is kept apart.")


class Reset(Section):
    """When a place begins a new session by itself."""

    mode: ResetMode = Field(default=ResetMode.NONE, description="Never, each day, or after idleness.")
    at_hour: Hour = Field(default=4, description="With daily: the hour of the person's day, 0 to 23.")
    idle_minutes: Count = Field(default=60, description="With idle: minutes without a message.")


class Maintenance(Section):
    """When old sessions are put away."""

    archive_after_days: Count | None = Field(default=None, description="Days without a message; null: never.")
    max_entries: Count | None = Field(default=None, description="Live sessions an agent keeps; null: any number.")
    bin_days: CountFromZero = Field(default=30, description="Days a deleted session can still be restored.")


class Compaction(Section):
    """When the older part of a long conversation is summed up."""

    enabled: Flag = Field(default=True, description="Whether long conversations are summed up.")
    reserve_tokens: CountFromZero = Field(default=16384, description="Tokens kept free for the reply.")
    keep_recent_tokens: CountFromZero = Field(
        default=20000, description="Tokens of the newest part that stay as they are."
    )


class Session(Section):
    """How messages are grouped into sessions, and how long these live."""

    dm_scope: DmScope | None = Field(
        default=None, description="Whose direct messages share a place; null: main within one person's agent."
    )
    main_key: PlainSegment = Field(default="main", description="The name of the main place in session keys.")
    identity_links: Annotated[Mapping[UserName, tuple[Address, ...]], NullIsEmpty] = mapping(
        "Guests' addresses that are one person on a shared agent: name to channel[@account]:sender."
    )
    isolation: Isolation = section("Places by channel or sender for everybody.")
    reset_prompt: Text | None = Field(default=None, description="What a session begun by a reset is told first.")
    reset: Reset = section("When a place begins a new session by itself.")
    reset_by_type: Annotated[Mapping[ResetType, Reset], NullIsEmpty] = mapping(
        "Reset rules by kind of conversation; they win over `reset`."
    )
    reset_by_channel: Annotated[Mapping[ChannelName, Reset], NullIsEmpty] = mapping(
        "Reset rules by channel; they win over the other two."
    )
    maintenance: Maintenance = section("When old sessions are put away.")
    compaction: Compaction = section("When long conversations are summed up.")


class Queue(Section):
    """What happens to messages that arrive while their session is busy."""

    mode: QueueMode = Field(
        default=QueueMode.COLLECT,
        description="Collected, one turn after another, joining the running turn, or interrupting it.",
    )
    debounce_ms: CountFromZero = Field(
        default=500,
        description="Milliseconds of quiet awaited before a follow-up batch; never before a first message.",
    )
    cap: Count = Field(default=20, description="The most messages that one turn answers.")


class Messages(Section):
    """How messages wait."""

    queue: Queue = section("Messages that arrive while their session is busy.")


class Budget(Section):
    """What may be spent."""

    per_day_usd: Usd | None = Field(default=None, description="US dollars a day; null: no limit.")
    per_month_usd: Usd | None = Field(default=None, description="US dollars a month; null: no limit.")
    per_day_tokens: CountFromZero | None = Field(default=None, description="Tokens a day; null: no limit.")


class Budgets(Section):
    """What people may spend."""

    default: Budget = section("For everybody without a budget of their own.")


class Storage(Section):
    """How state is kept open."""

    open_brains: Count = Field(default=64, description="Brains kept open at once.")


class Audit(Section):
    """How the audit trail is kept from being cut."""

    anchor_file: AbsolutePath | None = Field(
        default=None,
        description="A file on another disk where the newest row's hash is written down too, every ten minutes.",
    )

    @property
    def file(self) -> Path | None:
        """The second place, as a path."""
        return None if self.anchor_file is None else Path(self.anchor_file)


class Secrets(Section):
    """How keys that are stored are kept from whoever reads the disk."""

    master_key: MasterKeyPlace = Field(
        default=MasterKeyPlace.FILE, description="Where the master key lies, with which stored keys are sealed."
    )


class CommonAccount(Section):
    """What every account on a network says about who may write to it."""

    dm_policy: DmPolicy = Field(default=DmPolicy.PAIRING, description="Who may write directly.")
    allow_from: Senders = Field(default=(), description='Guests\' sender ids; [] is nobody, ["*"] is everybody.')
    group_policy: GroupPolicy = Field(
        default=GroupPolicy.ALLOWLIST, description="Whose lines in a group are answered."
    )
    group_allow_from: Senders = Field(default=(), description="Further senders answered in groups; [] is nobody.")
    require_mention: Flag = Field(
        default=True, description="Whether a group's line must speak to us to be answered."
    )
    group_history: int = Field(
        default=20,
        ge=0,
        le=100,
        description="How many of a group's last lines that did not speak to us come along with the next that "
        "does; 0: none. They are held in memory and never stored.",
    )
    session_binding: SessionBinding | None = Field(default=None, description="How conversations become sessions.")


class WebhookAccount(CommonAccount):
    """One signed webhook."""

    secret: LongSecret = Field(description="Signs both directions; at least 16 characters.")
    callback_url: WebUrl | None = Field(
        default=None, description="Where replies are posted; null: none can be sent."
    )


class TelegramAccount(CommonAccount):
    """One Telegram bot."""

    bot_token: SecretText = Field(description="The token BotFather gave.")


class Channel(Section):
    """A channel that needs no account."""

    enabled: Flag = Field(default=True, description="Whether the channel runs.")
    session_binding: SessionBinding | None = Field(
        default=None, description="For accounts that say nothing themselves."
    )


class WebhookChannel(Channel):
    """Anything that can speak HTTP."""

    accounts: Annotated[Mapping[AccountName, WebhookAccount], NullIsEmpty] = mapping("Our accounts by name.")


class TelegramChannel(Channel):
    """Telegram."""

    accounts: Annotated[Mapping[AccountName, TelegramAccount], NullIsEmpty] = mapping("Our accounts by name.")


class NetworkChannel(Channel):
    """A network of which only what all networks share can be said."""

    accounts: Annotated[Mapping[AccountName, CommonAccount], NullIsEmpty] = mapping("Our accounts by name.")


class Channels(Section):
    """The networks people write from."""

    webchat: Channel = section("The web page.")
    webhook: WebhookChannel = section("Anything that can speak HTTP.")
    terminal: Channel = section("`rookery chat`.")
    cron: Channel = section("Scheduled work.")
    telegram: TelegramChannel = section("Telegram.")
    discord: NetworkChannel = section("Discord.")
    slack: NetworkChannel = section("Slack.")
    matrix: NetworkChannel = section("Matrix.")
    xmpp: NetworkChannel = section("XMPP.")
    feishu: NetworkChannel = section("Feishu.")
    whatsapp: NetworkChannel = section("WhatsApp.")
    email: NetworkChannel = section("Mail.")
    sms: NetworkChannel = section("Text messages.")
    voice: NetworkChannel = section("Telephone calls.")

    def channel(self, name: str) -> Channel | None:
        """The settings of one channel; None for a name that is none."""
        return getattr(self, name) if name in type(self).model_fields else None

    def accounts(self, name: str) -> Mapping[str, CommonAccount]:
        """The accounts of one channel by name; empty for a channel that has none."""
        channel = self.channel(name)
        if isinstance(channel, WebhookChannel | TelegramChannel | NetworkChannel):
            return channel.accounts
        return {}

    def account(self, channel: str, account: str) -> CommonAccount | None:
        """One account's settings; None when it is not configured."""
        return self.accounts(channel).get(account)

    def session_binding(self, channel: str, account: str) -> SessionBinding | None:
        """The account's `sessionBinding`, or its channel's where the account says nothing."""
        own = self.account(channel, account)
        if own is not None and own.session_binding is not None:
            return own.session_binding
        settings = self.channel(channel)
        return None if settings is None else settings.session_binding


class Config(Section):
    """A whole `rookery.yaml`."""

    gateway: Gateway = section("Where the gateway listens and what it is called from outside.")
    database: Database = section("Where the state lives.")
    models: Models = section("Which models answer, from which providers, with which keys and limits.")
    agents: Agents = section("Shared agents, and what all agents have in common.")
    bindings: ListOf[Binding] = Field(default=(), description="Which agent answers guests and groups.")
    session: Session = section("How messages are grouped into sessions, and how long these live.")
    messages: Messages = section("How messages wait.")
    budgets: Budgets = section("What people may spend.")
    users_file: Text | None = Field(
        default=None, description="The people file, relative to this file; null: none."
    )
    storage: Storage = section("How state is kept open.")
    audit: Audit = section("How the audit trail is kept from being cut.")
    secrets: Secrets = section("How keys that are stored are kept from whoever reads the disk.")
    channels: Channels = section("The networks people write from.")
