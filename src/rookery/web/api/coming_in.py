"""Set-up, login, and what somebody is by: themselves, their tokens and their devices."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from rookery.channels.contract import problem
from rookery.errors import InvalidInput
from rookery.gateway.callers import DEVICE_LIFE
from rookery.gateway.operations import credentials, logins, me, setting_up
from rookery.gateway.operations.logins import LoggedIn
from rookery.gateway.shapes import (
    CredentialNamed,
    Device,
    Login,
    Me,
    MeChange,
    PasswordChange,
    PasswordSet,
    Setup,
    Token,
    TokenList,
    TokenMade,
    TokenNew,
)
from rookery.web.api.answers import Turned, answer, listing, nothing
from rookery.web.api.asking import Asked, AskedEvenHeld, Sent, check_text, front_of, read_fields
from rookery.web.api.routes import Many, Routes
from rookery.web.asgi import Head
from rookery.web.entry import cookie_name
from rookery.web.front import Front
from rookery.web.origin import Seen

routes = Routes("Coming in")


class Stranger:
    """Somebody who is not in yet, at the door of our own page."""

    def __init__(self, front: Front, seen: Seen, device_name: str) -> None:
        self.desk = front.desk.of(front.desk.actor)  # nobody is at it yet, but they came in by the web
        self.seen = seen
        self.device_name = device_name


async def stranger(request: Request) -> Stranger:
    """Who comes to the door. A page of somebody else's may not log anybody in: they would be somebody they are
    not, and not know it. Raises `Turned`."""
    check_text(request)
    front, head = front_of(request), Head.of(request.scope)
    seen = front.entry.origins.see(request.scope, head.headers)
    origin = head.headers.get("origin")
    foreign = origin is not None and not front.entry.origins.is_ours(seen, origin)
    if foreign or head.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Turned(
            problem(HTTPStatus.FORBIDDEN, "bad_origin", "This request does not come from Rookery's own page.")
        )
    return Stranger(front, seen, head.headers.get("user-agent", ""))


AtTheDoor = Annotated[Stranger, Depends(stranger)]


@routes.route("POST", "/api/setup", {201: Me})
async def set_up(who: AtTheDoor, sent: Annotated[Setup, Depends(Sent(Setup))]) -> Response:
    """Make the first admin with the code of the set-up link, and log them in."""
    desk = who.desk
    done = await setting_up.setup(desk, sent, source=who.seen.source, device_name=who.device_name)
    return _come_in(who.seen, done, HTTPStatus.CREATED)


@routes.route("POST", "/api/login", {200: Me})
async def log_in(who: AtTheDoor, sent: Annotated[Login, Depends(Sent(Login))]) -> Response:
    """Log in; the answer sets the cookie that stands for the person from then on."""
    desk = who.desk
    done = await logins.login(desk, sent, source=who.seen.source, device_name=who.device_name)
    return _come_in(who.seen, done, HTTPStatus.OK)


@routes.route("POST", "/api/logout", {204: None})
async def log_out(asked: AskedEvenHeld) -> Response:
    """Log out the device that asks."""
    await logins.logout(asked.desk, asked.caller)
    response = nothing()
    seen = asked.front.entry.origins.see(asked.request.scope, Head.of(asked.request.scope).headers)
    response.headers["set-cookie"] = _cookie(seen, "", 0)
    return response


@routes.route("GET", "/api/me", {200: Me})
async def get_me(asked: AskedEvenHeld) -> Response:
    """Who asks."""
    return answer(await me.me(asked.desk, asked.caller.user.id))


class Changes:
    """Reads what is to be changed of oneself: fields that are not known are preferences."""

    shape = MeChange
    closed = False

    async def __call__(self, request: Request) -> MeChange:
        return MeChange.of(await read_fields(request))


@routes.route("PATCH", "/api/me", {200: Me})
async def change_me(asked: Asked, sent: Annotated[MeChange, Depends(Changes())]) -> Response:
    """Change one's time zone, language, or a preference of the page.

    Fields that are not known are preferences too, such as `theme`; null takes one away.
    """
    return answer(await me.change_me(asked.desk, asked.caller.user.id, sent))


@routes.route("POST", "/api/me/password", {204: None})
async def change_password(
    asked: AskedEvenHeld, sent: Annotated[PasswordChange, Depends(Sent(PasswordChange))]
) -> Response:
    """Choose another password; every other device is logged out."""
    ask = PasswordSet(user_id=asked.caller.user.id, password=sent.password, current=sent.current)
    await logins.set_password(asked.desk, ask, asked.caller)
    return nothing()


@routes.route("GET", "/api/tokens", {200: Many(Token)})
async def list_tokens(asked: Asked) -> Response:
    """One's own API tokens, newest first."""
    return listing(await credentials.list_tokens(asked.desk, TokenList(user_id=asked.caller.user.id)))


@routes.route("POST", "/api/tokens", {201: TokenMade}, once=True)
async def create_token(asked: Asked, sent: Annotated[TokenNew, Depends(Sent(TokenNew))]) -> Response:
    """Make an API token; it is shown this once.

    The same `Idempotency-Key` again is answered 409 `repeated`: the token was made, and cannot be shown again.
    """
    if sent.user_id is not None and sent.user_id != asked.caller.user.id:
        raise InvalidInput("userId: a token is made by the person it stands for.")
    return answer(await credentials.create_token(asked.once(sent), sent), HTTPStatus.CREATED)


@routes.route("DELETE", "/api/tokens/{id}", {204: None})
async def revoke_token(asked: Asked, id: str) -> Response:
    """End a token, and everything that was opened with it."""
    await credentials.revoke_token(asked.desk, CredentialNamed(id=id, user_id=asked.caller.user.id))
    return nothing()


@routes.route("GET", "/api/devices", {200: Many(Device)})
async def list_devices(asked: Asked) -> Response:
    """Where one is logged in, newest first."""
    user_id, credential = asked.caller.user.id, asked.caller.credential
    return listing(await credentials.list_devices(asked.desk, user_id, credential.id))


@routes.route("DELETE", "/api/devices/{id}", {204: None})
async def end_device(asked: Asked, id: str) -> Response:
    """Log a device out."""
    await credentials.end_device(asked.desk, CredentialNamed(id=id, user_id=asked.caller.user.id))
    return nothing()


def _come_in(seen: Seen, done: LoggedIn, status: HTTPStatus) -> Response:
    life = int(DEVICE_LIFE.total_seconds())
    return answer(done.me, status, {"set-cookie": _cookie(seen, done.secret, life)})


def _cookie(seen: Seen, secret: str, seconds: int) -> str:
    secure = "; Secure" if seen.scheme == "https" else ""
    return f"{cookie_name(seen)}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
