"""`rookery token`: what programs come in by."""

from __future__ import annotations

from typing import Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, note, say, table

token = typer.Typer(no_args_is_help=True, callback=no_command, help="The API tokens programs come in by.")


@token.command("create")
def create_token(
    user_id: Annotated[str, typer.Argument(metavar="USER", help="Whoever has it is this person.")],
    name: Annotated[str, typer.Option(help="What it is for, so that you know it again.")] = "token",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token and print it, this once; only a hash of it is kept."""
    from rookery.gateway.shapes import TokenMade, TokenNew

    with reach(home_at(home)) as wire:
        made = wire.call("token.create", TokenNew(name=name, user_id=user_id), TokenMade)
    if json:
        as_json(made)
        return
    note(f"Whoever has this token is {made.user_id}; it is not shown again.")
    note(f"To end it: rookery token revoke {made.id}")
    say(made.token)


@token.command("list")
def list_tokens(
    user_id: Annotated[str | None, typer.Option("--user", metavar="U", help="Only this person's.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the tokens, never their secrets."""
    from rookery.gateway.shapes import Token, TokenList

    with reach(home_at(home)) as wire:
        found = wire.call("token.list", TokenList(user_id=user_id), list[Token])
    if json:
        as_json(found)
        return
    table(
        ("ID", "USER", "NAME", "SINCE", "LAST USED"),
        [
            (
                one.id,
                one.user_id,
                one.name,
                local(one.created_at),
                local(one.used_at) if one.used_at != one.created_at else "never",
            )
            for one in found
        ],
        none="There is no token: rookery token create USER",
    )


@token.command("revoke")
def revoke_token(
    id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `rookery token list` shows it.")],
    home: HomeOption = None,
) -> None:
    """End a token; what was opened with it is closed at once."""
    from rookery.gateway.shapes import CredentialNamed, Done

    with reach(home_at(home)) as wire:
        say(wire.call("token.revoke", CredentialNamed(id=id), Done).detail)
