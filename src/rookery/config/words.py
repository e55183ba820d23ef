"""The words that may stand in the configuration, one enum for each place they stand in."""

from __future__ import annotations

from enum import StrEnum


class Api(StrEnum):
    """The wire format a provider speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    PYDANTIC_AI = "pydantic-ai"
    """A format of the provider's own, named by `kind`; needs the extra `rookery[providers]`."""


class ProviderKind(StrEnum):
    """Whose own format a provider with `api: pydantic-ai` speaks."""

    GOOGLE = "google"
    """Gemini, by Google's own API."""

    MISTRAL = "mistral"
    """Mistral's own API."""


class ReplayThinking(StrEnum):
    """Which of a model's thoughts are sent back to the provider whose model thought them."""

    NEVER = "never"
    """None."""

    TURN = "turn"
    """Those of the turn under way, so that a model goes on with its thought when a tool has answered."""

    ALWAYS = "always"
    """All of them."""


class Processors(StrEnum):
    """On how many processors the gateway's own threads run."""

    ONE = "one"
    """Event loop and writers together; what takes long, such as hashing a password, wherever there is room."""

    ALL = "all"
    """As the system likes."""


class MasterKeyPlace(StrEnum):
    """Where the master key lies, with which stored keys are sealed."""

    FILE = "file"
    """In `master.key` in the home, made with the first key that is sealed."""

    ENVIRONMENT = "env"
    """In `ROOKERY_MASTER_KEY`, 32 bytes in base64, that the gateway is started with."""

    KEYRING = "keyring"
    """In the keyring of the system; needs the extra `rookery[keyring]`."""


class DmPolicy(StrEnum):
    """Who may write to an account directly."""

    PAIRING = "pairing"
    """People with a linked address. Strangers are refused; a code that an admin can approve comes later."""

    ALLOWLIST = "allowlist"
    """People with a linked address, and the guests named in `allowFrom`."""

    OPEN = "open"
    """Everybody; strangers are guests of the shared agent that is bound to the account."""

    DISABLED = "disabled"
    """Nobody."""


class GroupPolicy(StrEnum):
    """Whose lines in an admitted group cause turns."""

    ALLOWLIST = "allowlist"
    """Users, and the senders named in `groupAllowFrom`."""

    OPEN = "open"
    """Everybody in the group."""

    DISABLED = "disabled"
    """Nobody's: groups are not answered on this account."""


class SessionBinding(StrEnum):
    """How an account's conversations become sessions, whatever the scope says."""

    ISOLATED = "isolated"
    """A place of its own for each conversation."""

    SHARED = "shared"
    """What the scope says."""

    EPHEMERAL = "ephemeral"
    """A new session for each task, destroyed when it is done."""


class DmScope(StrEnum):
    """Whose direct messages share one place."""

    MAIN = "main"
    PER_PEER = "per-peer"
    PER_CHANNEL_PEER = "per-channel-peer"
    PER_ACCOUNT_CHANNEL_PEER = "per-account-channel-peer"
    PER_CHANNEL = "per-channel"


class BindingSession(StrEnum):
    """What a binding may say about sessions: a session binding's word or a scope."""

    ISOLATED = "isolated"
    SHARED = "shared"
    EPHEMERAL = "ephemeral"
    MAIN = "main"
    PER_PEER = "per-peer"
    PER_CHANNEL_PEER = "per-channel-peer"
    PER_ACCOUNT_CHANNEL_PEER = "per-account-channel-peer"
    PER_CHANNEL = "per-channel"


class IsolationScope(StrEnum):
    """What the default isolation separates."""

    PER_CHANNEL = "per-channel"
    PER_SENDER = "per-sender"
    GLOBAL = "global"


class QueueMode(StrEnum):
    """What happens to a message that arrives while its session is busy."""

    COLLECT = "collect"
    """It joins the next turn, with others from the same sender by the same route."""

    FOLLOWUP = "followup"
    """It becomes a turn of its own, after this one."""

    STEER = "steer"
    """It joins the running turn before its next step, if that is of the same sender and route; else the next."""

    INTERRUPT = "interrupt"
    """It ends the running turn and is answered next."""


class ResetMode(StrEnum):
    """When a place begins a new session by itself."""

    NONE = "none"
    DAILY = "daily"
    IDLE = "idle"


class ResetType(StrEnum):
    """The kinds of conversation that may have a reset rule of their own."""

    DIRECT = "direct"
    GROUP = "group"
    THREAD = "thread"
