"""Telling open sockets and requests that a right was taken back, the moment that is committed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rookery.ids import UserId

Revoked = Callable[[UserId, str | None], None]
"""Told whose right ended, and by the id of which credential they had it; None is all of them. Never raises."""


class Revocations:
    """Hands each revocation to whoever holds something open for somebody."""

    def __init__(self) -> None:
        self._listening: list[Revoked] = []

    @contextmanager
    def listen(self, revoked: Revoked) -> Generator[None]:
        """Be told of every revocation inside the block."""
        self._listening.append(revoked)
        try:
            yield
        finally:
            self._listening.remove(revoked)

    def tell(self, user_id: UserId, credential_id: str | None = None) -> None:
        """A credential ended, or (None) the user may not come in any more. Call it once that is committed."""
        for revoked in tuple(self._listening):
            revoked(user_id, credential_id)
