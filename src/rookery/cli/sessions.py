"""`rookery session`: people's conversations, as far as the operator may see them."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at, no_command
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, note, printable, say, table
from rookery.errors import Conflict

if TYPE_CHECKING:
    from rookery.gateway.shapes import Session

session = typer.Typer(no_args_is_help=True, callback=no_command, help="People's conversations.")

_User = Annotated[
    str, typer.Option("--user", metavar="U", help="Whose conversation it is. They can see that you looked.")
]
_Agent = Annotated[
    str | None, typer.Option("--agent", metavar="A", help="One of their own agents; left out: any of them.")
]
_Session = Annotated[str, typer.Argument(metavar="SESSION", help="A session key, its short form, or a sessionId.")]


@session.command("list")
def list_sessions(
    user_id: Annotated[
        str | None,
        typer.Option("--user", metavar="U", help="A person's, with titles. They can see that you looked."),
    ] = None,
    agent_id: Annotated[
        str | None, typer.Option("--agent", metavar="A", help="An agent's, without anything that was said.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the sessions of a person or of an agent, latest first."""
    from rookery.gateway.shapes import Session, SessionList

    if user_id is None and agent_id is None:
        raise typer.BadParameter("Say whose sessions: --user U or --agent A.")
    with reach(home_at(home)) as wire:
        found = wire.call("session.list", SessionList(user_id=user_id, agent_id=agent_id), list[Session])
    if json:
        as_json(found)
        return
    table(
        ("SESSION ID", "PLACE", "ENTRIES", "UPDATED", *(("TITLE",) if user_id else ())),
        [
            (
                one.session_id,
                _places(one) if one.status == "active" else one.status,
                str(one.entry_count),
                local(one.updated_at),
                *((one.title or "",) if user_id else ()),
            )
            for one in found
        ],
        none="No sessions yet; one begins with the first message.",
    )


@session.command("show")
def show(
    name: _Session,
    user_id: _User,
    agent_id: _Agent = None,
    last: Annotated[int, typer.Option(min=1, metavar="N", help="How many entries, from the end.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All entries.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what was said in a session."""
    from rookery.gateway.shapes import SessionNamed, SessionShown

    ask = SessionNamed(user_id=user_id, session=name, agent_id=agent_id, last=None if everything else last)
    with reach(home_at(home)) as wire:
        shown = wire.call("session.show", ask, SessionShown)
    if json:
        as_json(shown)
        return
    one = shown.session
    say(f"{one.session_key}  ({one.session_id}, {one.entry_count} entries, {one.status})")
    if one.title:
        say(f"Title: {printable(one.title)}")
    if shown.earlier:
        say(f"… {shown.earlier} earlier entries; --all shows them.")
    for raw in shown.entries:
        _entry(jsonlib.loads(bytes(raw)))
    note(f"{user_id} can see that you looked.")


@session.command("export")
def export(
    name: _Session,
    user_id: _User,
    agent_id: _Agent = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file; left out: standard output.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write out a session's transcript, as JSON lines."""
    from rookery.gateway.shapes import ExportPart, SessionNamed

    ask = SessionNamed(user_id=user_id, session=name, agent_id=agent_id)
    with reach(home_at(home)) as wire:
        parts = wire.stream("session.export", ask, ExportPart)
        if output is None:
            for part in parts:
                sys.stdout.buffer.write(part.data)
            sys.stdout.buffer.flush()
            return
        first = next(parts, None)
        with _new_file(output) as file:
            if first is not None:
                file.write(first.data)
            for part in parts:
                file.write(part.data)
    note(f"Written to {output}. {user_id} can see that you exported it.")


@session.command("new")
def new(
    user_id: Annotated[str, typer.Option("--user", metavar="U", help="Whose session it will be.")],
    agent_id: _Agent = None,
    title: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Open a session for a person, at a place of its own."""
    from rookery.gateway.shapes import Session, SessionNew

    ask = SessionNew(user_id=user_id, agent_id=agent_id, title=title)
    with reach(home_at(home)) as wire:
        opened = wire.call("session.new", ask, Session)
    if json:
        as_json(opened)
        return
    say(f"Opened {opened.session_id}. Talk in it: rookery chat --user {user_id} --session {opened.session_id}")


def _new_file(path: Path) -> BinaryIO:
    """A file that was not there, for this user alone. Raises `Conflict`."""
    try:
        return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise Conflict(f"{path} is there already; choose another name, or remove it first.") from None


def _places(one: Session) -> str:
    """Where it lives, without the agent, which the list is about anyway."""
    own = f"chat:{one.session_id}"
    rests = (key.split(":", 2)[2] for key in one.places)
    return ", ".join("chat" if rest == own else rest for rest in rests) or "-"


_SPEAKERS = {"user": "They", "assistant": "Agent", "toolResult": "Tool"}


def _entry(entry: dict[str, Any]) -> None:
    when = local(datetime.fromisoformat(str(entry["timestamp"])))
    if entry["type"] != "message":
        told = {key: value for key, value in entry.items() if key in ("title", "status", "channelBinding", "tags")}
        words = ", ".join(f"{name} {value}" for name, value in told.items())
        say(f"\n{when}  ({entry['type']}{': ' if words else ''}{printable(words)})")
        return
    speaker = _SPEAKERS.get(str(entry["role"]), str(entry["role"]))
    say(f"\n{when}  {speaker}:")
    for part in cast("list[dict[str, Any]]", entry["content"]):
        match part.get("type"):
            case "text":
                say(printable(str(part["text"]), lines=True))
            case "toolCall":
                say(f"(calls {printable(str(part['name']))})")
            case kind:
                say(f"({printable(str(kind))})")
    if entry.get("error"):
        say(f"({printable(str(entry['error']), lines=True)})")
