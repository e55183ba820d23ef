"""Finds a channel by its name and imports it only then, so that what is not configured costs nothing.

A channel of somebody else's joins by an entry point in the group `rookery.channels`, its name the channel's
and its object a `CreateChannel`.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from rookery.channels.contract import CreateChannel
from rookery.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "rookery.channels"

BUILT_IN: Mapping[str, str] = {
    "terminal": "rookery.channels.terminal:create",
    "webchat": "rookery.channels.webchat:create",
    "webhook": "rookery.channels.webhook.channel:create",
}
"""Our own channels, each with where its `create` is. An entry point cannot take one of these names."""

_NAME = re.compile(r"[a-z][a-z0-9]*")


def names() -> tuple[str, ...]:
    """All channels that could be configured here, ours and installed ones, sorted. Imports none of them."""
    return tuple(sorted({*BUILT_IN, *_installed()}))


def find(name: str) -> CreateChannel:
    """Import the channel's module and return its `create`.

    Raises `ConfigError` when there is no such channel, when two packages claim its name, and when its
    module cannot be imported.
    """
    place = BUILT_IN.get(name)
    try:
        if place is not None:
            module, _, attribute = place.partition(":")
            found: object = getattr(importlib.import_module(module), attribute)
        else:
            found = _entry_point(name).load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"Channel {name!r} cannot be loaded: {error}. Install what it needs, or remove channels.{name}."
        ) from error
    if not callable(found):
        raise ConfigError(
            f"Channel {name!r} is {found!r}, which cannot create a channel; its package has to mend it."
        )
    return cast("CreateChannel", found)  # a callable's signature cannot be seen here; the suite tries it


def _entry_point(name: str) -> EntryPoint:
    installed = _installed()
    claims = installed.get(name, [])
    if len(claims) > 1:
        packages = ", ".join(sorted(claim.dist.name if claim.dist else claim.value for claim in claims))
        raise ConfigError(f"Channel {name!r} is claimed by several packages ({packages}); keep one of them.")
    if not claims:
        known = sorted({*BUILT_IN, *installed})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}."
        raise ConfigError(f"There is no channel {name!r}; {hint}")
    return claims[0]


def _installed() -> dict[str, list[EntryPoint]]:
    # Imported here: reading the metadata of packages costs more than all else this module does.
    from importlib.metadata import entry_points

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        if _NAME.fullmatch(point.name):
            found.setdefault(point.name, []).append(point)
    return found
