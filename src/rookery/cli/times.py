"""Moments as people write them on a command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from rookery.errors import InvalidInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")


def moment(text: str, now: datetime) -> datetime:
    """The moment that is meant, with its time zone: `2h` is two hours before `now`; what says no zone is local.

    Raises `InvalidInput` for what is neither that nor a date, with or without a time.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{text!r} is no time; write 30m, 2h or 7d for so long ago, or a date such as 2026-03-01 or "
            "2026-03-01T18:30."
        ) from None
