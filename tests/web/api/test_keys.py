"""Keys over REST: what is sent is never answered, kept in clear, or told to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.api.conftest import People, check_problem

SECRET = "sk-sent-once-and-never-seen-again"
KEYS = "/api/agents/alice/keys"


async def test_a_key_of_one_s_own(people: People, tmp_path: Path):
    """It is set, listed without itself, set anew in its place, and taken away; also under an Idempotency-Key."""
    sent = {"provider": "openai", "key": SECRET}
    made = await people.alice.post(KEYS, sent, key="once")
    assert (made.status, made.json["provider"], made.json["profile"]) == (201, "openai", "default")
    assert (made.json["lastFour"], made.json["sharedKey"], made.json["cooling"]) == ("gain", None, None)
    first = await people.alice.post(KEYS, {**sent, "profile": "work", "first": True}, key="once")
    again = await people.alice.post(KEYS, sent)
    assert (first.status, again.status) == (201, 201)
    listed = await people.alice.get(KEYS)
    assert [one["profile"] for one in listed.json["items"]] == ["work", "default"]
    document = await people.nobody.get("/openapi.json")
    assert not any(SECRET.encode() in answer.body for answer in (made, first, again, listed, document))
    gone = await people.alice.ask("DELETE", f"{KEYS}/openai/work")
    assert gone.status == 204
    check_problem(await people.alice.ask("DELETE", f"{KEYS}/openai/work"), 404, "not_found")
    assert [one["profile"] for one in (await people.alice.get(KEYS)).json["items"]] == ["default"]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert written == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"provider": "openai", "key": f"{SECRET} "[:-1] + "\n\n x"}, 400, "invalid"),
        ({"provider": "openai", "key": ""}, 400, "invalid"),
        ({"provider": "openai", "key": SECRET * 300}, 400, "invalid"),
        ({"provider": "openai", "key": [SECRET]}, 400, "invalid"),
        ({"provider": "openai", "kye": SECRET}, 400, "invalid"),
        ({"provider": "openai", "key": SECRET, "profile": "../up"}, 400, "invalid"),
        ({"provider": "nobody", "key": SECRET}, 404, "not_found"),
        ({"provider": "openai", "key": SECRET, "agentId": "bob"}, 400, "invalid"),
    ],
)
async def test_what_is_no_key_is_refused_without_saying_it(
    people: People, body: dict[str, object], status: int, code: str
):
    """The answer says what is wrong, and nothing of what was sent."""
    answer = await people.alice.post(KEYS, body)
    check_problem(answer, status, code)
    assert SECRET.encode() not in answer.body


async def test_a_key_of_somebody_else_s(people: People):
    """Another's agent looks like none; an admin may look, set and revoke, and is shown no more than its person."""
    await people.alice.post(KEYS, {"provider": "openai", "key": SECRET})
    for method, path, body in (
        ("GET", "/api/agents/{id}/keys", None),
        ("POST", "/api/agents/{id}/keys", {"provider": "openai", "key": SECRET}),
        ("DELETE", "/api/agents/{id}/keys/openai/default", None),
    ):
        foreign = await people.bob.ask(method, path.format(id="alice"), body)
        absent = await people.bob.ask(method, path.format(id="eve"), body)
        check_problem(foreign, 404, "not_found")
        assert foreign.body == absent.body.replace(b"eve", b"alice")
    assert (await people.carol.get(KEYS)).json == (await people.alice.get(KEYS)).json
    assert (await people.carol.ask("DELETE", f"{KEYS}/openai/default")).status == 204
