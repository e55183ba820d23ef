"""The command line: `rookery`. Heavy modules are imported inside the commands that use them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rookery.errors import RookeryError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, by default the one this process was started with.

    Ends with `SystemExit`: 0 done, 1 refused or failed, with one clear line on standard error, 2 wrong usage.
    """
    from rookery.cli.app import app

    try:
        app(args=arguments, prog_name="rookery")
    except RookeryError as error:
        fail(error.detail)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")


def fail(detail: str) -> None:
    """Say on standard error why it did not work, and end with status 1."""
    sys.stderr.write(f"rookery: {detail}\n")
    raise SystemExit(1)
