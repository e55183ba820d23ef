"""People, the addresses that are theirs, and what each may change of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from rookery.errors import InvalidInput
from rookery.gateway.shapes.common import Secret
from rookery.messages.permission import Permission

Role = Literal["member", "admin"]


class UserAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A new person. A `password` given here is one to come in with once: they are asked to change it."""

    id: str
    name: str | None = None
    role: Role = "member"
    timezone: str = "UTC"
    language: str = "en"
    password: Secret | None = None


class UserNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    user_id: str


class UserChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a person; None leaves it as it is.

    `permissions` are the kinds of channel they may use, and stay when left out; null is all of them, an empty list
    none.
    """

    user_id: str
    name: str | None = None
    role: Role | None = None
    enabled: bool | None = None
    timezone: str | None = None
    language: str | None = None
    permissions: tuple[Permission, ...] | UnsetType | None = UNSET


class User(Struct, frozen=True, rename="camel", kw_only=True):
    """One person; `agents` are their own, `permissions` the kinds of channel they may use, null for all.

    `from_file`: the people file describes them.
    """

    id: str
    name: str
    role: Role
    enabled: bool
    timezone: str
    language: str
    created_at: datetime
    agents: tuple[str, ...]
    permissions: tuple[Permission, ...] | None = None
    from_file: bool = False


class IdentityChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """An address to link or unlink; `account` None is every account of the channel."""

    user_id: str
    channel: str
    sender: str
    account: str | None = None


class IdentityList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    user_id: str | None = None


class Identity(Struct, frozen=True, rename="camel", kw_only=True):
    """One address that is a user."""

    channel: str
    account: str | None
    sender: str
    user_id: str
    linked_at: datetime


class LinkCode(Struct, frozen=True, rename="camel", kw_only=True):
    """A code that joins another address of one's own: shown this once, and good until `expires_at`."""

    id: str
    code: Secret
    expires_at: datetime


class LinkAddress(Struct, frozen=True, rename="camel", kw_only=True):
    """Where a code was typed."""

    channel: str
    account: str
    sender: str


class LinkState(Struct, frozen=True, rename="camel", kw_only=True):
    """How far a code has come: `open` until it is typed, `claimed` while that side is asked, `agreed` when it said
    yes and only the person's own yes is missing. `address` is where it was typed."""

    id: str
    state: Literal["open", "claimed", "agreed"]
    made_at: datetime
    expires_at: datetime
    address: LinkAddress | None = None


class LinkNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    id: str


class Me(Struct, frozen=True, rename="camel", kw_only=True):
    """The person who asks. `preferences` is how the page looks to them, as the page itself put it."""

    id: str
    name: str
    role: Role
    timezone: str
    language: str
    preferences: dict[str, Any]
    must_change_password: bool


class MeChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of oneself; None leaves it as it is, and a preference that is null is taken out."""

    name: str | None = None
    timezone: str | None = None
    language: str | None = None
    preferences: dict[str, Any] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> MeChange:
        """Read what `PATCH /api/me` was sent: what is not known is a preference, such as `theme`.

        Raises `InvalidInput` for what is nobody's own to change, and for values of the wrong kind.
        """
        own = {name: fields[name] for name in ("name", "timezone", "language") if name in fields}
        nested = fields.get("preferences", {})
        for name in _NOT_PREFERENCES & fields.keys():
            raise InvalidInput(f"{name} cannot be changed here.")
        for name, value in own.items():
            if value is not None and not isinstance(value, str):
                raise InvalidInput(f"{name} is a text.")
        if not isinstance(nested, dict):
            raise InvalidInput("preferences is an object.")
        others = {name: value for name, value in fields.items() if name not in own and name != "preferences"}
        return cls(**own, preferences={**nested, **others} or None)


_NOT_PREFERENCES = frozenset({"id", "role", "enabled", "agents", "createdAt", "mustChangePassword", "password"})
