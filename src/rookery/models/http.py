"""What a model client needs of HTTP. The gateway hands it in; `rookery.outbound` is the real one.

Trouble comes as `ConnectionRefusedError` (nobody there), `ConnectionResetError` (the connection was lost),
`TimeoutError`, and `ValueError` (not HTTP, or larger than wanted).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class HttpAnswer(Protocol):
    """The answer to one request, while its body arrives."""

    status: int

    def header(self, name: str) -> str | None:
        """One header by its name, whatever the case."""
        ...

    async def read_some(self) -> bytes:
        """Whatever bytes are there, waiting for the first; `b""` at the body's end."""
        ...

    async def read_whole(self, limit: int) -> bytes:
        """The whole body. Raises `ValueError` when it is larger than `limit` bytes."""
        ...

    def leave(self) -> None:
        """Nothing more is wanted, but the body's end is near: the connection may be used again."""
        ...

    def abort(self) -> None:
        """Hang up now. Whoever is reading gets `ConnectionResetError`."""
        ...


class Http(Protocol):
    """Requests to addresses that the operator wrote."""

    def operator(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        total_seconds: float | None,
        idle_seconds: float | None = None,
    ) -> AbstractAsyncContextManager[HttpAnswer]:
        """Ask; leaving the block before the body's end hangs up at once, unless `leave` was called."""
        ...
