"""From an agent's model to clients that speak to it, with the keys it may use and no others."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from rookery.agents import Endpoint
from rookery.errors import ConfigError, ModelError, ModelErrorKind
from rookery.gateway.clients import Client
from rookery.models import Key, Model
from rookery.models.cooldown import Cooldowns
from rookery.users import Agent

OFFLINE = "offline"
"""The built-in provider that needs nothing; its one model is `demo`."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as the operator set it up; `keyless` when its server wants no key.

    `vision`: whether its models are shown pictures; otherwise those are named in words. `timeout_seconds` bounds
    one call of its own, `first_token_seconds` the wait for the beginning of an answer; None leaves either to the
    run. `cache_salt`: whether its server is told by a salt who may share the cache of a prompt's beginning.
    `made_from` is whatever `open` was made of: as long as that is equal, its client stays.
    """

    name: str
    open: Callable[[], Model] = field(compare=False)
    keyless: bool
    timeout_seconds: float | None = None
    vision: bool = False
    first_token_seconds: float | None = None
    cache_salt: bool = False
    made_from: object = None

    def is_still(self, other: Provider | None) -> bool:
        """Whether a provider of a new configuration is this one, unchanged."""
        if other is None or self != other:
            return False
        return self.made_from is not None or self.open is other.open


class SharedKey(Struct, frozen=True):
    """A key that the configuration holds for the operator to share out, by grant."""

    provider: str
    key: Key


class HeldKey(Struct, frozen=True):
    """A key an agent may use; `owner` is the agent whose own it is, '' for a shared one.

    `key` None: it is there, and cannot be opened.
    """

    provider: str
    name: str
    key: Key | None
    owner: str = ""


class Providers:
    """The providers of this gateway; a client is opened at its first use."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        shared_keys: Mapping[str, SharedKey],
        default_model: str,
        fallbacks: Sequence[str] = (),
    ) -> None:
        self._providers = dict(providers)
        self._shared_keys = dict(shared_keys)
        self._default = default_model
        self._fallbacks = tuple(fallbacks)
        self._clients = {name: Client(provider.open) for name, provider in providers.items()}
        self._retired: set[Client] = set()
        self.keyed: frozenset[str] = frozenset()
        """The providers of which the store has a shared key: they are asked with a key, and not without."""
        self.cooldowns = Cooldowns()
        """What of all this has failed and is left alone for a while."""

    @property
    def shared_keys(self) -> Mapping[str, SharedKey]:
        """The shared keys of the configuration by name."""
        return self._shared_keys

    @property
    def known(self) -> tuple[str, ...]:
        """The providers that a key can be for, by name."""
        return tuple(sorted(name for name in self._providers if name != OFFLINE))

    def asked(self, model: str | None) -> frozenset[str]:
        """The providers that `provider/model`, None for the default, and the fallbacks are of, `offline` aside."""
        wanted = (model or self._default, *self._fallbacks)
        return frozenset(name for one in wanted if (name := one.partition("/")[0]) != OFFLINE)

    def endpoints(self, model: str | None, keys: Sequence[HeldKey], sharing: str) -> tuple[Endpoint, ...]:
        """Where `provider/model`, None for the default, may be asked, and after it the fallbacks, in their order:
        each with every key of its provider, in the order of `keys`, and where its server wants none, without.

        At least one; what cannot be asked says why by its `problem`. `sharing` names who may share a cached
        prefix: `sharing_of` says it.
        """
        wanted = dict.fromkeys((model or self._default, *self._fallbacks))
        return tuple(endpoint for name in wanted for endpoint in self._of_model(name, keys, sharing))

    def _of_model(self, wanted: str, keys: Sequence[HeldKey], sharing: str) -> Iterator[Endpoint]:
        name, _, model_name = wanted.partition("/")
        try:
            self.check(wanted)
        except ConfigError as error:
            problem = ModelError(ModelErrorKind.UNKNOWN_MODEL, error.detail)
            yield Endpoint(name, None, model_name, problem=problem)
            return
        provider = self._providers[name]
        held = [key for key in keys if key.provider == name]
        for key in held:
            yield self._endpoint(provider, model_name, key, sharing)
        if self._keyless(provider) or not held:
            yield self._endpoint(provider, model_name, None, sharing)

    def _keyless(self, provider: Provider) -> bool:
        return provider.keyless and provider.name not in self.keyed

    def _endpoint(self, provider: Provider, model_name: str, held: HeldKey | None, sharing: str) -> Endpoint:
        problem = None
        if held is None and not self._keyless(provider):
            problem = ModelError(ModelErrorKind.NO_KEY, f"No key of provider {provider.name!r} may be used.")
        elif held is not None and held.key is None:
            problem = ModelError(ModelErrorKind.LOCKED_KEY, f"The key {held.name!r} cannot be opened.")
        return Endpoint(
            provider=provider.name,
            model=self._clients[provider.name],
            model_name=model_name,
            key=None if held is None else held.key,
            key_name=None if held is None else held.name,
            key_owner="" if held is None else held.owner,
            problem=problem,
            timeout_seconds=provider.timeout_seconds,
            first_token_seconds=provider.first_token_seconds,
            vision=provider.vision,
            cache_salt=_salt(sharing) if provider.cache_salt else None,
        )

    def check(self, model: str) -> None:
        """Raises `ConfigError` when `provider/model` names no provider of this gateway."""
        name, separator, rest = model.partition("/")
        if not separator or not rest or name not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise ConfigError(f"{model!r} is no model; write provider/model, with a provider of: {known}.")

    async def replace(
        self,
        providers: Mapping[str, Provider],
        shared_keys: Mapping[str, SharedKey],
        default_model: str,
        fallbacks: Sequence[str] = (),
    ) -> None:
        """Take a new configuration; calls under way finish with the client they have.

        It holds from the call on; waited is for what nobody uses any more to be closed.
        """
        gone = {name for name, provider in self._providers.items() if not provider.is_still(providers.get(name))}
        retired = [self._clients.pop(name) for name in gone]
        for name, provider in providers.items():
            if name not in self._clients:
                self._clients[name] = Client(provider.open)
        for name in gone:
            self.cooldowns.forget_provider(name)
        for name, shared in self._shared_keys.items():
            if shared_keys.get(name) != shared:
                self.cooldowns.forget_key(shared.provider, name)
        self._fallbacks = tuple(fallbacks)
        self._providers, self._shared_keys, self._default = dict(providers), dict(shared_keys), default_model
        self._retired = {client for client in (*self._retired, *retired) if client.is_used}
        await asyncio.gather(*(client.retire() for client in retired))

    async def close(self) -> None:
        """Close every client."""
        await asyncio.gather(*(client.close() for client in (*self._clients.values(), *self._retired)))


def sharing_of(agent: Agent, session_key: str) -> str:
    """Who may share a cached prefix: the conversations of one person's or one group's own agent, and on an agent
    that several people share each conversation for itself.
    """
    return session_key if agent.shared and not agent.of_a_group else agent.id


def _salt(sharing: str) -> str:
    return hashlib.sha256(f"rookery cache salt\n{sharing}".encode()).hexdigest()
