"""Which agent a message is for, by the rules the operator wrote under `bindings`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rookery.errors import ConfigError
from rookery.ids import AgentId
from rookery.messages import Chat, ChatKind


@dataclass(frozen=True, slots=True)
class Binding:
    """One rule. It picks an agent for a message that was let in; it never grants access.

    Everything that is set must match exactly; None matches anything. `peer_kind` and `peer_id` name a chat
    and come together, `thread_id` is a thread in it. `session` is the scope word for what this rule binds.
    Raises `ConfigError` when the parts do not make a rule.
    """

    agent_id: AgentId
    channel: str
    account: str | None = None
    peer_kind: ChatKind | None = None
    peer_id: str | None = None
    thread_id: str | None = None
    session: str | None = None

    def __post_init__(self) -> None:
        if "" in (self.channel, self.account, self.peer_id, self.thread_id):
            raise ConfigError(f"{self} has an empty part; leave out what is to match anything.")
        if (self.peer_kind is None) != (self.peer_id is None):
            raise ConfigError(f"{self} names half a peer; a peer has a kind and an id.")
        if self.thread_id is not None and self.peer_id is None:
            raise ConfigError(f"{self} names a thread of no chat; say in which peer it is.")

    def __str__(self) -> str:
        parts = {
            "channel": self.channel,
            "account": self.account,
            "peer": None if self.peer_kind is None else f"{self.peer_kind}:{self.peer_id}",
            "thread": self.thread_id,
        }
        where = ", ".join(f"{name} {value!r}" for name, value in parts.items() if value is not None)
        return f"The binding of {self.agent_id!r} ({where})"


class Bindings:
    """All rules. Raises `ConfigError` when two match the same messages equally closely, so order says nothing."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._rules: dict[_Match, Binding] = {}
        for binding in bindings:
            match = (binding.channel, binding.account, binding.peer_kind, binding.peer_id, binding.thread_id)
            if match in self._rules:
                raise ConfigError(
                    f"{binding} matches the same as another: {self._rules[match]}. Remove one of them."
                )
            self._rules[match] = binding

    def find(self, channel: str, account: str, chat: Chat, thread_id: str | None) -> Binding | None:
        """The rule for a message, None when there is none; what then, the caller knows, never "the last one".

        The most specific rule wins: peer and thread on this account, peer and thread, peer on this account,
        peer, account, channel. A message in a thread falls under its chat's rule where the thread has none.
        """
        for kind, peer, thread in (
            (chat.kind, chat.id, thread_id),
            (chat.kind, chat.id, None),
            (None, None, None),
        ):
            for login in (account, None):
                binding = self._rules.get((channel, login, kind, peer, thread))
                if binding is not None:
                    return binding
        return None


_Match = tuple[str, str | None, ChatKind | None, str | None, str | None]
