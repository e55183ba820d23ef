"""Which refusals are put on record: the audit trail is kept for ever, and nobody makes it grow by being refused.

What is more than their share is counted, and told with the next row that is theirs: `house (+12)` is this refusal,
and twelve before it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from rookery.gateway.allotments import Allotment
from rookery.gateway.guessing import place_of

WINDOW = timedelta(hours=1)

EACH = 10
"""Rows of one person, or of one place that strangers come from, in a window."""

ALL_PEOPLE = 1000
"""Rows of all people together in a window."""

ALL_STRANGERS = 100
"""Rows of all strangers together in a window: of them, and of places to come from, there is no end."""


class Refusals:
    """The share that each has of the trail. In memory: a restart begins anew."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._people = Allotment(now, each=EACH, window=WINDOW, together=ALL_PEOPLE)
        self._strangers = Allotment(now, each=EACH, window=WINDOW, together=ALL_STRANGERS)

    def of_person(self, principal: str, object: str) -> str | None:
        """How the object of a refusal is written down; None when it is only counted."""
        return _counted(object, self._people.take(principal))

    def of_stranger(self, source: str) -> str | None:
        """The same of somebody who did not come in; its object is the address they came from."""
        return _counted(source, self._strangers.take(place_of(source)))


def _counted(object: str, untold: int | None) -> str | None:
    if untold is None:
        return None
    return f"{object} (+{untold})" if untold else object
