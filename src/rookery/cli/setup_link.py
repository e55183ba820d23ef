"""`rookery setup-link`: how the first admin comes in."""

from __future__ import annotations

from rookery.cli.options import HomeOption, JsonOption, home_at
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, note, say


def setup_link(home: HomeOption = None, json: JsonOption = False) -> None:
    """Print a link that makes the first admin, once, within 15 minutes; the one before it ends."""
    from rookery.gateway.shapes import SetupLink, Status

    with reach(home_at(home), makes=True) as wire:
        link = wire.call("setup.link", None, SetupLink)
        running = wire.call("status", None, Status).running
    if json:
        as_json(link)
        return
    note(f"Open this until {local(link.expires_at)} to become the first admin:")
    say(link.url)
    if not running:
        note("It opens once the gateway runs: rookery up")
