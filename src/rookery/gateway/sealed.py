"""Everything that is sealed, wherever it lies: looked through, and sealed anew with another master key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial

from msgspec import Struct
from sqlalchemy import Connection

from rookery import users
from rookery.errors import RookeryError, StorageCorrupt
from rookery.gateway.keyring import binding_of, shared_binding
from rookery.gateway.vault import Vault
from rookery.ids import AgentId
from rookery.sessions import Brains
from rookery.sessions.profiles import Profile
from rookery.storage import Database
from rookery.storage.sealing import Binding, MasterKeys, described
from rookery.users.shared_keys import list_shared_keys, reseal_shared_key


class Found(Struct, frozen=True):
    """One thing that is sealed, with the place it is to be sealed for; or a place that cannot be read, and why."""

    sealed: str
    binding: Binding
    unreadable: str | None = None


class Rotated(Struct, frozen=True):
    """What a rotation did: how many were sealed anew, which could not be opened, what the operator has to do."""

    sealed: int
    unopened: Sequence[str]
    left_to_do: str


async def everything(database: Database, brains: Brains) -> AsyncGenerator[Found]:
    """All there is, shared keys first, then agent by agent. Raises `StorageUnavailable`."""
    for key in await database.read(list_shared_keys):
        yield Found(key.sealed, shared_binding(key.provider, key.name))
    for agent in await database.read(users.list_agents):
        try:
            async with brains.use(agent.id) as brain:
                own = await brain.profiles.all()
        except StorageCorrupt as error:
            yield Found("", Binding(agent.id, "profile", "?"), error.detail)
            continue
        for profile in own:
            yield Found(profile.sealed, binding_of(agent.id, profile))


async def anything(database: Database, brains: Brains) -> bool:
    """Whether anything is sealed at all; what cannot be read may be. Raises `StorageUnavailable`."""
    async for _ in everything(database, brains):
        return True
    return False


def is_opened(keys: MasterKeys | None, found: Found) -> bool:
    """Whether this can be opened in its place."""
    try:
        if keys is None or found.unreadable is not None:
            return False
        keys.open(found.sealed, found.binding)
    except StorageCorrupt:
        return False
    return True


async def rotate(vault: Vault, database: Database, brains: Brains) -> Rotated | None:
    """Seal everything with a new master key, and forget the old one; None when there is no master key yet.

    Killed at any point, everything can still be opened, and the next call ends what was begun. What cannot be
    opened stays as it is. Raises `StorageUnavailable`, and `StorageCorrupt` for a place that cannot be read; then
    the old master key is kept beside the new one.
    """
    async with vault.changing:
        keys = await vault.begin()
        if keys is None:
            return None
        count = await _shared_anew(database, keys)
        for agent in await database.read(users.list_agents):
            count += await _own_anew(brains, agent.id, keys)
        unopened: list[str] = []
        async for found in everything(database, brains):
            if found.unreadable is not None:
                raise StorageCorrupt(
                    f"The old master key is kept, for not everything can be read: {found.unreadable}"
                )
            if not keys.is_current(found.sealed):
                unopened.append(described(found.binding))
        return Rotated(count, tuple(unopened), await vault.finish())


async def _shared_anew(database: Database, keys: MasterKeys) -> int:
    count = 0
    for key in await database.read(list_shared_keys):
        sealed = _anew(keys, key.sealed, shared_binding(key.provider, key.name))
        if sealed != key.sealed:
            work = partial(_put_anew, name=key.name, before=key.sealed, sealed=sealed)
            count += await database.write(work)
    return count


def _put_anew(connection: Connection, *, name: str, before: str, sealed: str) -> bool:
    return reseal_shared_key(connection, name, before, sealed)


async def _own_anew(brains: Brains, agent_id: AgentId, keys: MasterKeys) -> int:
    def anew(known: Sequence[Profile]) -> Sequence[Profile]:
        return [
            Profile(
                one.provider,
                one.name,
                _anew(keys, one.sealed, binding_of(agent_id, one)),
                one.last_four,
                one.added_at,
            )
            for one in known
        ]

    async with brains.use(agent_id) as brain:
        try:
            before = {one.sealed for one in await brain.profiles.all()}
            if all(map(keys.is_current, before)):
                return 0
            after = await brain.profiles.change(anew)
        except StorageCorrupt:
            return 0  # said at the end, when everything else is done
    return sum(one.sealed not in before for one in after)


def _anew(keys: MasterKeys, sealed: str, binding: Binding) -> str:
    """Sealed with the current key; as it is when it is already, or cannot be opened."""
    if keys.is_current(sealed):
        return sealed
    try:
        return keys.seal(keys.open(sealed, binding), binding)
    except RookeryError:
        return sealed
