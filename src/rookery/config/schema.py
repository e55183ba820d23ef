"""What `rookery.yaml` can say: every section, key and default.

Fields are the file's camelCase keys in snake_case; both spellings are read. `load.load` reads a file, and
adds the checks that look at several sections at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

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
    JsonFields,
    ListOf,
    LongSecret,
    ModelName,
    Network,
    PeerKind,
    PlainSegment,
    Port,
    ProviderName,
    Seconds,
    SecretText,
    Senders,
    SharedKeySource,
    Text,
    Usd,
    UserName,
    WebUrl,
    null_is_empty_mapping,
    wrong,
)
from rookery.config.words import (
    Api,
    BindingSession,
    DmPolicy,
    DmScope,
    GroupPolicy,
    IsolationScope,
    ProviderKind,
    QueueMode,
    ReplayThinking,
    ResetMode,
    ResetType,
    SessionBinding,
)


def _section(description: str) -> Any:
    """A section that may be left out. Its default is validated with the rest, so only one validator is built."""
    return Field(default_factory=dict, validate_default=True, description=description)


def _mapping(description: str) -> Any:
    """Things by name, none by default."""
    return Field(default_factory=dict, description=description)


class Section(BaseModel):
    """What every section shares: frozen, no unknown keys, and nothing written means the defaults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        defer_build=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return {} if value is None else value


_NullIsEmpty = BeforeValidator(null_is_empty_mapping)


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


class Database(Section):
    """Where the state lives."""

    url: DatabaseUrl = Field(
        default=None, description="postgresql://… as the application's role; null keeps SQLite under the home."
    )
    owner_url: DatabaseUrl = Field(
        default=None,
        description="The PostgreSQL role that owns the schema; needed whenever it is made or migrated.",
    )


class Price(Section):
    """What one model costs, in US dollars for a million tokens."""

    input: Usd = Field(description="US dollars for a million tokens read.")
    output: Usd = Field(description="US dollars for a million tokens written.")
    cached_input: Usd | None = Field(
        default=None, description="US dollars for a million tokens read from the prompt cache; null: as `input`."
    )
    cache_write: Usd | None = Field(
        default=None, description="US dollars for a million tokens written to the prompt cache; null: as `input`."
    )


