"""`rookery pair`: strangers and groups that ask to be let in, and which person each is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, say, table

if TYPE_CHECKING:
    from rookery.gateway.shapes import Pairing

pair = typer.Typer(no_args_is_help=True, callback=no_command, help="Strangers and groups that ask to be let in.")

_Code = Annotated[
    str, typer.Argument(metavar="CODE", help="The code they were told; or the request's id, as the list has it.")
]


@pair.command("list")
def list_pairings(home: HomeOption = None, json: JsonOption = False) -> None:
    """List who waits to be let in."""
    from rookery.gateway.shapes import Pairing

    with reach(home_at(home)) as wire:
        found = wire.call("pairing.list", None, list[Pairing])
    if json:
        as_json(found)
        return
    table(
        ("ID", "WHO", "FROM", "ASKED", "UNTIL"),
        [(one.id, _who(one), _from(one), local(one.asked_at), local(one.expires_at)) for one in found],
        none="Nobody waits to be let in.",
    )


@pair.command("approve")
def approve(
    code: _Code,
    user: Annotated[str | None, typer.Option(metavar="U", help="The person who wrote.")] = None,
    new_user: Annotated[
        str | None, typer.Option(metavar="ID", help="Add a person of this id: it is they who wrote.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="With --new-user: the name people see.")] = None,
    sponsor: Annotated[
        str | None, typer.Option(metavar="U", help="For a group: the person who pays for it.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Let somebody in, and say which person it is; they are told so."""
    from rookery.gateway.shapes import LetIn, NewUser, PairingApprove

    if name is not None and new_user is None:
        raise typer.BadParameter("goes with --new-user", param_hint="--name")
    id, typed = _which(code)
    ask = PairingApprove(
        id=id,
        code=typed,
        user_id=user,
        new_user=None if new_user is None else NewUser(id=new_user, name=name),
        sponsor=sponsor,
    )
    with reach(home_at(home)) as wire:
        made = wire.call("pairing.approve", ask, LetIn)
    where = f"{made.channel}@{made.account}"
    if made.kind == "group":
        say(f"{where}:{made.chat} is let in; {made.agent_id} answers there, and {made.user_id} pays.")
    elif made.closed is not None:
        say(f"{where}:{made.sender} is {made.user_id} from now on, but is not answered there: {made.closed}")
    else:
        say(f"{where}:{made.sender} is {made.user_id} from now on; they are told so.")


@pair.command("reject")
def reject(code: _Code, home: HomeOption = None) -> None:
    """Let somebody not in; they hear nothing of it."""
    from rookery.gateway.shapes import Done, PairingReject

    id, typed = _which(code)
    with reach(home_at(home)) as wire:
        say(wire.call("pairing.reject", PairingReject(id=id, code=typed), Done).detail)


_ID = 26
"""Characters of an id; a code has eight, however it is written."""


def _which(typed: str) -> tuple[str | None, str | None]:
    """The id or the code that was typed."""
    return (typed, None) if len(typed) == _ID else (None, typed)


def _who(one: Pairing) -> str:
    return f"{one.channel}@{one.account}:{one.sender if one.kind == 'person' else one.chat}"


def _from(one: Pairing) -> str:
    return "a stranger" if one.kind == "person" else f"a group, by {one.asked_by or one.sender}"
