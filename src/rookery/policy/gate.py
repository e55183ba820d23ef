"""May this actor do this to that? One pure function that every surface asks.

The facts are looked up by the caller at the moment it asks, so a right that was taken back is gone with the
next question. Nothing is allowed because something was empty: what no rule grants is refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from rookery.messages import ChatKind
from rookery.policy.actors import Actor, Guest, Member, Operator, Schedule
from rookery.policy.resources import AgentResource, HouseResource, PersonResource, Resource


class Action(StrEnum):
    """What can be asked for; the word before the dot says of what."""

    TALK = "agent.talk"
    """Cause a turn of an agent."""

    HEAR = "agent.hear"
    """Be sent what the agent answered."""

    READ_AGENT = "agent.read"
    """Know that the agent is there, and its name."""

    CHANGE_AGENT = "agent.change"
    REMOVE_AGENT = "agent.remove"
    GRANT_KEY = "agent.grantKey"
    SET_KEY = "agent.setKey"
    """Give the agent a key of its own, or take one away; it is never shown again."""

    READ_AGENT_KEYS = "agent.readKeys"
    """See which keys the agent may use, by name and last four characters."""

    CHECK_AGENT = "agent.check"
    """Look whether its storage is whole, and make its index anew; nothing said is shown."""

    READ_FILES = "agent.readFiles"
    """See the files of an agent's workspace: what it is told about itself, and what it wrote."""

    CHANGE_FILES = "agent.changeFiles"
    READ_STATUS = "status.read"
    LIST_SESSIONS = "session.list"
    """Know which sessions there are, without a word of theirs."""

    READ_SESSION = "session.read"
    EXPORT_SESSION = "session.export"
    NEW_SESSION = "session.new"
    CHANGE_SESSION = "session.change"
    DELETE_SESSION = "session.delete"
    STOP_TURN = "turn.stop"
    READ_TURN = "turn.read"
    APPROVE = "turn.approve"
    """Allow a call of a tool, or not, that waits for the yes of whoever caused the turn."""

    ADD_ATTACHMENT = "attachment.add"
    READ_ATTACHMENT = "attachment.read"
    CALL_TOOL = "tool.call"

    READ_PERSON = "person.read"
    CHANGE_PREFERENCES = "person.preferences"
    """Time zone, language, and how the page looks."""

    MANAGE_PERSON = "person.manage"
    """Name, role, and whether they may come in at all."""

    SET_PASSWORD = "person.password"  # noqa: S105
    READ_CREDENTIALS = "credential.read"
    """See which tokens and devices there are; never the secrets."""

    CREATE_TOKEN = "token.create"  # noqa: S105
    END_CREDENTIAL = "credential.end"
    READ_USAGE = "person.usage"
    """See what model calls they pay for, by id and number; nothing that was said."""

    EXPORT_PERSON = "person.export"
    """Have everything that is kept of them, as one archive."""

    ERASE_PERSON = "person.erase"
    """Have everything of theirs erased for good."""

    ADD_FRIEND = "person.friend"
    """Give somebody a further assistant of their own."""

    READ_IDENTITIES = "identity.read"
    LINK_IDENTITY = "identity.link"
    """Say whose an address is, and that it is not theirs any more, without asking it."""

    JOIN_IDENTITY = "identity.join"
    """Join an address that says yes to it, by a code."""

    LEAVE_IDENTITY = "identity.leave"
    """Take an address of one's own off."""

    LIST_PEOPLE = "people.list"
    ADD_PERSON = "people.add"
    APPLY_PEOPLE = "people.apply"
    """Bring everybody to what a people file says of them."""

    LIST_AGENTS = "agents.list"
    """See every agent there is; a member sees those they may talk to without it."""

    ADD_AGENT = "agents.add"
    READ_KEYS = "keys.read"
    """See the shared keys by name."""

    SHARE_KEY = "keys.share"
    """Keep a shared key in the store, or take it out."""

    ROTATE_MASTER_KEY = "keys.rotate"
    """Seal everything with a new master key."""

    MANAGE_SPACES = "spaces.manage"
    MANAGE_PAIRINGS = "pairings.manage"
    """See who asks to be let in, and say which person that is."""

    READ_ALL_USAGE = "usage.read"
    """See what model calls everybody pays for."""

    READ_HOUSE = "house.read"
    """Counts, health and metrics."""

    RETRY_DELIVERY = "delivery.retry"
    """Try replies again that a network never took."""

    CHANGE_CONFIG = "config.change"
    READ_LOG = "log.read"
    """The operational log and the audit trail."""

    MAKE_SETUP_LINK = "setup.link"


