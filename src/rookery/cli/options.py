"""The options that many commands share, and the home they name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rookery.cli.homes import home_at

__all__ = ["HomeOption", "JsonOption", "home_at", "no_command"]

_SAID = "rookery.home"


def _remember(context: typer.Context, value: Path | None) -> Path | None:
    """`--home` may stand before or behind a command's name; what stands nearest to the end holds."""
    if value is not None:
        context.meta[_SAID] = value
    said: Path | None = context.meta.get(_SAID)
    return said


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        callback=_remember,
        show_default=False,
        help="Where this gateway's state lies. [env: ROOKERY_HOME; default: ~/.rookery]",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def no_command(home: HomeOption = None) -> None:
    """The callback of a group of commands, so that `--home` may stand before the command's name too."""
    del home
