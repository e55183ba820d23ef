"""`rookery audit`: who did what on whose behalf, and whether the trail of it is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, note, say, table
from rookery.cli.times import moment

audit = typer.Typer(no_args_is_help=True, callback=no_command, help="Who did what on whose behalf.")

_LARGEST_PAGE = 1000


@audit.command("list")
def list_rows(
    user_id: Annotated[
        str | None, typer.Option("--user", metavar="U", help="Only what this person did or what concerns them.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(metavar="A", help="Only this action; with a dot at its end, all that begin so."),
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="T", help="From this time on: 2h, 7d, or a date.")] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="Before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LARGEST_PAGE, help="How many rows at most.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="SEQ", help="Only rows before this one.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the rows, newest first."""
    from rookery.gateway.shapes import AuditEntry, AuditList

    now = datetime.now(UTC)
    ask = AuditList(
        user_id=user_id,
        action=action,
        since=None if since is None else moment(since, now),
        until=None if until is None else moment(until, now),
        limit=limit,
        before=before,
    )
    with reach(home_at(home)) as wire:
        found = wire.call("audit.list", ask, list[AuditEntry])
    if json:
        as_json(found)
        return
    table(
        ("SEQ", "WHEN", "WHO", "FOR", "WHAT", "ON", "DECISION"),
        [
            (str(one.seq), local(one.at), one.actor, one.on_behalf_of or "", one.action, one.object, one.decision)
            for one in found
        ],
        none="No such row.",
    )
    if len(found) == limit:
        note(f"More: rookery audit list --before {found[-1].seq}")


@audit.command("verify")
def verify(home: HomeOption = None, json: JsonOption = False) -> None:
    """Look whether every row is as it was written, and none is missing; the exit status is 1 when not."""
    from rookery.gateway.shapes import AuditChecked

    with reach(home_at(home)) as wire:
        found = wire.call("audit.verify", None, AuditChecked)
    if json:
        as_json(found)
    elif found.problem is None:
        say(f"The trail is whole: {found.rows} rows, {found.anchors} heads written down agree with them.")
        if found.redacted:
            say(f"{found.redacted} of them lost their names with people who were erased, and are vouched for.")
        if not found.anchors and found.rows:
            note("No head is written down yet, so a trail whose end was cut off would look whole.")
    else:
        say(f"The trail is broken: {found.problem}")
    if found.problem is not None:
        raise typer.Exit(1)
