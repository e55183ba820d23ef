"""Who is behind a request that shows a secret: asked anew with every request, so that what ended is ended."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection

from rookery.policy import Decision, Member, Permission, let_in
from rookery.users import Credential, CredentialKind, User, credentials

DEVICE_IDLE = timedelta(hours=12)
"""A device that shows nothing of itself for so long is logged out (OWASP ASVS 5.0, 7.3.1)."""

DEVICE_LIFE = timedelta(days=7)
"""A device is logged out this long after its login, however busy it is (OWASP ASVS 5.0, 7.3.2)."""

ENDED_KEPT = timedelta(days=30)
"""How long an ended token or device is still known, to nobody but whoever looks into the store."""

NOTE_AFTER = timedelta(minutes=5)
"""How stale the time of last use may be before it is written anew."""


class Caller(Struct, frozen=True):
    """A user, and the token or device they come in by."""

    user: User
    credential: Credential

    @property
    def actor(self) -> Member:
        return Member(self.user.id, self.user.role == "admin")

    @property
    def by_token(self) -> bool:
        return self.credential.kind is CredentialKind.TOKEN

    @property
    def let_in(self) -> Decision:
        """Whether the person may come in this way at all: by a token, or on the page."""
        return let_in(self.user.permissions, Permission.API if self.by_token else Permission.WEB)


def caller_behind(connection: Connection, secret: str, kind: CredentialKind, now: datetime) -> Caller | None:
    """Who shows this secret; None when it is nobody's, of another kind, ran out, or its user may not come in.

    Whether they may come in this very way their `let_in` says.
    """
    found = credentials.behind(connection, secret)
    if found is None:
        return None
    user, credential = found
    if not user.enabled or credential.kind is not kind or ran_out(credential, now):
        return None
    return Caller(user, credential)


def still(connection: Connection, caller: Caller, now: datetime) -> Caller | None:
    """The same caller as they stand now, for something that stays open; None when they may not go on."""
    found = credentials.find(connection, caller.credential.id)
    if found is None or not found[0].enabled or found[1].held or ran_out(found[1], now):
        return None
    now_is = Caller(*found)
    return now_is if now_is.let_in else None


def prune(connection: Connection, now: datetime) -> None:
    """End the devices that ran out, and forget what ended a month ago."""
    credentials.end_devices(connection, unused_since=now - DEVICE_IDLE, older_than=now - DEVICE_LIFE, now=now)
    credentials.prune(connection, now - ENDED_KEPT)


def ran_out(credential: Credential, now: datetime) -> bool:
    """Whether a device was unused for too long, or is too old; tokens stay until they are ended."""
    if credential.kind is CredentialKind.TOKEN:
        return False
    # A clock that was set back makes nothing live longer: what lies in the future counts as now.
    idle, age = abs(now - credential.used_at), abs(now - credential.created_at)
    return idle > DEVICE_IDLE or age > DEVICE_LIFE
