"""One person's way through the page, in a real browser over a real gateway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import DESKTOP, PHONE, Chat, House, check_accessible, set_up, sign_in, visit

pytestmark = pytest.mark.whole

_UNKNOWN = r"401 \(Unauthorized\) \(http://[^)]*/api/(me|login)\)"
"""The browser says so of its own accord when the page asks who is here and nobody is."""


@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_from_the_setup_link_to_a_chat_that_lasts(
    browser: Browser, house: House, device: Mapping[str, Any]
) -> None:
    """A newcomer follows the link, is in, is answered; reload, second tab and another login show the same."""
    await house.up()
    alice = await visit(browser, house, device)
    alice.expect_complaint(_UNKNOWN)
    chat = await set_up(alice)
    assert chat.page.url == f"{house.url}/"
    await expect(chat.page.get_by_role("heading", name="Hello, Alice")).to_be_visible()
    await check_accessible(chat.page)

    await chat.page.get_by_role("button", name="My locker code is 4711.").click()
    await expect(chat.reply("Noted: your locker code is 4711")).to_be_visible()
    await chat.say("What is my locker code?")
    await expect(chat.replies).to_have_count(2)
    await chat.settled()
    words = await chat.words()
    assert [words[0], words[2]] == ["My locker code is 4711.", "What is my locker code?"]
    assert "4711" in words[3]
    await check_accessible(chat.page)

    await chat.page.reload()
    await expect(chat.replies).to_have_count(2)
    assert await chat.words() == words

    other = Chat(await alice.open("/"))
    await expect(other.replies).to_have_count(2)
    await chat.say("hello from the first tab")
    await expect(other.said.filter(has_text="hello from the first tab")).to_be_visible()
    await expect(other.replies).to_have_count(3)
    await other.settled()
    await chat.settled()
    words = await chat.words()
    assert await other.words() == words
    await other.page.close()

    await sign_out(chat)
    await check_accessible(chat.page)
    assert await alice.context.cookies() == []
    chat = await sign_in(chat.page)
    await expect(chat.replies).to_have_count(3)
    assert await chat.words() == words
    alice.check()


async def test_chats_are_told_apart(browser: Browser, house: House) -> None:
    """A new chat knows nothing of the other; one is left and come back to, by list and by the back button."""
    await house.up()
    alice = await visit(browser, house, PHONE)
    chat = await set_up(alice)
    await chat.say("My locker code is 4711.")
    await expect(chat.replies).to_have_count(1)
    await chat.settled()

    await chat.page.get_by_role("button", name="Open chats").click()
    await check_accessible(chat.page)
    await chat.page.get_by_role("complementary").get_by_role("button", name="New chat").click()
    await chat.say("What is my locker code?")
    await expect(chat.reply("I do not know")).to_be_visible()
    await chat.settled()

    await chat.page.get_by_role("button", name="Open chats").click()
    rows = chat.page.get_by_role("navigation", name="Chats").get_by_role("listitem")
    await expect(rows).to_have_count(2)
    await rows.filter(has_text="My locker code is").get_by_role("button").click()
    await expect(chat.reply("Noted")).to_be_visible()
    await chat.page.go_back()
    await expect(chat.reply("I do not know")).to_be_visible()
    alice.check()


async def test_what_is_refused_is_said_where_it_is_wrong(browser: Browser, house: House) -> None:
    """A weak password, a wrong one and a used link are told in words, and nothing typed is lost."""
    await house.up()
    alice = await visit(browser, house)
    alice.expect_complaint(r"\((Bad Request|Unauthorized|Forbidden|Conflict|Not Found)\)")
    page = await alice.open(house.setup_link)
    await page.get_by_label("User name").fill("alice")
    password = page.get_by_label("Password", exact=True)
    await password.fill("password")
    await password.press("Enter")
    await expect(password).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("User name")).to_have_value("alice")
    await check_accessible(page)

    chat = await set_up(alice)
    await sign_out(chat)
    await chat.page.get_by_label("User name").fill("alice")
    await chat.page.get_by_label("Password", exact=True).fill("seven herons by the sea")
    await chat.page.get_by_role("button", name="Sign in").click()
    await expect(chat.page.get_by_text("do not fit together")).to_be_visible()

    late = await visit(browser, house)
    late.expect_complaint(r"\((Bad Request|Unauthorized|Forbidden|Conflict|Not Found|Gone)\)")
    page = await late.open(house.setup_link)
    await page.get_by_label("User name").fill("mallory")
    await page.get_by_label("Password", exact=True).fill("seven herons by the mill")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.locator(".form-wrong, .field-wrong").locator("visible=true")).not_to_be_empty()
    alice.check()
    late.check()


async def test_the_page_speaks_and_looks_as_one_chose(browser: Browser, house: House) -> None:
    """Language and theme are the person's: they are there again in another browser, in the first paint here."""
    await house.up()
    alice = await visit(browser, house)
    alice.expect_complaint(_UNKNOWN)
    chat = await set_up(alice)
    account = chat.page.get_by_role("button", name="Alice Rivera")
    await account.click()
    await check_accessible(chat.page)
    await chat.page.get_by_role("radio", name="Dark").check(force=True)
    await expect(chat.page.locator("html")).to_have_attribute("data-theme", "dark")
    await chat.page.get_by_label("Language").select_option("es")
    await expect(chat.page.get_by_role("textbox", name="Mensaje")).to_be_visible()
    await expect(chat.page.locator("html")).to_have_attribute("lang", "es")

    elsewhere = await visit(browser, house)
    elsewhere.expect_complaint(_UNKNOWN)
    page = await elsewhere.open()
    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password", exact=True).fill("seven herons by the mill")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("textbox", name="Mensaje")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await check_accessible(page)
    alice.check()
    elsewhere.check()


