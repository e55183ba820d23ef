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
    HOUSE,
    Action,
    Actor,
    AgentFacts,
    AgentResource,
    Decision,
    Guest,
    Member,
    Operator,
    PersonResource,
    Schedule,
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
    "schedule of the owner": Schedule(ALICE),
    "operator": Operator(),
}
"""`owner` owns the personal agent and sponsors the shared one; the guests are let in, or not, by the resource."""

AGENTS: dict[str, AgentFacts] = {
    "own": AgentFacts(enabled=True, owner=ALICE, sponsor=None),
    "shared": AgentFacts(enabled=True, owner=None, sponsor=ALICE),
    "own, off": AgentFacts(enabled=False, owner=ALICE, sponsor=None),
    "shared, off": AgentFacts(enabled=False, owner=None, sponsor=ALICE),
    "a group's": AgentFacts(enabled=True, owner=None, sponsor=ALICE, of_a_group=True),
    "a group's, off": AgentFacts(enabled=False, owner=None, sponsor=ALICE, of_a_group=True),
}
TOOLS = (None, "time", "sessions", "")

# Written by hand, so that an action added to the gate without a thought fails here.
TALKING = frozenset(
    {Action.TALK, Action.HEAR, Action.READ_STATUS, Action.NEW_SESSION, Action.STOP_TURN, Action.CALL_TOOL}
)
LOOKING = frozenset({Action.READ_AGENT, Action.LIST_SESSIONS, Action.ADD_ATTACHMENT})
IN_SESSIONS = frozenset(
    {
        Action.READ_SESSION,
        Action.EXPORT_SESSION,
        Action.CHANGE_SESSION,
        Action.DELETE_SESSION,
        Action.READ_TURN,
        Action.READ_ATTACHMENT,
    }
)
OWN_KEEPING = frozenset({Action.CHANGE_AGENT, Action.SET_KEY, Action.READ_AGENT_KEYS})
KEEPING = OWN_KEEPING | {Action.REMOVE_AGENT, Action.GRANT_KEY, Action.CHECK_AGENT}
APPROVING = frozenset({Action.APPROVE})
FILES = frozenset({Action.READ_FILES, Action.CHANGE_FILES})
ON_AGENTS = TALKING | LOOKING | IN_SESSIONS | KEEPING | APPROVING | FILES
AS_SOMEBODY = APPROVING | {Action.TALK, Action.HEAR, Action.CALL_TOOL, Action.ADD_ATTACHMENT}
WHILE_OFF = ON_AGENTS - AS_SOMEBODY - {Action.NEW_SESSION, Action.READ_STATUS}
"""What can be asked for of an agent that is switched off: looking after it, and reading what was said."""

OWN_PERSON = frozenset(
    {
        Action.READ_PERSON,
        Action.CHANGE_PREFERENCES,
        Action.SET_PASSWORD,
        Action.READ_CREDENTIALS,
        Action.CREATE_TOKEN,
        Action.END_CREDENTIAL,
        Action.READ_IDENTITIES,
        Action.READ_USAGE,
        Action.EXPORT_PERSON,
        Action.ERASE_PERSON,
        Action.ADD_FRIEND,
        Action.JOIN_IDENTITY,
        Action.LEAVE_IDENTITY,
    }
)
OTHERS_TO_AN_ADMIN = frozenset(
    {
        Action.READ_PERSON,
        Action.MANAGE_PERSON,
        Action.SET_PASSWORD,
        Action.READ_CREDENTIALS,
        Action.END_CREDENTIAL,
        Action.READ_IDENTITIES,
        Action.LINK_IDENTITY,
        Action.READ_USAGE,
        Action.ERASE_PERSON,
        Action.ADD_FRIEND,
    }
)
ON_PEOPLE = OWN_PERSON | OTHERS_TO_AN_ADMIN
ON_THE_HOUSE = frozenset(Action) - ON_AGENTS - ON_PEOPLE
NOTHING: frozenset[Action] = frozenset()

