"""`rookery space`: the groups that are let in, who sponsors them, and who answers there."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, say, table

if TYPE_CHECKING:
    from rookery.gateway.shapes import Space

space = typer.Typer(no_args_is_help=True, callback=no_command, help="The groups that are let in.")


class Kind(StrEnum):
    """What a network calls the chat."""

    GROUP = "group"
    CHANNEL = "channel"


_Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="The network, such as telegram or webhook.")]
_Chat = Annotated[
    str, typer.Argument(metavar="CHAT", help="The group's id there, exactly as the network gives it.")
]
_Account = Annotated[
    str | None, typer.Option(metavar="A", help="Our account there; left out: every account of the channel.")
]
_Kind = Annotated[Kind, typer.Option(help="What the network calls it.")]


@space.command("admit", context_settings={"ignore_unknown_options": True})
def admit(
    channel: _Channel,
    chat: _Chat,
    sponsor: Annotated[str, typer.Option(metavar="U", help="The person who pays for it and keeps order there.")],
    account: _Account = None,
    agent: Annotated[
        str | None,
        typer.Option(metavar="A", help="A shared agent that answers; left out: the group gets one of its own."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the group's own agent is called.")] = None,
    kind: _Kind = Kind.GROUP,
    home: HomeOption = None,
) -> None:
    """Let a group in: people of this house, and who is in groupAllowFrom, are answered there."""
    from rookery.gateway.shapes import Space, SpaceAdmit

    ask = SpaceAdmit(
        channel=channel,
        chat=chat,
        sponsor=sponsor,
        kind=kind.value,
        account=account,
        agent_id=agent,
        name=name,
    )
    with reach(home_at(home)) as wire:
        admitted = wire.call("space.admit", ask, Space)
    say(f"{_spelled(admitted)} is let in; {admitted.agent_name} ({admitted.agent_id}) answers there.")


@space.command("list")
def list_spaces(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the groups that are let in."""
    from rookery.gateway.shapes import Space

    with reach(home_at(home)) as wire:
        found = wire.call("space.list", None, list[Space])
    if json:
        as_json(found)
        return
    table(
        ("GROUP", "KIND", "AGENT", "SPONSOR", "SINCE"),
        [
            (
                _spelled(one),
                one.kind,
                one.agent_id if one.answering else f"{one.agent_id} (silent)",
                one.sponsor,
                local(one.admitted_at),
            )
            for one in found
        ],
        none="No group is let in yet: rookery space admit CHANNEL CHAT --sponsor USER",
    )


@space.command("remove", context_settings={"ignore_unknown_options": True})
def remove(
    channel: _Channel,
    chat: _Chat,
    account: _Account = None,
    kind: _Kind = Kind.GROUP,
    home: HomeOption = None,
) -> None:
    """Put a group out; what its agent remembers is kept, and found again when the group is let in anew."""
    from rookery.gateway.shapes import Done, SpaceNamed

    ask = SpaceNamed(channel=channel, chat=chat, kind=kind.value, account=account)
    with reach(home_at(home)) as wire:
        say(wire.call("space.remove", ask, Done).detail)


def _spelled(one: Space) -> str:
    return f"{one.channel}{'' if one.account is None else f'@{one.account}'}:{one.chat}"
