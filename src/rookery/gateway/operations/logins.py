"""Coming in by name and password, going out, and choosing another password.

Who comes in wrong learns nothing by it: the answer and the time it takes are the same whether there is such a
user, whether they have a password, and whether they may come in.
"""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection

from rookery.errors import InvalidInput, Refused, WrongLogin
from rookery.gateway import audit
from rookery.gateway.audit import AuditRow
from rookery.gateway.callers import Caller
from rookery.gateway.operations import permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.me import me_of
from rookery.gateway.shapes import Done, Login, Me, PasswordSet
from rookery.ids import UserId
from rookery.policy import Action, Member, Permission, let_in, principal
from rookery.users import CredentialKind, Issued, User, credentials, passwords
from rookery.users.passwords import Kept

ANONYMOUS = "anonymous"
"""Who acts in an audit row of somebody who did not come in."""

MOST_DEVICES = 50
"""Who logs in on one more is logged out where they logged in longest ago."""


class LoggedIn(Struct, frozen=True):
    """Who came in, the secret that stands for them from now on, and the id of the device it is."""

    me: Me
    secret: str
    credential_id: str


async def login(desk: Desk, ask: Login, *, source: str, device_name: str) -> LoggedIn:
    """Let somebody in. `source` is the IP address they come from; `device_name` what their devices are listed by.

    Raises `WrongLogin`, `Refused` for who may not use the page, `TooManyRequests` after too many wrong ones from
    there, `Busy`, `StorageUnavailable`.
    """
    gateway = desk.house.gateway
    with gateway.guesses.guess(source) as guess:
        found = await gateway.database.read(lambda connection: passwords.find(connection, ask.username))
        user, kept = found or (None, None)
        checked = await gateway.hasher.matches(ask.password, None if kept is None else kept.hash)
        if user is None or kept is None or not checked.right or not user.enabled:
            gateway.metrics.logins["failed"] += 1
            await keep_stranger(desk, "login", source, None if user is None else user.id)
            raise WrongLogin
        guess.right()
    decision = let_in(user.permissions, Permission.WEB)
    if not decision:
        raise Refused(decision.reason)
    fresh = await gateway.hasher.again(ask.password) if checked.outdated else None

    def work(connection: Connection) -> tuple[LoggedIn, list[str]] | None:
        standing = passwords.find(connection, user.id)
        if standing is None or standing[1] != kept or not standing[0].enabled:
            return None  # it was changed while we looked
        if fresh is not None:
            passwords.rehash(connection, user.id, kept.hash, fresh)
        return welcome(connection, desk, standing[0], source=source, device_name=device_name)

    def tell(done: tuple[LoggedIn, list[str]] | None) -> None:
        for ended in [] if done is None else done[1]:
            gateway.revocations.tell(user.id, ended)

    done = await gateway.database.write(work, then=tell)
    if done is None:
        raise WrongLogin
    gateway.metrics.logins["ok"] += 1
    return done[0]


def welcome(
    connection: Connection, desk: Desk, user: User, *, source: str, device_name: str
) -> tuple[LoggedIn, list[str]]:
    """Make a device of whoever just proved who they are; the ids of the devices that ended for it come along."""
    now = desk.now()
    issued: Issued = credentials.issue(connection, user.id, CredentialKind.DEVICE, _line(device_name), now=now)
    devices = credentials.list_credentials(connection, user.id, CredentialKind.DEVICE)
    ended = [one.id for one in devices if one.id != issued.credential.id][MOST_DEVICES - 1 :]
    for id in ended:
        credentials.end(connection, user.id, CredentialKind.DEVICE, id, now=now)
    audit.keep(connection, AuditRow(now, principal(Member(user.id)), user.id, "login", source, "allowed"))
    return LoggedIn(me_of(connection, user), issued.secret, issued.credential.id), ended


async def logout(desk: Desk, caller: Caller) -> Done:
    """End the device that a request came from, and what is open on it. Raises `InvalidInput` for a token."""
    credential = caller.credential
    if credential.kind is not CredentialKind.DEVICE:
        raise InvalidInput("A token is not logged out; end it with DELETE /api/tokens/{id}.")

    def work(connection: Connection) -> None:
        credentials.end(connection, caller.user.id, CredentialKind.DEVICE, credential.id, now=desk.now())
        desk.record(connection, "logout", credential.id, caller.user.id)

    gateway = desk.house.gateway
    await gateway.database.write(work, then=lambda _: gateway.revocations.tell(caller.user.id, credential.id))
    return Done("You are logged out.")


