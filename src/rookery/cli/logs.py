"""`rookery logs`: what happened, from the log of the home, whether a gateway runs or not."""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, home_at
from rookery.cli.reach import is_home
from rookery.cli.show import note, printable
from rookery.cli.times import moment

if TYPE_CHECKING:
    from pathlib import Path

    from rookery.gateway.logbook import Line, Wanted

LINES = 100
LOOK_EVERY = 0.25
"""Seconds between looks at a log that is followed."""


class Level(StrEnum):
    """How grave an event is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more happens, until Ctrl-C.")] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines", "-n", min=0, metavar="N", help=f"The last N events; {LINES}, or with --since all of them."
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="T", help="From this time on: 2h, 7d, or a date.")] = None,
    level: Annotated[Level | None, typer.Option(help="This level and graver ones.")] = None,
    event: Annotated[
        str | None, typer.Option(metavar="E", help="Only this event; with a dot at its end, all that begin so.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="U", help="Only what concerns this person or an agent of theirs.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the lines as the log has them: JSON.")] = False,
    home: HomeOption = None,
) -> None:
    """Show the log: ids and durations, never what anybody said."""
    from rookery.errors import NotFound
    from rookery.gateway.logbook import Wanted

    at = home_at(home)
    path = at.log
    if not is_home(at):
        raise NotFound(f"There is no Rookery home at {at.path}; --home or ROOKERY_HOME names another.")
    wanted = Wanted(
        level=None if level is None else level.value,
        event=event,
        user=user,
        since=None if since is None else moment(since, datetime.now(UTC)),
    )
    most = LINES if lines is None and wanted.since is None else lines
    if not path.exists():
        note("Nothing was logged yet; `rookery up` logs what it does.")
    show = _show_json if json else _show
    try:
        if follow:
            _follow(path, wanted, most, show)
        else:
            _print(path, wanted, most, show)
    except BrokenPipeError:
        # Whoever read has enough, as with `head`; nothing more is flushed at the end.
        sys.stderr.close()
        raise SystemExit(128 + signal.SIGPIPE) from None
    except KeyboardInterrupt:
        raise SystemExit(0) from None


def _print(path: Path, wanted: Wanted, most: int | None, show: Callable[[Line], None]) -> None:
    from rookery.gateway.logbook import kept, matching

    found: Iterable[Line] = matching(kept(path), wanted)
    for line in found if most is None else deque(found, maxlen=most):
        show(line)
    sys.stdout.flush()


def _follow(path: Path, wanted: Wanted, most: int | None, show: Callable[[Line], None]) -> None:
    from rookery.gateway.logbook import follow, parse

    held: deque[Line] | None = deque(maxlen=most)
    for raw in follow(path, lambda: time.sleep(LOOK_EVERY)):
        if raw is None:
            for line in held or ():
                show(line)
            held = None  # all that was there is shown; from now on each line as it comes
            sys.stdout.flush()
            continue
        line = parse(raw)
        if line is None or not wanted.has(line):
            continue
        if held is None:
            show(line)
        else:
            held.append(line)


def _show_json(line: Line) -> None:
    sys.stdout.write(line.raw.decode(errors="replace") + "\n")


_COLOURS = {"warning": "33", "error": "31"}


def _show(line: Line) -> None:
    at = f"{line.at.astimezone():%Y-%m-%d %H:%M:%S}"
    level = f"{line.level:7}"
    if sys.stdout.isatty() and line.level in _COLOURS:
        level = f"\x1b[{_COLOURS[line.level]}m{level}\x1b[0m"
    else:
        level = printable(level)
    fields = " ".join(f"{name}={_value(value)}" for name, value in line.fields.items() if value is not None)
    sys.stdout.write(f"{at}  {level}  {printable(line.event)}  {printable(fields)}".rstrip() + "\n")


def _value(value: object) -> str:
    """A field so that where it ends is plain: a word as it is, everything else as JSON."""
    import msgspec

    plain = isinstance(value, str) and value and not any(char.isspace() or char in '"=\\' for char in value)
    return value if plain and isinstance(value, str) else msgspec.json.encode(value).decode()
