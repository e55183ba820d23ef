"""Files handed in by REST."""

from __future__ import annotations

import hashlib

from tests.web.api.conftest import People, check_problem

MEGABYTE = 1 << 20


async def test_a_file_is_kept_and_given_back_to_be_saved(people: People):
    """As it was, by what it holds and not by what it is called, and so that no browser runs it."""
    made = await people.alice.uploads(b"<script>alert(1)</script>", "naïve page.html")
    assert made.status == 201
    assert (made.json["name"], made.json["size"]) == ("naïve page.html", 25)
    assert made.json["contentType"] in ("text/plain", "application/octet-stream")
    got = await people.alice.get(f"/api/attachments/{made.json['attachmentId']}")
    assert got.body == b"<script>alert(1)</script>"
    assert got.headers["content-disposition"].startswith("attachment; ")
    assert "na%C3%AFve%20page.html" in got.headers["content-disposition"]
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in got.headers["content-security-policy"]


async def test_a_file_is_kept_once_under_a_key(people: People):
    """The same file again is the same attachment; another one under the key is refused."""
    first = await people.alice.uploads(b"one", key="k")
    assert (await people.alice.uploads(b"one", key="k")).json == first.json
    check_problem(await people.alice.uploads(b"two", key="k"), 422, "idempotency_key_reused")


async def test_somebody_elses_file_is_none(shared: People):
    """Neither from their own agent, nor from one that both talk to."""
    for query in ("", "?agentId=desk"):
        made = await shared.alice.uploads(b"private", query=query)
        name = made.json["attachmentId"]
        assert (await shared.alice.get(f"/api/attachments/{name}")).body == b"private"
        absent = await shared.bob.get("/api/attachments/01hzzzzzzzzzzzzzzzzzzzzzzz")
        check_problem(absent, 404, "not_found")
        for asker in (shared.bob, shared.carol):
            foreign = await asker.get(f"/api/attachments/{name}")
            assert foreign.body.replace(name.encode(), b"01hzzzzzzzzzzzzzzzzzzzzzzz") == absent.body
    check_problem(await shared.bob.uploads(b"x", query="?agentId=alice"), 404, "not_found")


async def test_a_large_file_goes_through_and_a_larger_one_does_not(people: People):
    """25 MiB are kept byte for byte; more is refused before it is read."""
    data = bytes(range(256)) * (25 * MEGABYTE // 256)
    made = await people.alice.uploads(data, "large.bin")
    assert made.status == 201, made.body
    got = await people.alice.get(f"/api/attachments/{made.json['attachmentId']}")
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(data).digest()
    head = {"Content-Type": "multipart/form-data; boundary=edge", "Content-Length": str(27 * MEGABYTE)}
    refused = await people.alice.ask("POST", "/api/attachments", headers=head)
    check_problem(refused, 413, "too_large")
    assert refused.headers["connection"] == "close"


async def test_what_is_no_form_with_a_file_is_refused(people: People):
    """Another type, no file, or a form that breaks off."""
    for kind in ("application/json", "text/plain"):
        refused = await people.alice.ask("POST", "/api/attachments", data=b"{}", headers={"Content-Type": kind})
        check_problem(refused, 415, "media_type")
    head = {"Content-Type": "multipart/form-data; boundary=edge"}
    for data in (
        b"",
        b"garbage",
        b"--edge--\r\n",
        b'--edge\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--edge--\r\n',
        b'--edge\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--edge--\r\n',
    ):
        check_problem(await people.alice.ask("POST", "/api/attachments", data=data, headers=head), 400, "invalid")
    check_problem(await people.nobody.uploads(b"x"), 401, "unauthorized")
