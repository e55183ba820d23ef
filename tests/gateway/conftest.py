"""A house for each test, on both databases."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.databases import fresh_database
from tests.support.house import TestHouse


@pytest.fixture(params=["sqlite", "postgresql"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[TestHouse]:
    """A gateway with loopback networks and an echoing model, on the embedded and on the served database."""
    with ExitStack() as stack:
        postgres = stack.enter_context(fresh_database()) if request.param == "postgresql" else None
        async with TestHouse(tmp_path, postgres=postgres) as opened:
            yield opened
