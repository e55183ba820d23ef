"""Reaching the state of a home: through the gateway that runs on it, or by opening it ourselves."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from rookery.cli.wire import Wire, connect
from rookery.errors import Conflict, NotFound
from rookery.gateway.home import Home

STARTING_SECONDS = 3.0
"""How long a gateway may hold the home before its socket is there."""


@contextmanager
def reach(home: Home, *, makes: bool = False, answering: bool = False) -> Generator[Wire]:
    """A connection to the operations on this home, for the block.

    `makes`: the home may be new. `answering`: turns are to be answered also where no gateway runs. Raises
    `NotFound` for a home that is none, `Conflict` when something else holds it, `ConfigError` when its
    configuration cannot be used, and `StorageUnavailable`.
    """
    wire = connect(home)
    if wire is not None:
        with wire:
            yield wire
        return
    if not makes and not is_home(home):
        raise NotFound(
            f"There is no Rookery home at {home.path}. `rookery user add ID` makes one; --home or ROOKERY_HOME "
            "names another."
        )
    from rookery.cli.inside import inside

    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        try:
            with inside(home, answering=answering) as house:
                yield house.connect()
            return
        except Held as error:
            wire = connect(home)
            if wire is not None:
                with wire:
                    yield wire
                return
            if time.monotonic() > deadline:
                raise Conflict(error.detail) from None
            time.sleep(0.05)


class Held(Conflict):
    """Another process holds the home."""


def is_home(home: Home) -> bool:
    """Whether there is anything of a gateway's in that directory."""
    return home.config.exists() or home.database.exists()
