"""What no request may be, whatever it asks for."""

from __future__ import annotations

import pytest

from tests.web.api.conftest import People, check_problem

MEGABYTE = 1 << 20


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1"])
async def test_a_host_that_is_not_ours_is_not_served(people: People, host: str):
    """A name that was made to point here (DNS rebinding) gets nothing, token or not."""
    check_problem(await people.alice.ask("GET", "/api/me", headers={"Host": host}), 400, "bad_host")


@pytest.mark.parametrize("hidden", ["%2F", "%2f", "%5C", "%00"])
async def test_no_separator_hides_in_a_path(people: People, hidden: str):
    """What is one segment to a proxy and two to us could be another's session."""
    check_problem(await people.alice.get(f"/api/sessions/x{hidden}..{hidden}y"), 400, "bad_path")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\u0000"}',
        b"[" * 9999,
    ],
)
async def test_a_body_that_is_no_object_is_refused(people: People, data: bytes):
    """No half a JSON, no other JSON, no text that no text may be."""
    head = {"Content-Type": "application/json"}
    check_problem(await people.alice.ask("POST", "/api/tokens", data=data, headers=head), 400, "invalid")


async def test_only_json_is_read(people: People):
    """A body of another type, or of none, is not looked at."""
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {}):
        refused = await people.alice.ask("POST", "/api/tokens", data=b'{"name": "x"}', headers=headers)
        check_problem(refused, 415, "media_type")
    typed = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await people.alice.ask("POST", "/api/tokens", data=b'{"name": "x"}', headers=typed)).status == 201


async def test_a_body_that_is_too_large_is_not_waited_for(people: People):
    """It is refused by its length, or as soon as it is longer than a body may be; then the line is closed."""
    head = {"Content-Type": "application/json", "Content-Length": str(2 * MEGABYTE)}
    announced = await people.alice.ask("POST", "/api/tokens", headers=head)
    check_problem(announced, 413, "too_large")
    assert announced.headers["connection"] == "close"
    chunked = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    unannounced = b"%x\r\n" % (MEGABYTE + 1) + b" " * (MEGABYTE + 1) + b"\r\n"
    head_only = f"POST /api/tokens HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {people.alice.token}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in chunked.items())
    reply = await people.site.raw(head_only.encode() + lines.encode() + b"\r\n" + unannounced)
    check_problem(reply, 413, "too_large")


async def test_strangers_are_turned_away_before_their_body_is_read(people: People):
    """Who is nobody cannot make us read anything."""
    head = {"Content-Type": "application/json", "Content-Length": str(100 * MEGABYTE)}
    refused = await people.nobody.ask("POST", "/api/sessions/create", headers=head)
    check_problem(refused, 401, "unauthorized")
    assert refused.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/api/me", "DELETE, GET, PATCH"), ("GET", "/api/login", "POST"), ("POST", "/openapi.json", "GET")],
)
async def test_another_method_is_told_which_there_are(people: People, method: str, path: str, allowed: str):
    """405, with all that the path has."""
    refused = await people.alice.ask(method, path)
    check_problem(refused, 405, "method")
    assert refused.headers["allow"] == allowed


async def test_there_is_nothing_elsewhere(people: People):
    """A path that leads nowhere answers as such, also with a slash too many, and to strangers."""
    for asker in (people.alice, people.nobody):
        for path in ("/api/nothing", "/api/me/", "/api/sessions/a/b/c", "/api/"):
            check_problem(await asker.get(path), 404, "not_found")


async def test_an_id_may_be_any_text_and_names_nothing(people: People):
    """Odd ids are absent, not errors."""
    for name in ("..", "%F0%9F%90%A6", "%20", "'", "x" * 3000, "agent:", "agent:alice:", "agent:alice:~zz", "%ff"):
        for path in (
            "/api/sessions/{}",
            "/api/turns/{}",
            "/api/attachments/{}",
            "/api/agents/{}",
            "/api/users/{}",
        ):
            reply = await people.carol.get(path.format(name))
            assert reply.status == 404, (name, path, reply.body)
        assert (await people.carol.delete(f"/api/tokens/{name}")).status == 404
        assert (await people.carol.post(f"/api/sessions/{name}/messages", {"text": "x"})).status == 404


async def test_no_answer_is_stored_or_guessed_at(people: People):
    """What is said to one person is kept by no cache, and read as nothing else than it is."""
    for reply in (await people.alice.get("/api/me"), await people.nobody.get("/api/me")):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
