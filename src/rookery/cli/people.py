"""`rookery user` and `rookery identity`: who this gateway knows, and by which addresses."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rookery.cli import people_file
from rookery.cli.leaving import erase_user, export_user
from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.secret import read_secret
from rookery.cli.settings import read_settings
from rookery.cli.show import as_json, local, printable, say, table

user = typer.Typer(no_args_is_help=True, callback=no_command, help="The people this gateway knows.")
identity = typer.Typer(no_args_is_help=True, callback=no_command, help="The addresses that are a person.")

user.command("apply")(people_file.apply)


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
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a password for the web page from standard input.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Add a person, with an agent of their own."""
    from rookery.gateway.shapes import User, UserAdd

    password = read_secret("Their password") if password_stdin else None
    ask = UserAdd(id=id, name=name, role=role.value, timezone=timezone, language=language, password=password)
    with reach(home_at(home), makes=True) as wire:
        added = wire.call("user.add", ask, User)
    say(f"Added {added.id}. They can talk to their agent now: rookery chat --user {added.id}")
    if password is not None:
        say(f"On the web page they are asked to choose another password. Their name there is {added.id}.")


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
        ("ID", "NAME", "ROLE", "TIME ZONE", "AGENTS", "IN FILE", "SINCE"),
        [
            (
                one.id if one.enabled else f"{one.id} (disabled)",
                one.name,
                one.role,
                one.timezone,
                ", ".join(one.agents),
                "yes" if one.from_file else "",
                local(one.created_at),
            )
            for one in people
        ],
        none="Nobody yet. Add the first person: rookery user add ID",
    )


_User = Annotated[str, typer.Argument(metavar="USER", help="The person's id.")]


@user.command("show")
def show_user(user_id: _User, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show one person: their addresses, agents and tokens."""
    from rookery.gateway.shapes import Identity, IdentityList, Token, TokenList, User, UserNamed

    with reach(home_at(home)) as wire:
        one = wire.call("user.show", UserNamed(user_id=user_id), User)
        if json:
            as_json(one)
            return
        addresses = wire.call("identity.list", IdentityList(user_id=user_id), list[Identity])
        tokens = wire.call("token.list", TokenList(user_id=user_id), list[Token])
    say(f"{one.id}: {printable(one.name)}, {one.role}{'' if one.enabled else ', disabled'}")
    if one.from_file:
        say("They are described in the people file.")
    say(f"Since {local(one.created_at)}, in {one.timezone}, speaks {one.language}")
    say(f"May use: {_kinds(one.permissions)}")
    say(f"Agents: {', '.join(one.agents)}")
    spelled = [printable(_spelled(each.channel, each.account, each.sender)) for each in addresses]
    say(f"Addresses: {', '.join(spelled) or 'none'}")
    say(f"Tokens: {len(tokens) or 'none'}")


@user.command("set")
def set_user(
    user_id: _User,
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE",
            help="name, role, timezone, language, and permissions: the kinds of channel they may use, of im, "
            "email, phone, web and api, written a,b; or all, or none.",
        ),
    ],
    home: HomeOption = None,
) -> None:
    """Change what is said of a person, and by which kinds of channel they may come in; it holds at once."""
    import msgspec

    from rookery.gateway.shapes import User, UserChange

    ask = msgspec.convert({"userId": user_id, **_changes(settings)}, UserChange)
    with reach(home_at(home)) as wire:
        changed = wire.call("user.change", ask, User)
    say(f"{changed.id} is changed. They may use: {_kinds(changed.permissions)}.")


_SETTABLE = ("name", "role", "timezone", "language", "permissions")


def _changes(settings: list[str]) -> dict[str, object]:
    """What `KEY=VALUE …` says. Raises `InvalidInput` for another key, and for a value that it cannot have."""
    from rookery.errors import InvalidInput
    from rookery.messages.permission import Permission

    changes: dict[str, object] = {}
    for key, value in read_settings(settings, _SETTABLE):
        setting = f"{key}={value}"
        if not value:
            raise InvalidInput(f"{setting!r} says nothing; write what {key} is to be.")
        if key == "role" and value not in tuple(Role):
            raise InvalidInput(f"{setting!r} is not understood; a role is {' or '.join(Role)}.")
        if key != "permissions":
            changes[key] = value
            continue
        words = [word.strip() for word in value.split(",")]
        unknown = [word for word in words if word not in (*Permission, "all", "none")]
        if unknown or (len(words) > 1 and not {"all", "none"}.isdisjoint(words)):
            kinds = ", ".join(Permission)
            raise InvalidInput(f"{setting!r} is not understood; write all, none, or some of {kinds}.")
        changes[key] = None if words == ["all"] else [] if words == ["none"] else words
    return changes


def _kinds(permissions: Sequence[str] | None) -> str:
    return "every kind of channel" if permissions is None else ", ".join(permissions) or "no kind of channel"


@user.command("passwd")
def set_password(user_id: _User, home: HomeOption = None) -> None:
    """Give a person a password, from a prompt or standard input; at their next login they choose another.

    They are logged out everywhere.
    """
    from rookery.gateway.shapes import Done, PasswordSet

    password = read_secret(f"New password for {user_id}", twice=True)
    with reach(home_at(home)) as wire:
        say(wire.call("user.passwd", PasswordSet(user_id=user_id, password=password), Done).detail)


@user.command("disable")
def disable(user_id: _User, home: HomeOption = None) -> None:
    """Let a person not come in any more: everything of theirs stops at once, and nothing is deleted."""
    _switch(user_id, home, enabled=False)


@user.command("enable")
def enable(user_id: _User, home: HomeOption = None) -> None:
    """Let a person who was disabled come in again."""
    _switch(user_id, home, enabled=True)


def _switch(user_id: str, home: Path | None, *, enabled: bool) -> None:
    from rookery.gateway.shapes import User, UserChange

    with reach(home_at(home)) as wire:
        wire.call("user.change", UserChange(user_id=user_id, enabled=enabled), User)
    say(f"{user_id} is enabled." if enabled else f"{user_id} is disabled, and out everywhere.")


user.command("export")(export_user)
user.command("erase")(erase_user)


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
