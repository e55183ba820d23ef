"""Sessions by REST: each person's own, and nobody else's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.web.api.conftest import People, check_problem

FOREIGN = [
    ("GET", "/api/sessions/{key}"),
    ("PATCH", "/api/sessions/{key}"),
    ("DELETE", "/api/sessions/{key}"),
    ("DELETE", "/api/sessions/{key}?purge=true"),
    ("GET", "/api/sessions/{key}/entries"),
    ("GET", "/api/sessions/{key}/export"),
    ("POST", "/api/sessions/{key}/messages"),
    ("POST", "/api/sessions/{key}/stop"),
]


async def test_a_session_begins_is_found_and_is_called_something_else(people: People):
    """What was begun is on the list, under its id and its key, by the names it was given."""
    made = await people.alice.post("/api/sessions/create", {"title": "Rome", "label": "l", "tags": ["trip"]})
    assert made.status == 201
    session = made.json
    assert (session["title"], session["label"], session["tags"]) == ("Rome", "l", ["trip"])
    assert (session["kind"], session["status"], session["agentId"]) == ("chat", "active", "alice")
    for name in (session["sessionId"], session["sessionKey"]):
        assert (await people.alice.get(f"/api/sessions/{name}")).json == session
    changed = await people.alice.patch(
        f"/api/sessions/{session['sessionId']}", {"title": "Roma", "label": None, "tags": None}
    )
    assert changed.status == 200
    assert (changed.json["title"], changed.json["label"], changed.json["tags"]) == ("Roma", None, [])


@pytest.mark.parametrize(
    "body",
    [
        {"title": ""},
        {"title": "two\nlines"},
        {"title": "x" * 201},
        {"tags": ["x"] * 21},
        {"tags": "trip"},
        {"scope": "mine"},
        {"ephemeral": True, "scope": "global"},
        {"titel": "x"},
        {"title": "a\0b"},
        [],
    ],
)
async def test_what_no_session_can_be_is_refused(people: People, body: object):
    """A wrong request names what is wrong."""
    check_problem(await people.alice.post("/api/sessions/create", body), 400, "invalid")


async def test_a_scope_names_a_place_and_its_live_session(people: People):
    """`global` is where everything said to the agent goes; asked for twice it is the same session."""
    for scope, place in (
        ("global", "agent:alice:main"),
        ("per-sender", "agent:alice:dm:~alice"),
        ("per-channel", "agent:alice:webchat:main"),
    ):
        first = await people.alice.post("/api/sessions/create", {"scope": scope, "title": scope})
        again = await people.alice.post("/api/sessions/create", {"scope": scope, "title": "other"})
        assert (first.status, again.status) == (201, 200)
        assert first.json["sessionKey"] == place
        assert again.json["sessionId"] == first.json["sessionId"]
        assert again.json["title"] == scope


async def test_on_a_shared_agent_every_scope_is_ones_own(shared: People):
    """No word brings two people into one session there."""
    for scope in ("global", "per-sender", "per-channel"):
        theirs = await shared.alice.opens(scope=scope, agentId="desk")
        other = await shared.bob.opens(scope=scope, agentId="desk")
        assert theirs["sessionId"] != other["sessionId"]
        check_problem(await shared.bob.get(f"/api/sessions/{theirs['sessionId']}"), 404, "not_found")
        assert (await shared.bob.says(other["sessionId"], "hello"))["status"] == "done"


@pytest.mark.parametrize(("method", "path"), FOREIGN)
async def test_foreign_and_absent_look_alike(shared: People, method: str, path: str):
    """Whether a session is somebody else's or not there at all, the answer is the same but for the name asked."""
    body = {"PATCH": {"title": "x"}}.get(method, {"text": "x"} if path.endswith("messages") else None)
    own = await shared.alice.opens(title="private")
    at_desk = await shared.alice.opens(agentId="desk")
    absent = "01hzzzzzzzzzzzzzzzzzzzzzzz"
    expected = await shared.bob.ask(method, path.format(key=absent), body)
    check_problem(expected, 404, "not_found")
    for key in (own["sessionId"], own["sessionKey"], at_desk["sessionId"], at_desk["sessionKey"]):
        for asker in (shared.bob, shared.carol):
            found = await asker.ask(method, path.format(key=key), body)
            assert found.status == 404
            assert found.body.replace(key.encode(), absent.encode()) == expected.body
    assert (await shared.alice.get(f"/api/sessions/{own['sessionId']}")).json["title"] == "private"


