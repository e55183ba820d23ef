"""A turn while it is answered: what is answered, in which session, for whom, and by whose leave."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from rookery.gateway import rights
from rookery.gateway.batch import Batch
from rookery.gateway.meter import TurnMeter
from rookery.gateway.metrics import Measured
from rookery.gateway.standing import Standing
from rookery.gateway.starts import Start
from rookery.gateway.turns import Turn
from rookery.policy import AgentResource
from rookery.sessions import Session
from rookery.sessions.attachments import Attachments
from rookery.sessions.profiles import Profiles
from rookery.sessions.workspace import Workspace
from rookery.users import Agent


class Answering(Struct, frozen=True):
    """One try at answering a batch; what follows a crash or a failed write is another, of the same turn.

    `session`, `attachments`, `profiles` and `workspace` are those of the one brain that answers, `standing` is
    what the store said of who asks, `meter` counts the model calls, and `measured` is the meter as runs see it.
    `start` is over once the user entry is written.
    """

    batch: Batch
    session: Session
    attachments: Attachments
    profiles: Profiles
    workspace: Workspace
    standing: Standing
    meter: TurnMeter
    measured: Measured
    started: datetime
    start: Start

    @property
    def leader(self) -> Turn:
        """The message that stands for all."""
        return self.batch.leader

    @property
    def agent(self) -> Agent:
        """Who answers; asked only of one that was let in."""
        agent = self.standing.agent
        assert agent is not None, "nobody is let in to an agent that is gone"
        return agent

    def resource(self, *, tool: str | None = None) -> AgentResource:
        """The agent, or one tool of its, as the gate is asked about it."""
        chat = self.leader.route.chat.kind
        return AgentResource(rights.facts(self.agent), chat, guests=self.standing.decision.allowed, tool=tool)
