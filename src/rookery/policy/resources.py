"""What is asked about: an agent, a person, or the house. Each carries the facts the gate decides by."""

from __future__ import annotations

from dataclasses import dataclass

from rookery.ids import UserId
from rookery.messages import ChatKind


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What the gate needs to know of an agent; exactly one of `owner` and `sponsor` is set.

    `of_a_group`: it was made for one group and answers nowhere else.
    """

    enabled: bool
    owner: UserId | None
    sponsor: UserId | None
    of_a_group: bool = False


@dataclass(frozen=True, slots=True)
class AgentResource:
    """An agent and what is its own, in a chat of some kind, let in to guests or not.

    `guests` says whether the address's account admits this guest to this agent; `own_turn` whether the
    turn asked about was caused by the actor; `own_session` whether nobody but the actor ever wrote in the
    session asked about, which on an agent of one's own is always so.
    """

    agent: AgentFacts
    chat: ChatKind = ChatKind.DM
    guests: bool = False
    own_turn: bool = True
    own_session: bool = False
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class PersonResource:
    """A user, with their login, tokens, devices, addresses and preferences."""

    user_id: UserId


@dataclass(frozen=True, slots=True)
class HouseResource:
    """The installation: its people, agents, groups, settings and health. Nothing that anybody said."""


Resource = AgentResource | PersonResource | HouseResource

HOUSE = HouseResource()
