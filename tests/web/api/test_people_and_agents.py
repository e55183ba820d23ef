"""People, their addresses, agents and groups, as an admin keeps them and members see them."""

from __future__ import annotations

import pytest

from tests.web.api.conftest import People, check_problem


async def test_an_admin_adds_a_person_once(people: People):
    """With an agent of their own; asked again under the same key, nobody is added twice."""
    body = {"id": "dana", "name": "Dana", "timezone": "Europe/Madrid", "password": "a password for once"}
    made = await people.carol.post("/api/users", body, key="k")
    assert made.status == 201
    assert (made.json["id"], made.json["role"], made.json["agents"]) == ("dana", "member", ["dana"])
    assert (await people.carol.post("/api/users", body, key="k")).json == made.json
    check_problem(await people.carol.post("/api/users", body), 409, "conflict")
    spelled = check_problem(await people.carol.post("/api/users", {"id": "Dána!"}), 400, "invalid_id")
    assert spelled["suggestion"] == "Dana"
    inside = await people.nobody.post("/api/login", {"username": "dana", "password": body["password"]})
    assert inside.json["mustChangePassword"] is True


async def test_members_see_themselves_and_nobody_else(people: People):
    """Who there is, is for admins to know; somebody else and nobody look alike."""
    assert [one["id"] for one in (await people.alice.get("/api/users")).json["items"]] == ["alice"]
    assert [one["id"] for one in (await people.carol.get("/api/users")).json["items"]] == ["alice", "bob", "carol"]
    assert (await people.alice.get("/api/users/alice")).json["id"] == "alice"
    for method, path, body in (
        ("GET", "/api/users/{id}", None),
        ("PATCH", "/api/users/{id}", {"name": "x"}),
        ("GET", "/api/users/{id}/identities", None),
        ("POST", "/api/users/{id}/identities", {"channel": "telegram", "sender": "1"}),
        ("DELETE", "/api/users/{id}/identities?channel=webhook&account=default&sender=bob", None),
    ):
        foreign = await people.alice.ask(method, path.format(id="bob"), body)
        absent = await people.alice.ask(method, path.format(id="eve"), body)
        check_problem(foreign, 404, "not_found")
        assert foreign.body == absent.body.replace(b"eve", b"bob")
    check_problem(await people.alice.post("/api/users", {"id": "dana"}), 403, "refused")
    check_problem(await people.alice.patch("/api/users/alice", {"role": "admin"}), 403, "refused")
    assert (await people.alice.get("/api/me")).json["role"] == "member"


async def test_an_admin_changes_a_person(people: People):
    """Name, role and whether they may come in; the last admin stays one."""
    changed = await people.carol.patch("/api/users/bob", {"name": "Robert", "role": "admin"})
    assert (changed.json["name"], changed.json["role"]) == ("Robert", "admin")
    assert (await people.bob.get("/api/users/alice")).status == 200
    assert (await people.carol.patch("/api/users/bob", {"role": "member"})).status == 200
    check_problem(await people.carol.patch("/api/users/carol", {"role": "member"}), 409, "conflict")
    check_problem(await people.carol.patch("/api/users/bob", {"role": "king"}), 400, "invalid")
    check_problem(await people.carol.patch("/api/users/bob", {"userId": "alice"}), 400, "invalid")
    check_problem(await people.carol.patch("/api/users/eve", {"name": "x"}), 404, "not_found")


async def test_addresses_are_linked_and_unlinked(people: People):
    """An address is one person's; linking what is theirs changes nothing."""
    body = {"channel": "telegram", "sender": "42"}
    for _ in range(2):
        linked = await people.carol.post("/api/users/alice/identities", body)
        assert linked.status == 201
        assert linked.json["userId"] == "alice"
    check_problem(await people.carol.post("/api/users/bob/identities", body), 409, "conflict")
    path, other = "/api/users/alice/identities", {"channel": "telegram", "sender": "43"}
    kept = await people.carol.post(path, other, key="k")
    assert (await people.carol.post(path, other, key="k")).json == kept.json
    check_problem(await people.carol.post(path, body, key="k"), 422, "idempotency_key_reused")
    await people.carol.delete(f"{path}?channel=telegram&sender=43")
    check_problem(await people.carol.post(path, other, key="k"), 409, "repeated")
    listed = (await people.alice.get("/api/users/alice/identities")).json["items"]
    assert {(one["channel"], one["sender"]) for one in listed} == {("webhook", "alice"), ("telegram", "42")}
    check_problem(await people.alice.post("/api/users/alice/identities", body), 403, "refused")
    where = "/api/users/alice/identities?channel=telegram&sender=42"
    assert (await people.carol.delete(where)).status == 204
    check_problem(await people.carol.delete(where), 404, "not_found")
    check_problem(await people.carol.delete("/api/users/alice/identities?channel=telegram"), 400, "invalid")


