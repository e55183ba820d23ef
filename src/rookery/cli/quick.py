"""`rookery up` as it is usually written, understood without the library that understands everything.

A gateway that is started again answers a tenth of a second sooner for it. Whatever is not plain is left to the
real command line, with its help and its errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Up:
    """What `rookery up` was told."""

    home: Path | None = None
    host: str | None = None
    port: int | None = None


def plain_up(arguments: Sequence[str]) -> Up | None:
    """The arguments of a plain `rookery [--home DIR] up [--home DIR] [--host H] [--port N]`; None for all else."""
    said: dict[str, str] = {}
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in ("--home", "--host", "--port"):
            said[name] = value if equals else next(rest, "")
        else:
            words.append(word)
    port = said.get("--port")
    if words != ["up"] or "" in said.values() or (port is not None and not _is_port(port)):
        return None
    home = said.get("--home")
    return Up(
        home=None if home is None else Path(home),
        host=said.get("--host"),
        port=None if port is None else int(port),
    )


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 65535
