"""The one gate: `may(actor, action, resource)`."""

from rookery.policy.actors import Actor, Guest, Member, Operator, Schedule, actor_from, principal, user_of
from rookery.policy.gate import Action, Decision, may
from rookery.policy.permissions import Permission, let_in, permission_for, read_permissions
from rookery.policy.resources import (
    HOUSE,
    AgentFacts,
    AgentResource,
    HouseResource,
    PersonResource,
    Resource,
)

__all__ = [
    "HOUSE",
    "Action",
    "Actor",
    "AgentFacts",
    "AgentResource",
    "Decision",
    "Guest",
    "HouseResource",
    "Member",
    "Operator",
    "Permission",
    "PersonResource",
    "Resource",
    "Schedule",
    "actor_from",
    "let_in",
    "may",
    "permission_for",
    "principal",
    "read_permissions",
    "user_of",
]
