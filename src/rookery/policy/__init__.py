"""The one gate: `may(actor, action, resource)`."""

from rookery.policy.actors import Actor, Guest, Member, Operator, actor_from, principal
from rookery.policy.gate import Action, AgentFacts, Decision, Resource, may

__all__ = [
    "Action",
    "Actor",
    "AgentFacts",
    "Decision",
    "Guest",
    "Member",
    "Operator",
    "Resource",
    "actor_from",
    "may",
    "principal",
]
