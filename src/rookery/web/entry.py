"""Who is asking: every request and socket of every surface passes here before anything else is looked at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus

from rookery.channels.contract import HttpReply, problem
from rookery.errors import Refused, StorageUnavailable
from rookery.gateway.callers import NOTE_AFTER, Caller, caller_behind
from rookery.gateway.log import Logger
from rookery.storage import Database
from rookery.users import CredentialKind, credentials
from rookery.web.asgi import Head, Scope
from rookery.web.origin import Origins, Seen

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Entry:
    """Tells who a request comes from, by its token or its cookie; there is no other way to be somebody."""

    def __init__(self, database: Database, origins: Origins, now: Callable[[], datetime], log: Logger) -> None:
        self.origins = origins
        self._database = database
        self._now = now
        self._log = log

    async def caller(self, scope: Scope, head: Head, *, even_held: bool = False) -> Caller | HttpReply:
        """The caller, or the answer that says why they are none: 401, or 403 for a page of somebody else's.

        403 too for a way in that the person may not use; and for a device of somebody who has to choose a password
        of their own first, but where it is `even_held`: where they do that.

        A token is taken from `Authorization: Bearer`, and needs no `Origin`: no page can make a browser send it.
        A cookie a browser sends by itself, so with it a write, and a WebSocket, must come from our own page.
        Raises `StorageUnavailable`.
        """
        seen = self.origins.see(scope, head.headers)
        authorization = head.headers.get("authorization")
        if authorization is not None:
            word, _, secret = authorization.partition(" ")
            secret = secret.strip()
            if word.lower() != "bearer" or not secret:
                return unauthorized("Only Authorization: Bearer is understood here.")
            caller = await self._known(secret, CredentialKind.TOKEN)
            if caller is None:
                return unauthorized("This token is not valid, or not any more.")
            return caller if caller.let_in else _closed(caller)
        secret = cookie_of(head, seen)
        if secret is None:
            return unauthorized("Log in, or send a token as Authorization: Bearer.")
        if not self.from_our_page(scope, head, seen):
            return problem(
                HTTPStatus.FORBIDDEN, "bad_origin", "This request does not come from Rookery's own page."
            )
        caller = await self._known(secret, CredentialKind.DEVICE)
        if caller is None:
            return unauthorized("You are logged out.")
        if not caller.let_in:
            return _closed(caller)
        if caller.credential.held and not even_held:
            return problem(
                HTTPStatus.FORBIDDEN,
                "password_change_required",
                "Somebody else knows your password; choose one of your own first (POST /api/me/password).",
            )
        return caller

    def from_our_page(self, scope: Scope, head: Head, seen: Seen) -> bool:
        """Whether a request that changes something, or opens a socket, comes from the page that we serve."""
        if scope["type"] == "http" and head.method in _SAFE:
            return True
        if head.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        return self.origins.is_ours(seen, head.headers.get("origin"))

    async def _known(self, secret: str, kind: CredentialKind) -> Caller | None:
        now = self._now()
        caller = await self._database.read(lambda connection: caller_behind(connection, secret, kind, now))
        if caller is not None and caller.let_in:
            await self.note_use(caller, now)
        return caller

    async def note_use(self, caller: Caller, now: datetime) -> None:
        """Keep the time of use where it is stale; that it cannot be kept is no reason to turn somebody away."""
        if abs(now - caller.credential.used_at) <= NOTE_AFTER:
            return
        try:
            await self._database.write(partial(credentials.used, id=caller.credential.id, now=now))
        except StorageUnavailable as error:
            self._log.warning("credential.use_not_kept", error=error.detail)


def cookie_name(seen: Seen) -> str:
    """What our cookie is called: on https the browser itself sees to it that nobody else can set it."""
    return "__Host-rookery_session" if seen.scheme == "https" else "rookery_session"


def cookie_of(head: Head, seen: Seen) -> str | None:
    """The secret in a request's cookie; None when it has none."""
    # Read by hand: the library's reader gives up at the first cookie of somebody else's that is not written well.
    wanted = cookie_name(seen)
    for pair in head.headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted and value:
            return value
    return None


def _closed(caller: Caller) -> HttpReply:
    """The answer to somebody we know who may not come in this way."""
    return problem(HTTPStatus.FORBIDDEN, Refused.code, caller.let_in.reason)


def unauthorized(detail: str) -> HttpReply:
    """The answer to who is nobody here."""
    reply = problem(HTTPStatus.UNAUTHORIZED, "unauthorized", detail)
    return HttpReply(reply.status, reply.body, {"www-authenticate": "Bearer"})
