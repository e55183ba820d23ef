"""Frames and answers that overtake one another: the page's idea of a chat is right at every moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.conftest import House, visit

pytestmark = [pytest.mark.whole, pytest.mark.timeout(240)]

_PLAY = Path(__file__).with_name("interleavings.js").read_text()
SEEDS = 250


async def test_no_order_of_arrival_makes_a_gap_or_a_double(browser: Browser, house: House) -> None:
    """Each reply shown is a beginning of what was said, and in the end it is what a fresh page shows."""
    await house.up()
    somebody = await visit(browser, house)
    page = await somebody.open()
    app = await page.locator("script[type=module]").get_attribute("src")
    assert app is not None
    version = f"/{app.removesuffix('app.js')}"
    modules = {"module": f"{version}conversation.js", "keepModule": f"{version}keep.js", "seeds": SEEDS}

    outcome = await page.evaluate(_PLAY, arg=modules)

    assert outcome["wrong"] == []
    assert outcome["shown"] > 50 * SEEDS
