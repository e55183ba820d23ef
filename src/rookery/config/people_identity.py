"""Reading the text files that a people file names: beside it or below, and nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rookery.errors import InvalidInput

LARGEST = 64 * 1024
"""Bytes of one such file."""

_PARTS = 16


def read_text(directory: Path, path: str) -> str:
    """The text of a file under `directory`, without following a link on the way.

    Raises `InvalidInput`, whose words go on after the key's name.
    """
    parts = path.split("/")
    if (
        path.startswith("/")
        or len(parts) > _PARTS
        or any(part in ("", ".", "..") or "\0" in part for part in parts)
    ):
        raise InvalidInput(f"is {path!r}; write a path below this file's directory, such as 'identity.md'")
    content = _read(directory, parts, path)
    if len(content) > LARGEST:
        raise InvalidInput(f"names {path!r}, which is larger than {LARGEST // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"names {path!r}, which is not UTF-8") from None
    if "\0" in text:
        raise InvalidInput(f"names {path!r}, which holds a character that is not text")
    return text


def _read(directory: Path, parts: list[str], path: str) -> bytes:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    here = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            below = os.open(part, flags if last else flags | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        if not stat.S_ISREG(os.fstat(here).st_mode):
            raise InvalidInput(f"names {path!r}, which is no plain file")
        with os.fdopen(os.dup(here), "rb") as file:
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        raise InvalidInput(f"names {path!r}, which is not in {str(directory)!r}") from None
    except OSError as error:
        raise InvalidInput(
            f"names {path!r}, which cannot be read: {error.strerror or error}; links are not followed"
        ) from None
    finally:
        os.close(here)
