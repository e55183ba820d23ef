"""Set-up, login, logout, and one's own tokens and devices, by REST."""

from __future__ import annotations

from typing import Any

import pytest

from rookery.gateway.operations import logins, setting_up
from rookery.gateway.shapes import Nothing, PasswordSet
from tests.web.api.conftest import People, Person, check_problem
from tests.web.conftest import Reply, Site

PASSWORD = "correct horse battery staple"
OURS = {"Origin": "http://localhost"}


async def set_up(site: Site, **more: Any) -> Reply:
    """Open the set-up link and make Dana the first admin."""
    link = await setting_up.make_setup_link(site.desk, Nothing())
    body = {"code": link.url.partition("#")[2], "username": "dana", "password": PASSWORD} | more
    return await Person(site, None).post("/api/setup", body)


def cookie_of(reply: Reply) -> dict[str, str]:
    """The cookie that an answer sets, as the next request sends it."""
    return {"Cookie": reply.headers["set-cookie"].partition(";")[0]}


async def test_the_first_admin_sets_up_and_is_in(dark: Site):
    """The code of the link makes an admin, once, and logs them in with a cookie that no script can read."""
    reply = await set_up(dark, name="Dana", language="es", timezone="Europe/Madrid")
    assert reply.status == 201
    assert (reply.json["id"], reply.json["role"], reply.json["language"]) == ("dana", "admin", "es")
    name, _, rest = reply.headers["set-cookie"].partition("=")
    assert name == "rookery_session"
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(rest.split("; "))
    assert "Secure" not in rest
    nobody = Person(dark, None)
    me = await nobody.ask("GET", "/api/me", headers=cookie_of(reply))
    assert me.json == reply.json
    wrong = {"code": "x", "username": "eve", "password": PASSWORD}
    check_problem(await nobody.post("/api/setup", wrong), 403, "refused")


async def test_a_person_logs_in_and_out(dark: Site):
    """The right words open the door, wrong ones say nothing of which was wrong, and out is out."""
    await set_up(dark)
    nobody = Person(dark, None)
    for username, password in (("dana", "wrong password"), ("nobody", PASSWORD)):
        refused = await nobody.post("/api/login", {"username": username, "password": password})
        check_problem(refused, 401, "wrong_login")
    inside = await nobody.post("/api/login", {"username": "dana", "password": PASSWORD})
    assert (inside.status, inside.json["id"]) == (200, "dana")
    cookie = cookie_of(inside)
    assert (await nobody.ask("GET", "/api/me", headers=cookie)).status == 200
    foreign = cookie | {"Origin": "http://evil.example"}
    check_problem(await nobody.ask("POST", "/api/logout", headers=foreign), 403, "bad_origin")
    check_problem(await nobody.ask("POST", "/api/logout", headers=cookie), 403, "bad_origin")
    out = await nobody.ask("POST", "/api/logout", headers=cookie | OURS)
    assert out.status == 204
    assert "Max-Age=0" in out.headers["set-cookie"]
    check_problem(await nobody.ask("GET", "/api/me", headers=cookie), 401, "unauthorized")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_no_foreign_page_logs_anybody_in(dark: Site, headers: dict[str, str]):
    """Being made somebody else without knowing it is as bad as being impersonated."""
    await set_up(dark)
    body = {"username": "dana", "password": PASSWORD}
    refused = await Person(dark, None).ask("POST", "/api/login", body, headers=headers)
    check_problem(refused, 403, "bad_origin")
    assert "set-cookie" not in refused.headers


async def test_a_form_logs_nobody_in(dark: Site):
    """Only JSON is read, which no form of a foreign page can send."""
    await set_up(dark)
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        data = b'{"username": "dana", "password": "correct horse battery staple"}'
        refused = await Person(dark, None).ask("POST", "/api/login", data=data, headers={"Content-Type": kind})
        check_problem(refused, 415, "media_type")


async def test_guessing_is_slowed(dark: Site):
    """After too many wrong passwords from one place the next one waits, and is told how long."""
    await set_up(dark)
    nobody = Person(dark, None)
    body = {"username": "dana", "password": "wrong password"}
    for _ in range(10):
        check_problem(await nobody.post("/api/login", body), 401, "wrong_login")
    refused = await nobody.post("/api/login", body)
    check_problem(refused, 429, "too_many_requests")
    assert int(refused.headers["retry-after"]) > 0


async def test_me_and_what_i_may_change_of_it(people: People):
    """Time zone, language, and what the page keeps of its looks; not one's role."""
    changed = await people.alice.patch(
        "/api/me", {"timezone": "Asia/Tokyo", "language": "ja", "theme": "dark", "preferences": {"dense": True}}
    )
    assert changed.status == 200
    assert (changed.json["timezone"], changed.json["language"]) == ("Asia/Tokyo", "ja")
    assert changed.json["preferences"] == {"theme": "dark", "dense": True}
    assert (await people.alice.get("/api/me")).json == changed.json
    wrong: list[dict[str, Any]] = [
        {"timezone": "Mars"},
        {"role": "admin"},
        {"language": 3},
        {"preferences": []},
    ]
    for body in wrong:
        check_problem(await people.alice.patch("/api/me", body), 400, "invalid")