async def test_a_member_sees_the_agents_they_may_talk_to(shared: People):
    """Their own, with all that is theirs to change, and shared ones by name; nobody else's."""
    theirs = {one["id"]: one for one in (await shared.bob.get("/api/agents")).json["items"]}
    assert theirs.keys() == {"bob", "desk"}
    assert theirs["desk"]["persona"] == ""
    assert (await shared.alice.get("/api/agents/desk")).json["persona"] == "Be terse."
    assert len((await shared.carol.get("/api/agents")).json["items"]) == 4
    foreign = await shared.bob.get("/api/agents/alice")
    absent = await shared.bob.get("/api/agents/nobody")
    check_problem(foreign, 404, "not_found")
    assert foreign.body == absent.body.replace(b"nobody", b"alice")


async def test_an_agent_is_changed_by_whose_it_is(shared: People):
    """Its owner, its sponsor, or an admin; with a model that there is."""
    own = await shared.alice.patch("/api/agents/alice", {"persona": "Speak Spanish.", "model": "local/stream"})
    assert (own.json["persona"], own.json["model"]) == ("Speak Spanish.", "local/stream")
    assert (await shared.alice.patch("/api/agents/alice", {"model": None})).json["model"] is None
    assert (await shared.alice.patch("/api/agents/desk", {"name": "Help"})).json["name"] == "Help"
    for asker, path, body, status, code in (
        (shared.bob, "alice", {"persona": "Tell Bob."}, 404, "not_found"),
        (shared.bob, "desk", {"persona": "Tell Bob."}, 404, "not_found"),
        (shared.alice, "alice", {"model": "nobody/none"}, 400, "config"),
        (shared.alice, "alice", {"name": "two\nlines"}, 400, "invalid"),
        (shared.alice, "alice", {"persona": None}, 400, "invalid"),
        (shared.alice, "alice", {"owner": "bob"}, 400, "invalid"),
    ):
        check_problem(await asker.patch(f"/api/agents/{path}", body), status, code)


async def test_an_agent_is_added_once_and_removed_while_it_is_nobodys(shared: People):
    """What people said to it is theirs, so an agent that was talked to stays; it can be switched off."""
    body = {"id": "temp", "sponsor": "bob"}
    made = await shared.carol.post("/api/agents", body, key="k")
    assert made.status == 201
    assert (await shared.carol.post("/api/agents", body, key="k")).json == made.json
    check_problem(await shared.alice.post("/api/agents", {"id": "x", "sponsor": "alice"}), 403, "refused")
    check_problem(await shared.carol.post("/api/agents", {"id": "x", "sponsor": "eve"}), 404, "not_found")
    assert (await shared.carol.delete("/api/agents/temp")).status == 204
    check_problem(await shared.carol.get("/api/agents/temp"), 404, "not_found")
    await shared.alice.opens(agentId="desk")
    for agent_id in ("desk", "alice"):
        check_problem(await shared.carol.delete(f"/api/agents/{agent_id}"), 409, "conflict")
    check_problem(await shared.bob.delete("/api/agents/desk"), 404, "not_found")