ON_OWN = TALKING | LOOKING | APPROVING | IN_SESSIONS | FILES | OWN_KEEPING | {Action.REMOVE_AGENT}
ON_SHARED = TALKING | LOOKING | APPROVING

KNOWING = frozenset({Action.READ_AGENT, Action.LIST_SESSIONS})

GRANTS: dict[tuple[str, str, str], frozenset[Action]] = {
    ("owner", "own", "dm"): ON_OWN,
    ("owner", "own", "group"): OWN_KEEPING | {Action.REMOVE_AGENT},
    ("owner who is admin", "own", "dm"): ON_OWN | KEEPING,
    ("owner who is admin", "own", "group"): KEEPING,
    ("other who is admin", "own", "dm"): KEEPING | {Action.READ_AGENT},
    ("other who is admin", "own", "group"): KEEPING | {Action.READ_AGENT},
    ("owner", "shared", "dm"): ON_SHARED | OWN_KEEPING | FILES,
    ("owner", "shared", "group"): ON_SHARED | IN_SESSIONS | OWN_KEEPING | FILES,
    ("owner who is admin", "shared", "dm"): ON_SHARED | KEEPING | FILES,
    ("owner who is admin", "shared", "group"): ON_SHARED | IN_SESSIONS | KEEPING | FILES,
    ("other", "shared", "dm"): ON_SHARED,
    ("other", "shared", "group"): ON_SHARED - {Action.NEW_SESSION},
    ("other who is admin", "shared", "dm"): ON_SHARED | KEEPING,
    ("other who is admin", "shared", "group"): ON_SHARED | IN_SESSIONS | KEEPING,
    ("guest", "shared", "dm"): TALKING,
    ("guest", "shared", "group"): TALKING - {Action.NEW_SESSION},
    ("guest called like the owner", "shared", "dm"): TALKING,
    ("guest called like the owner", "shared", "group"): TALKING - {Action.NEW_SESSION},
    ("schedule of the owner", "own", "dm"): frozenset({Action.TALK, Action.HEAR, Action.CALL_TOOL}),
    ("schedule of the owner", "own", "group"): frozenset({Action.TALK, Action.HEAR, Action.CALL_TOOL}),
    ("operator", "own", "dm"): ON_AGENTS - AS_SOMEBODY,
    ("operator", "own", "group"): ON_AGENTS - AS_SOMEBODY,
    ("operator", "shared", "dm"): ON_AGENTS - AS_SOMEBODY,
    ("operator", "shared", "group"): ON_AGENTS - AS_SOMEBODY,
    # What was made for one group answers there and nowhere else; outside, its keepers know that it is there.
    ("owner", "a group's", "dm"): KNOWING | OWN_KEEPING | FILES,
    ("owner who is admin", "a group's", "dm"): KNOWING | KEEPING | FILES,
    ("other who is admin", "a group's", "dm"): KNOWING | KEEPING,
    ("operator", "a group's", "dm"): ON_AGENTS - AS_SOMEBODY,
}
"""What each may do; what is not in here nobody may. A guest has it only where they were let in."""


def _granted(
    actor: str,
    agent: str,
    chat: ChatKind,
    guests: bool,
    own_turn: bool,
    own_session: bool,
    tool: str | None,
    action: Action,
) -> bool:
    kind, _, off = agent.partition(", ")
    where = "dm" if chat is ChatKind.DM else "group"
    guest = actor.startswith("guest")
    if off and action not in WHILE_OFF:
        return False
    if guest and (not guests or (action is Action.CALL_TOOL and tool != "time")):
        return False
    person = actor.startswith(("owner", "other"))
    if person and kind == "shared" and where == "dm" and action in IN_SESSIONS:
        return own_session  # what they alone said, whoever pays
    if kind == "a group's" and where == "group":
        kind = "shared"
    if action not in GRANTS.get((actor, kind, where), NOTHING):
        return False
    if action is Action.APPROVE and kind == "shared" and not own_turn:
        return False  # not its keepers either: what somebody's turn does is theirs to allow
    keeper = actor.startswith("owner") or "admin" in actor or actor == "operator"
    # In a group, whose turn it is matters to all but its keepers.
    return not (action is Action.STOP_TURN and where == "group" and not own_turn and not keeper)


