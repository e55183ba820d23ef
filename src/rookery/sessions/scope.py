"""How messages are grouped into places: which word decides, and which place that makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar, assert_never

from msgspec import Struct

from rookery.errors import ConfigError, InvalidKey
from rookery.messages import Chat, ChatKind
from rookery.sessions.key import Direct, Group, Known, Main, Peer, PerChannel, PerPeer, Place, Room, Stranger


class Scope(StrEnum):
    """Whose direct messages share one place."""

    MAIN = "main"
    """Everything said to the agent."""

    PER_PEER = "per-peer"
    """One person's; a known person's from every channel."""

    PER_CHANNEL_PEER = "per-channel-peer"
    PER_ACCOUNT_CHANNEL_PEER = "per-account-channel-peer"

    PER_CHANNEL = "per-channel"
    """Everybody's on one channel."""


class Ephemeral(Struct, frozen=True):
    """No place at all: each task gets a session of its own, destroyed when the task is done."""


class ScopeWords(Struct, frozen=True):
    """What the configuration says about one message, as it is written there; None is not set.

    `binding_session`: the binding's `session`. `session_binding`: the account's `sessionBinding`, or the
    channel's where the account has none. `dm_scope`: `session.dmScope`. `isolation_scope`:
    `session.isolation.defaultScope`, None while isolation is not enabled.
    """

    binding_session: str | None = None
    session_binding: str | None = None
    dm_scope: str | None = None
    isolation_scope: str | None = None


class Conversation(Struct, frozen=True):
    """What of a message decides its place. `known`: the sender's user id, or their name in `identityLinks`."""

    channel: str
    account: str
    chat: Chat
    sender_id: str
    thread_id: str | None = None
    known: str | None = None


def choose_scope(words: ScopeWords, *, shared: bool) -> Scope | Ephemeral:
    """The scope for a message: the first word that is set wins. Raises `ConfigError` for a word there is not.

    `shared`: whether several people write to this agent. Then only the binding's own `session` may put
    them together in one place; `main` and `per-channel` from further off, and nothing said at all, give each
    their own. All words are checked, also those that are not reached.
    """
    named = _word("A binding's session", words.binding_session, _BINDING_WORDS)
    bound = _word("sessionBinding", words.session_binding, _SESSION_BINDING_WORDS)
    direct = _word("session.dmScope", words.dm_scope, _SCOPE_WORDS)
    isolation = _word("session.isolation.defaultScope", words.isolation_scope, _ISOLATION_WORDS)
    if named is not None:
        return named
    scope = bound or direct or isolation or Scope.MAIN
    if shared and scope in _MIXING:
        return Scope.PER_ACCOUNT_CHANNEL_PEER
    return scope


def place_for(conversation: Conversation, scope: Scope, main_key: str, *, ids_per_account: bool) -> Place:
    """The place a message arrives at. Raises `InvalidKey` for an empty or unusable id, whatever the scope.

    A group or channel, and each thread in it, is a place of its own whatever the scope; the scope groups
    direct messages. `ids_per_account`: whether the channel's ids are unique only within one account of ours,
    so that the account belongs to every name.
    """
    channel, chat = conversation.channel, conversation.chat
    account = conversation.account if ids_per_account else None
    match chat.kind:
        case ChatKind.GROUP:
            return Group(channel, chat.id, account, conversation.thread_id)
        case ChatKind.CHANNEL:
            return Room(channel, chat.id, account, conversation.thread_id)
        case ChatKind.DM:
            pass
        case _:
            assert_never(chat.kind)

    peer: Peer = Stranger(conversation.sender_id) if conversation.known is None else Known(conversation.known)
    match scope:
        case Scope.MAIN:
            return Main(main_key)
        case Scope.PER_PEER:
            return PerPeer(peer) if isinstance(peer, Known) else PerPeer(peer, channel, account)
        case Scope.PER_CHANNEL_PEER:
            return Direct(channel, peer, account)
        case Scope.PER_ACCOUNT_CHANNEL_PEER:
            return Direct(channel, peer, conversation.account)
        case Scope.PER_CHANNEL:
            return PerChannel(channel, account)
        case _:
            assert_never(scope)


class IdentityLinks:
    """Which senders on a shared agent are one person: `session.identityLinks`. It never makes a user.

    `mapping` gives each name its addresses as (channel, account, sender); account None stands for every
    account of the channel. Raises `ConfigError` for a name that is no user id, an empty part, and an address
    that would belong to two names.
    """

    def __init__(self, mapping: Mapping[str, Sequence[tuple[str, str | None, str]]]) -> None:
        self._names: dict[tuple[str, str], dict[str | None, str]] = {}
        for name, addresses in mapping.items():
            try:
                Known(name)
            except InvalidKey as error:
                raise ConfigError(f"session.identityLinks: {error.detail}") from None
            for address in addresses:
                self._add(name, *address)

    def name_of(self, channel: str, account: str, sender: str) -> str | None:
        """The name this sender goes by, None when nobody linked them. Compares exactly, case included."""
        names = self._names.get((channel, sender), {})
        return names.get(account) or names.get(None)

    def _add(self, name: str, channel: str, account: str | None, sender: str) -> None:
        address = f"{channel}{'' if account is None else '/' + account}:{sender}"
        if not channel or account == "" or not sender:
            raise ConfigError(f"session.identityLinks: {address!r} of {name!r} has an empty part.")
        names = self._names.setdefault((channel, sender), {})
        for other_account, other in names.items():
            # An address for every account leaves the same id on a single account to nobody else.
            overlap = account is None or other_account in (None, account)
            if overlap and other != name:
                raise ConfigError(
                    f"session.identityLinks: {address!r} cannot be {name!r}, because it is {other!r} already; "
                    "give the address to one of them."
                )
        names[account] = name


_T = TypeVar("_T")

_MIXING = frozenset({Scope.MAIN, Scope.PER_CHANNEL})

_SCOPE_WORDS: Mapping[str, Scope] = {scope.value: scope for scope in Scope}
_ISOLATION_WORDS: Mapping[str, Scope] = {
    "global": Scope.MAIN,
    "per-sender": Scope.PER_PEER,
    "per-channel": Scope.PER_CHANNEL,
}
_SESSION_BINDING_WORDS: Mapping[str, Scope | Ephemeral | None] = {
    "isolated": Scope.PER_ACCOUNT_CHANNEL_PEER,
    "shared": None,  # as if nothing were said here: the words behind it decide
    "ephemeral": Ephemeral(),
}
_BINDING_WORDS: Mapping[str, Scope | Ephemeral] = {
    **_SCOPE_WORDS,
    "isolated": Scope.PER_ACCOUNT_CHANNEL_PEER,
    "ephemeral": Ephemeral(),
}


def _word(what: str, word: str | None, words: Mapping[str, _T]) -> _T | None:
    if word is None:
        return None
    if word not in words:
        raise ConfigError(f"{what} cannot be {word!r}; it is one of {', '.join(words)}.")
    return words[word]
