"""Every command, as `rookery --help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from rookery.cli.agent_files import files
from rookery.cli.agents import agent
from rookery.cli.audit import audit
from rookery.cli.channels import channel
from rookery.cli.chat import chat
from rookery.cli.config import config
from rookery.cli.demo import demo
from rookery.cli.doctor import doctor
from rookery.cli.keys import key
from rookery.cli.logs import logs
from rookery.cli.options import HomeOption
from rookery.cli.pairings import pair
from rookery.cli.people import identity, user
from rookery.cli.sessions import session
from rookery.cli.setup_link import setup_link
from rookery.cli.spaces import space
from rookery.cli.status import status
from rookery.cli.tokens import token
from rookery.cli.up import up
from rookery.cli.usage import usage

app = typer.Typer(
    name="rookery",
    help="Rookery: several people share one AI-assistant installation without sharing a brain.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(asked: bool) -> None:
    if asked:
        import rookery

        typer.echo(f"rookery {rookery.__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    home: HomeOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Rookery: several people share one AI-assistant installation without sharing a brain."""


app.command()(up)
app.command()(chat)
app.command()(demo)
app.command("setup-link")(setup_link)
app.command()(status)
app.command()(doctor)
app.command()(logs)
app.command()(usage)
app.add_typer(user, name="user")
app.add_typer(token, name="token")
app.add_typer(identity, name="identity")
app.add_typer(pair, name="pair")
app.add_typer(space, name="space")
app.add_typer(channel, name="channel")
agent.add_typer(files, name="files")
app.add_typer(agent, name="agent")
app.add_typer(key, name="key")
app.add_typer(session, name="session")
app.add_typer(audit, name="audit")
app.add_typer(config, name="config")
