"""The keys of one agent, sealed: which there are and in which order they are used. Nobody here can open one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class Profile(Struct, frozen=True):
    """One key of one agent at one provider; `sealed` is opened with the master key for this agent alone."""

    provider: str
    name: str
    sealed: str
    last_four: str
    added_at: datetime


class Profiles(Protocol):
    """The profiles of one agent. A provider and a name are one profile; the order of the list is that of use."""

    async def all(self) -> Sequence[Profile]:
        """Every profile, as it is stored now, in the order in which they are used.

        Cheap to ask again when nothing changed. Raises `StorageUnavailable` and `StorageCorrupt`.
        """
        ...

    async def change(self, change: Callable[[Sequence[Profile]], Sequence[Profile]]) -> Sequence[Profile]:
        """Put what `change` makes of the profiles in their place, in one step that survives a power cut, or leave
        them as they were; returns what is stored then.

        What `change` raises is raised. Raises `StorageUnavailable` and `StorageCorrupt`.
        """
        ...
