"""Hashing passwords with argon2id: two at a time, beside the event loop, and no more in line than can be answered.

A hash takes 64 MiB and a fifth of a second on purpose. Whoever could have any number of them made at once could
bring the machine down without knowing a password.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from rookery.errors import Busy, InvalidInput
from rookery.users import passwords

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")


class Cost(Struct, frozen=True):
    """What one hash costs: KiB of memory, passes over it, and threads."""

    memory: int = 64 * 1024
    passes: int = 3
    threads: int = 1


AT_ONCE = 2
IN_LINE = 32
"""How many may wait; at two a fifth of a second they wait three seconds at most."""

RETRY_AFTER = 3.0

_SALT_BYTES = 16
_HASH_BYTES = 32


class Checked(Struct, frozen=True):
    """Whether a password was right, and whether its hash was made at another cost than today's."""

    right: bool
    outdated: bool = False


class Hasher:
    """Makes and checks the hashes of one gateway."""

    def __init__(self, cost: Cost | None = None, *, at_once: int = AT_ONCE, in_line: int = IN_LINE) -> None:
        self._cost = cost or Cost()
        self._slots = asyncio.Semaphore(at_once)
        self._in_line = in_line
        self._waiting = 0
        self._running: set[asyncio.Task[object]] = set()
        self._nobodys = _nobodys(self._cost)
        self._argon2: PasswordHasher | None = None

    async def new(self, password: str, about: Iterable[str] = ()) -> str:
        """The hash of a password that somebody chose. Raises what `passwords.check` does, and `Busy`."""
        await asyncio.to_thread(passwords.check, password, tuple(about))
        return await self.again(password)

    async def again(self, password: str) -> str:
        """The hash of a password that was right, at today's cost. Raises `Busy`."""
        normalised = passwords.normal(password)
        return await self._run(lambda: self._library().hash(normalised))

    async def matches(self, password: str, hash: str | None) -> Checked:
        """Whether the hash is this password's. None is nobody's, and takes as long. Raises `Busy`."""
        try:
            normalised = passwords.normal(password)
        except InvalidInput:
            normalised, hash = "", None  # nobody has such a password
        return await self._run(lambda: self._check(normalised, hash))

    async def close(self) -> None:
        """Wait for what is being hashed."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _check(self, password: str, hash: str | None) -> Checked:
        from argon2.exceptions import InvalidHashError, VerificationError

        library = self._library()
        try:
            library.verify(self._nobodys if hash is None else hash, password)
        except (VerificationError, InvalidHashError):
            return Checked(False)
        if hash is None:
            return Checked(False)
        return Checked(True, library.check_needs_rehash(hash))

    def _library(self) -> PasswordHasher:
        if self._argon2 is None:
            from argon2 import PasswordHasher, Type

            self._argon2 = PasswordHasher(
                time_cost=self._cost.passes,
                memory_cost=self._cost.memory,
                parallelism=self._cost.threads,
                hash_len=_HASH_BYTES,
                salt_len=_SALT_BYTES,
                type=Type.ID,
            )
        return self._argon2

    async def _run(self, work: Callable[[], T]) -> T:
        if self._slots.locked() and self._waiting >= self._in_line:
            raise Busy(retry_after=RETRY_AFTER)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        # A thread cannot be stopped: whoever goes away leaves its slot taken until the hash is done.
        task = asyncio.create_task(self._in_thread(work), name="password hash")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        self._slots.release()
        if not task.cancelled():
            task.exception()  # whoever waited for it has it, and may be gone


def _nobodys(cost: Cost) -> str:
    """A hash that no password has, and that takes as long to check as one made at this cost."""
    salt, digest = (_plain(secrets.token_bytes(size)) for size in (_SALT_BYTES, _HASH_BYTES))
    return f"$argon2id$v=19$m={cost.memory},t={cost.passes},p={cost.threads}${salt}${digest}"


def _plain(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")
