"""Where a model can be asked: a provider, its model, and the key that was granted for it."""

from __future__ import annotations

from dataclasses import dataclass

from rookery.errors import ModelError
from rookery.models import Key, Model


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place where an agent's question may be answered.

    `model_name` is the provider's own name for the model. `key_name` is what the key is called in configuration
    and listings, and `key_owner` the agent whose own it is, '' for a shared one. `problem` is set when it
    cannot be asked at all, for instance without a key; only then may `model` be None. `timeout_seconds` bounds one
    call, `first_token_seconds` the wait for the beginning of its answer; None leaves either to the run. `vision`:
    whether it is shown pictures. `cache_salt` keeps people apart in the prefix cache of a shared engine.
    """

    provider: str
    model: Model | None
    model_name: str
    key: Key | None = None
    key_name: str | None = None
    key_owner: str = ""
    problem: ModelError | None = None
    timeout_seconds: float | None = None
    first_token_seconds: float | None = None
    vision: bool = False
    cache_salt: str | None = None

    @property
    def name(self) -> str:
        """The model as `provider/model`."""
        return f"{self.provider}/{self.model_name}"

    @property
    def key_place(self) -> str | None:
        """What tells its key apart from every other of its provider; None without a key."""
        return self.key_name if not self.key_owner else f"{self.key_owner}\0{self.key_name}"
