"""What is kept of somebody, all of it as one file, and being erased, by HTTP."""

from __future__ import annotations

import io
import json
import zipfile

from tests.web.api.conftest import People, check_problem

PASSWORD = "a password for once"


async def test_members_have_everything_of_theirs_and_nobody_elses(people: People):
    """As a file that is never shown; and in numbers."""
    got = await people.alice.get("/api/me/export")
    assert got.status == 200
    assert got.headers["content-type"] == "application/zip"
    assert got.headers["content-disposition"].startswith("attachment")
    assert got.headers["transfer-encoding"] == "chunked"  # it is sent while it is made
    with zipfile.ZipFile(io.BytesIO(got.body)) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("manifest.json"))["person"] == "alice"
    kept = (await people.alice.get("/api/me/privacy")).json
    assert (kept["agents"], kept["tokens"]) == (["alice"], 1)
    check_problem(await people.nobody.get("/api/me/export"), 401, "unauthorized")


async def test_an_admin_erases_somebody(people: People):
    """Asked first what would go; then their token is nobody's at once, and there is no such person."""
    would = await people.carol.ask("DELETE", "/api/users/alice?dryRun=true")
    assert (would.status, would.json["done"], would.json["agents"]) == (200, False, ["alice"])
    assert (await people.alice.get("/api/me")).status == 200
    check_problem(await people.bob.ask("DELETE", "/api/users/alice"), 404, "not_found")
    assert (await people.carol.ask("DELETE", "/api/users/alice")).status == 204
    check_problem(await people.alice.get("/api/me"), 401, "unauthorized")
    check_problem(await people.carol.get("/api/users/alice"), 404, "not_found")
    check_problem(await people.carol.ask("DELETE", "/api/users/alice"), 404, "not_found")


async def test_members_erase_themselves_with_their_password(people: People):
    """A token alone is not enough."""
    made = {"id": "dana", "password": PASSWORD}
    assert (await people.carol.post("/api/users", made)).status == 201
    check_problem(await people.carol.ask("DELETE", "/api/users/carol"), 400, "invalid")
    check_problem(await people.alice.ask("DELETE", "/api/me", {"password": "x" * 12}), 403, "refused")
    inside = await people.nobody.post("/api/login", {"username": "dana", "password": PASSWORD})
    assert inside.status == 200
