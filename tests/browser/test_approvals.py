"""A tool that asks first, as somebody in front of the page meets it; and what is said while it waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.asking import WORDS, asks_first, time_is_over
from tests.browser.conftest import DESKTOP, PHONE, Chat, House, check_accessible, set_up, visit
from tests.support.fake_openai import Canned, FakeOpenAI

pytestmark = pytest.mark.whole

_STEERING = {"messages": {"queue": {"mode": "steer"}}}
_NOT_YET = b'data: {"choices": [{"index": 0, "delta": {"content": "Not yet."}}]}\n\n'


class Asked(Chat):
    """A chat in which somebody is asked."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.question = page.get_by_role("group", name="May I do this?")
        self.allow = self.question.get_by_role("button", name="Allow once")
        self.deny = self.question.get_by_role("button", name="Do not allow")
        self.read_out = page.locator("rk-messages > .for-ears")

    def tool(self, words: str) -> Locator:
        """How a call is shown."""
        return self.page.locator(".tool", has_text=words)


async def asked(
    browser: Browser,
    house: House,
    fake: FakeOpenAI,
    directory: Path,
    device: Mapping[str, Any] = DESKTOP,
    settings: Mapping[str, Any] | None = None,
) -> Asked:
    """Alice said what makes her assistant look at the clock, and is asked whether it may."""
    house.use_models_of(fake, "tool:time", further=settings)
    house.beside = asks_first(directory)
    await house.up()
    chat = Asked((await set_up(await visit(browser, house, device))).page)
    await chat.say("What time is it?")
    await expect(chat.question).to_contain_text(WORDS)
    return chat


@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_what_would_be_done_is_shown_and_allowed(
    browser: Browser, house: House, fake: FakeOpenAI, tmp_path: Path, device: Mapping[str, Any]
) -> None:
    """In words, with two buttons that the keyboard reaches from the box, and the time until when; nothing is done
    before. The focus stays among the messages, and the call is shown as made."""
    chat = await asked(browser, house, fake, tmp_path, device)
    await expect(chat.tool("Waits for your yes: time")).to_be_visible()
    await expect(chat.question).to_contain_text("I wait for your answer until ")
    await check_accessible(chat.page)
    await chat.box.focus()
    await chat.page.keyboard.press("Shift+Tab")
    await expect(chat.deny).to_be_focused()
    await chat.page.keyboard.press("Shift+Tab")
    await expect(chat.allow).to_be_focused()
    assert len(fake.requests) == 1
    await (chat.page.keyboard.press("Enter") if device is DESKTOP else chat.allow.tap())

    await expect(chat.tool("Used time")).to_be_visible()
    await chat.settled()
    await expect(chat.question).to_be_hidden()
    await expect(chat.page.get_by_role("log")).to_be_focused()
    await expect(chat.replies).to_have_count(1)
    words = await chat.words()
    await chat.page.reload()
    await expect(chat.tool("Used time")).to_be_visible()
    assert await chat.words() == words
    await check_accessible(chat.page)


async def test_a_question_outlives_reload_and_crash_and_is_answered_anywhere(
    browser: Browser, house: House, fake: FakeOpenAI, tmp_path: Path
) -> None:
    """It is there again after a reload, in another tab and after kill -9; what is said to it in one tab, or typed
    as in any chat, is seen and read out in the other."""
    chat = await asked(browser, house, fake, tmp_path)
    await chat.page.reload()
    await expect(chat.question).to_contain_text(WORDS)
    await house.kill()
    await expect(chat.page.get_by_text("Connection lost")).to_be_visible()
    await house.up()
    await expect(chat.page.get_by_text("Connection lost")).to_be_hidden()
    await expect(chat.question).to_contain_text(WORDS)

    other = Asked(await chat.page.context.new_page())
    await other.page.goto(house.url)
    await other.deny.click()
    for tab in (chat, other):
        await expect(tab.tool("time: not allowed")).to_be_visible()
        await expect(tab.question).to_be_hidden()
        await expect(tab.read_out).not_to_be_empty()
        await tab.settled()
    await check_accessible(chat.page)

    await chat.say("And now?")
    await expect(chat.question).to_contain_text(WORDS)
    await expect(other.question).to_contain_text(WORDS)
    await other.say("/approve 2")
    await expect(other.page.get_by_text("Number 2 is allowed, this once.")).to_be_visible()
    for tab in (chat, other):
        await expect(tab.tool("Used time")).to_be_visible()
        await tab.settled()
    await chat.page.reload()
    await expect(chat.tool("time: not allowed")).to_be_visible()
    await expect(chat.tool("Used time")).to_be_visible()


async def test_nobody_answers_in_time(browser: Browser, house: House, fake: FakeOpenAI, tmp_path: Path) -> None:
    """The question goes, and what became of it stays; an answer cannot be given any more."""
    chat = await asked(browser, house, fake, tmp_path)
    time_is_over(tmp_path)
    await expect(chat.tool("time: not answered in time")).to_be_visible()
    await expect(chat.question).to_be_hidden()
    await chat.settled()
    await chat.page.reload()
    await expect(chat.tool("time: not answered in time")).to_be_visible()
    await expect(chat.question).to_be_hidden()


async def test_a_yes_that_was_not_heard_can_be_given_again(
    browser: Browser, house: House, fake: FakeOpenAI, tmp_path: Path
) -> None:
    """Without a network the buttons come back, and one of them is enough when it is there again."""
    chat = await asked(browser, house, fake, tmp_path)
    await chat.page.context.set_offline(True)
    await chat.allow.click()
    await expect(chat.allow).to_be_enabled()
    await expect(chat.question).to_be_visible()
    await chat.page.context.set_offline(False)
    await chat.allow.click()
    await expect(chat.tool("Used time")).to_be_visible()
    await chat.settled()


async def test_what_joins_an_answer_stands_in_it(
    browser: Browser, house: House, fake: FakeOpenAI, tmp_path: Path
) -> None:
    """Said while the answer waits, it is shown waiting; as soon as it has joined it is part of the conversation,
    with what follows below it, though the answer goes on."""
    chat = await asked(browser, house, fake, tmp_path, settings=_STEERING)
    waits = chat.page.get_by_text("Waits for the reply before it")
    await chat.say("And is it late?")
    await expect(waits).to_be_visible()
    fake.serve("tool:time", Canned((_NOT_YET,), end="stay"))
    await chat.allow.click()

    await expect(chat.reply("Not yet.")).to_be_visible()
    await expect(waits).to_be_hidden()
    assert await chat.words() == ["What time is it?", "Used time", "And is it late?", "Not yet."]
    await check_accessible(chat.page)
    fake.finish()
    await chat.settled()
    assert await chat.words() == ["What time is it?", "Used time", "And is it late?", "Not yet."]