async def test_a_password_of_another_s_choice_opens_nothing_but_its_change(people: People):
    """Whoever comes in by one sees who they are, chooses another, and only then goes on; tokens are not held."""
    await logins.set_password(people.site.desk, PasswordSet(user_id="alice", password="a password for once"))
    reply = await people.nobody.post("/api/login", {"username": "alice", "password": "a password for once"})
    inside = cookie_of(reply) | OURS

    async def asks(method: str, path: str, body: object = None) -> Reply:
        return await people.nobody.ask(method, path, body, headers=inside)

    assert (await asks("GET", "/api/me")).json["mustChangePassword"] is True
    held = [
        ("GET", "/api/sessions"),
        ("GET", "/api/users/alice"),
        ("GET", "/api/tokens"),
        ("GET", "/api/devices"),
        ("POST", "/api/tokens"),
        ("PATCH", "/api/me"),
        ("POST", "/api/sessions/main/messages"),
    ]
    for method, path in held:
        check_problem(await asks(method, path, None if method == "GET" else "{}"), 403, "password_change_required")
    completion = await asks("POST", "/v1/chat/completions", {"model": "rookery", "messages": []})
    assert (completion.status, completion.json["error"]["code"]) == (403, "password_change_required")
    assert (await asks("GET", "/v1/models")).status == 403
    assert (await people.alice.get("/api/sessions")).status == 200
    check_problem(await asks("POST", "/api/me/password", {"password": "short"}), 400, "invalid")
    assert (await asks("POST", "/api/me/password", {"password": PASSWORD})).status == 204
    assert (await asks("GET", "/api/me")).json["mustChangePassword"] is False
    for path in ("/api/sessions", "/api/tokens", "/v1/models"):
        assert (await asks("GET", path)).status == 200


async def test_who_is_held_can_still_go(people: People):
    """Logging out needs no password of one's own."""
    await logins.set_password(people.site.desk, PasswordSet(user_id="alice", password="a password for once"))
    reply = await people.nobody.post("/api/login", {"username": "alice", "password": "a password for once"})
    inside = cookie_of(reply) | OURS
    assert (await people.nobody.ask("POST", "/api/logout", headers=inside)).status == 204
    check_problem(await people.nobody.ask("GET", "/api/me", headers=inside), 401, "unauthorized")


async def test_a_password_is_changed_by_who_knows_it(dark: Site):
    """The current one is asked for; afterwards the new one holds and the old one does not."""
    inside = cookie_of(await set_up(dark)) | OURS
    nobody = Person(dark, None)
    new = {"current": PASSWORD, "password": "another horse battery staple"}
    wrong = await nobody.ask("POST", "/api/me/password", new | {"current": "wrong password"}, headers=inside)
    check_problem(wrong, 401, "wrong_login")
    short = await nobody.ask("POST", "/api/me/password", new | {"password": "short"}, headers=inside)
    check_problem(short, 400, "invalid")
    assert (await nobody.ask("POST", "/api/me/password", new, headers=inside)).status == 204
    old = await nobody.post("/api/login", {"username": "dana", "password": PASSWORD})
    check_problem(old, 401, "wrong_login")
    again = await nobody.post("/api/login", {"username": "dana", "password": new["password"]})
    assert again.status == 200


async def test_a_token_is_shown_once_and_ended(people: People):
    """It opens the door until it is ended; the list never shows it; nobody else can end it."""
    made = await people.alice.post("/api/tokens", {"name": "script"}, key="k")
    assert made.status == 201
    token = made.json
    script = Person(people.site, token["token"])
    assert (await script.get("/api/me")).json["id"] == "alice"
    listed = await people.alice.get("/api/tokens")
    assert {one["name"] for one in listed.json["items"]} == {"test", "script"}
    assert token["token"].encode() not in listed.body
    check_problem(await people.alice.post("/api/tokens", {"name": "script"}, key="k"), 409, "repeated")
    assert len((await people.alice.get("/api/tokens")).json["items"]) == 2
    other = await people.alice.post("/api/tokens", {"name": "other"}, key="k")
    check_problem(other, 422, "idempotency_key_reused")
    foreign = await people.bob.delete(f"/api/tokens/{token['id']}")
    absent = await people.bob.delete("/api/tokens/01hzzzzzzzzzzzzzzzzzzzzzzz")
    assert (
        check_problem(foreign, 404, "not_found")["detail"].replace(token["id"], "01hzzzzzzzzzzzzzzzzzzzzzzz")
        == check_problem(absent, 404, "not_found")["detail"]
    )
    assert (await people.alice.delete(f"/api/tokens/{token['id']}")).status == 204
    check_problem(await script.get("/api/me"), 401, "unauthorized")
    check_problem(await people.carol.post("/api/tokens", {"name": "x", "userId": "alice"}), 400, "invalid")


async def test_devices_are_listed_and_ended(dark: Site):
    """Each login is a device; one can be ended from another."""
    first = cookie_of(await set_up(dark)) | OURS
    nobody = Person(dark, None)
    second = cookie_of(await nobody.post("/api/login", {"username": "dana", "password": PASSWORD})) | OURS
    listed = (await nobody.ask("GET", "/api/devices", headers=first)).json["items"]
    assert sorted(one["current"] for one in listed) == [False, True]
    [other] = [one["id"] for one in listed if not one["current"]]
    assert (await nobody.ask("DELETE", f"/api/devices/{other}", headers=first)).status == 204
    check_problem(await nobody.ask("GET", "/api/me", headers=second), 401, "unauthorized")
    check_problem(await nobody.ask("DELETE", "/api/devices/x", headers=first), 404, "not_found")
