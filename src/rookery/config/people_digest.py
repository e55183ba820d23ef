"""Whether a people file is still the one that was applied; asked at every start, it reads nothing but the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from rookery.errors import ConfigError

LARGEST = 10 * 1024 * 1024
"""Bytes of one people file."""


def digest(path: Path, environ: Mapping[str, str]) -> str | None:
    """What changes when the file does, or a variable it names; None for a file that has to be read each time.

    That is one with a first password in it, of which nothing is kept that could be guessed at. Raises
    `ConfigError` when it cannot be read.
    """
    text = text_of(path)
    if re.search(r"(?m)password[\"']?\s*:", text):
        return None
    hashed = hashlib.sha256(f"{_VERSION}\0{text}".encode())
    for name in sorted(set(re.findall(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", text))):
        hashed.update(f"\0{name}={environ.get(name, '')}".encode(errors="surrogateescape"))
    return hashed.hexdigest()


_VERSION = 1
"""Of what is made of a file; a new one has every file read anew."""


def text_of(path: Path) -> str:
    """What stands in a people file. Raises `ConfigError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path.name}:1: the file {str(path)!r} cannot be read: {reason}") from None
    if len(content) > LARGEST:
        raise ConfigError(f"{path.name}:1: the file is larger than {LARGEST // 1024 // 1024} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path.name}:{where}: the file is not UTF-8 from here on") from None
