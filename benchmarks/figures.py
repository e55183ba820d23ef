"""What was measured, what it should be, and how both are shown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


class Goal(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What a figure has to reach, and what would be better than that: at most, or at least, so much."""

    reach: float
    beyond: float | None = None
    at_least: bool = False

    def met(self, value: float) -> str:
        """`beyond`, `yes` or `NO`."""
        if self.beyond is not None and self._holds(value, self.beyond):
            return "beyond"
        return "yes" if self._holds(value, self.reach) else "NO"

    def shown(self, bound: float | None) -> str:
        """One of the two, as it stands in a table."""
        return "" if bound is None else f"{'≥' if self.at_least else '≤'} {_short(bound)}"

    def _holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


class Figure(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing measured. `condition` says under what, `bare` what the endpoint alone took or gave.

    With `first` it stands in the table that a reader sees before all others.
    """

    name: str
    condition: str
    unit: str
    value: float
    bare: float | None = None
    goal: Goal | None = None
    first: bool = False


class Chapter(Struct, frozen=True):
    """What one measure gave, and what it is about."""

    about: str
    figures: tuple[Figure, ...]


class Report(Struct, frozen=True, kw_only=True, rename="camel"):
    """One run: when, on what, and all it measured."""

    at: str
    machine: str
    notes: tuple[str, ...]
    seconds: float
    chapters: tuple[Chapter, ...]

    @property
    def first(self) -> list[Figure]:
        """The figures that were asked for, from whatever measure they come, those of one name together."""
        chosen = [figure for chapter in self.chapters for figure in chapter.figures if figure.first]
        names = list(dict.fromkeys(figure.name for figure in chosen))
        return sorted(chosen, key=lambda figure: names.index(figure.name))


_COLUMNS = ("measure", "condition", "measured", "reach", "beyond", "met", "bare endpoint")


def show(report: Report) -> None:
    """Print the tables."""
    # A pipe has no width, and a figure broken over two lines is hard to find again.
    console = Console()
    console.width = max(console.width, 170)
    for chapter in (Chapter(f"{report.at} · {report.machine}", tuple(report.first)), *report.chapters):
        table = Table(*_COLUMNS, title=chapter.about)
        for figure in chapter.figures:
            table.add_row(*_cells(figure))
        console.print(table)
    for note in report.notes:
        console.print(f"- {note}", highlight=False, markup=False)


def write_json(report: Report, path: Path) -> None:
    """Keep the report for machines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def write_page(report: Report, page: Path) -> None:
    """Replace what stands between the markers of a page. Raises `ValueError` when it has none."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the results; put {BEGIN} and {END} into it.")
    notes = "\n".join(f"- {note}" for note in report.notes)
    parts = [f"{report.at}, {report.machine}.", "## What was asked for", _table(report.first), notes]
    parts.append("## Everything that was measured")
    for chapter in report.chapters:
        parts += [f"**{chapter.about}**", _table(chapter.figures)]
    page.write_text("\n\n".join((f"{before}{BEGIN}", *parts, f"{END}{after}")))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of all are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def _table(figures: Sequence[Figure]) -> str:
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_cells, figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(figure: Figure) -> tuple[str, ...]:
    goal = figure.goal
    return (
        figure.name,
        figure.condition,
        f"{_short(figure.value)} {figure.unit}".strip(),
        "" if goal is None else goal.shown(goal.reach),
        "" if goal is None else goal.shown(goal.beyond),
        "" if goal is None else goal.met(figure.value),
        "" if figure.bare is None else f"{_short(figure.bare)} {figure.unit}".strip(),
    )


def _short(value: float) -> str:
    """Three figures that mean something."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
