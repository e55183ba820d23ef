"""`time`: what time it is, for the person or in a place they name."""

from __future__ import annotations

import asyncio
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from rookery.errors import ToolRetry
from rookery.models import ToolSpec
from rookery.tools.port import ToolContext


class TimeTool:
    """The current time in a time zone; the person's own when none is named."""

    spec = ToolSpec(
        name="time",
        description="The current date and time. Without a zone, in the time zone of the person you talk to.",
        parameters={
            "type": "object",
            "properties": {
                "zone": {
                    "type": "string",
                    "description": "An IANA time zone, such as Europe/Madrid, or a city that names one.",
                }
            },
            "additionalProperties": False,
        },
    )
    effects = False

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        named = arguments.get("zone") or context.timezone
        if not isinstance(named, str):
            raise ToolRetry(f"zone is {named!r}; it is a text such as 'Europe/Madrid'.")
        zone = await asyncio.to_thread(_zone, named)  # which reads files
        here = context.now().astimezone(zone)
        return f"{here:%A, %Y-%m-%d %H:%M:%S} in {zone.key} (UTC{here:%z})"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        city = name.strip().replace(" ", "_").casefold()
        found = sorted(zone for zone in available_timezones() if zone.rpartition("/")[2].casefold() == city)
        if not found:
            raise ToolRetry(f"{name!r} is not a time zone; use an IANA name such as 'Europe/Madrid'.") from None
        return ZoneInfo(found[0])
