"""Running the gateway from the command line, without what only other commands need."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rookery.gateway.home import Home

if TYPE_CHECKING:
    from rookery.config import Config
    from rookery.gateway.house import House


def run(home: Home, *, host: str | None, port: int | None) -> None:
    """Run the gateway until it is told to stop. Raises what `web.serve.up` raises."""
    from rookery.web import serve

    serve.up(home, host=host, port=port, environ=os.environ, ready=_ready)


async def _ready(house: House, config: Config, address: str) -> None:
    """Say where it answers, and what a newcomer does next."""
    import rookery
    from rookery import users
    from rookery.config import unavailable

    people = await house.database.read(users.list_users)
    _say(f"Rookery {rookery.__version__} is running at {address}")
    _say(f"Home: {house.home.path}  (Ctrl-C stops it; nothing that was accepted is lost)")
    for line in unavailable(config):
        _say(f"Note: {line}")
    if not people:
        _say("\nNobody is known here yet. In another terminal:")
        _say("  rookery user add you")
        _say("  rookery chat --user you")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
