"""The kinds of channel that a person may be let in by, as the words that files and requests have for them."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """A kind of channel that a person may use."""

    IM = "im"
    """Chat networks, WhatsApp and the webhook."""

    EMAIL = "email"
    PHONE = "phone"
    """SMS and voice."""

    WEB = "web"
    """The page and the terminal."""

    API = "api"
    """Tokens, and `/v1`."""
