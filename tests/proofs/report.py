"""What a proof leaves behind: a few lines for a person, and a file for a machine.

A proof that saw no failure in n tries says, with 95 % confidence, that fewer than 3/n of them fail.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

REPORTS = Path("reports")


@dataclass(frozen=True, slots=True)
class Report:
    """One proof: `n` tries, what failed in them, and the figures it measured besides."""

    what: str
    seed: int
    n: int
    failures: list[str]
    figures: Mapping[str, float | int | str]
    started_at: str
    seconds: float

    @property
    def bound(self) -> float:
        """The share of tries that fail, at most, with 95 % confidence; 1 when one did."""
        return 3 / self.n if self.n and not self.failures else 1.0

    def write(self, directory: Path = REPORTS) -> Path:
        """Keep it as `<what>.json` and return the path."""
        directory.mkdir(exist_ok=True)
        path = directory / f"{self.what}.json"
        kept = asdict(self)
        kept["startedAt"] = kept.pop("started_at")
        path.write_text(json.dumps({**kept, "bound": self.bound}, indent=1) + "\n")
        return path

    def show(self) -> None:
        """Print it."""
        print(
            f"{self.what}: n = {self.n}, failures = {len(self.failures)}, seed {self.seed}, {self.seconds:.1f} s"
        )
        if self.failures:
            print(*(f"  FAILED {failure}" for failure in self.failures[:50]), sep="\n")
        else:
            print(f"  fewer than 3/n = {self.bound:.2g} of the tries fail (95 % confidence)")
        for name, figure in self.figures.items():
            print(f"  {name}: {figure:.3g}" if isinstance(figure, float) else f"  {name}: {figure}")


@dataclass(slots=True)
class Proof:
    """A proof under way: `Proof("durability", seed)`, then `ends(…)`."""

    what: str
    seed: int
    _began: float = field(default_factory=time.monotonic)
    _started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def ends(self, n: int, failures: Sequence[str], figures: Mapping[str, float | int | str] | None = None) -> int:
        """Print and keep the report; returns the exit status, 1 when anything failed or nothing was tried."""
        report = Report(
            what=self.what,
            seed=self.seed,
            n=n,
            failures=list(failures),
            figures=figures or {},
            started_at=self._started_at,
            seconds=round(time.monotonic() - self._began, 1),
        )
        report.show()
        print(f"  kept in {report.write()}")
        return 1 if failures or not n else 0