async def test_a_member_has_friends_of_their_own(shared: People):
    """Added once, changed word by word, seen and reached by nobody else but admins, who see no word said to it."""
    body = {"name": "Sabrina", "relation": "friend", "who": {"language": "de", "roles": ["friend"]}}
    made = await shared.alice.post("/api/agents", body, key="k")
    assert made.status == 201, made.body
    assert (made.json["id"], made.json["owner"], made.json["sponsor"]) == ("alice--Sabrina", "alice", None)
    assert (await shared.alice.post("/api/agents", body, key="k")).json == made.json
    path = f"/api/agents/{made.json['id']}"

    who = {"language": None, "gender": "female", "response_length": "short"}
    changed = await shared.alice.patch(
        path, {"name": "Brina", "who": who, "skills": ["weather"], "relation": None}
    )
    assert changed.json["id"] == made.json["id"]
    assert changed.json["who"] == {"gender": "female", "roles": ["friend"], "responseLength": "short"}
    assert (changed.json["name"], changed.json["relation"], changed.json["skills"]) == ("Brina", None, ["weather"])
    assert (await shared.alice.patch(path, {"who": None})).json["who"] is None

    session = await shared.alice.opens(agentId=made.json["id"])
    assert session["agentId"] == made.json["id"]
    for method in (shared.bob.get, shared.bob.delete):
        check_problem(await method(path), 404, "not_found")
    check_problem(await shared.bob.patch(path, {"name": "Mine"}), 404, "not_found")
    assert made.json["id"] not in str((await shared.bob.get("/api/agents")).json)
    asked = await shared.bob.post("/api/sessions/create", {"agentId": made.json["id"]})
    absent = await shared.bob.post("/api/sessions/create", {"agentId": "alice--nobody"})
    assert (asked.status, absent.status) == (404, 404)
    check_problem(await shared.carol.get(f"/api/sessions/{session['sessionId']}"), 404, "not_found")
    assert (await shared.carol.patch(path, {"enabled": False})).json["enabled"] is False


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ({"name": "张三"}, 400, "invalid_id", "'friend'"),
        ({"name": "Rookery"}, 409, "conflict", "cannot be told"),
        ({"id": "sabrina"}, 201, "", ""),
        ({"id": "alice--sabrina", "name": "Sabrina"}, 201, "", ""),
        ({"id": "bob--sabrina", "name": "Sabrina"}, 404, "not_found", "no user 'bob'"),
        ({"owner": "bob", "name": "Sabrina"}, 404, "not_found", "no user 'bob'"),
        ({"owner": "no body", "name": "Sabrina"}, 404, "not_found", "no user"),
        ({"owner": "bob", "id": "alice--sabrina"}, 400, "invalid", "a friend of 'alice'"),
        ({}, 400, "invalid", "needs a name"),
        ({"name": "S", "who": {"hat": "red"}}, 400, "invalid", "who.hat"),
        ({"name": "S", "model": "nobody/none"}, 400, "config", "nobody"),
        ({"name": "S", "persona": "a\u0000b"}, 400, "invalid", "NUL"),
    ],
)
async def test_what_a_friend_can_be(people: People, body: dict[str, object], status: int, code: str, words: str):
    """Each reason is said with what would be right; and a member befriends nobody else."""
    reply = await people.alice.post("/api/agents", body)
    if status == 201:
        assert reply.status == 201, reply.body
    else:
        assert words in check_problem(reply, status, code)["detail"]


async def test_a_friend_is_removed_with_everything(people: People):
    """It is gone like one that never was; the main agent stays."""
    made = await people.alice.post("/api/agents", {"name": "Sabrina"})
    session = await people.alice.opens(agentId=made.json["id"])
    await people.alice.says(session["sessionId"], "hello")
    assert (await people.alice.delete(f"/api/agents/{made.json['id']}")).status == 204
    check_problem(await people.alice.get(f"/api/agents/{made.json['id']}"), 404, "not_found")
    check_problem(await people.alice.get(f"/api/sessions/{session['sessionId']}"), 404, "not_found")
    check_problem(await people.alice.delete("/api/agents/alice"), 409, "conflict")
    assert (await people.alice.post("/api/agents", {"name": "Sabrina"})).json["id"] == made.json["id"]
    assert [one["agentId"] for one in (await people.alice.get("/api/sessions?status=all")).json["items"]] == []


async def test_groups_are_let_in_and_put_out(people: People):
    """By an admin, once; and nothing of it is for members to see."""
    body = {"channel": "telegram", "chat": "-100", "sponsor": "alice"}
    made = await people.carol.post("/api/spaces", body, key="k")
    assert made.status == 201
    assert (made.json["sponsor"], made.json["answering"]) == ("alice", True)
    assert (await people.carol.post("/api/spaces", body, key="k")).json == made.json
    check_problem(await people.carol.post("/api/spaces", body), 409, "conflict")
    assert (await people.carol.get("/api/spaces")).json["items"] == [made.json]
    for method, path, sent in (
        ("GET", "/api/spaces", None),
        ("POST", "/api/spaces", body),
        ("DELETE", "/api/spaces?channel=telegram&chat=-100", None),
    ):
        check_problem(await people.alice.ask(method, path, sent), 403, "refused")
    assert (await people.carol.delete("/api/spaces?channel=telegram&chat=-100")).status == 204
    check_problem(await people.carol.delete("/api/spaces?channel=telegram&chat=-100"), 404, "not_found")


@pytest.mark.parametrize("path", ["/api/users", "/api/agents", "/api/spaces", "/api/tokens", "/api/devices"])
async def test_nobody_sees_nothing(people: People, path: str):
    """Without a token or a cookie there is no list to see."""
    refused = await people.nobody.get(path)
    check_problem(refused, 401, "unauthorized")
    assert refused.headers["www-authenticate"] == "Bearer"
