"""What a person pays for, in words for them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from rookery.messages.money import in_words
from rookery.usage import Total, sums
from rookery.users import User


def told(connection: Connection, user: User, now: datetime) -> str:
    """Today and this month, as the days are where they live."""
    here = now.astimezone(ZoneInfo(user.timezone))
    today = here.replace(hour=0, minute=0, second=0, microsecond=0)
    spans = {"Today": today, "This month": today.replace(day=1)}
    totals = {name: sums.total(connection, user.id, since=since) for name, since in spans.items()}
    return "\n".join(f"{name}: {_line(total)}" for name, total in totals.items())


def _line(total: Total) -> str:
    if not total.calls:
        return "nothing was used."
    calls = "1 model call" if total.calls == 1 else f"{total.calls:,} model calls"
    words = f"{calls}, {total.input_tokens:,} tokens read and {total.output_tokens:,} written"
    known = total.unpriced_calls < total.calls
    said = [f"{words}, {in_words(total.nano_usd)}." if known else f"{words}; what that costs is not known."]
    if known and total.unpriced_calls:
        said.append(f"For {total.unpriced_calls:,} of them no price is known.")
    if total.estimated_calls == total.calls:
        said.append("The numbers are a guess.")
    elif total.estimated_calls:
        said.append(f"{total.estimated_calls:,} of them counted by a guess.")
    return " ".join(said)
