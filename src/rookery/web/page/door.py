"""The page: `/` and `/setup` (one and the same), its files under `/ui/<version>/`, and `/favicon.ico`.

The page is a pure client of `/api`: nothing here knows who asks, and everybody is given the same bytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rookery.web.asgi import Head, Receive, Scope, Send, method_not_allowed, nothing_here, respond
from rookery.web.front import Front

if TYPE_CHECKING:
    from rookery.web.page.files import File, Files

_CONTENT_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "rookery",
}
_NO_POWERS = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")

HEADERS = [
    (b"content-security-policy", "; ".join(f"{name} {value}" for name, value in _CONTENT_POLICY.items()).encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", ", ".join(f"{power}=()" for power in _NO_POWERS).encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"vary", b"accept-encoding"),
]
"""What every answer of the page says: it runs our own files alone, and nobody frames, opens or embeds it."""

_ON_HTTPS = (b"strict-transport-security", b"max-age=31536000")
_FOR_EVER = b"public, max-age=31536000, immutable"
_ASK_AGAIN = b"no-cache"


class PageDoor:
    """Serves the files of the page; they are read when somebody first asks for one."""

    def __init__(self, front: Front) -> None:
        self._origins = front.entry.origins
        self._files: Files | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        head = Head.of(scope)
        if head.method not in ("GET", "HEAD"):
            await respond(method_not_allowed("GET, HEAD"), send, hang_up=True)
            return
        # A server that is told of a prefix (ASGI's root_path) puts it before every path.
        path = head.path.removeprefix(scope.get("root_path", ""))
        found = self._find(path, self._files or await self._read())
        if found is None:
            await respond(nothing_here(), send)
            return
        file, keep = found
        https = self._origins.see(scope, head.headers).scheme == "https"
        await _send(file, head, [*HEADERS, _ON_HTTPS] if https else HEADERS, keep, send)

    async def _read(self) -> Files:
        from rookery.web.page.files import Files  # only a gateway whose page is looked at needs it

        # Two first requests may both read; they read the same.
        self._files = await asyncio.to_thread(Files.read)
        return self._files

    def _find(self, path: str, files: Files) -> tuple[File, bytes] | None:
        if path in ("/", "/setup"):
            return files.index, _ASK_AGAIN
        if path == "/favicon.ico":
            return files.icon, _ASK_AGAIN
        version, _, name = path.removeprefix("/ui/").partition("/")
        file = files.by_name.get(name) if version == files.hash else None
        return None if file is None else (file, _FOR_EVER)


async def _send(file: File, head: Head, headers: list[tuple[bytes, bytes]], keep: bytes, send: Send) -> None:
    headers = [*headers, (b"cache-control", keep), (b"etag", file.etag.encode())]
    if file.etag.removeprefix("W/") in _tags(head.headers.get("if-none-match", "")):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    packed = file.packed if _takes_gzip(head.headers.get("accept-encoding", "")) else None
    body = file.plain if packed is None else packed
    headers += [(b"content-type", file.content_type.encode()), (b"content-length", b"%d" % len(body))]
    if packed is not None:
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head.method == "HEAD" else body})


def _tags(if_none_match: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}


def _takes_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        name, _, weight = offer.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
