"""The keys of one agent, sealed: which there are and in which order they are used. Nobody here can open one.

`profile_files.py` keeps them in a file of the brain, `profile_rows.py` on PostgreSQL, `twin.py` in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from rookery.errors import InvalidInput


class Profile(Struct, frozen=True):
    """One key of one agent at one provider; `sealed` is opened with the master key for this agent alone."""

    provider: str
    name: str
    sealed: str
    last_four: str
    added_at: datetime


Change = Callable[[Sequence[Profile]], Sequence[Profile]]
"""What makes other profiles of those that are there. It may be called more than once, in any thread."""


class Profiles(Protocol):
    """The profiles of one agent. A provider and a name are one profile; the order of the list is that of use."""

    async def all(self) -> Sequence[Profile]:
        """Every profile, as it is stored now, in the order in which they are used.

        Cheap to ask again when nothing changed. Raises `StorageUnavailable` and `StorageCorrupt`.
        """
        ...

    async def change(self, change: Change) -> Sequence[Profile]:
        """Put what `change` makes of the profiles in their place, in one step that survives a power cut; returns
        what is stored then. Whatever happens meanwhile, there is the one or the other, whole.

        What `change` raises is raised, and `InvalidInput` for two profiles of one name; then nothing is different.
        Raises `StorageUnavailable`, after which the same call again is the way to go on, and `StorageCorrupt`.
        """
        ...


def checked(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    """The profiles, if they can be those of one agent. Raises `InvalidInput` for two of one name at one provider,
    and for a name that would read like another's."""
    names: set[tuple[str, str]] = set()
    for profile in profiles:
        name = (profile.provider, profile.name)
        if name in names:
            raise InvalidInput(f"There are two profiles {profile.name!r} of provider {profile.provider!r}.")
        if not all(part and "/" not in part and "\0" not in part for part in name):
            raise InvalidInput(
                f"{profile.provider!r} and {profile.name!r} cannot be a profile: no part holds a '/'."
            )
        names.add(name)
    return tuple(profiles)
