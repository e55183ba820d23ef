"""From an agent's model to a client that speaks to it, with the key it was granted and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one agent's next call is made with; `problem` is set when it has no key to make it with."""

    provider: str
    model: Model
    model_name: str
    key: Key | None
    problem: ModelError | None
    timeout_seconds: float | None = None
    vision: bool = False


class Providers:
    """The providers of this gateway; a client is opened at its first use."""

    def __init__(
        self, providers: Mapping[str, Provider], shared_keys: Mapping[str, SharedKey], default_model: str
    ) -> None:
        self._providers = dict(providers)
        self._shared_keys = dict(shared_keys)
        self._default = default_model
        self._open: dict[str, Model] = {}
        self._retired: list[Model] = []

    @property
    def shared_keys(self) -> Mapping[str, SharedKey]:
        """The shared keys by name."""
        return self._shared_keys

    def choose(self, model: str | None, grants: Sequence[str]) -> Chosen:
        """The client and key for `provider/model`, None for the default. Raises `ConfigError` if unknown."""
        wanted = model or self._default
        provider, client = self._client(wanted)
        key = next(
            (
                shared.key
                for name in grants
                if (shared := self._shared_keys.get(name)) is not None and shared.provider == provider.name
            ),
            None,
        )
        problem = None
        if key is None and not provider.keyless:
            problem = ModelError(ModelErrorKind.NO_KEY, f"No key of provider {provider.name!r} is granted.")
        return Chosen(
            provider.name,
            client,
            wanted.partition("/")[2],
            key,
            problem,
            provider.timeout_seconds,
            provider.vision,
        )

    def check(self, model: str) -> None:
        """Raises `ConfigError` when `provider/model` names no provider of this gateway."""
        name, separator, rest = model.partition("/")
        if not separator or not rest or name not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise ConfigError(f"{model!r} is no model; write provider/model, with a provider of: {known}.")

    def replace(
        self, providers: Mapping[str, Provider], shared_keys: Mapping[str, SharedKey], default_model: str
    ) -> None:
        """Take a new configuration; calls under way finish with the client they have."""
        self._retired += self._open.values()
        self._open = {}
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
