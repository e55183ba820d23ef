"""An answer while it streams: joined in the middle, stopped, queued behind, outliving a killed gateway."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import PASSWORD, Chat, House, check_accessible, set_up, sign_in, visit
from tests.support.fake_openai import FakeOpenAI

pytestmark = pytest.mark.whole

_GONE = r"ERR_(CONNECTION_|EMPTY_RESPONSE|CONTENT_LENGTH|INCOMPLETE)|WebSocket .* failed"
"""What the browser itself says of a server that is not there."""


async def streaming(browser: Browser, house: House, fake: FakeOpenAI) -> Chat:
    """Alice has asked something, and the model has said three words of its answer."""
    house.use_models_of(fake, "slow")
    await house.up()
    alice = await visit(browser, house)
    chat = await set_up(alice)
    await chat.say("Tell me a long story.")
    await fake.until(lambda: len(fake.requests) == 1)
    for _ in range(3):
        fake.tick()
    await expect(chat.replies).to_have_text(re.compile("word1 word1 word1"))
    return chat


async def test_who_comes_in_the_middle_sees_the_whole(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """A reload and a second tab show what was said before, and every word after it, once."""
    chat = await streaming(browser, house, fake)
    other = Chat(await chat.page.context.new_page())
    await other.page.goto(house.url)
    await expect(other.replies).to_have_text(re.compile("word1 word1 word1"))
    await chat.page.reload()
    await expect(chat.replies).to_have_text(re.compile("word1 word1 word1"))
    await check_accessible(chat.page)

    fake.tick()
    for tab in (chat, other):
        await expect(tab.replies.locator(".md")).to_have_text("word1 word1 word1 word1")
        assert await tab.words() == ["Tell me a long story.", "word1 word1 word1 word1"]

    fake.finish()
    await chat.settled()
    await other.settled()
    assert await chat.words() == await other.words()


async def test_who_comes_in_the_middle_sees_which_chat_is_being_answered(
    browser: Browser, house: House, fake: FakeOpenAI
) -> None:
    """The socket tells nothing of what began before it; the chat that was read does."""
    chat = await streaming(browser, house, fake)
    await chat.page.reload()
    await expect(chat.replies).to_have_text(re.compile("word1 word1 word1"))
    chats = chat.page.get_by_role("navigation", name="Chats")
    await chat.page.get_by_role("complementary").get_by_role("button", name="New chat").click()
    await expect(chats.get_by_role("button", name="Tell me a long story. being answered")).to_be_visible()
    fake.finish()
    await expect(chats.get_by_role("button", name="Tell me a long story. new")).to_be_visible()


async def test_what_is_typed_during_an_answer_waits_for_its_turn(
    browser: Browser, house: House, fake: FakeOpenAI
) -> None:
    """Typing is never blocked: a message sent meanwhile is shown waiting, in every tab, and answered next."""
    chat = await streaming(browser, house, fake)
    other = Chat(await chat.page.context.new_page())
    await other.page.goto(house.url)
    await expect(chat.page.get_by_role("button", name="Send")).to_be_hidden()
    await chat.box.fill("And then?")
    await expect(chat.page.get_by_role("button", name="Send")).to_be_visible()
    await expect(chat.page.get_by_role("button", name="Stop")).to_be_visible()
    await chat.box.press("Enter")
    await expect(chat.said.last).to_contain_text("Waits for the reply before it")
    assert await chat.words() == ["Tell me a long story.", "word1 word1 word1", "And then?"]

    fake.finish()
    await fake.until(lambda: len(fake.requests) == 2)
    fake.tick()
    await expect(chat.replies).to_have_count(2)
    fake.finish()
    await chat.settled()
    await other.settled()
    assert await chat.words() == ["Tell me a long story.", "word1 word1 word1", "And then?", "word1"]
    assert await other.words() == await chat.words()


async def test_who_waits_for_a_model_sees_where_in_the_line(
    browser: Browser, house: House, fake: FakeOpenAI
) -> None:
    """One model call at once, and one is under way: the next chat says that it is next, also after a reload."""
    house.use_models_of(fake, "slow", limits={"maxConcurrent": 1})
    await house.up()
    chat = await set_up(await visit(browser, house))
    await chat.say("Tell me a long story.")
    await fake.until(lambda: len(fake.requests) == 1)
    await chat.page.get_by_role("complementary").get_by_role("button", name="New chat").click()
    await chat.say("And me?")
    line = chat.page.get_by_text("Waits for a free model; next in line")
    await expect(line).to_be_visible()
    await check_accessible(chat.page)
    await chat.page.reload()
    await expect(line).to_be_visible()

    fake.finish()
    await fake.until(lambda: len(fake.requests) == 2)
    await expect(line).to_be_hidden()
    fake.finish()
    await chat.settled()


async def test_escape_stops_an_answer(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """The words that came stay, marked as stopped, also after a reload; the model is told to be quiet."""
    chat = await streaming(browser, house, fake)
    await chat.box.press("Escape")
    await expect(chat.replies.locator(".foot")).to_contain_text("Stopped.")
    await fake.until(lambda: fake.hung_up == 1)
    await chat.settled()
    assert await chat.words() == ["Tell me a long story.", "word1 word1 word1"]
    await chat.page.reload()
    await expect(chat.replies.locator(".foot")).to_contain_text("Stopped.")
    assert await chat.words() == ["Tell me a long story.", "word1 word1 word1"]


async def test_a_killed_gateway_is_come_back_to(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """kill -9 in mid-answer: the page says so, keeps draft and unsent message, comes back by itself, shows all."""
    house.use_models_of(fake, "slow")
    await house.up()
    alice = await visit(browser, house)
    alice.expect_complaint(_GONE)
    chat = await set_up(alice)
    await chat.say("Tell me a long story.")
    await fake.until(lambda: len(fake.requests) == 1)
    fake.tick()
    await expect(chat.replies).to_have_text(re.compile("word1"))

    await house.kill()
    await expect(chat.page.get_by_text("Connection lost")).to_be_visible()
    await check_accessible(chat.page)
    await chat.say("Are you there?")
    await expect(chat.said.last).to_contain_text("Not sent yet")
    await chat.box.fill("half a thou")
    await house.up()

    await expect(chat.page.get_by_text("Connection lost")).to_be_hidden()
    await fake.until(lambda: len(fake.requests) == 2)
    await expect(chat.box).to_have_value("half a thou")
    fake.tick()
    fake.tick()
    fake.finish()
    await fake.until(lambda: len(fake.requests) == 3)
    fake.tick()
    fake.finish()
    await expect(chat.replies).to_have_count(2)
    await chat.settled()
    words = await chat.words()
    assert [words[0], words[2]] == ["Tell me a long story.", "Are you there?"]

    await chat.page.reload()
    await expect(chat.box).to_have_value("half a thou")
    await expect(chat.replies).to_have_count(2)
    assert await chat.words() == words
    alice.check()


async def test_who_is_logged_out_keeps_the_draft(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """A device that is ended elsewhere is shown the door at once; after signing in the draft is where it was."""
    chat = await streaming(browser, house, fake)
    await chat.box.fill("half a thou")
    other = await visit(browser, house)
    phone = await sign_in(await other.open())
    ended = await phone.page.evaluate(
        """async () => {
            const { items } = await (await fetch('/api/devices')).json();
            const [gone] = items.filter((device) => !device.current);
            return (await fetch(`/api/devices/${gone.id}`, { method: 'DELETE' })).status;
        }"""
    )
    assert ended == 204

    await expect(chat.page.get_by_text("You were signed out")).to_be_visible()
    await expect(chat.page.get_by_label("User name")).to_have_value("alice")
    await chat.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await chat.page.get_by_role("button", name="Sign in").click()
    await expect(chat.box).to_have_value("half a thou")
    await expect(chat.replies).to_have_text(re.compile("word1 word1 word1"))


async def test_without_a_network_nothing_is_lost(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """The page says that it is offline; what is said then waits, also through a reload, and goes out once."""
    house.use_models_of(fake, "instant")
    await house.up()
    alice = await visit(browser, house)
    alice.expect_complaint("ERR_INTERNET_DISCONNECTED|WebSocket connection to .* failed")
    chat = await set_up(alice)
    await chat.say("one")
    await expect(chat.replies).to_have_count(1)
    await chat.settled()
    await alice.context.set_offline(True)
    await expect(chat.page.get_by_text("You are offline")).to_be_visible()
    await chat.say("two")
    await chat.say("three")
    await expect(chat.page.get_by_text("Not sent yet")).to_have_count(2)

    await alice.context.set_offline(False)
    await expect(chat.page.get_by_text("You are offline")).to_be_hidden()
    await expect(chat.page.get_by_text("Not sent yet")).to_have_count(0)
    await chat.settled()
    asked = [one.json["messages"][-1]["content"] for one in fake.requests]
    assert [word for text in asked for word in text.split()] == ["one", "two", "three"]
    alice.check()


async def test_another_chat_is_read_while_one_streams(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """The list says which chat is being answered and which has news; coming back shows what came meanwhile."""
    chat = await streaming(browser, house, fake)
    chats = chat.page.get_by_role("navigation", name="Chats")
    await chat.page.get_by_role("button", name="New chat").click()
    await expect(chats.get_by_role("button", name="Tell me a long story. being answered")).to_be_visible()
    await expect(chat.replies).to_have_count(0)
    await chat.box.fill("a draft of the other")
    fake.tick()
    fake.finish()
    await expect(chats.get_by_role("button", name="Tell me a long story. new")).to_be_visible()

    await chats.get_by_role("button", name="Tell me a long story.").click()
    await expect(chat.replies.locator(".md")).to_have_text("word1 word1 word1 word1")
    await expect(chats.get_by_role("button", name="Tell me a long story.", exact=True)).to_be_visible()
    await expect(chat.box).to_have_value("")
    await chat.page.go_back()
    await expect(chat.box).to_have_value("a draft of the other")


async def test_code_and_messages_are_copied(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """A block of code is copied as it is, a message as the model wrote it."""
    house.use_models_of(fake, "echo")
    await house.up()
    alice = await visit(browser, house)
    await alice.context.grant_permissions(["clipboard-read", "clipboard-write"])
    chat = await set_up(alice)
    source = "```python\nif 1 < 2:\n    print('yes & no')\n```"
    await chat.say(source)
    await expect(chat.replies.locator(".code-head")).to_contain_text("python")
    await chat.settled()
    await chat.replies.get_by_role("button", name="Copy", exact=True).click()
    clipboard = "() => navigator.clipboard.readText()"
    assert await chat.page.evaluate(clipboard) == "if 1 < 2:\n    print('yes & no')\n"
    await chat.replies.get_by_role("button", name="Copy message").click()
    await expect(chat.replies.get_by_role("status")).to_have_text("Copied")
    assert source in await chat.page.evaluate(clipboard)
    alice.check()


async def test_a_model_cannot_run_anything_in_the_page(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """Whatever a reply holds is shown as text: no script, no handler, no picture or style from elsewhere."""
    house.use_models_of(fake, "echo")
    await house.up()
    alice = await visit(browser, house)
    chat = await set_up(alice)
    hostile = (
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'> "
        "[click](javascript:window.ran=3) ![picture](https://elsewhere.example/p.png) "
        "<style>* { display: none }</style> <iframe srcdoc='<script>top.ran = 4</script>'></iframe>"
    )
    await chat.say(hostile)
    await expect(chat.replies).to_have_count(1)
    await chat.settled()

    assert await chat.page.evaluate("window.ran") is None
    for element in ("script", "img", "style", "iframe", "[href^='javascript']"):
        assert await chat.page.locator(f".message {element}").count() == 0, element
    await chat.page.reload()
    await expect(chat.replies).to_have_count(1)
    assert await chat.page.evaluate("window.ran") is None
    alice.check()


async def test_only_who_is_at_the_end_is_taken_along(browser: Browser, house: House, fake: FakeOpenAI) -> None:
    """New text moves the page for who reads the end; who has scrolled up stays, and has a way down."""
    chat = await streaming(browser, house, fake)
    log = chat.page.get_by_role("log")
    for number in range(6):
        await chat.say(f"{number}\n" * 12)
    await expect(chat.said).to_have_count(7)
    at_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    assert await log.evaluate(at_end)
    latest = chat.page.get_by_role("button", name="Jump to latest")
    await expect(latest).to_be_hidden()

    await log.evaluate("log => log.scrollTop = 100")
    await expect(latest).to_be_visible()
    fake.tick()
    await expect(chat.replies.locator(".md")).to_have_text("word1 word1 word1 word1")
    assert await log.evaluate("log => log.scrollTop") == 100
    await latest.click()
    await expect(latest).to_be_hidden()
