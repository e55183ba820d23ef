"""Coming in: passwords, the set-up link, tokens and devices."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from rookery.gateway.shapes.common import Secret


class Login(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """`username` is a user's id, in whatever case it is typed."""

    username: str
    password: Secret


class PasswordSet(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A new password; `current` is what it was, for one's own."""

    user_id: str
    password: Secret
    current: Secret | None = None


class PasswordChange(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One's own new password, and what it was."""

    password: Secret
    current: Secret | None = None


class Setup(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The first admin, with the code of the set-up link; `username` becomes their id."""

    code: Secret
    username: str
    password: Secret
    name: str | None = None
    timezone: str = "UTC"
    language: str = "en"


class SetupLink(Struct, frozen=True, rename="camel", kw_only=True):
    """Where the first admin is made, until `expires_at`, once."""

    url: str
    expires_at: datetime


class TokenNew(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A new API token of `user_id`, None for whoever asks."""

    name: str = "token"
    user_id: str | None = None


class TokenMade(Struct, frozen=True, rename="camel", kw_only=True):
    """A token just made. `token` is shown this once."""

    id: str
    user_id: str
    name: str
    token: Secret
    created_at: datetime


class TokenList(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The tokens of `user_id`; None for those of whoever asks, and to the operator everybody's."""

    user_id: str | None = None


class Token(Struct, frozen=True, rename="camel", kw_only=True):
    """An API token, without its secret. `used_at` is right to five minutes."""

    id: str
    user_id: str
    name: str
    created_at: datetime
    used_at: datetime


class Device(Struct, frozen=True, rename="camel", kw_only=True):
    """Where somebody logged in; `current` when it is the one that asks. `used_at` is right to five minutes."""

    id: str
    name: str
    created_at: datetime
    used_at: datetime
    current: bool


class CredentialNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One token or device of `user_id`; None for one of whoever asks, and to the operator anybody's."""

    id: str
    user_id: str | None = None