async def set_password(desk: Desk, ask: PasswordSet, caller: Caller | None = None) -> Done:
    """Give somebody a password: oneself, as `caller`, or as an admin somebody else, who is to choose another then.

    One's own needs the `current` one, but where it was somebody else's choice and one has just come in by it. All
    of their devices are logged out, but for the one it was done on. Raises `NotFound` for somebody else's,
    `WrongLogin` for a wrong `current`, `InvalidInput` for a password that is not taken, `TooManyRequests`, `Busy`.
    """
    gateway = desk.house.gateway
    await permission.on_person(desk, Action.SET_PASSWORD, ask.user_id)
    own = isinstance(desk.actor, Member) and desk.actor.user_id == ask.user_id

    def look(connection: Connection) -> tuple[User, Kept | None]:
        user = permission.someone(connection, desk, ask.user_id)
        return user, passwords.get_password(connection, user.id)

    user, kept = await gateway.database.read(look)
    if own:
        await _prove(desk, ask, user, kept, caller)
    hash = await gateway.hasher.new(ask.password, (user.id, user.name))
    stays = caller.credential.id if own and caller is not None else None

    def work(connection: Connection) -> list[str]:
        permission.still(connection, desk)
        if own and passwords.get_password(connection, user.id) != kept:
            raise WrongLogin  # it was changed while we looked
        now = desk.now()
        devices = credentials.list_credentials(connection, user.id, CredentialKind.DEVICE)
        passwords.keep_password(connection, user.id, hash, must_change=not own, now=now)
        credentials.end_all(connection, user.id, CredentialKind.DEVICE, now=now, but=stays)
        desk.record(connection, "password.set", user.id, user.id)
        return [device.id for device in devices if device.id != stays]

    def tell(ended: list[str]) -> None:
        for id in ended:
            gateway.revocations.tell(user.id, id)

    await gateway.database.write(work, then=tell)
    if own:
        return Done("Your password is changed; you are logged out everywhere else.")
    return Done(
        f"{user.id} has a new password, is logged out everywhere, and is to choose another at their login."
    )


async def prove(desk: Desk, current: str, caller: Caller) -> None:
    """Let somebody prove with their password that it is they who ask for what cannot be taken back.

    Raises `WrongLogin`, `Refused` for who has no password, `TooManyRequests`, `Busy`.
    """
    user_id = caller.user.id
    kept = await desk.house.gateway.database.read(lambda connection: passwords.get_password(connection, user_id))
    await _prove(desk, PasswordSet(user_id=user_id, password=current, current=current), caller.user, kept, caller)


async def _prove(desk: Desk, ask: PasswordSet, user: User, kept: Kept | None, caller: Caller | None) -> None:
    """Whoever sits at somebody's device is not yet them. Guesses are counted apart from those at logins."""
    on_device = caller is not None and caller.credential.kind is CredentialKind.DEVICE
    if kept is None:
        raise Refused("You have no password yet; an admin gives you the first one.")
    if kept.must_change and on_device and ask.current is None:
        return
    if ask.current is None:
        raise InvalidInput("Say what your password is now, as `current`.")
    gateway = desk.house.gateway
    with gateway.guesses.guess(f"password of {user.id}") as guess:
        if not (await gateway.hasher.matches(ask.current, kept.hash)).right:
            raise WrongLogin("The current password is wrong.")
        guess.right()


async def keep_stranger(desk: Desk, action: str, source: str, user_id: UserId | None = None) -> None:
    """Put on record that somebody did not come in; `user_id` is whom they said they were."""
    object = desk.house.gateway.refusals.of_stranger(source)
    if object is not None:
        row = AuditRow(desk.now(), ANONYMOUS, user_id, action, object, "denied")
        await desk.house.database.write(lambda connection: audit.keep(connection, row))


def _line(device_name: str) -> str:
    """What a browser calls itself, as a name that is taken."""
    line = "".join(char if char.isprintable() else " " for char in device_name)
    return line[: credentials.LONGEST_NAME].strip() or "unknown device"
