"""Every request the gateway makes to somebody else, through one client with one set of rules.

No redirect is followed, no proxy or password file of the process environment is used, no cookie is kept.
What can go wrong is said in words that every layer knows, so that models and channels need not import this:

    ConnectionRefusedError   no connection came about: nothing listens, no such host, no TLS
    ConnectionResetError     there was a connection and it was lost
    TimeoutError             the time given was not enough
    ValueError               what came back is not HTTP, or is more than the caller wants
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache

import aiohttp
from yarl import URL

WHOLE_LIMIT = 1 << 20
"""The largest answer that is read whole unless the caller says otherwise, in bytes."""

_CONNECTIONS = 512
_KEEP_ALIVE_SECONDS = 4.0  # uvicorn (so vLLM) hangs up after 5 idle seconds; a POST on such a line would be lost
_LINGER_SECONDS = 1.0
_NO_ADDRESS = "The address is not an http or https URL."


class Answer:
    """The answer to one request, while its body arrives. Made by `Outbound`; valid inside its `async with`."""

    __slots__ = ("_response", "left", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.left = False

    def header(self, name: str) -> str | None:
        """One header by its name, whatever the case; None when the server did not send it."""
        return self._response.headers.get(name)

    async def read_some(self) -> bytes:
        """Whatever bytes of the body are there, waiting for the first; `b""` at its end.

        Raises `TimeoutError` or `ConnectionResetError`.
        """
        try:
            return await self._response.content.readany()
        except (OSError, aiohttp.ClientError) as error:
            raise _in_common_words(error) from error

    async def read_whole(self, limit: int = WHOLE_LIMIT) -> bytes:
        """The whole body. Raises `ValueError` as soon as it is larger than `limit` bytes, without the rest."""
        parts: list[bytes] = []
        size = 0
        while data := await self.read_some():
            size += len(data)
            if size > limit:
                raise ValueError(f"The answer is larger than {limit} bytes.")
            parts.append(data)
        return b"".join(parts)

    def leave(self) -> None:
        """Say that nothing more of the body is wanted, though the server may end it properly.

        The connection is then used again when the end comes within a second, and closed when it does not.
        """
        self.left = True

    def abort(self) -> None:
        """Hang up now. Whoever is reading gets `ConnectionResetError`."""
        self._response.close()


class Outbound:
    """The gateway's one HTTP client. Made anywhere, it opens nothing before its first request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._lingering: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}  # left, their end not yet seen
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
        connect_seconds: float = 10.0,
    ) -> AsyncGenerator[Answer, None]:
        """Ask an address that the operator wrote in `rookery.yaml`; such addresses are not checked.

        Never use it for an address that a person, a model, a message or a page named. `total_seconds` bounds
        everything from here to the last byte, `idle_seconds` each silence; None is no bound. Leaving the block
        before the body's end hangs up at once, unless `Answer.leave` was called. Raises the four errors at the
        top of this module; any HTTP status, a redirect too, is an answer and not an error.
        """
        timeout = _timeout(total_seconds, connect_seconds, idle_seconds)
        session = self._open_session()
        try:
            address = _parsed(url)
        except ValueError as error:
            raise ConnectionRefusedError(_NO_ADDRESS) from error
        try:
            response = await session.request(
                method, address, headers=headers, data=body, timeout=timeout, allow_redirects=False
            )
        except (OSError, ValueError, aiohttp.ClientError) as error:
            raise _in_common_words(error) from error
        answer = Answer(response)
        try:
            yield answer
        finally:
            if response.content.at_eof():
                response.release()
            elif answer.left and not self._closed:
                self._let_run_out(response)
            else:
                response.close()

    async def close(self) -> None:
        """Hang up everywhere and give back the sockets. Requests under way end with `ConnectionResetError`."""
        self._closed = True
        for response, timer in self._lingering.items():
            timer.cancel()
            response.close()
        self._lingering.clear()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ConnectionRefusedError("The outbound client is closed; the gateway is stopping.")
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_SECONDS)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                # Whoever compresses a stream holds it back until a block is full.
                headers={"Accept-Encoding": "identity", "User-Agent": "rookery"},
                trust_env=False,
            )
        return self._session

    def _let_run_out(self, response: aiohttp.ClientResponse) -> None:
        # aiohttp gives the connection back by itself when the end comes; closing it after that does nothing.
        def hang_up() -> None:
            del self._lingering[response]
            response.close()

        self._lingering[response] = asyncio.get_running_loop().call_later(_LINGER_SECONDS, hang_up)


@lru_cache(maxsize=64)
def _timeout(total: float | None, connect: float, idle: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, connect=connect, sock_connect=connect, sock_read=idle)


@lru_cache(maxsize=256)
def _parsed(url: str) -> URL:
    """An address of the operator's, which come again with every request. Raises `ValueError` for what is none."""
    return URL(url, encoded=True)


def _in_common_words(error: Exception) -> Exception:
    """The same trouble as one of the four errors; never with the request's headers or body in its words."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ConnectionRefusedError("No connection came about in time.")
        case aiohttp.ClientConnectorError() | aiohttp.ServerFingerprintMismatch():
            return ConnectionRefusedError(_reason(error))
        case TimeoutError():
            return TimeoutError("The time given ran out.")
        case aiohttp.ClientResponseError():
            return ValueError(f"The answer is not HTTP: {_reason(error)}")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return ConnectionRefusedError(_NO_ADDRESS)
        case aiohttp.ClientError() | OSError():
            return ConnectionResetError(_reason(error) or "The connection was lost.")
        case _:
            return ValueError("The request's headers cannot be sent.")


def _reason(error: Exception) -> str:
    return (error.message if isinstance(error, aiohttp.ClientResponseError) else str(error))[:200]
