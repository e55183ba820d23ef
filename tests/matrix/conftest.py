"""The house that the matrix is asked of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.matrix.scene import Scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene]:
    """One of everything, and everybody who may ask for it."""
    async with Scene(tmp_path) as scene:
        await scene.moves_in()
        yield scene
