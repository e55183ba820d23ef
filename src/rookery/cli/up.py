"""`rookery up`: run the gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from rookery.cli.options import HomeOption, home_at
from rookery.cli.running import run


def up(
    home: HomeOption = None,
    host: Annotated[str | None, typer.Option(help="Listen on this address instead of gateway.host.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Listen on this port instead of gateway.port; 0 takes any free one."),
    ] = None,
) -> None:
    """Run the gateway until it is told to stop (Ctrl-C, or SIGTERM)."""
    run(home_at(home), host=host, port=port)
