"""Who is behind an address, and may they: asked as a message comes in, its turn starts and its reply goes.

Everything is read from the store at the moment of asking, so what was taken back is gone with the next question.
"""

from __future__ import annotations

import shlex
from dataclasses import replace

from msgspec import Struct
from sqlalchemy import Connection

from rookery import users
from rookery.config.words import DmPolicy, GroupPolicy
from rookery.errors import NotFound
from rookery.gateway.bind import Binding
from rookery.gateway.rules import EVERYBODY, INTERNAL_CHANNELS, Rules
from rookery.ids import AgentId, UserId
from rookery.messages import Address, ChatKind, Route
from rookery.policy import (
    Action,
    Actor,
    AgentFacts,
    AgentResource,
    Decision,
    actor_from,
    let_in,
    may,
    permission_for,
    principal,
)
from rookery.users import Agent, User, spaces


class Sender(Struct, frozen=True):
    """Who wrote: a user, or nobody we know. `admitted` is the account's word on letting them in at all."""

    address: Address
    user: User | None
    admitted: Decision

    @property
    def actor(self) -> Actor:
        known = self.user
        return actor_from(
            None if known is None else known.id, known is not None and known.role == "admin", self.address
        )


def identify(connection: Connection, route: Route, rules: Rules) -> Sender:
    """Find who is behind a route's address, and whether its account lets them in."""
    address = Address(route.channel, route.account, route.sender_id)
    user = _user_behind(connection, address)
    return Sender(address, user, _admit(user, route, rules))


class Right(Struct, frozen=True):
    """The gate's answer about something done earlier, with the facts it went by; `agent` None when it is gone."""

    decision: Decision
    actor: Actor
    agent: Agent | None


def check(
    connection: Connection,
    route: Route,
    agent_id: AgentId,
    whose: str,
    action: Action,
    rules: Rules,
    *,
    tool: str | None = None,
) -> Right:
    """Whether the principal `whose` may still do `action` to the agent, or to this tool of its, by this route.

    An address that became somebody else's since is refused: what was one person's never reaches the next.
    """
    sender = identify(connection, route, rules)
    if principal(sender.actor) != whose:
        return Right(Decision(False, "The address belongs to somebody else now."), sender.actor, None)
    if route.chat.kind is not ChatKind.DM:
        group = group_at(connection, route, rules)
        if isinstance(group, str):
            return Right(Decision(False, group), sender.actor, None)
        if group.agent.id != agent_id:
            return Right(Decision(False, "Another assistant answers this group now."), sender.actor, None)
        return Right(ask(sender, group.agent, action, route, tool=tool), sender.actor, group.agent)
    try:
        agent = users.get_agent(connection, agent_id)
    except NotFound:
        return Right(Decision(False, "This assistant is not here any more."), sender.actor, None)
    return Right(ask(sender, agent, action, route, tool=tool), sender.actor, agent)


class Group(Struct, frozen=True):
    """Who answers a group, and the rule that said so; None when it was let in by name.

    In a space `agent` has the space's sponsor: who pays there, and keeps the conversation.
    """

    agent: Agent
    binding: Binding | None


def group_at(connection: Connection, route: Route, rules: Rules) -> Group | str:
    """Who answers the group of a route, or why nobody does.

    A rule of the configuration that names the group wins over its having been let in. A rule for a whole account
    lets no unknown group in.
    """
    binding = rules.bindings.find(route.channel, route.account, route.chat, route.thread_id)
    if binding is not None and binding.peer_id is not None:
        agent = agent_named(connection, binding)
        if agent is None or not agent.shared or agent.of_a_group:
            return f"No shared agent is bound to this group ({_spelled(route)})."
        return Group(agent, binding)
    space = spaces.find(connection, route.channel, route.account, route.chat)
    if space is None:
        return f"This group is not let in ({_spelled(route)}): {_remedy(route)}"
    if not users.get_user(connection, space.sponsor).enabled:
        return f"The sponsor of this group, {space.sponsor!r}, is disabled ({_spelled(route)})."
    agent = users.get_agent(connection, space.agent_id)
    return Group(replace(agent, sponsor=space.sponsor), None)


def agent_named(connection: Connection, binding: Binding | None) -> Agent | None:
    """The agent a rule names; None when there is no rule, or no such agent."""
    if binding is None:
        return None
    try:
        return users.get_agent(connection, binding.agent_id)
    except NotFound:
        return None


def _spelled(route: Route) -> str:
    return f"{route.channel}@{route.account}:{route.chat.id}"


def _remedy(route: Route) -> str:
    kind = "" if route.chat.kind is ChatKind.GROUP else f" --kind {route.chat.kind.value}"
    return (
        f"rookery space admit {route.channel} {shlex.quote(route.chat.id)} --sponsor USER "
        f"--account {route.account}{kind}"
    )


def ask(
    sender: Sender, agent: Agent, action: Action, route: Route, *, own_turn: bool = True, tool: str | None = None
) -> Decision:
    """Account and gate together: the account lets the sender in, and the gate lets them do it."""
    if not sender.admitted:
        return sender.admitted
    resource = AgentResource(
        facts(agent), route.chat.kind, guests=sender.user is None, own_turn=own_turn, tool=tool
    )
    return may(sender.actor, action, resource)


def facts(agent: Agent) -> AgentFacts:
    """What the gate needs to know of an agent."""
    return AgentFacts(agent.enabled, agent.owner, agent.sponsor, agent.of_a_group)


def _user_behind(connection: Connection, address: Address) -> User | None:
    if address.channel not in INTERNAL_CHANNELS:
        return users.identify(connection, address)
    try:
        return users.get_user(connection, UserId(address.sender))
    except NotFound:
        return None


def _admit(user: User | None, route: Route, rules: Rules) -> Decision:
    if user is not None and not user.enabled:
        return Decision(False, f"User {user.id!r} is disabled.")
    if user is not None and user.permissions is not None:
        permitted = let_in(user.permissions, permission_for(route.channel, route.account))
        if not permitted:
            return permitted
    if route.channel in INTERNAL_CHANNELS:
        return Decision(user is not None, "" if user is not None else f"There is no user {route.sender_id!r}.")
    account = rules.account(route.channel, route.account)
    if account is None:
        return Decision(False, f"There is no account {route.account!r} on {route.channel}.")
    known = user is not None
    if route.chat.kind is ChatKind.DM:
        return _admit_direct(
            known, account.dm_policy, route.sender_id in account.allow_from, EVERYBODY in account.allow_from, route
        )
    if account.group_policy is GroupPolicy.DISABLED:
        return Decision(False, f"Groups are switched off on account {route.account!r} of {route.channel}.")
    listed = route.sender_id in account.group_allow_from or EVERYBODY in account.group_allow_from
    if known or listed or account.group_policy is GroupPolicy.OPEN:
        return Decision(True, "")
    return Decision(
        False, f"Sender {route.sender_id!r} is no user and not in groupAllowFrom of account {route.account!r}."
    )


def _admit_direct(known: bool, policy: DmPolicy, listed: bool, everybody: bool, route: Route) -> Decision:
    if policy is DmPolicy.DISABLED:
        return Decision(
            False, f"Direct messages are switched off on account {route.account!r} of {route.channel}."
        )
    if known or listed or everybody or policy is DmPolicy.OPEN:
        return Decision(True, "")
    return Decision(
        False,
        f"Sender {route.sender_id!r} on account {route.account!r} of {route.channel} is no user; "
        f"link them with: rookery identity link USER {route.channel} {route.sender_id} --account {route.account}",
    )