def test_the_gate_grants_of_agents_what_is_written_here_and_nothing_else() -> None:
    """All actors, actions, agents, chats and tools: 0 wrong grants, 0 wrong refusals, each with its reason."""
    wrong: list[str] = []
    asked = 0
    flags = (False, True)
    for actor, action, agent, chat, guests, own_turn, own_session, tool in product(
        ACTORS, sorted(ON_AGENTS), AGENTS, ChatKind, flags, flags, flags, TOOLS
    ):
        asked += 1
        resource = AgentResource(AGENTS[agent], chat, guests, own_turn, own_session, tool)
        decision = may(ACTORS[actor], action, resource)
        if decision.allowed is not _granted(actor, agent, chat, guests, own_turn, own_session, tool, action):
            facts = f"{guests=} {own_turn=} {own_session=} {tool=}"
            wrong.append(f"{actor}: {action} of {agent} in {chat}, {facts}: {decision}")
        if decision.allowed is bool(decision.reason):
            wrong.append(f"{actor}: {action} of {agent}: a refusal has a reason, and only a refusal: {decision}")
    assert wrong == []
    assert asked == len(ACTORS) * len(ON_AGENTS) * len(AGENTS) * len(ChatKind) * 8 * len(TOOLS)


@pytest.mark.parametrize("action", sorted(ON_PEOPLE))
@pytest.mark.parametrize("actor", ACTORS)
def test_the_gate_grants_of_people_what_is_written_here_and_nothing_else(actor: str, action: Action) -> None:
    """People see to themselves; an admin lets in and locks out, but never becomes somebody else."""
    granted = {
        "owner": action in OWN_PERSON,
        "owner who is admin": True,
        "other": False,
        "other who is admin": action in OTHERS_TO_AN_ADMIN,
        "operator": True,
    }.get(actor, False)
    decision = may(ACTORS[actor], action, PersonResource(ALICE))
    assert (decision.allowed, bool(decision.reason)) == (granted, not granted)


@pytest.mark.parametrize("action", sorted(ON_THE_HOUSE))
@pytest.mark.parametrize("actor", ACTORS)
def test_the_house_is_the_admins_and_the_operators(actor: str, action: Action) -> None:
    """Nobody else sees or changes what concerns everybody."""
    granted = "admin" in actor or actor == "operator"
    decision = may(ACTORS[actor], action, HOUSE)
    assert (decision.allowed, bool(decision.reason)) == (granted, not granted)


def test_an_action_is_asked_of_what_it_is_about() -> None:
    """Asking the wrong thing is our own mistake, and never a yes."""
    of = {AgentResource(AGENTS["own"]): ON_AGENTS, PersonResource(ALICE): ON_PEOPLE, HOUSE: ON_THE_HOUSE}
    for resource, actions in of.items():
        for action in frozenset(Action) - actions:
            with pytest.raises(AssertionError, match="is not asked of"):
                may(Operator(), action, resource)


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
    actors = [
        *guests,
        Schedule(ALICE),
        Schedule(BOB),
        Member(ALICE),
        Member(BOB),
        Member(UserId("telegram")),
        Operator(),
    ]
    assert len({principal(actor) for actor in actors}) == len(actors)
    assert principal(Member(ALICE, admin=True)) == principal(Member(ALICE)), "a role does not make another person"
    assert actor_from(None, True, STRANGER) == Guest(STRANGER), "nobody is an admin without being somebody"
