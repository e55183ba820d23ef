"""A real gateway process, and a real Chromium that looks at it. What the browser complains of is a failure."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    async_playwright,
    expect,
)

from rookery.gateway.home import Home
from tests.support.fake_openai import FakeOpenAI

CHROMIUM = os.environ.get("ROOKERY_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: Mapping[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
PASSWORD = "seven herons by the mill"

_START_SECONDS = 60
_ADDRESS = re.compile(r"is running at (http://\S+)")
_LINK = re.compile(r"^\s+(http://\S+/setup#\S+)$")

# Whatever a test waits for happens at once, or after two cores shared with everything else have come round to it.
expect.set_options(timeout=20_000)


class House:
    """`rookery up` on a home of its own, on one port for all its lives."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.home.prepare()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.setup_link = ""
        self.beside: dict[str, str] = {}
        """Environment variables that the process has beside ours."""
        self._process: asyncio.subprocess.Process | None = None

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write `rookery.yaml`; JSON is YAML."""
        self.home.config.write_bytes(msgspec.json.encode(settings))

    def use_models_of(
        self,
        fake: FakeOpenAI,
        model: str,
        *,
        limits: Mapping[str, int] | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        """Let everybody be answered by this model of the fake endpoint; `further` settings stand beside that."""
        provider = {"api": "openai", "baseUrl": fake.base_url}
        models = {"default": f"local/{model}", "providers": {"local": provider}, "limits": limits or {}}
        self.configure({"models": models, **(further or {})})

    async def up(self) -> None:
        """Start it and wait until it says where it answers; `setup_link` is what it shows to a newcomer."""
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rookery", "up", "--home", str(self.home.path), "--port", str(self.port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self.beside},
        )
        assert process.stdout is not None
        told = False
        async with asyncio.timeout(_START_SECONDS):
            while line := (await process.stdout.readline()).decode():
                told = told or _ADDRESS.search(line) is not None
                if link := _LINK.match(line):
                    self.setup_link = link[1]
                if told and (link or self.setup_link):
                    return
        raise AssertionError(f"The gateway ended by itself; see {self.home.log}.")

    async def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None, "it was never started"
        self._process.kill()
        await self._process.wait()
        self._process = None

    async def down(self) -> None:
        """End it as SIGTERM does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()
            self._process = None


class Visitor:
    """Somebody with a browser of their own: one context, its pages, and all that went wrong in it."""

    def __init__(self, context: BrowserContext, house: House) -> None:
        self.context = context
        self.house = house
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"{error.error}"))
        context.on("request", self._on_request)

    async def open(self, path: str = "/") -> Page:
        """A new tab."""
        page = await self.context.new_page()
        await page.goto(path if path.startswith("http") else f"{self.house.url}{path}")
        return page

    def expect_complaint(self, pattern: str) -> None:
        """Something that belongs to what the test does, such as a refused request."""
        self._allowed.append(re.compile(pattern))

    def check(self) -> None:
        """Nothing went wrong, and nothing was asked of anybody but the house."""
        assert [one for one in self.complaints if not any(it.search(one) for it in self._allowed)] == []
        assert self.elsewhere == []

    def _on_console(self, message: ConsoleMessage) -> None:
        place = message.location
        self.complaints.append(f"{message.type}: {message.text} ({place['url']})")

    def _on_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("data", "blob"):
            return
        if f"{url.hostname}:{url.port}" != f"127.0.0.1:{self.house.port}":
            self.elsewhere.append(request.url)


class Chat:
    """The page of somebody who is in, as they see and use it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.get_by_role("textbox", name="Message")
        self.replies = page.locator(".message.reply")
        self.said = page.locator(".message.user")

    async def say(self, text: str) -> None:
        """Type it and press Enter."""
        await self.box.fill(text)
        await self.box.press("Enter")

    def reply(self, text: str) -> Locator:
        return self.replies.filter(has_text=text)

    async def settled(self) -> None:
        """Wait until nothing is being answered."""
        await expect(self.page.locator(".message .dots")).to_have_count(0)
        await expect(self.page.get_by_role("button", name="Stop")).to_be_hidden()

    async def words(self) -> list[str]:
        """All messages, in order, without the times and buttons below them."""
        return await self.page.locator(".message .body").all_inner_texts()


async def set_up(visitor: Visitor, *, name: str = "Alice Rivera", username: str = "alice") -> Chat:
    """Follow the set-up link and make the first account."""
    page = await visitor.open(visitor.house.setup_link)
    await page.get_by_label("User name").fill(username)
    await page.get_by_label("What should we call you?").fill(name)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create account and start").click()
    chat = Chat(page)
    await expect(chat.box).to_be_visible()
    return chat


async def sign_in(page: Page, *, username: str = "alice", password: str = PASSWORD) -> Chat:
    """Fill in the sign-in form."""
    await page.get_by_label("User name").fill(username)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in").click()
    chat = Chat(page)
    await expect(chat.box).to_be_visible()
    return chat


async def check_accessible(page: Page) -> None:
    """axe finds nothing against WCAG A and AA, up to 2.2."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text()
    await page.evaluate(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = await page.evaluate(
        "tags => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", arg=tags
    )
    assert [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ] == []


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    """A house that is not up yet, on a fresh home."""
    house = House(tmp_path / "home")
    yield house
    await house.down()


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI]:
    fake = FakeOpenAI()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    """A Chromium without any history."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(browser.close)
        yield browser


async def visit(browser: Browser, house: House, device: Mapping[str, Any] = DESKTOP, **options: Any) -> Visitor:
    """Somebody comes with a browser of this kind."""
    wanted: dict[str, Any] = {"locale": "en-US", **device, **options}
    return Visitor(await browser.new_context(**wanted), house)