class Decision(Struct, frozen=True):
    """Yes or no, and why, in words a person can read."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


_YES = Decision(True, "")

_ON_AGENTS = frozenset(
    action
    for action in Action
    if action.partition(".")[0] in {"agent", "status", "session", "turn", "attachment", "tool"}
)
_ON_PEOPLE = frozenset(
    action for action in Action if action.partition(".")[0] in {"person", "credential", "token", "identity"}
)

_AS_SOMEBODY = frozenset({Action.TALK, Action.HEAR, Action.CALL_TOOL, Action.ADD_ATTACHMENT, Action.APPROVE})
"""What is only ever done as a person."""

_GUEST_ACTIONS = frozenset(
    {Action.TALK, Action.HEAR, Action.READ_STATUS, Action.NEW_SESSION, Action.STOP_TURN, Action.CALL_TOOL}
)
_GUEST_TOOLS = frozenset({"time"})
_SCHEDULE_ACTIONS = frozenset({Action.TALK, Action.HEAR, Action.CALL_TOOL})

_KEEPERS = frozenset(
    {
        Action.CHANGE_AGENT,
        Action.REMOVE_AGENT,
        Action.GRANT_KEY,
        Action.SET_KEY,
        Action.READ_AGENT_KEYS,
        Action.CHECK_AGENT,
    }
)
"""What is an admin's to do to any agent's settings; none of it shows what anybody said."""

_OWN_SETTINGS = frozenset({Action.CHANGE_AGENT, Action.SET_KEY, Action.READ_AGENT_KEYS})
"""Of those, what people may do to an agent of their own, and sponsors to the one they pay for."""

_IN_SESSIONS = frozenset(
    {
        Action.READ_SESSION,
        Action.EXPORT_SESSION,
        Action.CHANGE_SESSION,
        Action.DELETE_SESSION,
        Action.READ_TURN,
        Action.READ_ATTACHMENT,
    }
)
"""What shows or changes what was said. On a shared agent a person may only in a session nobody else wrote in, and
a group's sponsor and the admins in the group's."""

_IN_WORKSPACE = frozenset({Action.READ_FILES, Action.CHANGE_FILES})
"""What is the owner's alone, and of a shared agent its sponsor's: files may hold what was said."""

_KNOWN_TO_KEEPERS = frozenset({Action.READ_AGENT, Action.LIST_SESSIONS})
"""What a group's sponsor and the admins may do to its own agent outside the group."""

