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


class Goal(Struct, frozen=True):
    """What a figure should reach: at most, or at least, so much of its own unit."""

    value: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.value if self.at_least else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {_short(self.value)}"


class Figure(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing measured. `condition` says under what, `bare` what the endpoint alone took or gave."""

    name: str
    condition: str
    unit: str
    value: float
    bare: float | None = None
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None for a figure without one."""
        return None if self.goal is None else self.goal.met(self.value)


class Report(Struct, frozen=True, kw_only=True, rename="camel"):
    """One run: when, on what, and all it measured."""

    at: str
    machine: str
    notes: tuple[str, ...]
    seconds: float
    figures: tuple[Figure, ...]


_COLUMNS = ("measure", "condition", "measured", "goal", "met", "bare endpoint")


def show(report: Report) -> None:
    """Print the table."""
    table = Table(*_COLUMNS, title=f"{report.at} · {report.machine}")
    for figure in report.figures:
        table.add_row(*_cells(figure))
    # A pipe has no width, and a figure broken over two lines is hard to find again.
    console = Console()
    console.width = max(console.width, 150)
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
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_cells, report.figures)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = "\n".join(f"- {note}" for note in report.notes)
    page.write_text(f"{before}{BEGIN}\n{report.at}, {report.machine}.\n\n{table}\n\n{notes}\n{END}{after}")


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of all are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def _cells(figure: Figure) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return (
        figure.name,
        figure.condition,
        f"{_short(figure.value)} {figure.unit}".strip(),
        "" if figure.goal is None else str(figure.goal),
        met,
        "" if figure.bare is None else f"{_short(figure.bare)} {figure.unit}".strip(),
    )


def _short(value: float) -> str:
    """Three figures that mean something."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
