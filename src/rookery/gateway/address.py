"""The address of a unix socket, which holds only so many bytes, for a path of any length."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rookery.errors import ConfigError

_LONGEST = 100  # the system takes 108 bytes, macOS 104


@contextmanager
def address_of(path: Path) -> Generator[str]:
    """What to bind or connect to for a socket at `path`. Raises `ConfigError` where the path is too long."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    if not sys.platform.startswith("linux"):
        raise ConfigError(f"{path} is too long for a socket; choose a home with a shorter path.")
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
