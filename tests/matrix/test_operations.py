"""Every operation there is, asked by everybody: the table says who may; nobody else gets or changes anything."""

from __future__ import annotations

import msgspec
import pytest

from rookery.errors import NotFound, Refused, RookeryError
from rookery.gateway.operations.table import OPERATIONS
from tests.matrix.actors import ACTORS, allowed
from tests.matrix.operations import ROWS, Row
from tests.matrix.scene import Scene, Things

EVERYBODY = [actor for actor in ACTORS if actor != "owner by token"]


def test_every_operation_is_in_the_table() -> None:
    """One that is added without saying who may, fails here; and so does one that is only in the table."""
    assert {row.entry for row in ROWS} == set(OPERATIONS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_table_says_what_the_gate_says(row: Row) -> None:
    """The same action on the same thing has one answer, on every surface: this is the gate's."""
    people = [
        actor for actor in EVERYBODY if row.of != "oneself" or actor not in ("operator", "guest", "schedule")
    ]
    actions = [action for action in (row.action, row.or_by) if action is not None]
    may = {actor for actor in people if any(allowed(actor, action, row.of) for action in actions)}
    assert may == row.yes & set(people)


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_who_may_and_nobody_else(scene: Scene, row: Row) -> None:
    """Whoever may not changes nothing and is shown nothing; what is foreign reads like what is not there."""
    wrong: list[str] = []
    things = await scene.things()
    before = scene.state()
    for actor in (one for one in EVERYBODY if one not in row.yes):
        said = await _ask(scene, actor, row, things)
        if not isinstance(said, Refused | NotFound) and said != b"[]":
            wrong.append(f"GRANT: {actor}: {said!r}")
    if scene.state() != before:
        wrong.append("GRANT: something changed")
    for actor in sorted(row.yes):
        things = await scene.things()
        said = await _ask(scene, actor, row, things)
        if isinstance(said, Refused | NotFound):
            wrong.append(f"refused {actor}: {said.detail}")
        elif row.mark is not None and isinstance(said, bytes):
            seen = row.mark(things).encode() in said
            if seen is not (actor in (row.sees or row.yes)):
                wrong.append(f"GRANT: {actor} {'is' if seen else 'is not'} shown it: {said[:300]!r}")
    assert wrong == []


async def _ask(scene: Scene, actor: str, row: Row, things: Things) -> bytes | RookeryError:
    operation = OPERATIONS[row.entry]
    params = msgspec.convert(row.params(things), operation.params)
    try:
        result = operation.run(scene.desk.of(ACTORS[actor]), params)
        if hasattr(result, "__aiter__"):
            return b"".join([msgspec.json.encode(part) async for part in result])  # pyright: ignore
        return msgspec.json.encode(await result)  # pyright: ignore
    except RookeryError as error:
        return error
