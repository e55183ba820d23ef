"""`rookery user apply`: a people file, read and checked here, and brought to the gateway."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

from rookery.cli.options import HomeOption, home_at
from rookery.cli.show import as_json, note, printable, say
from rookery.errors import ConfigError

if TYPE_CHECKING:
    from rookery.cli.wire import Wire
    from rookery.gateway.people_changes import Change
    from rookery.gateway.people_file import Applied, Progress
    from rookery.gateway.people_reading import Read
    from rookery.gateway.shapes.people_file import PeopleApply
    from rookery.users.described import DescribedPerson

PART = 512 * 1024
"""Bytes of a request, about; a text comes on top, and the gateway reads a MiB."""

_LONGEST = 900 * 1024
_SHOWN = 200
"""Changes that are listed, when not all are asked for."""


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The people file, such as users.yaml.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    home: HomeOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything that changes as JSON.")] = False,
) -> None:
    """Bring the people to what a file says of them: all of it, or nothing. The same file again changes nothing."""
    from rookery.cli.reach import reach
    from rookery.gateway.people_reading import read_people

    if _is_long(file):
        note(f"Reading {file.name} …")
    read = read_people(file, os.environ)
    for line in read.file.warnings:
        note(f"Note: {printable(line)}")
    with reach(home_at(home), makes=True) as wire:
        applied = _send(wire, read, rehearsal=dry_run)
    if applied.problems:
        raise ConfigError("\n".join(read.lines(applied.problems)))
    for line in applied.notes:
        note(f"Note: {printable(line)}")
    for id in applied.left:
        note(
            f"Note: {id} is not in {file.name} any more, and stays as they are: `rookery user disable {id}` lets "
            f"them not come in any more."
        )
    if json:
        as_json(applied)
        return
    _show(applied, file.name)


def spelled(change: Change) -> str:
    """A difference as one line."""
    before, after = (None if word is None else printable(word) for word in (change.before, change.after))
    if change.key == "user":
        return f"{change.user_id}: new, {after}"
    if change.key == "friend":
        return f"{change.user_id}: new friend {after}"
    if change.key == "inFile":
        return f"{change.user_id}: was added by hand, and is described by the file from now on"
    if before is None:
        return f"{change.user_id}: {change.key} + {after}"
    return (
        f"{change.user_id}: {change.key} - {before}"
        if after is None
        else (f"{change.user_id}: {change.key} {before} -> {after}")
    )


def _show(applied: Applied, name: str) -> None:
    for change in applied.changes[:_SHOWN]:
        say(spelled(change))
    if len(applied.changes) > _SHOWN:
        say(f"… and {len(applied.changes) - _SHOWN} more; --json prints them all.")
    people = "1 person" if applied.people == 1 else f"{applied.people} people"
    many = "1 change" if len(applied.changes) == 1 else f"{len(applied.changes)} changes"
    if not applied.changes:
        say(f"{name}: {people}, nothing to change.")
    elif applied.rehearsal:
        say(f"{name}: {people}, {many} to make. Nothing was changed.")
    else:
        say(f"{name}: {people}, {many} made.")


def _send(wire: Wire, read: Read, *, rehearsal: bool) -> Applied:
    from rookery.gateway.people_file import Applied, Progress

    events = cast("type[Progress | Applied]", Progress | Applied)
    parts = list(_parts(read.people, read.file.texts, rehearsal=rehearsal))
    last: Applied | None = None
    told = ""
    for number, part in enumerate(parts):
        if len(parts) > 1 and number % 8 == 0:
            note(f"Sending {number} of {len(parts)} parts …")
        for event in wire.stream("user.apply", part, events):
            if isinstance(event, Applied):
                last = event
            elif event.total > _SHOWN and (line := _progress(event)) != told:
                note(line)
                told = line
    if last is None:
        raise ConfigError("The gateway did not say what came of it; its log says why.")
    return last


def _progress(event: Progress) -> str:
    return f"{event.what.capitalize()}: {event.done * 20 // max(event.total, 1) * 5} % of {event.total} …"


def _parts(
    people: Sequence[DescribedPerson], texts: Mapping[str, str], *, rehearsal: bool
) -> Iterator[PeopleApply]:
    """The file in requests that are not too large; the last one says that it is."""
    from rookery.gateway.shapes.people_file import PeopleApply

    upload = secrets.token_hex(16)
    waiting: list[DescribedPerson] = []
    size = 0
    for digest, text in texts.items():
        yield PeopleApply(texts={digest: text}, upload=upload, more=True)
    for person in people:
        cost = len(msgspec.json.encode(person))
        if cost > _LONGEST:
            raise ConfigError(f"{person.id} is described at too great length: {cost} bytes, at most {_LONGEST}.")
        if waiting and size + cost > PART:
            yield PeopleApply(people=tuple(waiting), upload=upload, more=True)
            waiting, size = [], 0
        waiting.append(person)
        size += cost
    yield PeopleApply(people=tuple(waiting), upload=upload, rehearsal=rehearsal)


def _is_long(file: Path) -> bool:
    try:
        return file.stat().st_size > PART
    except OSError:
        return False
