"""`rookery agent files`: what an agent is told about itself, and what it wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, note, printable, say, table
from rookery.errors import InvalidInput

files = typer.Typer(
    no_args_is_help=True, callback=no_command, help="What an agent is told about itself, and what it wrote."
)

_LARGEST = 700_000
"""What fits into one request to the gateway, in bytes, as it is written there."""

_Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
_Path = Annotated[str, typer.Argument(metavar="PATH", help="Its path, such as AGENTS.md.")]
_User = Annotated[
    str, typer.Option("--user", metavar="U", help="Whose agent it is, or who sponsors it. They can see this.")
]


@files.command("list")
def list_files(agent_id: _Agent, user_id: _User, home: HomeOption = None, json: JsonOption = False) -> None:
    """List an agent's files."""
    from rookery.gateway.shapes import AgentFile, AgentFiles

    with reach(home_at(home)) as wire:
        found = wire.call("file.list", AgentFiles(agent_id=agent_id, user_id=user_id), list[AgentFile])
    if json:
        as_json(found)
        return
    table(
        ("PATH", "BYTES", "CHANGED"),
        [(printable(one.path), str(one.size), local(one.changed_at)) for one in found],
        none="No files yet. AGENTS.md, SOUL.md, USER.md and identity.md are read with every message.",
    )


@files.command("show")
def show_file(agent_id: _Agent, path: _Path, user_id: _User, home: HomeOption = None) -> None:
    """Write out what a file holds."""
    from rookery.gateway.shapes import AgentFileNamed, ExportPart

    ask = AgentFileNamed(agent_id=agent_id, path=path, user_id=user_id)
    with reach(home_at(home)) as wire:
        data = b"".join(part.data for part in wire.stream("file.show", ask, ExportPart))
    if sys.stdout.isatty():
        say(printable(data.decode(errors="replace"), lines=True))
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    note(f"{user_id} can see that you looked.")


@files.command("put")
def put_file(
    agent_id: _Agent,
    path: _Path,
    user_id: _User,
    source: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="What it is to hold; left out: standard input.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write a file, in the place of one of that path."""
    from rookery.gateway.shapes import AgentFile, AgentFilePut

    data = _read(source)
    if len(data) > _LARGEST:
        raise InvalidInput(f"It has {len(data)} bytes; up to {_LARGEST} are written here, and 1 MiB by the API.")
    ask = AgentFilePut(agent_id=agent_id, path=path, data=data, user_id=user_id)
    with reach(home_at(home)) as wire:
        written = wire.call("file.put", ask, AgentFile)
    say(f"Written: {printable(written.path)}, {written.size} bytes. It counts from the next message on.")
    note(f"{user_id} can see that you wrote it.")


@files.command("remove")
def remove_file(agent_id: _Agent, path: _Path, user_id: _User, home: HomeOption = None) -> None:
    """Take a file away."""
    from rookery.gateway.shapes import AgentFileNamed, Done

    ask = AgentFileNamed(agent_id=agent_id, path=path, user_id=user_id)
    with reach(home_at(home)) as wire:
        say(printable(wire.call("file.remove", ask, Done).detail))
    note(f"{user_id} can see that you removed it.")


def _read(source: Path | None) -> bytes:
    if source is None:
        return sys.stdin.buffer.read()
    try:
        return source.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read: {error.strerror}.") from None
