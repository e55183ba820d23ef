"""The outbound client, opened at its first use: a start can do without the time its import takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rookery.outbound.client import Answer, Outbound


class LazyOutbound:
    """What `Outbound` is, made when it is first needed."""

    def __init__(self) -> None:
        self._outbound: Outbound | None = None

    def operator(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        total_seconds: float | None,
        idle_seconds: float | None = None,
        connect_seconds: float = 5.0,
    ) -> AbstractAsyncContextManager[Answer]:
        """See `Outbound.operator`."""
        return self._opened().operator(
            method,
            url,
            headers=headers,
            body=body,
            total_seconds=total_seconds,
            idle_seconds=idle_seconds,
            connect_seconds=connect_seconds,
        )

    def public(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        total_seconds: float,
        idle_seconds: float = 20.0,
        connect_seconds: float = 10.0,
        max_bytes: int,
    ) -> AbstractAsyncContextManager[Answer]:
        """See `Outbound.public`."""
        return self._opened().public(
            method,
            url,
            headers=headers or {},
            secret_headers=secret_headers or {},
            body=body,
            total_seconds=total_seconds,
            idle_seconds=idle_seconds,
            connect_seconds=connect_seconds,
            max_bytes=max_bytes,
        )

    async def warm(self) -> None:
        """Import what the first request will need, in a thread of its own."""
        await asyncio.to_thread(__import__, "rookery.outbound.client")

    async def close(self) -> None:
        """See `Outbound.close`."""
        if self._outbound is not None:
            await self._outbound.close()

    def _opened(self) -> Outbound:
        if self._outbound is None:
            from rookery.outbound.client import Outbound

            self._outbound = Outbound()
        return self._outbound
