"""Agents, and the shared keys they may use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType


class AgentNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    agent_id: str


class AgentAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A shared agent."""

    id: str
    sponsor: str
    name: str | None = None
    persona: str = ""
    model: str | None = None


class AgentChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of an agent; what is left out stays. A `model` that is null is the default model."""

    agent_id: str
    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    persona: Annotated[str, Meta(max_length=20_000)] | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class AgentSet(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """`model` None is the default model."""

    agent_id: str
    model: str | None


class Agent(Struct, frozen=True, rename="camel", kw_only=True):
    """One agent; `configured` when `rookery.yaml` describes it, `keys` the shared keys it may use."""

    id: str
    name: str
    owner: str | None
    sponsor: str | None
    model: str | None
    persona: str
    configured: bool
    enabled: bool
    created_at: datetime
    keys: tuple[str, ...]


class KeyGrant(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    agent_id: str
    shared_key: str


class SharedKey(Struct, frozen=True, rename="camel", kw_only=True):
    """One shared key by its name, and who may use it; never the key.

    `provider` None: agents were granted it, but `rookery.yaml` has no such key any more.
    """

    name: str
    provider: str | None
    agents: tuple[str, ...]
