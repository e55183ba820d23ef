"""`rookery user` and `rookery identity`: who this gateway knows, and by which addresses."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, say, table

user = typer.Typer(no_args_is_help=True, callback=no_command, help="The people this gateway knows.")
identity = typer.Typer(no_args_is_help=True, callback=no_command, help="The addresses that are a person.")


class Role(StrEnum):
    """What a person may do for others."""

    MEMBER = "member"
    ADMIN = "admin"


@user.command("add")
def add_user(
    id: Annotated[str, typer.Argument(metavar="ID", help="Letters, digits, '-' and '_'.")],
    name: Annotated[str | None, typer.Option(help="The name people see; the id when left out.")] = None,
    role: Annotated[Role, typer.Option(help="Whether they manage others, too.")] = Role.MEMBER,
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="An IANA name, such as Europe/Madrid.")] = "UTC",
    language: Annotated[str, typer.Option(metavar="TAG", help="A BCP 47 tag, such as es or pt-BR.")] = "en",
    home: HomeOption = None,
) -> None:
    """Add a person, with an agent of their own."""
    from rookery.gateway.shapes import User, UserAdd

    ask = UserAdd(id=id, name=name, role=role.value, timezone=timezone, language=language)
    with reach(home_at(home), makes=True) as wire:
        added = wire.call("user.add", ask, User)
    say(f"Added {added.id}. They can talk to their agent now: rookery chat --user {added.id}")


@user.command("list")
def list_users(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the people."""
    from rookery.gateway.shapes import User

    with reach(home_at(home)) as wire:
        people = wire.call("user.list", None, list[User])
    if json:
        as_json(people)
        return
    table(
        ("ID", "NAME", "ROLE", "TIME ZONE", "AGENTS", "SINCE"),
        [
            (
                one.id if one.enabled else f"{one.id} (disabled)",
                one.name,
                one.role,
                one.timezone,
                ", ".join(one.agents),
                local(one.created_at),
            )
            for one in people
        ],
        none="Nobody yet. Add the first person: rookery user add ID",
    )


_User = Annotated[str, typer.Argument(metavar="USER", help="The person's id.")]
_Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="The network, such as telegram or webhook.")]
_Sender = Annotated[str, typer.Argument(metavar="SENDER", help="Their id there, exactly as the network gives it.")]
_Account = Annotated[
    str | None, typer.Option(metavar="A", help="Our account there; left out: every account of the channel.")
]


@identity.command("link")
def link(
    user_id: _User, channel: _Channel, sender: _Sender, account: _Account = None, home: HomeOption = None
) -> None:
    """Let an address be a person: what it writes is theirs from now on."""
    from rookery.gateway.shapes import Identity, IdentityChange

    ask = IdentityChange(user_id=user_id, channel=channel, sender=sender, account=account)
    with reach(home_at(home)) as wire:
        linked = wire.call("identity.link", ask, Identity)
    say(f"{_spelled(linked.channel, linked.account, linked.sender)} is {linked.user_id} now.")


@identity.command("unlink")
def unlink(
    user_id: _User, channel: _Channel, sender: _Sender, account: _Account = None, home: HomeOption = None
) -> None:
    """Take an address from a person."""
    from rookery.gateway.shapes import Done, IdentityChange

    ask = IdentityChange(user_id=user_id, channel=channel, sender=sender, account=account)
    with reach(home_at(home)) as wire:
        say(wire.call("identity.unlink", ask, Done).detail)


@identity.command("list")
def list_identities(
    user_id: Annotated[str | None, typer.Option("--user", metavar="U", help="Only this person's.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the addresses and whose they are."""
    from rookery.gateway.shapes import Identity, IdentityList

    with reach(home_at(home)) as wire:
        found = wire.call("identity.list", IdentityList(user_id=user_id), list[Identity])
    if json:
        as_json(found)
        return
    table(
        ("USER", "ADDRESS", "SINCE"),
        [(one.user_id, _spelled(one.channel, one.account, one.sender), local(one.linked_at)) for one in found],
        none="No address is linked yet: rookery identity link USER CHANNEL SENDER",
    )


def _spelled(channel: str, account: str | None, sender: str) -> str:
    return f"{channel}{'' if account is None else f'@{account}'}:{sender}"
