"""Which home a command is about."""

from __future__ import annotations

import os
from pathlib import Path

from rookery.gateway.home import Home


def home_at(said: Path | None) -> Home:
    """The home that was said, or that the environment names, or the usual one."""
    if said is None:
        named = os.environ.get("ROOKERY_HOME")
        said = Path(named) if named else Path.home() / ".rookery"
    return Home(Path(os.path.abspath(said.expanduser())))  # noqa: PTH100 - keeps links as they are named
