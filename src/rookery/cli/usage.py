"""`rookery usage`: what model calls used and cost, by person, agent, model, day, session or purpose."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at
from rookery.cli.reach import reach
from rookery.cli.show import as_json, note, table

if TYPE_CHECKING:
    from rookery.gateway.shapes import UsageRow

_BY = ("user", "agent", "model", "day", "session", "purpose")


def usage(
    by: Annotated[str, typer.Option(metavar="KEY", help=f"Sum by: {', '.join(_BY)}.")] = "user",
    since: Annotated[
        str | None, typer.Option(metavar="T", help="From this time on: 2h, 7d, or a date, with that day.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="Up to this time, or with this day.")] = None,
    user_id: Annotated[
        str | None, typer.Option("--user", metavar="U", help="Only what this person pays for.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose days are meant, such as Europe/Madrid.")
    ] = "UTC",
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what model calls used and cost."""
    from rookery.gateway.shapes import UsageAsk, UsageRow, as_csv

    if by not in _BY:
        raise typer.BadParameter(f"{by!r} is none of {', '.join(_BY)}.", param_hint="--by")
    if csv and json:
        raise typer.BadParameter("Choose one of --csv and --json.", param_hint="--csv")
    ask = UsageAsk(by=by, user_id=user_id, since=_bound(since), until=_bound(until), timezone=timezone)
    with reach(home_at(home)) as wire:
        found = wire.call("usage.sum", ask, list[UsageRow])
    if json:
        as_json(found)
    elif csv:
        sys.stdout.write(as_csv(found))
    else:
        _as_table(by, found)


def _as_table(by: str, found: list[UsageRow]) -> None:
    table(
        (by.upper(), "CALLS", "READ", "FROM CACHE", "WRITTEN", "COST"),
        [
            (
                one.key,
                str(one.calls),
                f"{one.input_tokens:,}",
                f"{one.cached_tokens:,}",
                f"{one.output_tokens:,}",
                _cost(one),
            )
            for one in found
        ],
        none="No model was called.",
    )
    guessed, unpriced = sum(one.estimated_calls for one in found), sum(one.unpriced_calls for one in found)
    if guessed:
        note(f"~ {_calls(guessed)} counted by a guess: the end was not seen, or the provider did not count.")
    if unpriced:
        note(f"? {_calls(unpriced)} without a known price; say it under models.providers.NAME.prices.")


def _cost(row: UsageRow) -> str:
    from rookery.messages.money import in_words

    marks = ("~" if row.estimated_calls else "") + ("?" if row.unpriced_calls else "")
    if row.cost_nano_usd is None:
        return "?"
    return f"{in_words(row.cost_nano_usd)}{marks and f' {marks}'}"


def _calls(count: int) -> str:
    return "1 call is" if count == 1 else f"{count} calls are"


def _bound(text: str | None) -> str | None:
    """A day as it is, for it means a whole one; what is so long ago, or a time of day, as the moment it is."""
    if text is None:
        return None
    from datetime import UTC, date, datetime

    from rookery.cli.times import moment

    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return moment(text, datetime.now(UTC)).isoformat()
