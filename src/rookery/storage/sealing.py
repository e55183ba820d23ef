"""Sealing: a secret is kept as text that only the master key opens, and only in the place it was sealed for.

AES-256-GCM with a fresh nonce each time. What the text was made for is bound to it: moved to another agent, name
or purpose it cannot be opened. The library is imported with the first secret, and never in the event loop.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from rookery.errors import StorageCorrupt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
"""The length of a master key, in bytes."""

VERSION = "v1"
_NONCE_BYTES = 12
_PARTS = 3


class Binding(Struct, frozen=True):
    """The one place a secret is sealed for.

    `agent_id` is '' for what belongs to no agent, `purpose` is a word such as 'profile' or 'shared', and `name` is
    what it is called among those of its agent and purpose.
    """

    agent_id: str
    purpose: str
    name: str


class MasterKeys:
    """The master key, and the older ones that still open what has not been sealed anew.

    Making one imports the library, which waits for the disk: not to be done in the event loop.
    """

    def __init__(self, current: bytes, older: Sequence[bytes] = ()) -> None:
        """Raises `ValueError` for a key that is not `KEY_BYTES` long."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if any(len(key) != KEY_BYTES for key in (current, *older)):
            raise ValueError(f"A master key has {KEY_BYTES} bytes.")
        self._current = key_id(current)
        self._keys: dict[str, AESGCM] = {key_id(key): AESGCM(key) for key in (*older, current)}

    def __repr__(self) -> str:
        return f"MasterKeys({self._current})"

    def seal(self, secret: str, binding: Binding) -> str:
        """The secret as text for its place, different each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        hidden = self._keys[self._current].encrypt(nonce, secret.encode(), _bound_to(self._current, binding))
        return ".".join((VERSION, self._current, base64.urlsafe_b64encode(nonce + hidden).decode()))

    def open(self, sealed: str, binding: Binding) -> str:
        """The secret again.

        Raises `StorageCorrupt` when the text was sealed for another place or with a key that is not there, or is
        not what was written; its words name the place and never the secret.
        """
        from cryptography.exceptions import InvalidTag

        parts = sealed.split(".")
        if len(parts) != _PARTS or parts[0] != VERSION:
            raise _cannot(binding, f"it is not sealed in the format {VERSION}")
        cipher = self._keys.get(parts[1])
        if cipher is None:
            raise _cannot(binding, "it was sealed with another master key")
        try:
            hidden = base64.b64decode(parts[2], altchars=b"-_", validate=True)
            return cipher.decrypt(
                hidden[:_NONCE_BYTES], hidden[_NONCE_BYTES:], _bound_to(parts[1], binding)
            ).decode()
        except (InvalidTag, ValueError):
            # Without the error: what it was raised for is nobody's to see.
            raise _cannot(binding, "it was sealed for another place, or changed since") from None

    def is_current(self, sealed: str) -> bool:
        """Whether it says that it was sealed with the current key, and no older one."""
        return sealed.startswith(f"{VERSION}.{self._current}.")


def key_id(key: bytes) -> str:
    """By what a master key is told from another; tells nothing of it."""
    return hashlib.sha256(b"rookery master key\n" + key).hexdigest()[:16]


def described(binding: Binding) -> str:
    """A place in words."""
    return f"{binding.purpose} {binding.name!r}" + (f" of {binding.agent_id!r}" if binding.agent_id else "")


def _bound_to(key: str, binding: Binding) -> bytes:
    """What the text depends on besides the secret; each part after its length, so no two places read alike."""
    parts = (VERSION, key, binding.agent_id, binding.purpose, binding.name)
    encoded = [part.encode(errors="surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)


def _cannot(binding: Binding, why: str) -> StorageCorrupt:
    return StorageCorrupt(f"The key for {described(binding)} cannot be opened: {why}.")