async def test_everything_by_keyboard(browser: Browser, house: House) -> None:
    """Enter sends, Shift+Enter does not, arrow up brings back what was said, nothing needs a pointer."""
    await house.up()
    alice = await visit(browser, house)
    chat = await set_up(alice)
    keys = chat.page.keyboard
    await expect(chat.box).to_be_focused()
    await keys.type("first line")
    await keys.press("Shift+Enter")
    await keys.type("second line")
    await keys.press("Enter")
    await expect(chat.said.locator(".body")).to_have_text("first line\nsecond line")
    await expect(chat.replies).to_have_count(1)
    await chat.settled()

    await expect(chat.box).to_be_focused()
    await keys.press("ArrowUp")
    await expect(chat.box).to_have_value("first line\nsecond line")
    await chat.box.fill("")
    await keys.type("/help")
    await keys.press("Enter")
    await expect(chat.page.locator(".message.aside")).to_contain_text("/whoami")
    await keys.press("Control+Shift+O")
    await expect(chat.page.get_by_role("heading", name="Hello, Alice")).to_be_visible()
    await keys.press("Shift+Tab")
    await keys.press("Shift+Escape")
    await expect(chat.box).to_be_focused()
    alice.check()


async def test_a_password_of_somebody_elses_is_changed_first(browser: Browser, house: House) -> None:
    """Bob comes with a password that an admin chose, and is in once he has one of his own."""
    await house.up()
    alice = await visit(browser, house)
    chat = await set_up(alice)
    await chat.say("My locker code is 4711.")
    await expect(chat.replies).to_have_count(1)
    await chat.page.evaluate(
        """async () => {
            const headers = { 'content-type': 'application/json' };
            const body = JSON.stringify({ id: 'bob', name: 'Bob', password: 'chosen by alice' });
            await fetch('/api/users', { method: 'POST', headers, body });
        }"""
    )
    bob = await visit(browser, house)
    bob.expect_complaint(_UNKNOWN)
    page = await bob.open()
    await page.get_by_label("User name").fill("bob")
    await page.get_by_label("Password", exact=True).fill("chosen by alice")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Choose a password of your own")).to_be_visible()
    await check_accessible(page)
    await page.get_by_label("New password").fill("nine cranes on the marsh")
    await page.get_by_role("button", name="Save and go on").click()
    await expect(page.get_by_role("heading", name="Hello, Bob")).to_be_visible()
    await expect(page.get_by_text("Your chats will be listed here")).to_be_visible()
    alice.check()
    bob.check()


async def sign_out(chat: Chat) -> None:
    """Leave by the account menu, which on a phone is in the drawer."""
    drawer = chat.page.get_by_role("button", name="Open chats")
    if await drawer.is_visible():
        await drawer.click()
    await chat.page.get_by_role("button", name=re.compile("Alice")).click()
    await chat.page.get_by_role("button", name="Sign out").click()
    await expect(chat.page.get_by_role("heading", name="Sign in")).to_be_visible()
