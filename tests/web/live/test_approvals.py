"""A tool that asks first, over the web: the socket says so, REST lists and answers it, and nobody else is told."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rookery.tools import TimeTool
from tests.web.conftest import Site
from tests.web.live.client import Client, token


@pytest.fixture
async def asking(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose clock is looked at only with somebody's yes."""

    def approval(*_: object) -> str:
        return "Look at your clock."

    monkeypatch.setattr(TimeTool, "approval", approval, raising=False)
    await site.uses("alice", "tool:time")
    return site


def rest(site: Site, secret: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=site.base, headers={"Authorization": f"Bearer {secret}"}, trust_env=False)


async def test_it_is_asked_and_answered(asking: Site):
    """Whoever looks at the session meanwhile, in another tab or after a reload, is shown the question too."""
    alice, bob = (await token(asking, "alice")).secret, (await token(asking, "bob")).secret
    async with Client(asking, alice) as page, Client(asking, bob) as other, rest(asking, alice) as mine:
        accepted = await page.says("what time is it?", "k1")
        asked = await page.until("turn.approval")
        assert (asked["turnId"], asked["n"], asked["state"]) == (accepted["turnId"], 1, "asked")
        assert (asked["tool"], asked["words"], asked["arguments"]) == ("time", "Look at your clock.", {})

        turn = (await mine.get(f"/api/turns/{asked['turnId']}")).json()
        assert turn["status"] == "waiting"
        [waiting] = turn["approvals"]
        assert {key: waiting[key] for key in ("n", "words", "expiresAt")} == {
            key: asked[key] for key in ("n", "words", "expiresAt")
        }
        entries = (await mine.get(f"/api/sessions/{asked['sessionId']}/entries")).json()
        assert entries["running"]["approval"] == waiting

        answer = f"/api/turns/{asked['turnId']}/approvals/1"
        async with rest(asking, bob) as theirs:
            assert (await theirs.post(answer, json={"allow": True})).status_code == 404
        allowed = await mine.post(answer, json={"allow": True})
        assert (allowed.status_code, allowed.json()["state"]) == (200, "allowed")
        assert (await page.until("turn.approval"))["state"] == "allowed"
        assert (await page.until("turn.finished"))["status"] == "done"
        assert (await mine.post(answer, json={"allow": False})).status_code == 409
        assert (await mine.get(f"/api/turns/{asked['turnId']}")).json()["approvals"] == []

        await other.says("hello", "k2")
        assert "turn.approval" not in {frame["type"] for frame in await other.all_until("turn.finished")}


@pytest.mark.parametrize("n", ["0", "-1", "x", "1.5", str(2**31), str(2**70)])
async def test_a_number_that_is_none(asking: Site, n: str):
    """Refused in words, by no mistake of ours."""
    alice = (await token(asking, "alice")).secret
    async with Client(asking, alice) as page, rest(asking, alice) as mine:
        turn_id = (await page.says("what time is it?", "k1"))["turnId"]
        await page.until("turn.approval")
        assert (
            400 <= (await mine.post(f"/api/turns/{turn_id}/approvals/{n}", json={"allow": True})).status_code < 500
        )


@pytest.mark.parametrize("body", [{}, {"allow": "yes"}, {"allow": None}, {"allow": True, "n": 1}, [True]])
async def test_only_a_yes_is_a_yes(asking: Site, body: Any):
    """What is not the word itself allows nothing."""
    alice = (await token(asking, "alice")).secret
    async with Client(asking, alice) as page, rest(asking, alice) as mine:
        turn_id = (await page.says("what time is it?", "k1"))["turnId"]
        await page.until("turn.approval")
        assert (await mine.post(f"/api/turns/{turn_id}/approvals/1", json=body)).status_code == 400
        assert (await mine.get(f"/api/turns/{turn_id}")).json()["status"] == "waiting"


async def test_a_no_by_a_command_on_the_socket(asking: Site):
    """The page's composer can say it as any chat can; the model goes on without."""
    alice = (await token(asking, "alice")).secret
    async with Client(asking, alice) as page:
        await page.says("what time is it?", "k1")
        await page.until("turn.approval")
        await page.send(type="message", sessionKey="main", text="/deny", idempotencyKey="k2")
        frames = await page.all_until("turn.finished")
    assert [frame["state"] for frame in frames if frame["type"] == "turn.approval"] == ["denied"]
    assert frames[-1]["status"] == "done"
    entries = await asking.entries("alice")
    assert [entry.is_error for entry in entries if entry.tool_name == "time"] == [True]
