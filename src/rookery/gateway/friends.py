"""`/friends` and `/talk`: which of their own assistants answers a person in a chat."""

from __future__ import annotations

from rookery.gateway.arrival import Arrival
from rookery.gateway.rules import INTERNAL_CHANNELS, READ_IN_THE_SESSION
from rookery.messages import ChatKind, Route
from rookery.policy import Decision
from rookery.users import Agent, User, chosen, friends, own_agents


def listed(arrival: Arrival) -> str:
    """One's own assistants, numbered, and who answers here."""
    own = own_agents(arrival.connection, _person(arrival).id)
    lines = [_line(number, agent, arrival.agent) for number, agent in enumerate(own, 1)]
    if len(own) == 1:
        lines.append("You have no others yet; ask who runs this gateway for one.")
    elif arrival.bound.fixed:
        lines.append(_fixed(arrival))
    else:
        lines.append("/talk with a name or a number says who answers in this chat.")
    return "\n".join(["Your assistants:", *lines])


def talk(arrival: Arrival, words: str) -> str:
    """Let another of one's own assistants answer in this chat from now on; without words, say who does."""
    user, answers = _person(arrival), arrival.agent
    if not words:
        return f"{answers.name} ({answers.id}) answers here."
    own = own_agents(arrival.connection, user.id)
    wanted = friends.called(words, own)
    if wanted is None:
        return f"You have no assistant called “{words[:80]}”. /friends lists who there is."
    if wanted.id == answers.id:
        return f"{wanted.name} answers here already."
    if arrival.bound.fixed:
        return _fixed(arrival)
    if not wanted.enabled:
        return f"{wanted.name} is switched off and cannot be talked to."
    chosen.choose(arrival.connection, user, arrival.message.route, wanted.id, arrival.now)
    back = "" if wanted.id == user.main_agent else f" /talk {friends.MAIN} brings {own[0].name} back."
    return f"{wanted.name} answers here from now on.{back}"


def explained(arrival: Arrival) -> str:
    """What is said when who was chosen here is gone or switched off: once, for the choice is forgotten with it."""
    chosen.forget(arrival.connection, _person(arrival), arrival.message.route)
    return (
        f"Who answered you here is gone or switched off, so {arrival.agent.name} answers again. "
        "/friends lists who there is."
    )


def may_use(arrival: Arrival) -> Decision:
    """Whether somebody may list and choose here: only where nobody else reads it."""
    if arrival.message.chat.kind is not ChatKind.DM:
        return Decision(False, "In a group its own assistant answers; write to me directly to choose among yours.")
    return Decision(True, "")


def why_fixed(route: Route, *, wished: bool, ruled: bool) -> str:
    """Why it cannot be chosen who answers in a chat; empty where it can.

    `wished`: the door that the message came by says who is meant; `ruled`: a rule of the configuration does.
    """
    if route.channel in READ_IN_THE_SESSION:
        return "Here every conversation has its assistant; who that is, is chosen when one is begun."
    if wished:
        return "This terminal was opened for one assistant or conversation; open it without --agent and --session."
    if ruled:
        return "A rule of this house says who answers in this chat."
    return ""


NAMED_BY_THE_NETWORK = INTERNAL_CHANNELS | {"webhook"}
"""Channels that show with each message who speaks; elsewhere a friend's name stands in the text."""


def signed(agent: Agent, route: Route, text: str) -> str:
    """What an agent says, as it is read where the message is shown: beginning with a friend's name where nothing
    else tells it from their main assistant."""
    if not agent.is_friend or route.channel in NAMED_BY_THE_NETWORK:
        return text
    return f"{agent.name}:\n{text}"


def _line(number: int, agent: Agent, answers: Agent) -> str:
    part = friends.friend_part(agent.id)
    also = "" if part == agent.name else f" ({part})"
    what = "" if agent.relation is None else f", {agent.relation}"
    state = " – answers here" if agent.id == answers.id else "" if agent.enabled else " – switched off"
    return f"{number}. {agent.name}{also}{what}{state}"


def _fixed(arrival: Arrival) -> str:
    return f"{arrival.bound.fixed} Here it is {arrival.agent.name}."


def _person(arrival: Arrival) -> User:
    user = arrival.sender.user
    assert user is not None, "guests were answered before"
    return user
