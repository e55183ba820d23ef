"""The vault: seals secrets and reveals them, with a master key that is read when the first of them is needed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from rookery.errors import StorageCorrupt
from rookery.gateway.master_key import Held, MasterKeySource
from rookery.ids import AgentId
from rookery.models import Key
from rookery.storage.sealing import Binding, MasterKeys

REVEALED = 1024
"""How many revealed secrets are kept in memory, those used last."""


class Vault:
    """What seals and reveals for one gateway.

    `changing` is held by whoever seals something until it is stored: so a rotation finds everything. A secret that
    was sealed or revealed is told to `hide`, which sees to it that it is not written into a log.
    """

    def __init__(
        self,
        source: MasterKeySource,
        *,
        hide: Callable[[str], None],
        anything_sealed: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """`anything_sealed`: asked before a first master key is made, for it would lock up whatever is there."""
        self.source = source
        self.changing = asyncio.Lock()
        self._hide = hide
        self._anything_sealed = anything_sealed
        self._keys: MasterKeys | None = None
        self._opening = asyncio.Lock()
        self._revealed: OrderedDict[tuple[str, Binding], Key] = OrderedDict()

    async def seal(self, secret: str, binding: Binding) -> str:
        """The secret as text for its place; the master key is made when there is none and nothing is sealed yet.

        Raises `ConfigError`, `StorageUnavailable` and `StorageCorrupt` when the master key cannot be had.
        """
        self._hide(secret)
        return (await self._opened(make=True)).seal(secret, binding)

    async def reveal(self, sealed: str, binding: Binding) -> Key:
        """The secret. Raises `StorageCorrupt` when it cannot be opened in this place, `ConfigError` and
        `StorageUnavailable` when the master key cannot be had; no words hold anything of it."""
        place = (sealed, binding)
        key = self._revealed.get(place)
        if key is None:
            secret = (await self._opened(make=False)).open(sealed, binding)
            self._hide(secret)
            key = self._revealed[place] = Key(secret)
            if len(self._revealed) > REVEALED:
                self._revealed.popitem(last=False)
        else:
            self._revealed.move_to_end(place)
        return key

    def forget(self, agent_id: AgentId) -> None:
        """Forget what was revealed for an agent."""
        for place in [place for place in self._revealed if place[1].agent_id == agent_id]:
            del self._revealed[place]

    async def begin(self) -> MasterKeys | None:
        """Have a new master key, with which everything is sealed from here on; None when there is none yet.

        Raises like `seal`. `changing` is the caller's until `finish`.
        """
        held = await asyncio.to_thread(self.source.begin)
        if held is None:
            await self._require_nothing()
            return None
        self._keys = await asyncio.to_thread(_keys, held)
        return self._keys

    async def finish(self) -> str:
        """Forget the old master key, for nothing is sealed with it any more; returns what is left to do.

        In this process it still opens what somebody read just before. Raises like `seal`.
        """
        return await asyncio.to_thread(self.source.finish)

    async def _opened(self, *, make: bool) -> MasterKeys:
        if self._keys is not None:
            return self._keys
        async with self._opening:
            if self._keys is None:
                held = await asyncio.to_thread(self.source.read)
                if held is None and not make:
                    raise missing(self.source)
                if held is None:
                    await self._require_nothing()
                    held = await asyncio.to_thread(self.source.make)
                self._keys = await asyncio.to_thread(_keys, held)
            return self._keys

    async def _require_nothing(self) -> None:
        """Raises `StorageCorrupt` when something is sealed: with a key that is not there."""
        if self._anything_sealed is not None and await self._anything_sealed():
            raise missing(self.source)


def missing(source: MasterKeySource) -> StorageCorrupt:
    """The error for a master key that something was sealed with and that is not there."""
    return StorageCorrupt(
        f"There are sealed keys, and no master key in {source.where}; bring back the one there was, or revoke the "
        "sealed keys and give new ones."
    )


def _keys(held: Held) -> MasterKeys:
    return MasterKeys(held.current, () if held.old is None else (held.old,))
