"""`rookery up`: run the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, home_at
from rookery.cli.show import say

if TYPE_CHECKING:
    from rookery.config import Config
    from rookery.gateway.house import House


def up(
    home: HomeOption = None,
    host: Annotated[str | None, typer.Option(help="Listen on this address instead of gateway.host.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Listen on this port instead of gateway.port; 0 takes any free one."),
    ] = None,
) -> None:
    """Run the gateway until it is told to stop (Ctrl-C, or SIGTERM)."""
    import os

    from rookery.web import serve

    serve.up(home_at(home), host=host, port=port, environ=os.environ, ready=_ready)


async def _ready(house: House, config: Config, address: str) -> None:
    """Say where it answers, and what a newcomer does next."""
    import rookery
    from rookery import users
    from rookery.config import unavailable

    people = await house.database.read(users.list_users)
    say(f"Rookery {rookery.__version__} is running at {address}")
    say(f"Home: {house.home.path}  (Ctrl-C stops it; nothing that was accepted is lost)")
    for line in unavailable(config):
        say(f"Note: {line}")
    if not people:
        say("\nNobody is known here yet. In another terminal:")
        say("  rookery user add you")
        say("  rookery chat --user you")
