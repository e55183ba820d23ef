"""`rookery channel`: the networks that run here, and the replies that one of them never took."""

from __future__ import annotations

from typing import Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, say, table

channel = typer.Typer(no_args_is_help=True, callback=no_command, help="The networks, and what they did not take.")

_Only = Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Only those of this channel.")]


@channel.command("list")
def list_channels(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the channels that run, with their accounts and what waits there."""
    from rookery.gateway.shapes import Channel

    with reach(home_at(home)) as wire:
        found = wire.call("channel.list", None, list[Channel])
    if json:
        as_json(found)
        return
    table(
        ("CHANNEL", "ACCOUNTS", "WAITING", "DEAD LETTERS"),
        [(one.name, ", ".join(one.accounts), str(one.waiting), str(one.dead_letters)) for one in found],
        none="No channel runs here; see channels in rookery.yaml.",
    )


@channel.command("dead-letters")
def dead_letters(
    only: _Only = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")] = 100,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the replies that will not be tried again, and why. What they said is not shown."""
    from rookery.gateway.shapes import DeadLetter, DeadLetterList

    with reach(home_at(home)) as wire:
        ask = DeadLetterList(channel=only, limit=limit)
        found = wire.call("channel.deadLetters", ask, list[DeadLetter])
    if json:
        as_json(found)
        return
    table(
        ("DELIVERY", "AGENT", "TO", "TRIES", "SINCE", "WHY"),
        [
            (
                one.delivery_id,
                one.agent_id,
                f"{one.channel}@{one.account}:{one.chat}",
                str(one.attempts),
                local(one.ended_at),
                one.problem,
            )
            for one in found
        ],
        none="Every reply was taken, or is still tried.",
    )


@channel.command("retry")
def retry(
    delivery: Annotated[
        str | None, typer.Argument(metavar="[DELIVERY]", help="One delivery; left out: all dead letters.")
    ] = None,
    only: _Only = None,
    home: HomeOption = None,
) -> None:
    """Try dead letters again. Each goes only if its person may still be told."""
    from rookery.gateway.shapes import DeadLetterRetry, Done

    with reach(home_at(home)) as wire:
        say(wire.call("channel.retry", DeadLetterRetry(delivery_id=delivery, channel=only), Done).detail)
