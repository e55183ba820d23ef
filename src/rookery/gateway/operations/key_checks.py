"""What somebody gives us as a provider's key: checked before anything is done with it."""

from __future__ import annotations

import re

from rookery.errors import InvalidInput, NotFound
from rookery.gateway.operations.desk import Desk

LONGEST_KEY = 8 << 10
"""The longest key, in bytes."""

_SHOWN_FROM = 16
"""A key that is shorter than this shows none of its characters."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def checked_key(key: str) -> str:
    """The key without the space around it.

    Raises `InvalidInput` for what cannot travel in the header of a request; the words hold nothing of it.
    """
    key = key.strip()
    if not key:
        raise InvalidInput("The key is empty.")
    if len(key.encode(errors="surrogatepass")) > LONGEST_KEY:
        raise InvalidInput(f"The key is longer than {LONGEST_KEY} bytes; is that the whole file?")
    if not all("!" <= char <= "~" for char in key):
        raise InvalidInput("The key holds a space, a line break or another character no key has; paste it anew.")
    return key


def last_four(key: str) -> str:
    """By what a person tells one key from another; empty for one that is so short that it would say too much."""
    return key[-4:] if len(key) >= _SHOWN_FROM else ""


def check_name(name: str, what: str) -> None:
    """Raises `InvalidInput` for what cannot be the name of a profile or of a shared key."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot be {what}: 1 to 63 letters, digits, '-', '_' and '.', a letter or digit first."
        )


def check_provider(desk: Desk, provider: str) -> None:
    """Raises `NotFound`, with those there are, for a provider that no key can be for."""
    known = desk.house.gateway.providers.known
    if provider not in known:
        raise NotFound(
            f"There is no provider {provider[:80]!r} that takes a key; there are: {', '.join(known)}. "
            "Others are described in rookery.yaml under models.providers."
        )
