"""Counting the syncs a gateway asks of the disk, with a small library put in front of the C library's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from struct import unpack
from time import perf_counter
from typing import NamedTuple

from benchmarks.figures import percentile


class Counts(NamedTuple):
    """Syncs so far, by what was synced."""

    transcripts: int
    logs: int
    databases: int
    others: int

    def since(self, earlier: Counts) -> Counts:
        return Counts(*(now - then for now, then in zip(self, earlier, strict=True)))

    @property
    def commits(self) -> int:
        """Synced commits: appends to transcripts and commits of the database.

        Moving the log into the database, which happens every so many commits, syncs the log once before,
        the database after, and the log once more when it begins anew; those are not commits.
        """
        return self.transcripts + self.logs - 2 * self.databases


class Counter:
    """The library, built in `scratch`, and its counters."""

    def __init__(self, scratch: Path) -> None:
        """Raises `CalledProcessError` when it does not build."""
        self._library = scratch / "syncs.so"
        self._counters = scratch / "syncs"
        self._counters.write_bytes(bytes(32))
        source = Path(__file__).with_name("syncs.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self._library, source, "-ldl"], check=True)

    @property
    def environ(self) -> dict[str, str]:
        """What the gateway's process has to be started with."""
        return {"LD_PRELOAD": str(self._library), "SYNC_COUNTERS": str(self._counters)}

    def read(self) -> Counts:
        return Counts(*unpack("=4Q", self._counters.read_bytes()))


def can_count() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("cc") is not None


def time_of_one(directory: Path, tries: int = 100) -> float:
    """The median seconds one small synced append takes on the disk under a directory, from one thread."""
    path = directory / "synced"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    taken: list[float] = []
    try:
        for _ in range(tries):
            os.write(descriptor, b"x" * 500)
            began = perf_counter()
            os.fdatasync(descriptor)
            taken.append(perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return percentile(taken, 50)
