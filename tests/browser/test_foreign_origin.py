"""Pages of somebody else's, in the browser of somebody who is logged in: they read nothing and change nothing.

`foreign.html` tries what a page can: on another port of the same host, to which a browser sends our cookie, on
another host name, and on a name that was made to lead here (DNS rebinding). What changed is read from the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import CHROMIUM, FLAGS, PASSWORD, Chat, House, set_up, visit

pytestmark = [pytest.mark.whole, pytest.mark.timeout(300)]

_PAGE = Path(__file__).with_name("foreign.html").read_bytes()
_REBOUND = "rebound.example"


class Elsewhere:
    """A web server of somebody else's; every path is the hostile page."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[bytes] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(_PAGE)}\r\n\r\n"
            writer.write(head.encode() + _PAGE)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def elsewhere() -> AsyncGenerator[Elsewhere]:
    server = Elsewhere()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    """A Chromium in which a name of somebody else's leads to this machine."""
    async with async_playwright() as playwright:
        rebinding = f"--host-resolver-rules=MAP {_REBOUND} 127.0.0.1"
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, rebinding])
        yield browser
        await browser.close()


class Victim:
    """Alice, logged in, with a chat and a token."""

    def __init__(self, house: House, chat: Chat, facts: dict[str, str]) -> None:
        self.house = house
        self.chat = chat
        self.facts = facts

    def state(self) -> dict[str, Any]:
        """Everything the gateway keeps: each row of each table, and each file of each brain."""
        found: dict[str, Any] = {}
        home = self.house.home
        with closing(sqlite3.connect(f"file:{home.database}?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
                found[table] = sorted(map(repr, rows))
        for file in sorted((home.path / "agents").rglob("*")):
            if file.is_file():
                found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found


@pytest.fixture
async def victim(browser: Browser, house: House) -> Victim:
    await house.up()
    chat = await set_up(await visit(browser, house))
    await chat.say("My locker code is 4711.")
    await expect(chat.reply("Noted")).to_be_visible()
    await chat.settled()
    facts = await chat.page.evaluate(
        """async () => {
            const { items: [session] } = await (await fetch('/api/sessions')).json();
            const { items } = await (await fetch(`/api/sessions/${session.sessionId}/entries`)).json();
            const headers = { 'content-type': 'application/json' };
            const made = await fetch('/api/tokens', { method: 'POST', headers, body: '{"name": "script"}' });
            const { turnId } = items.find((entry) => entry.turnId);
            return { session: session.sessionId, turn: turnId, token: (await made.json()).token };
        }"""
    )
    return Victim(house, chat, facts)


async def unharmed(victim: Victim, before: dict[str, Any]) -> None:
    """Nothing changed in the store, and Alice is still in and can go on."""
    after = victim.state()
    assert {name for name in before | after if before.get(name) != after.get(name)} == set()
    await victim.chat.page.reload()
    await expect(victim.chat.reply("Noted")).to_be_visible()
    await victim.chat.say("What is my locker code?")
    await expect(victim.chat.replies).to_have_count(2)


async def tries(page: Page, victim: Victim, target: str) -> None:
    """Let the page try everything on `target`; it could read nothing."""
    outcome = await page.evaluate("facts => attack(facts)", arg={"target": target, **victim.facts})
    assert len(outcome["tried"]) > 400
    assert outcome["read"] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", _REBOUND])
async def test_a_foreign_page_reads_and_changes_nothing(victim: Victim, elsewhere: Elsewhere, host: str) -> None:
    """Requests, forms, sockets, frames and includes of another origin come to nothing, with our cookie too."""
    page = await victim.chat.page.context.new_page()
    await page.goto(f"http://{host}:{elsewhere.port}/")
    before = victim.state()

    await tries(page, victim, victim.house.url)
    await page.close()

    await unharmed(victim, before)


async def test_the_cookie_did_travel_to_the_other_port(victim: Victim, elsewhere: Elsewhere) -> None:
    """The suite tries what it says: a page on another port of this host does make the browser send our cookie."""
    page = await victim.chat.page.context.new_page()
    await page.goto(f"http://127.0.0.1:{elsewhere.port}/")
    async with page.expect_response(f"{victim.house.url}/api/logout") as answered:
        await page.evaluate(
            "url => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' })",
            arg=f"{victim.house.url}/api/logout",
        )

    # Without a cookie it would be 401: the request is somebody's, and refused for where it comes from.
    assert (await answered.value).status == 403


async def test_a_name_made_to_lead_here_is_not_served(victim: Victim) -> None:
    """DNS rebinding: under a name that is not ours there is no page, no API, no socket, for any method."""
    page = await victim.chat.page.context.new_page()
    rebound = f"http://{_REBOUND}:{victim.house.port}"
    before = victim.state()

    for path in ("/", "/setup", "/api/me", "/api/sessions", "/openapi.json", "/v1/models", "/healthz"):
        response = await page.goto(f"{rebound}{path}")
        assert response is not None
        assert response.status == 400, path
        assert "bad_host" in await response.text()
    statuses = await page.evaluate(
        """async () => {
            const asked = ['POST', 'PATCH', 'DELETE', 'GET'].map((method) => fetch('/api/me', { method }));
            const socket = new Promise((done) => {
                const one = new WebSocket(`ws://${location.host}/api/ws`);
                one.onopen = () => done('open');
                one.onclose = () => done('closed');
            });
            return [await socket, ...(await Promise.all(asked)).map((answer) => answer.status)];
        }"""
    )
    assert statuses == ["closed", 400, 400, 400, 400]
    await page.close()

    await unharmed(victim, before)


async def test_a_window_on_our_page_is_cut_off(victim: Victim, elsewhere: Elsewhere) -> None:
    """A page that opens ours, with whatever in its address, gets no handle on it and can say nothing to it."""
    page = await victim.chat.page.context.new_page()
    await page.goto(f"http://localhost:{elsewhere.port}/")
    before = victim.state()
    session, token = victim.facts["session"], victim.facts["token"]

    for path in (
        "/",
        f"/#chat={session}",
        f"/?message=planted&send=1&session={session}",
        f"/?token={token}#token={token}",
        "/#chat=%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/setup#planted",
    ):
        async with page.context.expect_page() as opened:
            outcome = await page.evaluate("url => opening(url)", arg=f"{victim.house.url}{path}")
        assert outcome == {"cut": True, "read": []}, path
        ours = await opened.value
        assert await ours.evaluate("window.opener") is None
        await ours.close()
    await page.close()

    await unharmed(victim, before)


async def test_our_page_is_not_framed(victim: Victim, elsewhere: Elsewhere) -> None:
    """In a frame of somebody else's there is an error of the browser's, and nothing of ours."""
    page = await victim.chat.page.context.new_page()
    await page.goto(f"http://127.0.0.1:{elsewhere.port}/")

    for tag, attribute in (("iframe", "src"), ("object", "data"), ("embed", "src")):
        for path in ("/", "/setup#planted"):
            named = [tag, attribute, f"{victim.house.url}{path}"]
            await page.evaluate("async named => { await including(...named) }", arg=named)
    assert not [frame.url for frame in page.frames if frame.url.startswith(victim.house.url)]
    assert len([frame for frame in page.frames if frame.url.startswith("chrome-error://")]) >= 2


async def test_a_token_is_taken_from_its_header_alone(browser: Browser, victim: Victim) -> None:
    """In an address, a form or a cookie a token is nothing: no link or log can hold one that works."""
    context = await browser.new_context()
    token, url = victim.facts["token"], victim.house.url

    for asked in (
        f"/api/me?token={token}",
        f"/api/me?access_token={token}",
        f"/api/me?authorization=Bearer {token}",
    ):
        assert (await context.request.get(f"{url}{asked}")).status == 401
    assert (
        await context.request.get(f"{url}/api/me", headers={"cookie": f"rookery_session={token}"})
    ).status == 401
    named = {"username": "alice", "password": token}
    assert (await context.request.post(f"{url}/api/login", data=named)).status == 401
    right = {"authorization": f"Bearer {token}"}
    assert (await context.request.get(f"{url}/api/me", headers=right)).status == 200
    assert PASSWORD not in victim.house.home.log.read_text()
    assert token not in victim.house.home.log.read_text()
