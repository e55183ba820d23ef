"""Which keys an agent may open its models with now: its own profiles, then the shared ones it was granted.

A profile belongs to one agent. Nobody inherits any, a friend not from its person either: what is not in the
agent's own brain and was not granted to it is not used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from rookery.agents import Endpoint
from rookery.errors import RookeryError, StorageCorrupt
from rookery.gateway.log import Logger
from rookery.gateway.providers import HeldKey, Providers
from rookery.ids import AgentId, SessionId
from rookery.models import Key
from rookery.sessions.profiles import Profile, Profiles
from rookery.storage.sealing import Binding
from rookery.users import Agent
from rookery.users.grants import Grant

SESSIONS = 4096
"""Of how many sessions it is remembered which of several keys answered them last."""

PROFILE = "profile:"
"""What the name of an agent's own key begins with, wherever keys are named."""


class Opener(Protocol):
    """What opens sealed keys."""

    async def reveal(self, sealed: str, binding: Binding) -> Key:
        """The key. Raises `RookeryError` when it cannot be opened, in words without the secret."""
        ...


class Keyring:
    """The keys of everybody, each found only for the agent that may use it.

    A session goes on with the key that answered it last, as long as it is there and does not cool: so a provider's
    cache of its prompt is of use. That is remembered for `SESSIONS` sessions, and not over a restart.
    """

    def __init__(self, providers: Providers, opener: Opener, log: Logger) -> None:
        self._providers = providers
        self._opener = opener
        self._log = log
        self._last: OrderedDict[_Slot, _Held] = OrderedDict()
        self._told: set[str] = set()

    async def endpoints(
        self, agent: Agent, session_id: SessionId, sharing: str, profiles: Profiles, grants: Sequence[Grant]
    ) -> tuple[Endpoint, ...]:
        """Where this agent's question may be asked in this session, in order; at least one.

        `profiles` are those of the agent's own brain. Raises `StorageUnavailable`.
        """
        asked = self._providers.asked(agent.model)
        held = await self._held(agent.id, asked, profiles, grants) if asked else []
        if len(held) > 1:
            held = self._sticking(agent.id, session_id, held)
        return self._providers.endpoints(agent.model, held, sharing)

    def answered(self, agent_id: AgentId, session_id: SessionId, endpoint: Endpoint) -> None:
        """An endpoint answered in this session: where there is a choice of keys, the next question goes there."""
        if endpoint.key_name is None:
            return
        slot = (agent_id, session_id, endpoint.provider)
        self._last[slot] = (endpoint.key_owner, endpoint.key_name)
        self._last.move_to_end(slot)
        if len(self._last) > SESSIONS:
            self._last.popitem(last=False)

    async def _held(
        self, agent_id: AgentId, asked: frozenset[str], profiles: Profiles, grants: Sequence[Grant]
    ) -> list[HeldKey]:
        held: list[HeldKey] = []
        try:
            own = await profiles.all()
        except StorageCorrupt as error:
            own = ()
            self._tell("", agent_id, None, "auth-profiles.json", error)
            held += [HeldKey(provider, f"{PROFILE}?", None, agent_id) for provider in sorted(asked)]
        held += [await self._own(agent_id, one) for one in own if one.provider in asked]
        for grant in grants:
            found = await self._shared(agent_id, grant, asked)
            if found is not None:
                held.append(found)
        return held

    async def _own(self, agent_id: AgentId, profile: Profile) -> HeldKey:
        name = f"{PROFILE}{profile.name}"
        key = await self._open(agent_id, profile.provider, name, profile.sealed, binding_of(agent_id, profile))
        return HeldKey(profile.provider, name, key, agent_id)

    async def _shared(self, agent_id: AgentId, grant: Grant, asked: frozenset[str]) -> HeldKey | None:
        """The key that was granted; None for one of no provider that is asked, and for one that is gone."""
        configured = self._providers.shared_keys.get(grant.name)
        if configured is not None:
            usable = configured.provider in asked
            return HeldKey(configured.provider, grant.name, configured.key) if usable else None
        if grant.sealed is None or grant.provider is None or grant.provider not in asked:
            return None
        binding = shared_binding(grant.provider, grant.name)
        key = await self._open(agent_id, grant.provider, grant.name, grant.sealed, binding)
        return HeldKey(grant.provider, grant.name, key)

    async def _open(
        self, agent_id: AgentId, provider: str, name: str, sealed: str, binding: Binding
    ) -> Key | None:
        try:
            return await self._opener.reveal(sealed, binding)
        except RookeryError as error:
            self._tell(sealed, agent_id, provider, name, error)
            return None

    def _sticking(self, agent_id: AgentId, session_id: SessionId, held: list[HeldKey]) -> list[HeldKey]:
        """The same keys, those first that answered this session last."""
        return sorted(held, key=lambda one: self._last.get((agent_id, session_id, one.provider)) != _name(one))

    def _tell(self, sealed: str, agent_id: AgentId, provider: str | None, name: str, error: RookeryError) -> None:
        """The operator learns of a key that cannot be opened once, and not with every turn."""
        once = f"{agent_id}\0{provider}\0{name}\0{sealed}"
        if once in self._told:
            return
        if len(self._told) >= SESSIONS:
            self._told.clear()
        self._told.add(once)
        self._log.error("key.locked", agent=agent_id, provider=provider, key=name, error=error.detail)


def binding_of(agent_id: AgentId, profile: Profile) -> Binding:
    """What an agent's own key is sealed for."""
    return profile_binding(agent_id, profile.provider, profile.name)


def profile_binding(agent_id: AgentId, provider: str, name: str) -> Binding:
    """What an agent's own key of that name at that provider is sealed for."""
    return Binding(agent_id, "profile", f"{provider}/{name}")


def shared_binding(provider: str, name: str) -> Binding:
    """What the shared key of that name is sealed for: that provider alone is ever sent it."""
    return Binding("", "shared", f"{provider}/{name}")


_Slot = tuple[AgentId, SessionId, str]
_Held = tuple[str, str]


def _name(held: HeldKey) -> _Held:
    return held.owner, held.name
