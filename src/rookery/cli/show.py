"""How facts are printed: tables that are readable at 80 columns, and JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

_UNWRAPPED = 1000


def as_json(value: object) -> None:
    """Print a fact as JSON, keys in camelCase and times in RFC 3339."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(encoded.decode() + "\n")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, none: str) -> None:
    """Print rows under headings; `none` is said, on standard error, when there are no rows."""
    if not rows:
        sys.stderr.write(f"{none}\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    console().print(drawn)


def console(width: int | None = None) -> Console:
    """A rich console on standard output; unless `width` is said, what goes to a program is not wrapped."""
    from rich.console import Console

    if width is None and not sys.stdout.isatty():
        width = _UNWRAPPED
    return Console(file=sys.stdout, highlight=False, width=width)


def say(line: str) -> None:
    """Print one line of result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Print one line that is no result: it goes to standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def local(moment: datetime | None) -> str:
    """A time as the operator's clock shows it, to the minute."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def printable(text: str, *, lines: bool = False) -> str:
    """A text that cannot steer the terminal it is printed on; `lines` keeps its line breaks and tabs."""
    kept = "\n\t" if lines else ""
    return "".join(char if char.isprintable() or char in kept else "\N{REPLACEMENT CHARACTER}" for char in text)
