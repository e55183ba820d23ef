"""The port to one brain's attachments: files that people sent, kept as they are under an id.

`attachment_files.py` keeps them as files, `attachment_rows.py` on PostgreSQL, `twin.py` in memory. Each speaks for
one agent only. What a file is called and what it is are decided here, once, before it is kept: by its content, not
by what whoever sent it says of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import unicodedata
from collections.abc import AsyncIterable
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from rookery.errors import InvalidId, NotFound, QuotaReached, TooLarge
from rookery.ids import fresh
from rookery.messages.transcript import Moment

MEGABYTE = 1 << 20
LONGEST_NAME = 200
"""The length of a file's name, in characters."""

TEXT = "text/plain"
UNKNOWN = "application/octet-stream"

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What is treated as a picture: what every browser and every vision model reads, and none can be a script."""


class Limits(Struct, frozen=True):
    """How much may be kept, in bytes."""

    each: int
    together: int


FILE_LIMITS = Limits(25 * MEGABYTE, 1024 * MEGABYTE)
ROW_LIMITS = Limits(10 * MEGABYTE, 1024 * MEGABYTE)


class Stored(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of one attachment.

    `added_by` is the principal who brought it: on an agent that several people use, it is theirs alone.
    `content_type` goes by the content. `sha256` is in hexadecimal.
    """

    id: str
    name: str
    content_type: str
    size: int
    sha256: str
    added_by: str
    created_at: Moment


class Attachments(Protocol):
    """All attachments of one agent."""

    limits: Limits

    async def add(
        self,
        name: str,
        content_type: str | None,
        data: bytes | AsyncIterable[bytes],
        *,
        added_by: str,
        created_at: datetime,
        attachment_id: str | None = None,
    ) -> Stored:
        """Keep a file; it is on disk when this returns.

        `content_type` is only a hint. `attachment_id` is for whoever may have to do it twice: one that is there
        already is returned as it is, and nothing is written; without it there is a new one. Raises `TooLarge` as
        soon as there is more than `limits.each`, `QuotaReached` when all together would be more than
        `limits.together`, `InvalidId`, and `StorageUnavailable`; then nothing is kept.
        """
        ...

    async def get(self, attachment_id: str) -> Stored:
        """What is known of one. Raises `NotFound`, `StorageCorrupt`, `StorageUnavailable`."""
        ...

    async def read(self, attachment_id: str) -> bytes:
        """Its bytes, the same that were given. Raises `NotFound`, `StorageCorrupt` when they are not the same
        any more, and `StorageUnavailable`."""
        ...

    async def listed(self) -> list[Stored]:
        """What is known of every one, by id. Raises `StorageCorrupt`, `StorageUnavailable`."""
        ...

    async def remove(self, attachment_id: str) -> None:
        """Delete one; what is not there is gone already. Raises `StorageUnavailable`."""
        ...

    async def size(self) -> int:
        """How many bytes all of them are together."""
        ...


class Incoming(Struct, frozen=True):
    """A file that was looked at and is ready to be kept."""

    stored: Stored
    data: bytes


async def look_at(
    name: str,
    content_type: str | None,
    data: bytes | AsyncIterable[bytes],
    *,
    added_by: str,
    created_at: datetime,
    attachment_id: str | None,
    limit: int,
) -> Incoming:
    """Read a file to its end and decide what it is. Raises `TooLarge` and `InvalidId`."""
    if attachment_id is None:
        attachment_id = fresh(created_at)
    elif not is_attachment_id(attachment_id):
        raise InvalidId(f"{attachment_id!r} is not an attachment id: letters, digits, '-' and '_', at most 128.")
    whole = await _whole(data, limit)
    kind, digest = await asyncio.to_thread(_examine, whole, content_type)
    stored = Stored(
        id=attachment_id,
        name=harmless_name(name),
        content_type=kind,
        size=len(whole),
        sha256=digest,
        added_by=added_by,
        created_at=created_at,
    )
    return Incoming(stored, whole)


def is_attachment_id(text: str) -> bool:
    """Whether this can name an attachment at all."""
    return _ID.fullmatch(text) is not None


def absent(attachment_id: str) -> NotFound:
    """The error for one that is not there; says the same of one that is somebody else's."""
    return NotFound(f"There is no attachment {attachment_id!r}.")


def require_room(limits: Limits, size: int, taken: int) -> None:
    """Raises `QuotaReached` when `size` more bytes do not fit beside those that are `taken`."""
    if taken + size > limits.together:
        raise QuotaReached(
            f"The attachments of this assistant may be {_megabytes(limits.together)} together, and "
            f"{_megabytes(taken)} are used; delete some first."
        )


def harmless_name(name: str) -> str:
    """A file's name that is nothing but a name: no directory, nothing that cannot be seen, at most 200 characters.

    It stays in its own script, and keeps the ending by which people know what it is.
    """
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(" " if char.isspace() else char for char in name if _is_seen(char))
    name = " ".join(name.split()).strip(". ")
    if len(name) > LONGEST_NAME:
        stem, dot, ending = name.rpartition(".")
        keep = dot + ending if stem and len(ending) <= _LONGEST_ENDING else ""
        name = name[: LONGEST_NAME - len(keep)].rstrip(". ") + keep
    return name or "file"


def type_of(data: bytes, hint: str | None = None) -> str:
    """What a file is, by its content. Waits for the disk at its first use.

    What reads as text is text, whatever else it claims: HTML, SVG and scripts are never anything more. The `hint`
    of whoever sent it only tells apart kinds of text that are just as harmless.
    """
    import filetype  # pyright: ignore[reportMissingTypeStubs]

    guessed: str | None = filetype.guess_mime(data[:_MAGIC])  # pyright: ignore[reportUnknownMemberType]
    if guessed in _DOCUMENTS_IN_LETTERS:
        return str(guessed)
    if _is_text(data):
        kind = (hint or "").partition(";")[0].strip().lower()
        return kind if kind in _KINDS_OF_TEXT else TEXT
    return str(guessed) if guessed else UNKNOWN


def encode_stored(stored: Stored) -> bytes:
    """As one line of JSON."""
    return msgspec.json.encode(stored) + b"\n"


decode_stored = msgspec.json.Decoder(Stored).decode
"""Raises `msgspec.DecodeError` for anything that `encode_stored` did not write."""


async def _whole(data: bytes | AsyncIterable[bytes], limit: int) -> bytes:
    if isinstance(data, bytes):
        if len(data) > limit:
            raise _too_large(limit)
        return data
    parts: list[bytes] = []
    size = 0
    async for part in data:
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The file is larger than {_megabytes(limit)}, the most that one attachment may be.")


def _examine(data: bytes, hint: str | None) -> tuple[str, str]:
    return type_of(data, hint), hashlib.sha256(data).hexdigest()


def _is_text(data: bytes) -> bool:
    """Whether these are characters, in UTF-8, and nothing that only a program would write."""
    if _NOT_IN_TEXT.search(data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_seen(char: str) -> bool:
    """Not the controls that break lines or turn the direction of writing; joiners are part of some scripts."""
    return char.isspace() or char in "\u200c\u200d" or unicodedata.category(char) not in _UNSEEN


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB" if size >= MEGABYTE or not size else f"{size} bytes"


_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_LONGEST_ENDING = 16
_MAGIC = 8192
_NOT_IN_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_DOCUMENTS_IN_LETTERS = frozenset({"application/pdf", "application/rtf", "application/postscript"})
_KINDS_OF_TEXT = frozenset({TEXT, "text/csv", "text/markdown", "text/tab-separated-values", "application/json"})
