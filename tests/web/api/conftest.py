"""People with tokens at a real server, and what they ask for by HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rookery import users
from rookery.channels.webhook.bridge import Bridge
from rookery.ids import UserId
from rookery.users import CredentialKind, credentials
from tests.support.fake_openai import FakeOpenAI
from tests.web.conftest import SECRET, Reply, Site


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a token, or (None) without; `get("/api/me")` asks as them."""

    site: Site
    token: str | None

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Reply:
        """One request; `body` goes as JSON, `data` as it is."""
        sent = {"Host": "localhost", "Connection": "close"}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if data is not None:
            sent["Content-Length"] = str(len(data))
        sent |= headers or {}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return await self.site.raw(head.encode() + b"\r\n" + (data or b""), bodiless=method == "HEAD")

    async def get(self, path: str) -> Reply:
        return await self.ask("GET", path)

    async def post(self, path: str, body: object = None, *, key: str | None = None) -> Reply:
        return await self.ask("POST", path, body, key=key)

    async def patch(self, path: str, body: object) -> Reply:
        return await self.ask("PATCH", path, body)

    async def delete(self, path: str) -> Reply:
        return await self.ask("DELETE", path)

    async def opens(self, **asked: Any) -> dict[str, Any]:
        """Begin a session."""
        reply = await self.post("/api/sessions/create", asked)
        assert reply.status in (200, 201), reply.body
        return reply.json

    async def says(self, session: str, text: str, **more: Any) -> dict[str, Any]:
        """Say something and wait for the answer."""
        reply = await self.post(f"/api/sessions/{session}/messages", {"text": text, "wait": 20} | more)
        assert reply.status == 200, reply.body
        return reply.json

    async def uploads(self, data: bytes, name: str = "a.txt", *, query: str = "", key: str | None = None) -> Reply:
        """Hand in a file."""
        body = (
            b'--edge\r\nContent-Disposition: form-data; name="file"; filename="'
            + name.encode()
            + b'"\r\nContent-Type: text/plain\r\n\r\n'
            + data
            + b"\r\n--edge--\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=edge"}
        return await self.ask("POST", f"/api/attachments{query}", data=body, headers=headers, key=key)


@dataclass(frozen=True, slots=True)
class People:
    """Alice and Bob, members; Carol, who keeps the house; and nobody we know."""

    site: Site
    alice: Person
    bob: Person
    carol: Person
    nobody: Person


async def token_of(site: Site, user_id: str) -> str:
    """A token of somebody's."""
    now = datetime.now(UTC)
    issued = await site.house.database.write(
        lambda c: credentials.issue(c, UserId(user_id), CredentialKind.TOKEN, "test", now=now)
    )
    return issued.secret


async def people_at(site: Site) -> People:
    """Let Carol be an admin beside Alice and Bob, and give everybody a token."""
    now = datetime.now(UTC)
    await site.house.database.write(lambda c: users.add_user(c, "carol", name="Carol", role="admin", now=now))
    alice, bob, carol = [Person(site, await token_of(site, name)) for name in ("alice", "bob", "carol")]
    return People(site, alice, bob, carol, Person(site, None))


@pytest.fixture
async def people(site: Site) -> People:
    """A running site with everybody."""
    return await people_at(site)


@pytest.fixture
async def shared(people: People) -> People:
    """The same, and a shared agent, `desk`, that Alice sponsors."""
    made = await people.carol.post("/api/agents", {"id": "desk", "sponsor": "alice", "persona": "Be terse."})
    assert made.status == 201, made.body
    return people


@pytest.fixture
async def dark(tmp_path: Path, fake: FakeOpenAI) -> AsyncGenerator[Site]:
    """A site nobody is known at."""
    async with Bridge(SECRET) as bridge:
        site = Site(tmp_path / "dark", bridge, fake)
        site.configure()
        await site.open()
        yield site
        await site.close()


def check_problem(reply: Reply, status: int, code: str) -> dict[str, Any]:
    """The answer is that refusal, told as RFC 9457 has it."""
    assert (reply.status, reply.headers.get("content-type")) == (status, "application/problem+json"), reply.body
    body = reply.json
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"]
    return body