async def test_the_shelf_comes_in_pages_over_all_agents(shared: People):
    """Latest first, each once, whichever agent it is of; nothing of anybody else's."""
    mine = [
        (await shared.alice.opens(title=f"s{number}", agentId="desk" if number % 2 else "alice"))["sessionId"]
        for number in range(7)
    ]
    await shared.bob.opens(agentId="desk")
    found: list[str] = []
    cursor = ""
    while True:
        page = (await shared.alice.get(f"/api/sessions?limit=3{cursor}")).json
        assert len(page["items"]) <= 3
        found += [one["sessionId"] for one in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert found == mine[::-1]
    for query, count in (("agentId=desk", 3), ("status=archived", 0), ("tag=none", 0), ("status=all", 7)):
        assert len((await shared.alice.get(f"/api/sessions?{query}")).json["items"]) == count
    assert (await shared.alice.get("/api/sessions/archived")).json == {"items": [], "nextCursor": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "cursor=x", "status=lost", "cursor=%00", "tag=" + "x" * 201]
)
async def test_bad_query_parameters_are_refused(people: People, query: str):
    """One that is known and wrong is an error; one that is not known is not looked at."""
    check_problem(await people.alice.get(f"/api/sessions?{query}"), 400, "invalid")
    assert (await people.alice.get("/api/sessions?colour=blue")).status == 200


async def test_an_agent_of_somebody_elses_is_none(people: People):
    """Neither to begin a session with, nor to list the sessions of."""
    for agent_id in ("bob", "nobody"):
        reply = await people.alice.post("/api/sessions/create", {"agentId": agent_id})
        assert check_problem(reply, 404, "not_found")["detail"] == f"There is no agent {agent_id!r}."
        check_problem(await people.alice.get(f"/api/sessions?agentId={agent_id}"), 404, "not_found")


async def test_entries_come_from_the_end_in_their_order(people: People):
    """A page is the last so many, and its cursor leads to those before."""
    session = (await people.alice.opens())["sessionId"]
    for number in range(3):
        await people.alice.says(session, f"message {number}")
    whole = (await people.alice.get(f"/api/sessions/{session}/entries")).json
    assert whole["nextCursor"] is None
    assert (whole["running"], whole["waiting"]) == (None, [])
    assert isinstance(whole["epoch"], str)
    assert isinstance(whole["seq"], int)
    found: list[object] = []
    before = ""
    while True:
        page = (await people.alice.get(f"/api/sessions/{session}/entries?limit=2{before}")).json
        found = page["items"] + found
        if page["nextCursor"] is None:
            break
        before = f"&before={page['nextCursor']}"
    assert found == whole["items"]
    check_problem(await people.alice.get(f"/api/sessions/{session}/entries?before=x"), 400, "invalid")


async def test_what_goes_on_comes_with_the_entries(people: People):
    """Who reads in the middle of an answer sees which turn runs and what waits behind it."""
    await people.site.uses("alice", "slow")
    session = (await people.alice.opens())["sessionId"]
    first = (await people.alice.post(f"/api/sessions/{session}/messages", {"text": "one"})).json
    async with asyncio.timeout(10):
        while (running := (await _entries(people, session))["running"]) is None:
            pass
    second = (await people.alice.post(f"/api/sessions/{session}/messages", {"text": "two"})).json
    read = await _entries(people, session)
    assert running["turnId"] == first["turnId"]
    assert [one["turnId"] for one in read["waiting"]] == [second["turnId"]]
    assert read["waiting"][0]["text"] == "two"
    stopped = await people.alice.post(f"/api/sessions/{session}/stop")
    assert stopped.json == {"turnIds": [first["turnId"], second["turnId"]]}
    async with asyncio.timeout(10):
        while (await people.alice.get(f"/api/turns/{second['turnId']}")).json["status"] != "cancelled":
            pass
    assert (await people.alice.post(f"/api/sessions/{session}/stop")).json == {"turnIds": []}


async def test_a_reply_comes_rendered_when_it_is_asked_for(people: People):
    """With `render=html` the model's words come as HTML too, and what a person wrote does not."""
    session = (await people.alice.opens())["sessionId"]
    await people.alice.says(session, "hello")
    plain = (await people.alice.get(f"/api/sessions/{session}/entries")).json["items"]
    rich = (await people.alice.get(f"/api/sessions/{session}/entries?render=html")).json["items"]
    assert not any("html" in one for one in plain)
    assert {one.get("role"): "html" in one for one in rich} == {None: False, "user": False, "assistant": True}


