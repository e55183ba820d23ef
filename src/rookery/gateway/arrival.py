"""A message that was let in, with all that the last steps need to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection

from rookery.gateway.bind import Binding
from rookery.gateway.opening import LiveSession
from rookery.gateway.rights import Sender
from rookery.ids import TurnId
from rookery.messages import InboundMessage
from rookery.policy import principal
from rookery.users import Agent


class Bound(Struct, frozen=True):
    """Who answers a message, and the rule that said so, if one did.

    `fixed`: why that cannot be chosen in this chat, empty where it can. `lost`: the sender chose another here, who
    is gone or switched off since, and was not told yet.
    """

    agent: Agent
    binding: Binding | None = None
    fixed: str = ""
    lost: bool = False


class Arrival(Struct, frozen=True):
    """A message that was let in, with everything the last steps need to know of it.

    `in_line` has the turns that wait for a model, each with its place; whosoever they are.
    """

    connection: Connection
    message: InboundMessage
    turn_id: TurnId
    sender: Sender
    bound: Bound
    place: LiveSession
    chunk_limit: int
    now: datetime
    in_line: Mapping[str, int]

    @property
    def agent(self) -> Agent:
        """Who answers."""
        return self.bound.agent

    @property
    def principal(self) -> str:
        return principal(self.sender.actor)
