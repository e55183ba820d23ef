"""Who asks, as the gate knows them, and what they ask about: the second account of who may do what to Alice's."""

from __future__ import annotations

from rookery.ids import UserId
from rookery.messages import Address, ChatKind
from rookery.policy import (
    HOUSE,
    Action,
    Actor,
    AgentFacts,
    AgentResource,
    Guest,
    Member,
    Operator,
    PersonResource,
    Resource,
    Schedule,
    may,
)
from tests.matrix.scene import GUEST, GUESTS

ALICE, BOB, CAROL, ERIN, SAM = map(UserId, ("alice", "bob", "carol", "erin", "sam"))

ACTORS: dict[str, Actor] = {
    "owner": Member(ALICE),
    "owner by token": Member(ALICE),
    "other": Member(BOB),
    "group member": Member(ERIN),
    "sponsor": Member(SAM),
    "admin": Member(CAROL, admin=True),
    "operator": Operator(),
    "guest": Guest(Address(*GUESTS, GUEST)),
    "schedule": Schedule(ALICE),
}

_OWN = AgentFacts(enabled=True, owner=ALICE, sponsor=None)
_SHARED = AgentFacts(enabled=True, owner=None, sponsor=SAM)


def allowed(actor: str, action: Action, of: str) -> bool:
    """The gate's word on the actor doing this to that: Alice's own agent and a session there; the shared agent,
    her session there and the group's; her as a person; whoever asks; and the house."""
    return bool(may(ACTORS[actor], action, _resource(actor, of)))


def _resource(actor: str, of: str) -> Resource:
    asking = ACTORS[actor]
    hers = asking == Member(ALICE)
    match of:
        case "own session by key":
            return _resource(actor, "own session")
        case "spare agent":
            return _resource(actor, "shared agent")
        case "own agent":
            return AgentResource(_OWN, own_session=hers)
        case "own session":
            return AgentResource(_OWN, own_turn=hers, own_session=hers)
        case "shared agent":
            return AgentResource(_SHARED, guests=True, own_session=False)
        case "shared session":
            return AgentResource(_SHARED, own_turn=hers, own_session=hers)
        case "group session":
            return AgentResource(_SHARED, ChatKind.GROUP, guests=True)
        case "person":
            return PersonResource(ALICE)
        case "oneself":
            assert isinstance(asking, Member), "nobody else has themselves to look after"
            return PersonResource(asking.user_id)
        case "house":
            return HOUSE
        case _:
            raise AssertionError(f"there is no {of}")
