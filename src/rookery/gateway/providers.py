"""From an agent's model to a client that speaks to it, with the key it was granted and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rookery.agents import Endpoint
from rookery.errors import ConfigError, ModelError, ModelErrorKind
from rookery.models import Key, Model

OFFLINE = "offline"
"""The built-in provider that needs nothing; its one model is `demo`."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as the operator set it up; `keyless` when its server wants no key.

    `vision`: whether its models are shown pictures; otherwise those are named in words. `timeout_seconds` bounds
    one call of its own; None leaves that to the gateway's limits.
    """

    name: str
    open: Callable[[], Model]
    keyless: bool
    timeout_seconds: float | None = None
    vision: bool = False


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key the operator shares out, by grant."""

    provider: str
    key: Key


class Providers:
    """The providers of this gateway; a client is opened at its first use."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        shared_keys: Mapping[str, SharedKey],
        default_model: str,
        fallbacks: Sequence[str] = (),
    ) -> None:
        self._fallbacks = tuple(fallbacks)
        self._providers = dict(providers)
        self._shared_keys = dict(shared_keys)
        self._default = default_model
        self._open: dict[str, Model] = {}
        self._retired: list[Model] = []

    @property
    def shared_keys(self) -> Mapping[str, SharedKey]:
        """The shared keys by name."""
        return self._shared_keys

    def endpoints(self, model: str | None, grants: Sequence[str]) -> tuple[Endpoint, ...]:
        """Where `provider/model`, None for the default, may be asked, and after it the fallbacks, in their order.

        Raises `ConfigError` if the model is unknown.
        """
        wanted = dict.fromkeys((model or self._default, *self._fallbacks))
        return tuple(self._endpoint(name, grants) for name in wanted)

    def _endpoint(self, wanted: str, grants: Sequence[str]) -> Endpoint:
        provider, client = self._client(wanted)
        key_name = next(
            (
                name
                for name in grants
                if (shared := self._shared_keys.get(name)) is not None and shared.provider == provider.name
            ),
            None,
        )
        problem = None
        if key_name is None and not provider.keyless:
            problem = ModelError(ModelErrorKind.NO_KEY, f"No key of provider {provider.name!r} is granted.")
        return Endpoint(
            provider=provider.name,
            model=client,
            model_name=wanted.partition("/")[2],
            key=None if key_name is None else self._shared_keys[key_name].key,
            key_name=key_name,
            problem=problem,
            timeout_seconds=provider.timeout_seconds,
            vision=provider.vision,
        )

    def check(self, model: str) -> None:
        """Raises `ConfigError` when `provider/model` names no provider of this gateway."""
        name, separator, rest = model.partition("/")
        if not separator or not rest or name not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise ConfigError(f"{model!r} is no model; write provider/model, with a provider of: {known}.")

    def replace(
        self,
        providers: Mapping[str, Provider],
        shared_keys: Mapping[str, SharedKey],
        default_model: str,
        fallbacks: Sequence[str] = (),
    ) -> None:
        """Take a new configuration; calls under way finish with the client they have."""
        self._retired += self._open.values()
        self._open = {}
        self._fallbacks = tuple(fallbacks)
        self._providers, self._shared_keys, self._default = dict(providers), dict(shared_keys), default_model

    async def close(self) -> None:
        """Close every client."""
        await asyncio.gather(*(model.close() for model in (*self._open.values(), *self._retired)))

    def _client(self, wanted: str) -> tuple[Provider, Model]:
        self.check(wanted)
        provider = self._providers[wanted.partition("/")[0]]
        client = self._open.get(provider.name)
        if client is None:
            client = self._open[provider.name] = provider.open()
        return provider, client
