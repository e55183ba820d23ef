"""The answer to one request, and the few words in which every layer is told what went wrong."""

from __future__ import annotations

import aiohttp

WHOLE_LIMIT = 1 << 20
"""The largest answer that is read whole unless the caller says otherwise, in bytes."""

NO_ADDRESS = "The address is not an http or https URL."


class Answer:
    """The answer to one request, while its body arrives. Made by `Outbound`; valid inside its `async with`."""

    __slots__ = ("_read", "_response", "left", "limit", "status", "url")

    def __init__(self, response: aiohttp.ClientResponse, limit: int | None = None) -> None:
        """`limit`: more bytes of body than this are never read, whoever asks for them."""
        self._response = response
        self._read = 0
        self.limit = limit
        self.status = response.status
        self.url = str(response.url)
        """Where the answer came from in the end, after redirects."""
        self.left = False

    def header(self, name: str) -> str | None:
        """One header by its name, whatever the case; None when the server did not send it."""
        return self._response.headers.get(name)

    async def read_some(self) -> bytes:
        """Whatever bytes of the body are there, waiting for the first; `b""` at its end.

        Raises `TimeoutError` or `ConnectionResetError`, and `ValueError` past the request's limit.
        """
        try:
            data = await self._response.content.readany()
        except (OSError, aiohttp.ClientError) as error:
            raise in_common_words(error) from error
        self._read += len(data)
        if self.limit is not None and self._read > self.limit:
            self._response.close()
            raise too_large(self.limit)
        return data

    async def read_whole(self, limit: int | None = None) -> bytes:
        """The whole body. Raises `ValueError` as soon as it is larger than `limit` bytes, without the rest.

        None is the request's own limit, or `WHOLE_LIMIT` when it has none.
        """
        if limit is None:
            limit = WHOLE_LIMIT if self.limit is None else self.limit
        parts: list[bytes] = []
        size = 0
        while data := await self.read_some():
            size += len(data)
            if size > limit:
                raise too_large(limit)
            parts.append(data)
        return b"".join(parts)

    def leave(self) -> None:
        """Say that nothing more of the body is wanted, though the server may end it properly.

        The connection is then used again when the end comes within a second, and closed when it does not.
        """
        self.left = True

    def time_is_up(self) -> None:
        """What has not arrived by now does not count. Whoever waits for it gets `TimeoutError`."""
        if not self._response.content.is_eof():
            self._response.content.set_exception(TimeoutError())

    def abort(self) -> None:
        """Hang up now. Whoever is reading gets `ConnectionResetError`."""
        self._response.close()


def too_large(limit: int) -> ValueError:
    """The error for an answer of more than `limit` bytes."""
    return ValueError(f"The answer is larger than {limit} bytes.")


def in_common_words(error: Exception) -> Exception:
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
        case UnicodeEncodeError():  # of a header; that of a name no host can have is plain
            return ValueError("The request's headers cannot be sent.")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return ConnectionRefusedError(NO_ADDRESS)
        case aiohttp.ClientError() | OSError():
            return ConnectionResetError(_reason(error) or "The connection was lost.")
        case _:
            return ValueError("The request's headers cannot be sent.")


def _reason(error: Exception) -> str:
    return (error.message if isinstance(error, aiohttp.ClientResponseError) else str(error))[:200]
