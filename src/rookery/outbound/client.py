"""Every request the gateway makes to somebody else, through one client with one set of rules.

`operator` is for addresses that whoever runs the gateway wrote down, `public` for all others. No proxy or
password file of the process environment is used, no cookie is kept. What can go wrong is said in words that every
layer knows, so that models and channels need not import this:

    ConnectionRefusedError   no connection came about: nothing listens, no such host, no TLS
    ├── Blocked              `public` only: not an address that may be asked; says why, for a person
    ConnectionResetError     there was a connection and it was lost
    TimeoutError             the time given was not enough
    ValueError               what came back is not HTTP, or is more than the caller wants
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from types import MappingProxyType

import aiohttp
from yarl import URL

from rookery.outbound.answer import NO_ADDRESS, WHOLE_LIMIT, Answer, in_common_words
from rookery.outbound.public import LookUp, PublicClient
from rookery.outbound.targets import Blocked

__all__ = ["WHOLE_LIMIT", "Answer", "Blocked", "Outbound"]

_CONNECTIONS = 512
_KEEP_ALIVE_SECONDS = 4.0  # uvicorn (so vLLM) hangs up after 5 idle seconds; a POST on such a line would be lost
_LINGER_SECONDS = 1.0
# Servers that say they keep a connection and close it behind a streamed answer: what is asked on it then is lost.
_CLOSE_BEHIND_ANSWERS = frozenset({"llama.cpp"})
_NONE: Mapping[str, str] = MappingProxyType({})


class Outbound:
    """The gateway's one HTTP client. Made anywhere, it opens nothing before its first request."""

    def __init__(self, *, look_up: LookUp | None = None) -> None:
        """`look_up` finds the addresses of the names that `public` is given, instead of the system's resolver."""
        self._public = PublicClient(look_up)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether they keep connections
        self._lingering: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}  # left, their end not yet seen
        self._not_kept: set[str] = set()  # hosts, with their ports, to which no connection is kept
        self._closed = False

    @asynccontextmanager
    async def operator(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        total_seconds: float | None,
        idle_seconds: float | None = None,
        connect_seconds: float = 5.0,
    ) -> AsyncGenerator[Answer, None]:
        """Ask an address that the operator wrote in `rookery.yaml`; such addresses are not checked.

        Never use it for an address that a person, a model, a message or a page named. `total_seconds` bounds
        everything from here to the last byte, `idle_seconds` each silence; None is no bound. `connect_seconds`
        is what the network has to bring a connection about. Leaving the block before the body's end hangs up at
        once, unless `Answer.leave` was called. Raises the four errors at the
        top of this module; any HTTP status, a redirect too, is an answer and not an error.
        """
        loop = asyncio.get_running_loop()
        ends = None if total_seconds is None else loop.time() + total_seconds
        try:
            address = _parsed(url)
        except ValueError as error:
            raise ConnectionRefusedError(NO_ADDRESS) from error
        host = address.raw_authority
        session = self._open_session(keep=host not in self._not_kept)
        try:
            # aiohttp's own bound on the whole looks up the running task with each piece of the body.
            async with asyncio.timeout_at(ends):
                response = await session.request(
                    method,
                    address,
                    headers=headers,
                    data=body,
                    timeout=_timeout(connect_seconds, idle_seconds),
                    allow_redirects=False,
                )
        except (OSError, ValueError, aiohttp.ClientError) as error:
            raise in_common_words(error) from error
        if response.headers.get("Server") in _CLOSE_BEHIND_ANSWERS:
            self._not_kept.add(host)
        answer = Answer(response)
        over = None if ends is None else loop.call_at(ends, answer.time_is_up)
        try:
            yield answer
        finally:
            if over is not None:
                over.cancel()
            if response.content.at_eof():
                response.release()
            elif answer.left and not self._closed:
                self._let_run_out(response)
            else:
                response.close()

    @asynccontextmanager
    async def public(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = _NONE,
        secret_headers: Mapping[str, str] = _NONE,
        body: bytes | None = None,
        total_seconds: float,
        idle_seconds: float = 20.0,
        connect_seconds: float = 10.0,
        max_bytes: int,
    ) -> AsyncGenerator[Answer, None]:
        """Ask an address that a person, a model, a message or a page named; public addresses only.

        http and https on any port but those of other well-known services (`targets.py` lists them), without a
        user name or password in the URL. Up to five redirects are followed, each checked like the first: a step
        down from https ends it, and another origin gets neither `secret_headers` nor Authorization, nor Cookie,
        nor the body. `total_seconds` bounds everything from here to the last byte, redirects included,
        `idle_seconds` each silence. The body is asked for uncompressed and refused otherwise; more than
        `max_bytes` of it are never read. Leaving the block hangs up.

        Raises the errors at the top of this module; their words are fit for the person who named the address.
        """
        if self._closed:
            raise ConnectionRefusedError("The outbound client is closed; the gateway is stopping.")
        async with self._public.request(
            method,
            url,
            headers=headers,
            secret_headers=secret_headers,
            body=body,
            total_seconds=total_seconds,
            idle_seconds=idle_seconds,
            connect_seconds=connect_seconds,
            max_bytes=max_bytes,
        ) as answer:
            yield answer

    async def close(self) -> None:
        """Hang up everywhere and give back the sockets. Requests under way end with `ConnectionResetError`."""
        self._closed = True
        for response, timer in self._lingering.items():
            timer.cancel()
            response.close()
        self._lingering.clear()
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()
        await self._public.close()

    def _open_session(self, *, keep: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise ConnectionRefusedError("The outbound client is closed; the gateway is stopping.")
        session = self._sessions.get(keep)
        if session is None:
            connector = (
                aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_SECONDS)
                if keep
                else aiohttp.TCPConnector(limit=_CONNECTIONS, force_close=True)
            )
            session = self._sessions[keep] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                # Whoever compresses a stream holds it back until a block is full.
                headers={"Accept-Encoding": "identity", "User-Agent": "rookery"},
                trust_env=False,
            )
        return session

    def _let_run_out(self, response: aiohttp.ClientResponse) -> None:
        # aiohttp gives the connection back by itself when the end comes; closing it after that does nothing.
        def hang_up() -> None:
            del self._lingering[response]
            response.close()

        self._lingering[response] = asyncio.get_running_loop().call_later(_LINGER_SECONDS, hang_up)


@lru_cache(maxsize=64)
def _timeout(connect: float, idle: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=idle)


@lru_cache(maxsize=256)
def _parsed(url: str) -> URL:
    """An address of the operator's, which come again with every request. Raises `ValueError` for what is none."""
    return URL(url, encoded=True)
