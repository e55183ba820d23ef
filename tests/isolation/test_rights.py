"""Every right there is, written down once more: who may do what to which agent where, and nobody else anything."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from rookery.gateway import rights
from rookery.gateway.rights import Sender
from rookery.ids import AgentId, UserId
from rookery.messages import Address, Chat, ChatKind, Route
from rookery.policy import (
    Action,
    Actor,
    AgentFacts,
    AgentResource,
    Decision,
    Guest,
    Member,
    Operator,
    actor_from,
    may,
    principal,
)
from rookery.users import Agent, User

ALICE, BOB = UserId("alice"), UserId("bob")
STRANGER = Address("telegram", "default", "7")
NOW = datetime(2026, 3, 1, tzinfo=UTC)

ACTORS: dict[str, Actor] = {
    "owner": Member(ALICE),
    "owner who is admin": Member(ALICE, admin=True),
    "other": Member(BOB),
    "other who is admin": Member(BOB, admin=True),
    "guest": Guest(STRANGER),
    "guest called like the owner": Guest(Address("telegram", "alice", "alice")),
    "operator": Operator(),
}
"""`owner` owns the personal agent and sponsors the shared one; the guests are let in, or not, by the resource."""

AGENTS: dict[str, AgentFacts] = {
    "own": AgentFacts(enabled=True, owner=ALICE, sponsor=None),
    "shared": AgentFacts(enabled=True, owner=None, sponsor=ALICE),
    "own, off": AgentFacts(enabled=False, owner=ALICE, sponsor=None),
    "shared, off": AgentFacts(enabled=False, owner=None, sponsor=ALICE),
}
TOOLS = (None, "time", "sessions", "")

EVERYTHING = frozenset(Action)
TALKING = frozenset({Action.TALK, Action.HEAR, Action.READ_STATUS, Action.NEW_SESSION, Action.STOP_TURN})
KEEPING = frozenset({Action.READ_STATUS, Action.NEW_SESSION, Action.STOP_TURN, Action.READ_SESSION})
NOTHING: frozenset[Action] = frozenset()

GRANTS: dict[tuple[str, str, str], frozenset[Action]] = {
    ("owner", "own", "dm"): EVERYTHING,
    ("owner who is admin", "own", "dm"): EVERYTHING,
    ("owner", "shared", "dm"): EVERYTHING,
    ("owner", "shared", "group"): EVERYTHING,
    ("owner who is admin", "shared", "dm"): EVERYTHING,
    ("owner who is admin", "shared", "group"): EVERYTHING,
    ("other", "shared", "dm"): EVERYTHING,
    ("other", "shared", "group"): EVERYTHING - {Action.NEW_SESSION},
    ("other who is admin", "shared", "dm"): EVERYTHING,
    ("other who is admin", "shared", "group"): EVERYTHING,
    ("guest", "shared", "dm"): TALKING,
    ("guest", "shared", "group"): TALKING - {Action.NEW_SESSION},
    ("guest called like the owner", "shared", "dm"): TALKING,
    ("guest called like the owner", "shared", "group"): TALKING - {Action.NEW_SESSION},
    ("operator", "own", "dm"): KEEPING,
    ("operator", "own", "group"): KEEPING,
    ("operator", "shared", "dm"): KEEPING,
    ("operator", "shared", "group"): KEEPING,
}
"""What each may do; what is not in here nobody may. A guest has it only where they were let in."""


def _granted(
    actor: str, agent: str, chat: ChatKind, guests: bool, own_turn: bool, tool: str | None, action: Action
) -> bool:
    where = "dm" if chat is ChatKind.DM else "group"
    guest = actor.startswith("guest")
    if guest and not guests:
        return False
    if guest and action is Action.CALL_TOOL:
        return agent == "shared" and tool == "time"
    if action not in GRANTS.get((actor, agent, where), NOTHING):
        return False
    keeper = actor.startswith("owner") or "admin" in actor or actor == "operator"
    # In a group, whose turn it is matters to all but its keepers.
    return not (action is Action.STOP_TURN and where == "group" and not own_turn and not keeper)


def test_the_gate_grants_what_is_written_here_and_nothing_else() -> None:
    """All actors, actions, agents, chats and tools: 0 wrong grants, 0 wrong refusals, each with its reason."""
    wrong: list[str] = []
    asked = 0
    for actor, action, agent, chat, guests, own_turn, tool in product(
        ACTORS, Action, AGENTS, ChatKind, (False, True), (False, True), TOOLS
    ):
        asked += 1
        decision = may(ACTORS[actor], action, AgentResource(AGENTS[agent], chat, guests, own_turn, tool))
        if decision.allowed is not _granted(actor, agent, chat, guests, own_turn, tool, action):
            wrong.append(f"{actor}: {action} of {agent} in {chat}, {guests=} {own_turn=} {tool=}: {decision}")
        if decision.allowed is bool(decision.reason):
            wrong.append(f"{actor}: {action} of {agent}: a refusal has a reason, and only a refusal: {decision}")
    assert wrong == []
    assert asked == len(ACTORS) * len(Action) * len(AGENTS) * len(ChatKind) * 4 * len(TOOLS)


@pytest.mark.parametrize("chat", ChatKind)
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("user", [None, ALICE, BOB])
@pytest.mark.parametrize("shared", [True, False])
def test_whom_their_account_does_not_let_in_the_gate_is_not_asked_about(
    chat: ChatKind, action: Action, user: UserId | None, shared: bool
) -> None:
    """A disabled user, or a stranger, is refused everything, whatever the gate would say."""
    known = None if user is None else User(user, "A", "admin", False, "UTC", "en", NOW)
    agent = Agent(
        AgentId("a"), "A", None if shared else ALICE, ALICE if shared else None, "", None, False, True, NOW
    )
    sender = Sender(STRANGER, known, Decision(False, "not let in"))
    route = Route("telegram", "default", Chat(chat, "7"), None, "7", "1")
    assert rights.ask(sender, agent, action, route) == Decision(False, "not let in")


def test_no_two_actors_are_one_principal() -> None:
    """What is kept in a row to say whose something is, can be taken for nobody else's."""
    parts = ("a", "a:b", "b", "1", "1:a", ":", "alice", "user", "")
    guests = [Guest(Address(*address)) for address in product(("telegram", "user"), parts, parts)]
    actors = [*guests, Member(ALICE), Member(BOB), Member(UserId("telegram")), Operator()]
    assert len({principal(actor) for actor in actors}) == len(actors)
    assert principal(Member(ALICE, admin=True)) == principal(Member(ALICE)), "a role does not make another person"
    assert actor_from(None, True, STRANGER) == Guest(STRANGER), "nobody is an admin without being somebody"
