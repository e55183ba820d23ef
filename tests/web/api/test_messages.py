"""Messages by REST: kept, answered, waited for, and sent once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from rookery.ids import UserId
from rookery.users import CredentialKind, credentials
from tests.web.api.conftest import People, check_problem


async def test_a_message_is_kept_and_its_turn_can_be_asked_for(people: People):
    """202 says that it is kept; the turn says when it is answered, and how."""
    sent = await people.alice.post("/api/sessions/main/messages", {"text": "hello"})
    assert sent.status == 202
    turn = sent.json
    assert (turn["sessionKey"], turn["finishedAt"], turn["reply"]) == ("agent:alice:main", None, None)
    assert turn["status"] in ("queued", "running")
    async with asyncio.timeout(10):
        while (found := (await people.alice.get(f"/api/turns/{turn['turnId']}")).json)["finishedAt"] is None:
            pass
    assert (found["status"], found["reply"], found["error"]) == ("done", "word1 word2 ", None)
    assert found["usage"]["inputTokens"] == 10
    assert found["usage"]["outputTokens"] == 2
    for asker in (people.bob, people.carol):
        check_problem(await asker.get(f"/api/turns/{turn['turnId']}"), 404, "not_found")
    check_problem(await people.alice.get("/api/turns/01hzzzzzzzzzzzzzzzzzzzzzzz"), 404, "not_found")


async def test_whoever_waits_is_given_the_answer(people: People):
    """With `wait` the turn comes finished; or, when that takes too long, as it stands."""
    assert (await people.alice.says("main", "hello"))["reply"] == "word1 word2 "
    await people.site.uses("alice", "slow")
    late = await people.alice.post("/api/sessions/main/messages", {"text": "again", "wait": 0.05})
    assert (late.status, late.json["status"]) == (202, "running")


async def test_a_failure_is_told_as_the_person_is_told_it(people: People):
    """The turn failed, the word says why, and the reply says it in words."""
    await people.site.uses("alice", "401")
    turn = await people.alice.says("main", "hello")
    assert turn["status"] == "failed"
    assert turn["error"]
    assert turn["reply"]


@pytest.mark.parametrize("text", ["/help", "/whoami", "/status", "/new Rome", "/stop", "/nonsense"])
async def test_a_command_is_answered_at_once(people: People, text: str):
    """Its turn is finished when it comes back, holds what the gateway says, and can be asked for later."""
    sent = await people.alice.post("/api/sessions/main/messages", {"text": text})
    assert (sent.status, sent.json["status"]) == (200, "done")
    assert sent.json["reply"]
    assert (await people.alice.get(f"/api/turns/{sent.json['turnId']}")).json == sent.json
    check_problem(await people.bob.get(f"/api/turns/{sent.json['turnId']}"), 404, "not_found")


async def test_the_same_key_is_the_same_message(people: People):
    """Said again, it is answered with its first turn; another message under the key is refused."""
    path = "/api/sessions/main/messages"
    first = await people.alice.post(path, {"text": "hello", "wait": 20}, key="k1")
    again = await people.alice.post(path, {"text": "hello", "wait": 20}, key="k1")
    assert (first.status, again.json) == (200, first.json)
    check_problem(await people.alice.post(path, {"text": "other"}, key="k1"), 422, "idempotency_key_reused")
    other = await people.alice.opens()
    elsewhere = await people.alice.post(
        f"/api/sessions/{other['sessionId']}/messages", {"text": "hello"}, key="k1"
    )
    check_problem(elsewhere, 422, "idempotency_key_reused")
    theirs = await people.bob.post(path, {"text": "hello", "wait": 20}, key="k1")
    assert theirs.json["turnId"] != first.json["turnId"]
    assert len(await people.site.entries("bob")) == 2
    check_problem(await people.alice.post(path, {"text": "x"}, key="k" * 201), 400, "invalid")


async def test_many_at_once_under_one_key_are_one(people: People):
    """However many ask at the same time, one turn comes of it, and all are told of that one."""
    ask = {"text": "hello", "wait": 20}
    replies = await asyncio.gather(
        *(people.alice.post("/api/sessions/main/messages", ask, key="k") for _ in range(8))
    )
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["turnId"] for reply in replies}) == 1
    assert len(await people.site.entries("alice")) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": "  "}, "text"),
        ({"text": 3}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "x", "wait": 121}, "wait"),
        ({"text": "x", "wait": -1}, "wait"),
        ({"text": "x", "session": "main"}, "session"),
        ({"text": "x", "attachments": [{"attachmentId": ""}]}, "attachments"),
        ({"text": "x", "attachments": "a"}, "attachments"),
        ({"text": "x", "parentId": "y"}, "parentId"),
    ],
)
async def test_what_no_message_may_be_is_refused(people: People, body: dict[str, object], field: str):
    """The refusal names the field, and nothing is kept."""
    refused = check_problem(await people.alice.post("/api/sessions/main/messages", body), 400, "invalid")
    assert field in refused["detail"]
    assert (await people.alice.get("/api/sessions")).json["items"] == []


async def test_a_refused_message_leaves_its_key_free(people: People):
    """What came to nothing can be sent again under the same key, with another body."""
    path = "/api/sessions/main/messages"
    check_problem(await people.alice.post(path, {"text": " "}, key="k"), 400, "invalid")
    assert (await people.alice.post(path, {"text": "hello", "wait": 20}, key="k")).status == 200


async def test_on_a_shared_agent_each_has_their_own(shared: People):
    """Two people in sessions of one agent; a place that is not theirs is none."""
    one, other = await shared.alice.opens(agentId="desk"), await shared.bob.opens(agentId="desk")
    assert (await shared.alice.says(one["sessionId"], "hello"))["status"] == "done"
    for key in (one["sessionId"], one["sessionKey"], "agent:desk:main", "agent:desk:dm:~alice"):
        check_problem(await shared.bob.post(f"/api/sessions/{key}/messages", {"text": "x"}), 404, "not_found")
    switched = await shared.carol.patch("/api/agents/desk", {"enabled": False})
    assert switched.status == 200
    refused = await shared.bob.post(f"/api/sessions/{other['sessionId']}/messages", {"text": "x"})
    assert "switched off" in check_problem(refused, 403, "refused")["detail"]


async def test_who_loses_their_right_while_they_wait_does_not_hear_the_end(people: People):
    """Ending the token ends the request that came with it, and says so; the message stays accepted."""
    await people.site.uses("alice", "slow")
    waiting = asyncio.create_task(people.alice.post("/api/sessions/main/messages", {"text": "x", "wait": 60}))
    gateway = people.site.house.gateway
    async with asyncio.timeout(10):
        while not gateway.lanes.running:
            await asyncio.sleep(0)
    [token] = await people.site.house.database.read(
        lambda c: credentials.list_credentials(c, UserId("alice"), CredentialKind.TOKEN)
    )
    now = datetime.now(UTC)
    await people.site.house.database.write(
        lambda c: credentials.end(c, UserId("alice"), CredentialKind.TOKEN, token.id, now=now),
        then=lambda _: gateway.revocations.tell(UserId("alice"), token.id),
    )
    async with asyncio.timeout(5):
        check_problem(await waiting, 401, "unauthorized")
    assert gateway.lanes.running == 1


async def test_who_is_disabled_is_answered_nothing_more(people: People):
    """Their requests end, and their turns are stopped."""
    await people.site.uses("alice", "slow")
    waiting = asyncio.create_task(people.alice.post("/api/sessions/main/messages", {"text": "x", "wait": 60}))
    gateway = people.site.house.gateway
    async with asyncio.timeout(10):
        while not gateway.lanes.running:
            await asyncio.sleep(0)
    reply = await people.carol.patch("/api/users/alice", {"enabled": False})
    assert reply.json["enabled"] is False
    async with asyncio.timeout(5):
        check_problem(await waiting, 401, "unauthorized")
        await gateway.lanes.idle()
    check_problem(await people.alice.get("/api/me"), 401, "unauthorized")
