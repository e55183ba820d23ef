"""The first admin: made by whoever opens the set-up link, once, while there is none."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, Refused
from rookery.gateway import audit, setup_codes
from rookery.gateway.audit import AuditRow
from rookery.gateway.operations import permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.logins import LoggedIn, keep_stranger, welcome
from rookery.gateway.operations.people import check_free
from rookery.gateway.shapes import Nothing, Setup, SetupLink
from rookery.policy import Action, Member, principal
from rookery.users import passwords

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104


async def make_setup_link(desk: Desk, _: Nothing) -> SetupLink:
    """A link for the first admin; the one before it ends. Raises `Refused`, `Conflict` when there is an admin."""
    await permission.on_house(desk, Action.MAKE_SETUP_LINK)

    def work(connection: Connection) -> SetupLink:
        if known := users.admins(connection):
            raise Conflict(
                f"There is an admin already: {', '.join(known)}. "
                f"Give them a password: rookery user passwd {known[0]}"
            )
        code, expires_at = setup_codes.make(connection, desk.now())
        desk.record(connection, "setup.link", "house")
        return SetupLink(url=f"{_base(desk)}/setup#{code}", expires_at=expires_at)

    return await desk.house.database.write(work)


async def setup(desk: Desk, ask: Setup, *, source: str, device_name: str) -> LoggedIn:
    """Make the first admin, with an agent of their own, and let them in. Whoever has the code may.

    Raises `Refused` for a code that is not, or no longer, valid; `Conflict` for a name that is taken; `InvalidId`,
    `InvalidInput` for what does not fit, and then the code is still good; `TooManyRequests`, `Busy`.
    """
    gateway = desk.house.gateway
    invalid = Refused("This set-up link is not valid any more. For a new one: rookery setup-link")
    with gateway.guesses.guess(source) as guess:
        valid = partial(setup_codes.is_valid, code=ask.code, now=desk.now())
        if not await gateway.database.read(valid):
            await keep_stranger(desk, "setup", source)
            raise invalid
        guess.right()
    check_free(desk, ask.username)
    await permission.check_timezone(ask.timezone)
    hash = await gateway.hasher.new(ask.password, (ask.username, ask.name or ask.username))

    def work(connection: Connection) -> LoggedIn:
        now = desk.now()
        if not setup_codes.use(connection, ask.code, now) or users.admins(connection):
            raise invalid
        admin = users.add_user(
            connection,
            ask.username,
            name=ask.name,
            role="admin",
            now=now,
            timezone=ask.timezone,
            language=ask.language,
        )
        passwords.keep_password(connection, admin.id, hash, must_change=False, now=now)
        whoever = principal(Member(admin.id))
        audit.keep(connection, AuditRow(now, whoever, admin.id, "setup", source, "allowed"))
        welcomed, _ = welcome(connection, desk, admin, source=source, device_name=device_name)
        return welcomed

    return await gateway.database.write(work)


def _base(desk: Desk) -> str:
    web = desk.config.gateway
    if web.public_url is not None:
        return str(web.public_url).rstrip("/")
    if desk.address is None:
        host = f"[{web.host}]" if ":" in web.host else web.host
        return f"http://{_EVERY_ADDRESS.get(host, host)}:{web.port}"
    scheme, _, rest = desk.address.partition("://")
    host, _, port = rest.rpartition(":")
    return f"{scheme}://{_EVERY_ADDRESS.get(host, host)}:{port}"
