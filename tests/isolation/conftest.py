"""Where the proof of isolation keeps its states: in memory where the system offers that, for the speed of it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.isolation.trials import in_memory
from tests.support.databases import fresh_database
from tests.support.house import TestHouse


@pytest.fixture
def state() -> Generator[Path]:
    """A directory of one's own."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        yield Path(directory)


@pytest.fixture(params=["sqlite", "postgresql"])
async def house(request: pytest.FixtureRequest, state: Path) -> AsyncGenerator[TestHouse]:
    """A gateway with loopback networks and an echoing model, on the embedded and on the served database."""
    with ExitStack() as stack:
        postgres = stack.enter_context(fresh_database()) if request.param == "postgresql" else None
        async with TestHouse(state, postgres=postgres) as opened:
            yield opened
