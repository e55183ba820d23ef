"""The proof proves something: a gateway that mixes people up, in any of these ways, does not pass it."""

from __future__ import annotations

import pytest

from tests.isolation.mistakes import MISTAKES, Mistake
from tests.isolation.trials import caught


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
async def test_a_seeded_mistake_is_caught(mistake: Mistake) -> None:
    """The oracle that is silent about our gateway is not silent about one that makes this mistake."""
    assert await caught(mistake) is not None
