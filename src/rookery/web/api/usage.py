"""What was used, and what it cost."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from rookery.gateway.operations import usage
from rookery.gateway.shapes import UsageAsk, UsageKey, UsageRow, as_csv
from rookery.web.api.answers import listing
from rookery.web.api.asking import Asked
from rookery.web.api.routes import Many, Routes
from rookery.web.api.sessions import download

routes = Routes("Usage")

_Time = Annotated[str | None, Query(max_length=40)]


@routes.route("GET", "/api/usage", {200: Many(UsageRow, or_as=("text/csv",))})
async def get_usage(
    asked: Asked,
    by: UsageKey = "day",
    since: _Time = None,
    until: _Time = None,
    user: Annotated[str | None, Query(max_length=100)] = None,
    timezone: Annotated[str | None, Query(max_length=100)] = None,
    format: Literal["json", "csv"] = "json",
) -> Response:
    """What model calls used and cost, summed by one key.

    To a member, what they pay for; to an admin everybody's, unless `user` names one. `since` and `until` are days,
    `until` with that day, or moments with their zone. Days are those of `timezone`, otherwise of whoever asks.
    """
    if user is None and not asked.caller.actor.admin:
        user = asked.caller.user.id
    rows = await usage.summed(
        asked.desk, UsageAsk(by=by, user_id=user, since=since, until=until, timezone=timezone)
    )
    if format == "json":
        return listing(rows)
    return Response(as_csv(rows), media_type="text/csv", headers=download(f"usage-by-{by}.csv"))
