"""Friends on the page: chosen where a chat is begun, and named in it; on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, House, check_accessible, set_up, visit

_ADD = """async (name) => {
  const response = await fetch('/api/agents', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, relation: 'friend' }),
  });
  return response.status;
}"""


@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_who_answers_is_chosen_where_a_chat_is_begun(
    browser: Browser, house: House, device: Mapping[str, Any]
) -> None:
    """With a friend there is a choice; the chat says who speaks, also after a reload. The next is main's again."""
    await house.up()
    visitor = await visit(browser, house, device)
    chat = await set_up(visitor)
    page = chat.page
    choice = page.get_by_label("Who answers?")
    await expect(page.get_by_role("heading", name="Hello, Alice")).to_be_visible()
    await expect(choice).to_have_count(0)
    assert await page.evaluate(_ADD, "Sabrina") == 201
    await page.reload()
    await expect(choice).to_be_visible()
    await expect(choice).to_have_value("alice")
    await choice.select_option(label="Sabrina")
    await check_accessible(page)
    await chat.say("What can you do?")
    await expect(chat.replies).to_have_count(1)
    await chat.settled()
    await _speaks(page, "Sabrina")
    await page.reload()
    await expect(chat.replies).to_have_count(1)
    await _speaks(page, "Sabrina")
    await check_accessible(page)

    await page.get_by_role("button", name="New chat").locator("visible=true").first.click()
    await expect(choice).to_have_value("alice")
    await chat.say("What can you do?")
    await expect(chat.replies).to_have_count(1)
    await chat.settled()
    await expect(page.locator(".chat-speaker")).to_be_hidden()
    await expect(page.get_by_role("heading", name="Assistant")).to_have_count(1)
    visitor.check()


async def _speaks(page: Page, name: str) -> None:
    """The chat's head says so, each reply does to who listens, and so does the list."""
    await expect(page.locator(".chat-speaker")).to_have_text(name)
    await expect(page.locator(".message.reply h2")).to_have_text(name)
    await expect(page.locator(".chats-name").first).to_contain_text(f"{name}: ")
