"""Agents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType


class AgentNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    agent_id: str


class AgentAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A friend of somebody's; with `sponsor`, a shared agent.

    `id` is a friend's part of the id, `sabrina`, or the whole of it, `alice--sabrina`; null takes it from `name`.
    It is the caller's own unless `owner` or the id says whose. `relation`, `who` and `skills` are a friend's.
    """

    id: Annotated[str, Meta(max_length=200)] | None = None
    owner: str | None = None
    sponsor: str | None = None
    name: Annotated[str, Meta(max_length=200)] | None = None
    relation: Annotated[str, Meta(max_length=200)] | None = None
    who: dict[str, Any] | None = None
    skills: tuple[str, ...] | None = None
    persona: Annotated[str, Meta(max_length=20_000)] = ""
    model: str | None = None


class AgentChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of an agent; what is left out stays. A `model` that is null is the default model.

    `relation`, `who` and `skills` are those of an agent of somebody's own. Of `who`, what is named is changed, and
    taken out when it is null.
    """

    agent_id: str
    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    persona: Annotated[str, Meta(max_length=20_000)] | UnsetType = UNSET
    relation: Annotated[str, Meta(max_length=200)] | UnsetType | None = UNSET
    who: dict[str, Any] | UnsetType | None = UNSET
    skills: tuple[str, ...] | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class Agent(Struct, frozen=True, rename="camel", kw_only=True):
    """One agent; `configured` when `rookery.yaml` describes it, `keys` the shared keys it may use.

    `relation`, `who` and `skills` are what its owner says of it, and `described` whether the people file does.
    """

    id: str
    name: str
    owner: str | None
    sponsor: str | None
    model: str | None
    persona: str
    relation: str | None
    who: dict[str, Any] | None
    skills: tuple[str, ...] | None
    configured: bool
    described: bool
    enabled: bool
    created_at: datetime
    keys: tuple[str, ...]
