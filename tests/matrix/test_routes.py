"""Every route there is, asked by everybody about what is Alice's: the table says who may, and nobody else does.

Whoever is refused changes nothing. What is foreign to somebody looks to them like what does not exist: the same
status, the same words, the same headers, and as much work done to find out.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from http import HTTPStatus

import pytest

from rookery import ids
from tests.matrix.actors import allowed
from tests.matrix.routes import PEOPLE, ROWS, Row
from tests.matrix.scene import NOBODIES, Scene, Things
from tests.support.asgi import Answer

BY_IDS = [row for row in ROWS if row.by]
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'


async def test_every_route_is_in_the_table(scene: Scene) -> None:
    """A route that is added without saying who may, fails here; so does a row for one that is not there."""
    document = (await scene.client("owner").ask("GET", "/openapi.json")).json
    described = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    }
    assert described - ELSEWHERE == {row.entry for row in ROWS}


ELSEWHERE = {"POST /api/channels/webhook/{account}", "GET /api/ws"}
"""Routes whose callers are known otherwise: by a signature, and the socket, which has a table of its own."""


@pytest.mark.parametrize("row", [row for row in ROWS if row.action is not None], ids=str)
def test_the_table_says_what_the_gate_says(row: Row) -> None:
    """The same action on the same thing has one answer, on every surface: this is the gate's."""
    either = [action for action in (row.action, row.or_by) if action is not None]
    may = {actor for actor in PEOPLE if any(allowed(actor, action, row.of) for action in either)}
    if row.and_by is not None:
        may &= {actor for actor in PEOPLE if allowed(actor, row.and_by, row.of)}
    assert may == row.yes


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_who_may_and_nobody_else(scene: Scene, row: Row) -> None:
    """0 wrong grants, and nobody is refused what is theirs."""
    wrong: list[str] = []
    things = await scene.things()
    before = scene.state()
    for actor in (*sorted(PEOPLE - row.yes), *NOBODIES):
        answer = await _ask(scene, actor, row, things)
        wanted = row.told.get(actor, row.no) if actor in PEOPLE else HTTPStatus.UNAUTHORIZED
        if not row.open and answer.status != wanted:
            wrong.append(f"{actor}: {answer.status} instead of {wanted}: {answer.body[:200]!r}")
        if row.open and row.yes and answer.status >= HTTPStatus.BAD_REQUEST:
            wrong.append(f"{actor}: refused what is open to all: {answer.status} {answer.body[:200]!r}")
    if scene.state() != before and not row.open:
        wrong.append("GRANT: something changed")
    for actor in sorted(row.yes):
        things = await scene.things()
        answer = await _ask(scene, actor, row, things)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            wrong.append(f"{actor}: refused: {answer.status} {answer.body[:200]!r}")
        elif row.mark is not None:
            seen = row.mark(things).encode() in answer.body
            if seen is not (actor in (row.yes if row.sees is None else row.sees)):
                wrong.append(f"GRANT: {actor} {'is' if seen else 'is not'} shown it: {answer.body[:300]!r}")
        await scene.comes_back(actor)
    assert wrong == []


async def test_a_disabled_person_is_nobody_to_what_is_theirs(scene: Scene) -> None:
    """Who was switched off reaches none of their own things, by any route."""
    await scene.enable("dora", True)
    things = await scene.things("dora")
    await scene.enable("dora", False)
    before = scene.state()
    answers = {str(row): (await _ask(scene, "disabled", row, things)).status for row in ROWS if not row.open}
    assert {row: status for row, status in answers.items() if status != HTTPStatus.UNAUTHORIZED} == {}
    assert scene.state() == before


@pytest.mark.parametrize("row", BY_IDS, ids=str)
async def test_foreign_and_absent_look_alike(scene: Scene, row: Row) -> None:
    """To whoever may not, what is Alice's and what is nobody's are told in the same words, at the same cost."""
    wrong: list[str] = []
    things = await scene.things()
    nothing = replace(things, **{field: _absent(scene, things, field) for field in row.by})
    for actor in sorted(PEOPLE - row.yes - row.told.keys()):
        foreign, at_cost = await _weighed(scene, actor, row, things)
        absent, at_costs = await _weighed(scene, actor, row, nothing)
        if _plain(foreign, things, row) != _plain(absent, nothing, row):
            wrong.append(f"{actor}: {foreign.status} {foreign.body!r} / {absent.status} {absent.body!r}")
        if not _as_much(at_cost, at_costs):
            wrong.append(f"{actor}: work {dict(at_cost)} / {dict(at_costs)}")
    assert wrong == []


@pytest.mark.parametrize("row", [row for row in BY_IDS if not row.entry.startswith("POST /v1/")], ids=str)
async def test_an_id_of_another_kind_is_nothing(scene: Scene, row: Row) -> None:
    """The owner's own ids lead nowhere but where they belong, and change nothing.

    (Any word is a name for a session of `/v1`.)
    """
    things = await scene.things()
    [field] = row.by
    kind = _kind(field)
    others = [name for name in _NAMED if _kind(name) != kind]
    before = scene.state()
    wrong: list[str] = []
    for other in others:
        answer = await _ask(scene, "owner", row, replace(things, **{field: getattr(things, other)}))
        if answer.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
            wrong.append(f"{other} as {field}: {answer.status} {answer.body[:200]!r}")
    assert wrong == []
    assert scene.state() == before


_NAMED = ("session", "session_key", "turn", "token", "device", "attachment", "address", "space")


def _kind(field: str) -> str:
    """What sort of thing a field of `Things` names. A person and their own agent have one name."""
    if field in ("whose", "agent", "spare_agent"):
        return "agent"
    return field.removeprefix("shared_").removeprefix("group_").removesuffix("_key")


def _absent(scene: Scene, things: Things, field: str) -> str:
    """A name of the same shape that is nobody's."""
    if _kind(field) == "agent":
        return "nadia"
    fresh = ids.fresh(scene.clock.now())
    if field == "session_key":
        return f"agent:{things.agent}:chat:{fresh}"
    return fresh


async def _ask(scene: Scene, actor: str, row: Row, things: Things) -> Answer:
    json = None if row.json is None else row.json(things)
    headers = {"content-type": "multipart/form-data; boundary=b"} if row.file else {}
    body = FILE if row.file else None
    if row.plain:
        headers, body = {"content-type": "text/markdown"}, b"as it is"
    return await scene.client(actor).ask(row.method, row.path(things), json, body=body, headers=headers)


async def _weighed(scene: Scene, actor: str, row: Row, things: Things) -> tuple[Answer, Counter[str]]:
    """The answer, and what it took to find it."""
    scene.work.clear()
    answer = await _ask(scene, actor, row, things)
    return answer, Counter(scene.work)


def _as_much(one: Counter[str], other: Counter[str]) -> bool:
    """Whether two answers took as much work: no brain more, no write more, and the same reads but for one."""
    return (
        one["brains"] == other["brains"]
        and one["writes"] == other["writes"]
        and abs(one["reads"] - other["reads"]) <= 1
    )


def _plain(answer: Answer, things: Things, row: Row) -> tuple[int, bytes, dict[str, str]]:
    """An answer without the names that were asked for, and without its length, which they decide."""
    body = answer.body
    for field in row.by:
        body = body.replace(getattr(things, field).encode(), b"<name>")
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return int(answer.status), re.sub(rb'"x-request-id":"[^"]*"', b"", body), headers
