"""The keys of agents and of the house: by name, provider and last four characters, and never the key."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from rookery.gateway.shapes.common import Secret


class KeySet(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A key of an agent's own; one of that provider and profile is replaced. `first`: used before its others."""

    agent_id: str
    provider: str
    key: Secret
    profile: str = "default"
    first: bool = False

    def __repr__(self) -> str:
        return f"KeySet({self.agent_id!r}, {self.provider!r}, {self.profile!r})"


class KeyNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One key of an agent's own; `profile` None is all it has of that provider."""

    agent_id: str
    provider: str
    profile: str | None = None


class KeyGrant(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    agent_id: str
    shared_key: str


class KeyShare(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A key that is to be sealed in the store and shared out by grant; one of that name there is replaced."""

    name: str
    provider: str
    key: Secret

    def __repr__(self) -> str:
        return f"KeyShare({self.name!r}, {self.provider!r})"


class SharedKeyNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    name: str


class KeyList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """`agent_id` None is everybody's."""

    agent_id: str | None = None


class KeyCooling(Struct, frozen=True, rename="camel", kw_only=True):
    """Why a key is left alone for a while, and until when. `times`: how often it failed before in a row."""

    reason: str
    since: datetime
    until: datetime
    times: int


class AgentKey(Struct, frozen=True, rename="camel", kw_only=True):
    """A key an agent may use: a `profile` of its own, or a `sharedKey` it was granted.

    `provider` is null for a grant of a key that is gone; `cooling` is null where nothing keeps it from being used.
    """

    agent_id: str
    provider: str | None
    profile: str | None
    shared_key: str | None
    last_four: str | None
    added_at: datetime | None
    cooling: KeyCooling | None


class SharedKey(Struct, frozen=True, rename="camel", kw_only=True):
    """One shared key by its name, and who may use it; never the key.

    `source` says where it is: in `rookery.yaml`, or sealed in the store. It and `provider` are null for one that
    agents were granted and that is gone.
    """

    name: str
    provider: str | None
    source: Literal["config", "store"] | None
    agents: tuple[str, ...]
    last_four: str | None
    added_at: datetime | None
    cooling: KeyCooling | None


class Keys(Struct, frozen=True, rename="camel", kw_only=True):
    """The agents' own keys, in the order each uses them, and the shared ones by name."""

    agents: tuple[AgentKey, ...]
    shared: tuple[SharedKey, ...]
