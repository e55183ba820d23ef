"""Every frame a client may send over the live socket, sent by everybody about what is Alice's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import msgspec
import pytest

from rookery import ids
from rookery.policy import Action
from rookery.web.live import frames
from tests.matrix.actors import allowed
from tests.matrix.scene import NOBODIES, PEOPLE, Scene, Things
from tests.support.asgi import Socket

OWNER = frozenset({"owner", "owner by token"})
KEEPERS = frozenset({"sponsor", "admin"})
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """One frame about one session: `by` is the field of `Things` it names, `yes` who may send it."""

    entry: str
    of: str
    by: str
    yes: frozenset[str]
    action: Action | None

    def __str__(self) -> str:
        return f"{self.entry} of {self.of}"


ROWS = (
    Row("message", "own session", "session", OWNER, Action.TALK),
    Row("message", "own session by key", "session_key", OWNER, Action.TALK),
    Row("message", "shared session", "shared_session", OWNER, Action.TALK),
    Row("message", "group session", "group_session", NOBODY, None),  # nobody speaks there from elsewhere
    Row("stop", "own session", "session", OWNER, Action.STOP_TURN),
    Row("stop", "own session by key", "session_key", OWNER, Action.STOP_TURN),
    Row("stop", "shared session", "shared_session", OWNER, Action.STOP_TURN),
    Row("stop", "group session", "group_session", KEEPERS, Action.STOP_TURN),
)


def test_every_frame_is_in_the_table() -> None:
    """One that is added without saying who may, fails here."""
    assert {_tag(kind) for kind in get_args(frames.Asked)} == {row.entry for row in ROWS}


@pytest.mark.parametrize("row", [row for row in ROWS if row.action is not None], ids=str)
def test_the_table_says_what_the_gate_says(row: Row) -> None:
    """The same action on the same thing has one answer, on every surface: this is the gate's."""
    assert row.action is not None
    may = {actor for actor in PEOPLE if allowed(actor, row.action, row.of)}
    assert may & {actor for actor in PEOPLE if allowed(actor, Action.READ_SESSION, row.of)} == row.yes


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_who_may_and_nobody_else(scene: Scene, row: Row) -> None:
    """0 wrong grants; and to whoever may not, what is Alice's and what is nobody's look alike."""
    wrong: list[str] = []
    things = await scene.things()
    before = scene.state()
    nothing = replace(things, **{row.by: _absent(scene, things, row.by)})
    for actor in sorted(PEOPLE.keys() - row.yes):
        foreign = await _refusal(scene, actor, row, things)
        absent = await _refusal(scene, actor, row, nothing)
        if foreign is None:
            wrong.append(f"GRANT: {actor}")
        elif foreign != absent:
            wrong.append(f"{actor}: {foreign} / {absent}")
    if scene.state() != before:
        wrong.append("GRANT: something changed")
    for actor in sorted(row.yes):
        refused = await _refusal(scene, actor, row, things)
        if refused is not None:
            wrong.append(f"{actor}: refused: {refused}")
    assert wrong == []


@pytest.mark.parametrize("actor", NOBODIES)
async def test_nobody_has_a_socket(scene: Scene, actor: str) -> None:
    """Whoever may not come in is not let open one."""
    async with scene.client(actor).socket() as socket:
        assert not socket.accepted


async def test_whoever_may_come_in_has_a_socket(scene: Scene) -> None:
    """And a hello on it."""
    for actor in PEOPLE:
        async with scene.client(actor).socket() as socket:
            assert (await socket.hears())["type"] == "hello"


async def _refusal(scene: Scene, actor: str, row: Row, things: Things) -> dict[str, Any] | None:
    """What the socket says against a frame, without the name that was asked for; None when nothing."""
    named = getattr(things, row.by)
    async with scene.client(actor).socket() as socket:
        frame: dict[str, Any] = {"type": row.entry, "sessionKey": named}
        if row.entry == "message":
            frame |= {"text": "hello", "idempotencyKey": "k"}
        socket.says(frame)
        socket.says({"type": "no such frame"})  # whose answer comes after what the first one was answered
        answers = await _answers(socket)
    await scene.idle()
    first = answers[0]
    if len(answers) == 1 or first["type"] == "accepted":
        return None
    return {name: value.replace(named, "<name>") for name, value in first.items() if isinstance(value, str)}


async def _answers(socket: Socket) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    while True:
        frame = await socket.hears()
        if frame["type"] in ("error", "accepted"):
            answers.append(frame)
            if "no such frame" in frame.get("detail", ""):
                return answers


def _absent(scene: Scene, things: Things, field: str) -> str:
    fresh = ids.fresh(scene.clock.now())
    return f"agent:{things.agent}:chat:{fresh}" if field == "session_key" else fresh


def _tag(kind: Any) -> str:
    return msgspec.inspect.type_info(kind).tag  # pyright: ignore
