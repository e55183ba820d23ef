"""`usersFile`: the people file that a gateway applies when it starts, and when the file changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from rookery.config.people_digest import digest
from rookery.errors import ConfigError
from rookery.gateway.home import Home
from rookery.gateway.log import Logger
from rookery.gateway.people_file import Applied, Parts, apply
from rookery.users import put

_MOST_WARNINGS = 20


def path_of(home: Home, users_file: str) -> Path:
    """Where the people file lies: relative to `rookery.yaml`."""
    return home.config.parent / str(users_file)


async def take_up(path: Path, environ: Mapping[str, str], parts: Parts, log: Logger) -> None:
    """Apply the people file, if it is another than was applied last.

    Raises `ConfigError` with everything that is wrong, by line, and then nothing is changed; `StorageUnavailable`.
    """
    found = await asyncio.to_thread(digest, path, environ)
    known = await parts.database.read(lambda connection: put.file_digest(connection, str(path)))
    if found is not None and found == known:
        return
    from rookery.gateway.people_reading import read_people

    read = await asyncio.to_thread(read_people, path, environ)
    async for event in apply(parts, read.people, read.file.texts, file=(str(path), found)):
        if isinstance(event, Applied):
            if event.problems:
                raise ConfigError("\n".join(read.lines(event.problems)))
            _tell(path.name, event, [*read.file.warnings, *event.notes], log)


def _tell(name: str, applied: Applied, notes: list[str], log: Logger) -> None:
    log.info(
        "people.applied", file=name, people=applied.people, changes=len(applied.changes), left=len(applied.left)
    )
    for line in notes[:_MOST_WARNINGS]:
        log.warning("people.note", detail=line)
    if len(notes) > _MOST_WARNINGS:
        log.warning(
            "people.note", detail=f"and {len(notes) - _MOST_WARNINGS} more; `rookery user apply` lists all"
        )
    if applied.left:
        log.warning("people.left", users=list(applied.left[:_MOST_WARNINGS]))
