"""What a person is told of a failed call: when to write again, as one says it."""

from __future__ import annotations

import pytest

from rookery.agents import words
from rookery.errors import ModelError, ModelErrorKind


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "in a while"),
        (0.02, "in 1 second"),
        (6.6, "in 7 seconds"),
        (119, "in 119 seconds"),
        (360, "in about 6 minutes"),
        (7199, "in about 120 minutes"),
        (20_000, "in about 6 hours"),
        (251_607_185_330.0, "in a while"),
    ],
)
def test_how_long_to_wait_is_said_in_units_people_use(seconds: float | None, told: str) -> None:
    """Nobody counts six thousand seconds, and nobody waits for the year 9999."""
    said = words.for_model_error(ModelError(ModelErrorKind.RATE_LIMITED, "429", retry_after=seconds))
    assert said == f"The model takes no more questions at the moment. Please write again {told}."
