"""Requests to addresses that a person, a model, a message or a page named: public addresses, and nothing else.

What is checked is what is connected to. A name is looked up once for each connection, every address it has is
checked, the connection goes to one of those very addresses, and the last check stands where its socket is made.
No connection is used twice, so none is shared between people, and every redirect begins again from the top.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from rookery.outbound.addresses import why_not
from rookery.outbound.answer import Answer, in_common_words, too_large
from rookery.outbound.targets import Asking, Blocked, checked

MAX_REDIRECTS = 5

LookUp = Callable[[str], Awaitable[Sequence[str]]]
"""Every address a host name has, as text; none when there is no such name. Raises `OSError` when nobody knows."""

_CONNECTIONS = 64
_LOOK_UPS = 4  # threads; a name server that never answers holds one of them for its time-out, and no other thread
_HEADER_LINE = 8190
_HEADERS = 128

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that the client itself has to write, since they say how the request is to be read."""


class PublicClient:
    """The client behind `Outbound.public`. Made anywhere, it opens nothing before its first request."""

    def __init__(self, look_up: LookUp | None = None) -> None:
        """`look_up` stands in for the system's resolver."""
        self._names = _Names()
        self._look_up = look_up or self._names.look_up
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        secret_headers: Mapping[str, str],
        body: bytes | None,
        total_seconds: float,
        idle_seconds: float,
        connect_seconds: float,
        max_bytes: int,
    ) -> AsyncGenerator[Answer, None]:
        """See `Outbound.public`."""
        _check_headers({**headers, **secret_headers})
        loop = asyncio.get_running_loop()
        end = loop.time() + total_seconds
        asking = Asking(method.upper(), checked(url), headers, secret_headers, body)
        for _ in range(MAX_REDIRECTS + 1):
            timeout = aiohttp.ClientTimeout(
                total=max(end - loop.time(), 0.001),
                connect=connect_seconds,
                sock_connect=connect_seconds,
                sock_read=idle_seconds,
            )
            response = await self._send(asking, timeout)
            try:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or location is None:
                    _check_answer(response, max_bytes)
                    yield Answer(response, max_bytes)
                    return
                asking = asking.redirected(response.status, location)
            finally:
                response.close()
        raise Blocked(f"It sends us on more than {MAX_REDIRECTS} times.")

    async def close(self) -> None:
        """Hang up everywhere. Requests under way end with `ConnectionResetError`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self._names.close()

    async def _send(self, asking: Asking, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        try:
            return await self._open_session().request(
                asking.method,
                asking.target,
                headers={**asking.headers, **asking.secrets},
                data=asking.body,
                timeout=timeout,
                allow_redirects=False,
            )
        except (OSError, ValueError, aiohttp.ClientError) as error:
            raise _in_public_words(error) from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_CheckedNames(self._look_up),
                use_dns_cache=False,
                force_close=True,
                limit=_CONNECTIONS,
                socket_factory=_checked_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity", "User-Agent": "rookery"},
                auto_decompress=False,
                trust_env=False,
                max_line_size=_HEADER_LINE,
                max_field_size=_HEADER_LINE,
                max_headers=_HEADERS,
            )
        return self._session


class _Names:
    """The system's resolver, in a few threads of its own: how long it takes is up to whoever made the name."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def look_up(self, host: str) -> Sequence[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_LOOK_UPS, thread_name_prefix="rookery-names")
        return await asyncio.get_running_loop().run_in_executor(self._threads, _addresses_of, host)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


def _addresses_of(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            return []
        raise
    except UnicodeError:
        return []  # what Python says of a label that is too long
    return [str(address[0]) for _, _, _, _, address in found]


_NO_SUCH_NAME = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)


class _CheckedNames(AbstractResolver):
    """Looks a name up, and lets no address through unless all of them may be connected to."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        addresses = list(dict.fromkeys(await self._look_up(host)))
        # One bad address among good ones is what a name looks like that is about to be pointed elsewhere.
        if not addresses or any(why_not(address) is not None for address in addresses):
            raise Blocked(f"{host!r} has no address on the public internet.")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None: ...


def _checked_socket(info: tuple[Any, ...]) -> socket.socket:
    """The socket for one connection, given what it will be connected to: the last look before that happens."""
    family, kind, proto, _, address = info
    if why_not(str(address[0])) is not None:
        raise Blocked("This address is not on the public internet.")
    return socket.socket(family, kind, proto)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name in headers:
        if name.lower() in _OURS:
            raise ValueError(f"The header {name!r} is the client's own; leave it out.")


def _check_answer(response: aiohttp.ClientResponse, max_bytes: int) -> None:
    """Refuse what would be read in vain. Nothing is ever unpacked here, so nothing can grow by it."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ValueError("The answer is compressed, though it was asked for as it is.")
    if response.content_length is not None and response.content_length > max_bytes:
        raise too_large(max_bytes)


def _in_public_words(error: Exception) -> Exception:
    """The same trouble in words for the person who named the address: they name no other address."""
    blocked = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    match error:
        case _ if isinstance(blocked, Blocked):
            return Blocked(*blocked.args)
        case aiohttp.ClientConnectorDNSError():
            return ConnectionRefusedError("Its name cannot be looked up at the moment.")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return ConnectionRefusedError("No safe connection came about: its certificate is not in order.")
        case aiohttp.ClientConnectorError():
            return ConnectionRefusedError("Nothing answers there.")
        case aiohttp.ClientResponseError():
            return ValueError("The answer is not HTTP.")
        case _:
            return in_common_words(error)
