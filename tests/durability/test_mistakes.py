"""The tests of the test: each mistake somebody could make in the product is caught."""

from __future__ import annotations

import pytest

from tests.durability import play
from tests.durability.mistakes import MISTAKES
from tests.durability.scenes import SCENES
from tests.durability.sweeps import sweep


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_oracle_catches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mistake in the product, some kill at some write breaks the promise, and is seen to."""
    mistake = MISTAKES[name]
    mistake.make(monkeypatch)
    monkeypatch.setattr(play, "PATIENCE", 4.0)

    swept = await sweep(SCENES[mistake.scene], [mistake.blow], postgres=mistake.postgres, until_wrong=True)

    assert swept.wrong != []