_OWN_PERSON = frozenset(
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
_ADMIN_ON_PERSON = frozenset(
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
"""An admin can lock somebody out and back in; never become them: no token is made for somebody else."""


def may(actor: Actor, action: Action, resource: Resource) -> Decision:
    """Whether `actor` may do `action` to `resource`, with the reason when not."""
    match resource:
        case AgentResource():
            assert action in _ON_AGENTS, f"{action} is not asked of an agent"
            return _on_agent(actor, action, resource)
        case PersonResource():
            assert action in _ON_PEOPLE, f"{action} is not asked of a person"
            return _on_person(actor, action, resource)
        case HouseResource():
            assert action not in _ON_AGENTS | _ON_PEOPLE, f"{action} is not asked of the house"
            return _on_house(actor)
        case _:
            assert_never(resource)


# --- agents -------------------------------------------------------------------------------------------------


def _on_agent(actor: Actor, action: Action, resource: AgentResource) -> Decision:
    # What is switched off can still be looked after, and switched on again.
    if not resource.agent.enabled and action in _AS_SOMEBODY | {Action.NEW_SESSION, Action.READ_STATUS}:
        return Decision(False, "This assistant is switched off.")
    match actor:
        case Operator():
            return _operator(action)
        case Guest():
            return _guest(action, resource)
        case Schedule():
            return _schedule(actor, action, resource)
        case Member():
            return _member(actor, action, resource)
        case _:
            assert_never(actor)


def _operator(action: Action) -> Decision:
    # The operator keeps the house but is nobody's person: no agent answers them as themselves.
    if action in _AS_SOMEBODY:
        return Decision(False, "The operator talks as a user; say which one.")
    return _YES


def _guest(action: Action, resource: AgentResource) -> Decision:
    if resource.agent.owner is not None:
        return Decision(False, "This assistant is a person's own.")
    if not resource.guests or (resource.agent.of_a_group and resource.chat is ChatKind.DM):
        return Decision(False, "You have not been let in here.")
    if action not in _GUEST_ACTIONS:
        return Decision(False, "Guests cannot do that.")
    if action is Action.CALL_TOOL and resource.tool not in _GUEST_TOOLS:
        return Decision(False, f"Guests cannot use {resource.tool}.")
    return _shared_chat(action, resource, keeper=False)


def _schedule(actor: Schedule, action: Action, resource: AgentResource) -> Decision:
    if resource.agent.owner != actor.user_id:
        return Decision(False, "Planned work runs with an assistant of its owner's own.")
    if action not in _SCHEDULE_ACTIONS:
        return Decision(False, "Planned work cannot do that.")
    return _YES


def _member(actor: Member, action: Action, resource: AgentResource) -> Decision:
    agent = resource.agent
    if action in _KEEPERS:
        own = agent.owner == actor.user_id or agent.sponsor == actor.user_id
        if actor.admin or (own and action in _OWN_SETTINGS):
            return _YES
        if action is Action.REMOVE_AGENT and agent.owner == actor.user_id:
            return _YES  # a friend of theirs; that their main agent stays is nobody's right to change
        return Decision(False, "Only an admin can do that.")
    if agent.owner is not None:
        if agent.owner != actor.user_id:
            if action is Action.READ_AGENT and actor.admin:
                return _YES
            return Decision(False, "This assistant is a person's own.")
        if resource.chat is not ChatKind.DM:
            return Decision(False, "A person's own assistant does not answer in groups.")
        return _YES
    if action in _IN_WORKSPACE:
        return _YES if agent.sponsor == actor.user_id else Decision(False, "Its files are its sponsor's to see.")
    if action is Action.APPROVE and not resource.own_turn:
        return Decision(False, "Only who caused the answer can allow what it does.")
    keeper = actor.admin or agent.sponsor == actor.user_id
    if agent.of_a_group and resource.chat is ChatKind.DM and not (keeper and action in _KNOWN_TO_KEEPERS):
        return Decision(False, "This assistant is a group's own.")
    if action in _IN_SESSIONS:
        if resource.own_session if resource.chat is ChatKind.DM else keeper:
            return _YES
        return Decision(False, "On a shared assistant people see what they alone said.")
    return _shared_chat(action, resource, keeper=keeper)


def _shared_chat(action: Action, resource: AgentResource, *, keeper: bool) -> Decision:
    """In a group, what changes the conversation for all is its keeper's: the sponsor's or an admin's."""
    if resource.chat is ChatKind.DM or keeper:
        return _YES
    if action is Action.NEW_SESSION:
        return Decision(False, "In a group, only its sponsor or an admin can begin a new conversation.")
    if action is Action.STOP_TURN and not resource.own_turn:
        return Decision(False, "You can only stop answers to your own messages.")
    return _YES


# --- people and the house -----------------------------------------------------------------------------------


def _on_person(actor: Actor, action: Action, resource: PersonResource) -> Decision:
    match actor:
        case Operator():
            return _YES
        case Member(user_id=user_id, admin=admin):
            own = user_id == resource.user_id
            if (own and action in _OWN_PERSON) or (admin and action in _ADMIN_ON_PERSON):
                return _YES
            return Decision(False, "Only an admin can do that." if own else "That is somebody else.")
        case Guest() | Schedule():
            return Decision(False, "Only people of this house can do that.")
        case _:
            assert_never(actor)


def _on_house(actor: Actor) -> Decision:
    match actor:
        case Operator() | Member(admin=True):
            return _YES
        case Member() | Guest() | Schedule():
            return Decision(False, "Only an admin can do that.")
        case _:
            assert_never(actor)