async def test_a_session_is_exported_in_both_forms(people: People):
    """As the transcript has it, and as a text for people; to be saved, never to be shown."""
    session = (await people.alice.opens(title="Rome"))["sessionId"]
    await people.alice.says(session, "hello there")
    lines = await people.alice.get(f"/api/sessions/{session}/export")
    assert [json.loads(line)["type"] for line in lines.body.splitlines()] == [
        "session",
        "info",
        "message",
        "message",
    ]
    text = await people.alice.get(f"/api/sessions/{session}/export?format=markdown")
    assert text.body.decode().startswith("# Rome\n")
    assert "hello there" in text.body.decode()
    for reply, suffix in ((lines, "jsonl"), (text, "md")):
        assert reply.headers["content-disposition"].startswith(f'attachment; filename="{session}.{suffix}"')
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in reply.headers["content-security-policy"]
    check_problem(await people.alice.get(f"/api/sessions/{session}/export?format=pdf"), 400, "invalid")


async def test_a_deleted_session_is_in_the_bin_and_takes_no_messages(people: People):
    """It can still be read there; its place is free, and the next message opens another session in it."""
    turn = await people.alice.says("main", "my locker code is 4711")
    session = turn["sessionId"]
    assert (await people.alice.delete(f"/api/sessions/{session}")).status == 204
    assert (await people.alice.delete(f"/api/sessions/{session}")).status == 204
    assert (await people.alice.get(f"/api/sessions/{session}")).json["status"] == "deleted"
    assert b"4711" in (await people.alice.get(f"/api/sessions/{session}/entries")).body
    assert (await people.alice.get("/api/sessions")).json["items"] == []
    [binned] = (await people.alice.get("/api/sessions?status=deleted")).json["items"]
    assert binned["sessionId"] == session
    check_problem(await people.alice.get("/api/sessions/main"), 404, "not_found")
    refused = await people.alice.post(f"/api/sessions/{session}/messages", {"text": "x"})
    check_problem(refused, 404, "not_found")
    check_problem(await people.alice.patch(f"/api/sessions/{session}", {"title": "x"}), 404, "not_found")
    assert (await people.alice.says("main", "again"))["sessionId"] != session


async def test_a_purged_session_leaves_no_word(people: People):
    """Not in a file, not in the database, not in what can be asked for: also when it lay in the bin."""
    for binned in (False, True):
        turn = await people.alice.says("main", "my locker code is mzpn mzpq")
        command = (await people.alice.post("/api/sessions/main/messages", {"text": "/whoami"})).json
        session = turn["sessionId"]
        if binned:
            await people.alice.delete(f"/api/sessions/{session}")
        assert (await people.alice.delete(f"/api/sessions/{session}?purge=true")).status == 204
        for path in (f"/api/sessions/{session}", f"/api/sessions/{session}/entries"):
            check_problem(await people.alice.get(path), 404, "not_found")
        assert (await people.alice.get("/api/sessions?status=all")).json["items"] == []
        assert (await people.alice.get(f"/api/turns/{turn['turnId']}")).json["reply"] is None
        assert (await people.alice.get(f"/api/turns/{command['turnId']}")).json["reply"] is None
    await people.site.close()
    home = people.site.home.path
    assert [path for path in home.rglob("*") if path.is_file() and b"mzpn" in path.read_bytes()] == []


async def test_deleting_stops_what_is_being_answered(people: People):
    """A session goes at once, whatever the model is doing."""
    await people.site.uses("alice", "slow")
    turn = (await people.alice.post("/api/sessions/main/messages", {"text": "one"})).json
    async with asyncio.timeout(10):
        assert (await people.alice.delete(f"/api/sessions/{turn['sessionId']}?purge=true")).status == 204
    assert (await people.alice.get(f"/api/turns/{turn['turnId']}")).json["status"] == "cancelled"


async def test_an_ephemeral_session_takes_one_message(people: People):
    """It is found by its id alone, is destroyed when it has answered, and takes no second task."""
    session = await people.alice.opens(ephemeral=True)
    assert session["places"] == []
    assert (await people.alice.says(session["sessionId"], "one"))["reply"]
    assert (await people.alice.get(f"/api/sessions/{session['sessionId']}")).json["status"] == "deleted"
    second = await people.alice.post(f"/api/sessions/{session['sessionId']}/messages", {"text": "two"})
    check_problem(second, 404, "not_found")


async def _entries(people: People, session: str) -> dict[str, Any]:
    return (await people.alice.get(f"/api/sessions/{session}/entries")).json
