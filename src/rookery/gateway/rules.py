"""What the operator wrote, made ready for deciding about one message. Replaced as a whole when it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rookery.config.addresses import ACCOUNT_SCOPED
from rookery.config.words import BindingSession, DmPolicy, GroupPolicy, QueueMode
from rookery.gateway.bind import Bindings
from rookery.sessions.scope import IdentityLinks, ScopeWords

INTERNAL_CHANNELS = frozenset({"terminal", "webchat", "api"})
"""Channels of our own: their sender ids are user ids, which the gateway itself vouches for."""

READ_IN_THE_SESSION = frozenset({"webchat", "api"})
"""Channels whose readers read the session or the turn itself: a model's reply is kept there, and not sent."""

EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """Who may write on one account."""

    dm_policy: DmPolicy = DmPolicy.PAIRING
    allow_from: frozenset[str] = frozenset()
    group_policy: GroupPolicy = GroupPolicy.ALLOWLIST
    group_allow_from: frozenset[str] = frozenset()
    require_mention: bool = True
    group_history: int = 20
    session_binding: str | None = None


@dataclass(frozen=True, slots=True)
class QueueRules:
    """How a busy lane treats what arrives; `debounce` in seconds, `cap` in messages of one batch."""

    mode: QueueMode = QueueMode.COLLECT
    debounce: float = 0.5
    cap: int = 20


GUEST_MESSAGES_PER_DAY = 50
"""How many messages a guest may write to a shared agent in a day, where nothing else was said."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One snapshot of the configuration, as far as the path of a message asks it."""

    accounts: Mapping[tuple[str, str], AccountRules] = field(default_factory=dict[tuple[str, str], AccountRules])
    bindings: Bindings = field(default_factory=lambda: Bindings([]))
    links: IdentityLinks = field(default_factory=lambda: IdentityLinks({}))
    ids_per_account: frozenset[str] = ACCOUNT_SCOPED
    main_key: str = "main"
    dm_scope: str | None = None
    isolation_scope: str | None = None
    queue: QueueRules = QueueRules()
    guest_limits: Mapping[str, int] = field(default_factory=dict[str, int])

    def account(self, channel: str, account: str) -> AccountRules | None:
        """The rules of an account of ours; None when we have no such account."""
        return self.accounts.get((channel, account))

    def guest_limit(self, agent_id: str) -> int:
        """How many messages a guest may write to this shared agent in a day."""
        return self.guest_limits.get(agent_id, GUEST_MESSAGES_PER_DAY)

    def scope_words(self, channel: str, account: str, binding_session: str | None) -> ScopeWords:
        """The words that decide the place of a message on this account."""
        rules = self.account(channel, account)
        # `shared` says: as the scope has it. On a binding it is the first word, before the account's own.
        shared = binding_session == BindingSession.SHARED
        return ScopeWords(
            binding_session=None if shared else binding_session,
            session_binding=None if shared or rules is None else rules.session_binding,
            dm_scope=self.dm_scope,
            isolation_scope=self.isolation_scope,
        )
