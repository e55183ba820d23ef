"""Running the gateway from the command line, without what only other commands need."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rookery.gateway.hardening import harden
from rookery.gateway.home import Home

if TYPE_CHECKING:
    from rookery.config import Config
    from rookery.gateway.house import House
    from rookery.gateway.operations import Desk


def run(home: Home, *, host: str | None, port: int | None) -> None:
    """Run the gateway until it is told to stop. Raises what `web.serve.up` raises."""
    harden()
    from rookery.web import serve

    serve.up(home, host=host, port=port, environ=os.environ, ready=_ready)


async def _ready(house: House, config: Config, address: str) -> None:
    """Say where it answers, and what a newcomer does next."""
    import rookery
    from rookery import users
    from rookery.config import unavailable
    from rookery.gateway.operations import Desk

    people, admins = await house.database.read(lambda c: (users.list_users(c), users.admins(c)))
    _say(f"Rookery {rookery.__version__} is running at {address}")
    _say(f"Home: {house.home.path}  (Ctrl-C stops it; nothing that was accepted is lost)")
    for line in unavailable(config):
        _say(f"Note: {line}")
    if not admins:
        await _invite(Desk(house, config, None, address, house.gateway.now()))
    if not people:
        _say("\nOr, without a browser, in another terminal:")
        _say("  rookery user add you")
        _say("  rookery chat --user you")


async def _invite(desk: Desk) -> None:
    """Say where the first admin is made."""
    from rookery.errors import RookeryError
    from rookery.gateway.operations import setting_up
    from rookery.gateway.shapes import Nothing

    try:
        link = await setting_up.make_setup_link(desk, Nothing())
    except RookeryError as error:  # an admin came in between, or the disk is full: the gateway runs all the same
        _say(f"Note: there is no set-up link: {error.detail}")
        return
    _say("\nThere is no admin yet. Open this within 15 minutes to become the first one:")
    _say(f"  {link.url}")
    _say("For another link: rookery setup-link")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