class Provider(Section):
    """A server that offers models."""

    api: Api = Field(description="The wire format it speaks.")
    kind: ProviderKind | None = Field(
        default=None, description="For api pydantic-ai, which has to be told: whose own format it speaks."
    )
    base_url: BareUrl | None = Field(
        default=None,
        description="Where it answers, such as http://127.0.0.1:11434/v1; openai and anthropic know theirs.",
    )
    prices: Annotated[Mapping[Text, Price], _NullIsEmpty] = _mapping(
        "Prices by model name, where they are not known or differ."
    )
    timeout_seconds: Seconds | None = Field(
        default=None, description="Seconds for one call; null: what `limits` say."
    )
    first_token_seconds: Seconds | None = Field(
        default=None, description="Seconds until the beginning of an answer; null: what `limits` say."
    )
    max_concurrent: Count | None = Field(
        default=None, description="Calls of it at once, for everybody together; null: what `limits` say."
    )
    cache_salt: bool = Field(
        default=False,
        description="Sends a `cache_salt` with each call, which keeps people apart in the prefix cache of a vLLM "
        "server; others may refuse it.",
    )
    max_output_tokens: Count | None = Field(
        default=None,
        description="Tokens an answer may have, thoughts included; null: no limit for an openai server, and what "
        "fits the model for an anthropic one, which has to be told a limit.",
    )
    replay_thinking: ReplayThinking | None = Field(
        default=None,
        description="Which of its models' thoughts are sent back to it: none, those of the turn under way, or "
        "all; null: never for openai, turn for the others.",
    )
    extra_body: JsonFields = Field(
        default_factory=dict,
        description="Further fields of every request, as its server knows them: a thinking budget, routing.",
    )
    vision: bool | None = Field(
        default=None,
        description="Whether its models are shown pictures; null: yes for openai and anthropic at their own "
        "addresses, no for every other server.",
    )

    @field_validator("extra_body")
    @classmethod
    def _our_fields_are_ours(cls, value: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        taken = value.keys() & _OUR_FIELDS
        if info.data.get("max_output_tokens") is not None:
            taken |= value.keys() & {"max_completion_tokens"}
        if "max_tokens" in taken:
            raise wrong("holds 'max_tokens'; write maxOutputTokens beside it instead")
        if taken:
            raise wrong(f"holds {min(taken)!r}, which Rookery writes itself; leave it out")
        return value

    @model_validator(mode="after")
    def _a_kind_is_for_pydantic_ai(self) -> Provider:
        if (self.kind is None) != (self.api is not Api.PYDANTIC_AI):
            known = ", ".join(kind.value for kind in ProviderKind)
            raise wrong(f"needs `kind` where its api is pydantic-ai, and only there; kind is one of: {known}")
        if self.kind is not None and self.extra_body:
            raise wrong("has api pydantic-ai, which takes no extraBody; leave it out")
        return self

    @property
    def paths_begin(self) -> str | None:
        """What the paths of its API begin with; an Anthropic address may be written with or without its /v1."""
        if self.base_url is None or self.api is not Api.ANTHROPIC:
            return self.base_url
        return f"{self.base_url.rstrip('/').removesuffix('/v1')}/v1"

    @property
    def replays(self) -> ReplayThinking:
        """Which thoughts are sent back to it."""
        if self.replay_thinking is not None:
            return self.replay_thinking
        return ReplayThinking.NEVER if self.api is Api.OPENAI else ReplayThinking.TURN


_KNOWN_ADDRESSES = {
    ProviderKind.GOOGLE: "https://generativelanguage.googleapis.com",
    ProviderKind.MISTRAL: "https://api.mistral.ai",
}

_OUR_FIELDS = frozenset(
    {"model", "messages", "system", "tools", "stream", "stream_options", "max_tokens", "cache_salt"}
)


class SharedKey(Section):
    """A provider key that can be granted to several agents."""

    provider: Text = Field(description="The provider it is for.")
    key_from: SharedKeySource = Field(description='Where the key is read at load: "env:NAME".')


class ModelLimits(Section):
    """How many model calls run at once, and how long one may take."""

    max_concurrent: Count = Field(default=16, description="Model calls at once, for everybody together.")
    per_user: Count = Field(default=3, description="Model calls at once for one person.")
    per_key: Count | None = Field(
        default=None, description="Model calls at once on one provider key; null: no limit."
    )
    background: Count = Field(default=4, description="How many of them work that nobody waits for may hold.")
    timeout_seconds: Seconds = Field(
        default=120.0, description="Seconds after which a question is given up, whoever was asked."
    )
    first_token_seconds: Seconds | None = Field(
        default=None,
        description="Seconds until the beginning of an answer, after which the next of `fallbacks` is asked; "
        "null: half of the time that is left, where there is a next one.",
    )


class Embeddings(Section):
    """What turns text into vectors for search by meaning."""

    provider: Text | None = Field(default=None, description="The provider; null: search by words only.")
    model: Text | None = Field(default=None, description="The provider's name for the embedding model.")


BUILT_IN_PROVIDERS: Mapping[str, tuple[Api, str]] = {
    "openai": (Api.OPENAI, "https://api.openai.com/v1"),
    "anthropic": (Api.ANTHROPIC, "https://api.anthropic.com"),
}
"""Providers that need no configuration: their wire format and address."""


class Models(Section):
    """Which models answer, from which providers, with which keys and limits."""

    default: ModelName = Field(default="offline/demo", description="The model that answers, as provider/model.")
    fallbacks: ListOf[ModelName] = Field(
        default=(), description="Models asked in turn when the first cannot answer."
    )
    allowed: tuple[ModelName, ...] | None = Field(
        default=None, description="The models people may choose; null: whatever the providers offer."
    )
    providers: Annotated[Mapping[ProviderName, Provider], _NullIsEmpty] = _mapping(
        "Providers by the name that stands before the '/' of a model."
    )
    shared_keys: Annotated[Mapping[Text, SharedKey], _NullIsEmpty] = _mapping(
        "Keys that can be granted to agents, by name."
    )
    limits: ModelLimits = _section("Model calls at once, and their time.")
    embeddings: Embeddings = _section("What makes search by meaning possible.")

    def sees(self, name: str) -> bool:
        """Whether the models of the provider of that name are shown pictures."""
        provider = self.provider(name)
        if provider is None:
            return False
        if provider.vision is not None:
            return provider.vision
        built_in = BUILT_IN_PROVIDERS.get(name)
        return built_in is not None and provider.base_url == built_in[1]

    def provider(self, name: str) -> Provider | None:
        """The provider of that name with its address filled in; None for `offline` and for unknown names."""
        built_in = BUILT_IN_PROVIDERS.get(name)
        configured = self.providers.get(name)
        if configured is None:
            return None if built_in is None else Provider(api=built_in[0], base_url=built_in[1])
        if configured.base_url is None and built_in is not None:
            return configured.model_copy(update={"base_url": built_in[1]})
        if configured.base_url is None and configured.kind is not None:
            return configured.model_copy(update={"base_url": _KNOWN_ADDRESSES[configured.kind]})
        return configured


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


class Agents(Section):
    """Agents that do not belong to one person, and what all agents have in common."""

    defaults: AgentDefaults = _section("What holds for every agent that says nothing else.")
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
    identity_links: Annotated[Mapping[UserName, tuple[Address, ...]], _NullIsEmpty] = _mapping(
        "Guests' addresses that are one person on a shared agent: name to channel[@account]:sender."
    )
    isolation: Isolation = _section("Places by channel or sender for everybody.")
    reset_prompt: Text | None = Field(default=None, description="What a session begun by a reset is told first.")
    reset: Reset = _section("When a place begins a new session by itself.")
    reset_by_type: Annotated[Mapping[ResetType, Reset], _NullIsEmpty] = _mapping(
        "Reset rules by kind of conversation; they win over `reset`."
    )
    reset_by_channel: Annotated[Mapping[ChannelName, Reset], _NullIsEmpty] = _mapping(
        "Reset rules by channel; they win over the other two."
    )
    maintenance: Maintenance = _section("When old sessions are put away.")
    compaction: Compaction = _section("When long conversations are summed up.")


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

    queue: Queue = _section("Messages that arrive while their session is busy.")


class Budget(Section):
    """What may be spent."""

    per_day_usd: Usd | None = Field(default=None, description="US dollars a day; null: no limit.")
    per_month_usd: Usd | None = Field(default=None, description="US dollars a month; null: no limit.")
    per_day_tokens: CountFromZero | None = Field(default=None, description="Tokens a day; null: no limit.")


class Budgets(Section):
    """What people may spend."""

    default: Budget = _section("For everybody without a budget of their own.")


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

    accounts: Annotated[Mapping[AccountName, WebhookAccount], _NullIsEmpty] = _mapping("Our accounts by name.")


class TelegramChannel(Channel):
    """Telegram."""

    accounts: Annotated[Mapping[AccountName, TelegramAccount], _NullIsEmpty] = _mapping("Our accounts by name.")


class NetworkChannel(Channel):
    """A network of which only what all networks share can be said."""

    accounts: Annotated[Mapping[AccountName, CommonAccount], _NullIsEmpty] = _mapping("Our accounts by name.")


class Channels(Section):
    """The networks people write from."""

    webchat: Channel = _section("The web page.")
    webhook: WebhookChannel = _section("Anything that can speak HTTP.")
    terminal: Channel = _section("`rookery chat`.")
    cron: Channel = _section("Scheduled work.")
    telegram: TelegramChannel = _section("Telegram.")
    discord: NetworkChannel = _section("Discord.")
    slack: NetworkChannel = _section("Slack.")
    matrix: NetworkChannel = _section("Matrix.")
    xmpp: NetworkChannel = _section("XMPP.")
    feishu: NetworkChannel = _section("Feishu.")
    whatsapp: NetworkChannel = _section("WhatsApp.")
    email: NetworkChannel = _section("Mail.")
    sms: NetworkChannel = _section("Text messages.")
    voice: NetworkChannel = _section("Telephone calls.")

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

    gateway: Gateway = _section("Where the gateway listens and what it is called from outside.")
    database: Database = _section("Where the state lives.")
    models: Models = _section("Which models answer, from which providers, with which keys and limits.")
    agents: Agents = _section("Shared agents, and what all agents have in common.")
    bindings: ListOf[Binding] = Field(default=(), description="Which agent answers guests and groups.")
    session: Session = _section("How messages are grouped into sessions, and how long these live.")
    messages: Messages = _section("How messages wait.")
    budgets: Budgets = _section("What people may spend.")
    users_file: Text | None = Field(
        default=None, description="The people file, relative to this file; null: none."
    )
    storage: Storage = _section("How state is kept open.")
    audit: Audit = _section("How the audit trail is kept from being cut.")
    channels: Channels = _section("The networks people write from.")
