"""May this actor do this to that? One pure function that every surface asks.

The facts are looked up by the caller at the moment it asks, so a right that was taken back is gone with the
next question. Nothing is allowed because something was empty: what no rule grants is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rookery.ids import UserId
from rookery.messages import ChatKind
from rookery.policy.actors import Actor, Guest, Member, Operator


class Action(StrEnum):
    """What can be asked for."""

    TALK = "agent.talk"
    """Cause a turn of an agent."""

    HEAR = "agent.hear"
    """Be sent what the agent answered."""

    READ_STATUS = "status.read"
    NEW_SESSION = "session.new"
    STOP_TURN = "turn.stop"
    READ_SESSION = "session.read"
    CALL_TOOL = "tool.call"


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What the gate needs to know of an agent; exactly one of `owner` and `sponsor` is set."""

    enabled: bool
    owner: UserId | None
    sponsor: UserId | None


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked about: an agent, in a chat of some kind, let in to guests or not.

    `guests` says whether the address's account admits this guest to this agent; `own_turn` whether the
    turn asked about was caused by the actor.
    """

    agent: AgentFacts
    chat: ChatKind = ChatKind.DM
    guests: bool = False
    own_turn: bool = True
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why, in words a person can read."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


_YES = Decision(True, "")

_GUEST_ACTIONS = {Action.TALK, Action.HEAR, Action.READ_STATUS, Action.NEW_SESSION, Action.STOP_TURN}
_GUEST_TOOLS = {"time"}


def may(actor: Actor, action: Action, resource: Resource) -> Decision:
    """Whether `actor` may do `action` to `resource`, with the reason when not."""
    agent = resource.agent
    if not agent.enabled:
        return Decision(False, "This assistant is switched off.")
    match actor:
        case Operator():
            return _operator(action)
        case Guest():
            return _guest(action, resource)
        case Member():
            return _member(actor, action, resource)


def _operator(action: Action) -> Decision:
    # The operator keeps the house but is nobody's person: no agent answers them as themselves.
    if action in (Action.TALK, Action.HEAR, Action.CALL_TOOL):
        return Decision(False, "The operator talks as a user; say which one.")
    return _YES


def _guest(action: Action, resource: Resource) -> Decision:
    if resource.agent.owner is not None:
        return Decision(False, "This assistant is a person's own.")
    if not resource.guests:
        return Decision(False, "You have not been let in here.")
    if action is Action.CALL_TOOL:
        if resource.tool in _GUEST_TOOLS:
            return _YES
        return Decision(False, f"Guests cannot use {resource.tool}.")
    if action not in _GUEST_ACTIONS:
        return Decision(False, "Guests cannot do that.")
    return _shared_chat(action, resource, keeper=False)


def _member(actor: Member, action: Action, resource: Resource) -> Decision:
    agent = resource.agent
    if agent.owner is not None:
        if agent.owner != actor.user_id:
            return Decision(False, "This assistant is a person's own.")
        if resource.chat is not ChatKind.DM:
            return Decision(False, "A person's own assistant does not answer in groups.")
        return _YES
    return _shared_chat(action, resource, keeper=actor.admin or agent.sponsor == actor.user_id)


def _shared_chat(action: Action, resource: Resource, *, keeper: bool) -> Decision:
    """In a group, what changes the conversation for all is its keeper's: the sponsor's or an admin's."""
    if resource.chat is ChatKind.DM or keeper:
        return _YES
    if action is Action.NEW_SESSION:
        return Decision(False, "In a group, only its sponsor or an admin can begin a new conversation.")
    if action is Action.STOP_TURN and not resource.own_turn:
        return Decision(False, "You can only stop answers to your own messages.")
    return _YES
