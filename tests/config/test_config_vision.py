"""Which providers' models are shown pictures."""

from __future__ import annotations

import pytest

from rookery.config import Config


@pytest.mark.parametrize(
    ("providers", "name", "sees"),
    [
        ({}, "openai", True),
        ({}, "anthropic", True),
        ({}, "offline", False),
        ({"openai": {"api": "openai"}}, "openai", True),
        ({"openai": {"api": "openai", "baseUrl": "http://127.0.0.1:8000/v1"}}, "openai", False),
        ({"openai": {"api": "openai", "vision": False}}, "openai", False),
        ({"local": {"api": "openai", "baseUrl": "http://127.0.0.1:8000/v1"}}, "local", False),
        ({"local": {"api": "openai", "baseUrl": "http://127.0.0.1:8000/v1", "vision": True}}, "local", True),
    ],
)
def test_pictures_are_shown_where_they_are_understood(providers: dict[str, object], name: str, sees: bool) -> None:
    """By the big two at their own addresses; elsewhere a server that knows no pictures would refuse the call."""
    assert Config.model_validate({"models": {"providers": providers}}).models.sees(name) is sees
