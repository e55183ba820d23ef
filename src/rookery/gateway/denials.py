"""What the gate refused, told to the log, and nobody can flood the log with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from rookery.gateway.allotments import Allotment
from rookery.gateway.log import Logger
from rookery.policy import Action, Actor, AgentResource, PersonResource, Resource, principal

AT_MOST = 10
"""Lines of one actor in a window; what is more is counted, and told with their next line."""

WINDOW = timedelta(minutes=1)


class Denials:
    """Writes `access.denied`: who, what, to which sort of thing, and the way they came in; no id of anything."""

    def __init__(self, log: Logger, now: Callable[[], datetime]) -> None:
        """Made in the event loop, which the log belongs to; told from there and from the database's threads."""
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._lines = Allotment(now, each=AT_MOST, window=WINDOW)

    def __len__(self) -> int:
        """How many actors are remembered."""
        return len(self._lines)

    def tell(self, actor: Actor, action: Action, resource: Resource, surface: str) -> None:
        """Somebody was refused something."""
        if self._loop is _loop_here():
            self._tell(principal(actor), action, _kind(resource), surface)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, principal(actor), action, _kind(resource), surface)

    def _tell(self, who: str, action: Action, resource: str, surface: str) -> None:
        untold = self._lines.take(who)
        if untold is not None:
            self._log.warning(
                "access.denied",
                actor=who,
                action=action.value,
                resource=resource,
                surface=surface,
                untold=untold,
            )


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _kind(resource: Resource) -> str:
    match resource:
        case AgentResource():
            return "agent"
        case PersonResource():
            return "person"
        case _:
            return "house"
