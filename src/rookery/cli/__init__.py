"""The command line: `rookery`. Heavy modules are imported inside the commands that use them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from rookery.errors import RookeryError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, by default the one this process was started with.

    Ends with `SystemExit`: 0 done, 1 refused or failed, with one clear line on standard error, 2 wrong usage.
    """
    from rookery.cli.quick import plain_up

    up = plain_up(sys.argv[1:] if arguments is None else arguments)
    try:
        if up is not None:
            gc.disable()  # what is made during a start stays; `serve.up` turns it on again
            from rookery.cli.homes import home_at
            from rookery.cli.running import run

            run(home_at(up.home), host=up.host, port=up.port)
            return
        from rookery.cli.app import app

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
