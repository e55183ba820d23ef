"""The files of an agent's workspace: their owner's, and nobody else's."""

from __future__ import annotations

import pytest

from tests.web.api.conftest import People, check_problem

MARKDOWN = {"Content-Type": "text/markdown"}


async def test_a_file_is_written_read_listed_and_removed(people: People) -> None:
    """As it is, whatever it holds."""
    files = "/api/agents/alice/files"
    put = await people.alice.ask("PUT", f"{files}/AGENTS.md", data=b"# Be brief\n", headers=MARKDOWN)
    assert (put.status, put.json["path"], put.json["size"]) == (200, "AGENTS.md", 11)
    deep = await people.alice.ask("PUT", f"{files}/memory/2026-03-01.md", data=b"\xff\0", headers=MARKDOWN)
    assert deep.status == 200
    got = await people.alice.ask("GET", f"{files}/AGENTS.md")
    assert (got.status, got.body) == (200, b"# Be brief\n")
    assert got.headers["content-type"].startswith("text/markdown")
    assert got.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert (await people.alice.ask("GET", f"{files}/memory/2026-03-01.md")).body == b"\xff\0"
    listed = (await people.alice.get(files)).json["items"]
    assert [one["path"] for one in listed] == ["AGENTS.md", "memory/2026-03-01.md"]
    assert (await people.alice.ask("DELETE", f"{files}/AGENTS.md")).status == 204
    check_problem(await people.alice.ask("GET", f"{files}/AGENTS.md"), 404, "not_found")
    check_problem(await people.alice.ask("DELETE", f"{files}/AGENTS.md"), 404, "not_found")


async def test_two_editors_do_not_overwrite_each_other(people: People) -> None:
    """With the `ETag` of what they read."""
    path = "/api/agents/alice/files/USER.md"
    new = {**MARKDOWN, "If-None-Match": "*"}
    assert (await people.alice.ask("PUT", path, data=b"one", headers=new)).status == 200
    check_problem(await people.alice.ask("PUT", path, data=b"two", headers=new), 412, "outdated")
    tag = (await people.alice.ask("GET", path)).headers["etag"]
    match = {**MARKDOWN, "If-Match": tag}
    assert (await people.alice.ask("PUT", path, data=b"two", headers=match)).status == 200
    check_problem(await people.alice.ask("PUT", path, data=b"three", headers=match), 412, "outdated")
    check_problem(await people.alice.ask("DELETE", path, headers={"If-Match": tag}), 412, "outdated")
    assert (await people.alice.ask("GET", path)).body == b"two"
    for wrong in ({"If-Match": "two"}, {"If-None-Match": '"x"'}, {"If-Match": tag, "If-None-Match": "*"}):
        check_problem(await people.alice.ask("PUT", path, data=b"", headers={**MARKDOWN, **wrong}), 400, "invalid")


@pytest.mark.parametrize("path", ["a//b", ".", "a/./b", "%0a", "x" * 256])
async def test_a_path_that_is_none_is_refused(people: People, path: str) -> None:
    """In words that say what it may be."""
    answer = await people.alice.ask("PUT", f"/api/agents/alice/files/{path}", data=b"", headers=MARKDOWN)
    check_problem(answer, 400, "invalid")


async def test_a_body_that_is_too_large_or_of_another_kind_is_refused(people: People) -> None:
    """Nothing of it is kept."""
    path = "/api/agents/alice/files/a.md"
    large = await people.alice.ask("PUT", path, data=b"x" * ((1 << 20) + 1), headers=MARKDOWN)
    check_problem(large, 413, "too_large")
    check_problem(await people.alice.ask("PUT", path, {"a": 1}), 415, "media_type")
    assert (await people.alice.get("/api/agents/alice/files")).json["items"] == []


async def test_foreign_and_absent_look_alike(people: People) -> None:
    """Whose agent it is not, is told that there is none; an admin, who knows that it is there, that it is not
    theirs to see."""
    await people.alice.ask("PUT", "/api/agents/alice/files/SOUL.md", data=b"calm", headers=MARKDOWN)
    for method, path in (("GET", ""), ("GET", "/SOUL.md"), ("PUT", "/SOUL.md"), ("DELETE", "/SOUL.md")):
        data, headers = (b"wild", MARKDOWN) if method == "PUT" else (None, {})
        foreign = await people.bob.ask(method, f"/api/agents/alice/files{path}", data=data, headers=headers)
        absent = await people.bob.ask(method, f"/api/agents/nadia/files{path}", data=data, headers=headers)
        check_problem(foreign, 404, "not_found")
        assert foreign.body == absent.body.replace(b"nadia", b"alice")
        keeper = await people.carol.ask(method, f"/api/agents/alice/files{path}", data=data, headers=headers)
        check_problem(keeper, 403, "refused")
    assert (await people.alice.ask("GET", "/api/agents/alice/files/SOUL.md")).body == b"calm"
