"""A home for each test, and the commands on it, with and without a gateway that runs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.cli.command import Rookery, running


@pytest.fixture
def rookery(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rookery:
    """Commands on an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return Rookery(tmp_path / "home", capsys, monkeypatch)


@pytest.fixture(params=["alone", "running"])
def house(request: pytest.FixtureRequest, rookery: Rookery) -> Generator[Rookery]:
    """Commands on a home with Alice and Bob, that open the state themselves, or find a gateway running on it."""
    rookery("user", "add", "alice", "--name", "Alice", "--timezone", "Europe/Madrid")
    rookery("user", "add", "bob")
    with running(rookery.home) if request.param == "running" else nullcontext():
        yield rookery
