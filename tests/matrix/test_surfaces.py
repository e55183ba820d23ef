"""One gate: whatever the way somebody comes in, the same action on the same thing has the same answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest

from rookery.policy import Action
from tests.matrix import operations, routes, test_commands, test_frames
from tests.matrix.actors import ACTORS

ELSEWHERE: Mapping[Action, str] = {
    Action.HEAR: "asked as each reply is sent: tests/isolation, where addresses change hands",
    Action.LIST_AGENTS: "asked beside other actions, on who is told which agents there are: test_routes",
    Action.CALL_TOOL: "asked as a model calls a tool: test_commands",
}
"""Actions that no entry point asks about, and where they are asked."""

Pair = tuple[Action, str]


def _surfaces() -> dict[Pair, dict[str, dict[str, bool]]]:
    """By action and thing: what each surface answers each actor. Only rows that ask one thing alone."""
    found: dict[Pair, dict[str, dict[str, bool]]] = defaultdict(dict)
    for route in routes.ROWS:
        alone = route.and_by is None or route.and_by is route.action
        if route.action is not None and route.or_by is None and alone:
            surface = "v1" if route.entry.partition(" ")[2].startswith("/v1/") else "REST"
            told = {actor: actor in route.yes for actor in routes.PEOPLE}
            found[route.action, _same(route.of)][f"{surface}: {route}"] = told
    for operation in operations.ROWS:
        if operation.or_by is None:
            told = {actor: actor in operation.yes for actor in ACTORS if actor != "owner by token"}
            if operation.of == "oneself":
                told = {actor: told[actor] for actor in routes.PEOPLE & told.keys()}
            found[operation.action, operation.of][f"socket of the operator: {operation}"] = told
    for frame in test_frames.ROWS:
        # What is answered in a group is stopped from elsewhere only by who may read there.
        if frame.action is not None and frame.of != "group session":
            told = {actor: actor in frame.yes for actor in routes.PEOPLE}
            found[frame.action, _same(frame.of)][f"live socket: {frame}"] = told
    for name, places in test_commands.COMMANDS.items():
        for place, refusal in places.items():
            if refusal not in test_commands.ELSEWHERE_REFUSED:
                pair = test_commands.ACTIONS[name], place.of
                found[pair].setdefault(f"command: /{name}", {})[place.actor] = refusal is None
    return found


def _same(of: str) -> str:
    return of.removesuffix(" by key")


@pytest.mark.parametrize("pair", _surfaces(), ids=lambda pair: f"{pair[0]} of {pair[1]}")
def test_every_surface_answers_alike(pair: Pair) -> None:
    """100 % of the pairs of surface and action are equal, for everybody whom both can be asked by."""
    answers = _surfaces()[pair]
    for actor in ACTORS:
        told = {surface: told[actor] for surface, told in answers.items() if actor in told}
        assert len(set(told.values())) <= 1, f"{actor}: {told}"


def test_every_action_is_asked_about_by_an_entry_point() -> None:
    """An action that nothing asks about, or that nobody wrote down, fails here."""
    asked = {action for action, _ in _surfaces()} | {
        action
        for row in (*routes.ROWS, *operations.ROWS)
        for action in (row.action, row.or_by)
        if action is not None
    }
    assert asked | ELSEWHERE.keys() == set(Action)
