"""`rookery user export` and `rookery user erase`: everything of one person out, or gone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at
from rookery.cli.reach import reach
from rookery.cli.show import as_json, note, say
from rookery.errors import Conflict, InvalidInput

_User = Annotated[str, typer.Argument(metavar="USER", help="The person's id.")]

_TOLD_EVERY = 16 << 20
"""Bytes of an archive between two lines of how far it is."""


def export_user(
    user_id: _User,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, a zip archive.")],
    home: HomeOption = None,
) -> None:
    """Write everything of a person into one archive that is read without Rookery. They can see that you did."""
    from rookery.gateway.shapes import ExportPart, UserNamed

    size = told = 0
    with reach(home_at(home)) as wire, _whole_or_not(file) as out:
        for part in wire.stream("user.export", UserNamed(user_id=user_id), ExportPart):
            out.write(part.data)
            size += len(part.data)
            if size - told >= _TOLD_EVERY:
                told = size
                note(f"{size >> 20} MB so far")
    note(f"Written to {file}, {size} bytes. {user_id} can see that you exported it.")


def erase_user(
    user_id: _User,
    hand_over_to: Annotated[
        str | None,
        typer.Option("--hand-over-to", metavar="USER", help="Who sponsors from now on what they sponsored."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Erase a person for good: their agents, conversations, files, keys, addresses and whatever waits for them.

    What they spent stays in the sums, under no name. Backups hold what they held until you delete them.
    """
    from rookery.gateway.shapes import Erased, UserErase

    if not yes and not dry_run:
        note(f"Everything of {user_id} will be gone, and nothing brings it back but a backup.")
        sys.stderr.write("Type their id once more: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip() != user_id:
            raise Conflict("That is not their id; nothing was erased.")
    ask = UserErase(user_id=user_id, hand_over_to=hand_over_to, dry_run=dry_run)
    with reach(home_at(home)) as wire:
        gone = wire.call("user.erase", ask, Erased)
    if json:
        as_json(gone)
        return
    say(f"{'Would go' if dry_run else 'Gone'}: {gone.user_id}. Agents: {', '.join(gone.agents)}.")
    say(f"Rows: {', '.join(f'{table} {count}' for table, count in sorted(gone.rows.items()))}.")
    if gone.described:
        note("The people file still describes them, and adds them again when it is applied; take them out there.")
    if not dry_run:
        note("Backups hold what they held until you delete them.")


@contextlib.contextmanager
def _whole_or_not(path: Path) -> Generator[BinaryIO]:
    """A file that was not there, for this user alone; there whole under its name, or not at all."""
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    if os.path.lexists(path):
        raise Conflict(f"{path} is there already; choose another name, or remove it first.")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # which never takes the place of another file, as a rename would
    except FileExistsError:
        raise Conflict(f"{path} is there already; choose another name, or remove it first.") from None
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"{path} cannot be written: there is no directory {str(path.parent)!r}.") from None
    finally:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            part.unlink()
        sys.stderr.flush()
