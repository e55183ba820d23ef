"""What a run is made with: who may answer, what the model is told, and which tools it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from msgspec import Struct

from rookery.agents import Endpoint, RunSettings, bootstrap, persona, prompt, words
from rookery.gateway import entries, overheard
from rookery.gateway.answering import Answering
from rookery.gateway.attachments import picture
from rookery.gateway.batch import Batch
from rookery.gateway.keyring import Keyring
from rookery.gateway.log import Logger
from rookery.gateway.providers import Providers, sharing_of
from rookery.policy import Action, Decision, may
from rookery.storage import Database
from rookery.tools import Tool, ToolContext, ToolLimits, Toolset
from rookery.users import Agent
from rookery.users.grants import Grant, grants_of


class RunLimits(Struct, frozen=True):
    """What bounds a run, from the configuration; `persona` is for agents that have none of their own.

    `timeout_seconds` is for one model call, `max_seconds` for the whole turn at work, `tool_seconds` for one call
    of a tool, and `approval_minutes` for a person's yes.
    """

    tools: frozenset[str]
    max_steps: int
    timeout_seconds: float
    persona: str
    max_seconds: float = 600.0
    tool_seconds: float = 60.0
    max_result_chars: int = 50_000
    approval_minutes: int = 30


class Equipment:
    """Everything there is to equip runs with; one for the whole gateway."""

    def __init__(
        self,
        database: Database,
        providers: Providers,
        keyring: Keyring,
        tools: Sequence[Tool],
        limits: Callable[[], RunLimits],
        now: Callable[[], datetime],
        log: Logger,
    ) -> None:
        self._database = database
        self._providers = providers
        self._keyring = keyring
        self._tools = tools
        self._limits = limits
        self._now = now
        self._log = log

    async def settings(self, answering: Answering) -> RunSettings:
        """The settings of one run. Raises `StorageUnavailable`."""
        limits, agent, leader = self._limits(), answering.agent, answering.leader
        files = await answering.workspace.beginnings(bootstrap.FILES, bootstrap.BYTES)
        return RunSettings(
            endpoints=await self._endpoints(answering, answering.standing.grants),
            instructions=prompt.instructions(
                persona.identity(
                    agent.name, person=answering.standing.person, relation=agent.relation, who=agent.who
                ),
                agent.persona or limits.persona,
                files=bootstrap.told(files),
                further=leader.aside.instructions,
            ),
            earlier=entries.earlier(leader, agent),
            context=partial(_overheard, answering.batch),
            max_steps=limits.max_steps,
            timeout_seconds=limits.timeout_seconds,
            max_seconds=limits.max_seconds,
            load_image=partial(picture, answering.attachments),
            renew=partial(self._endpoints_now, answering),
            cooldowns=self._providers.cooldowns,
            answered=partial(self._keyring.answered, agent.id, leader.session_id),
            no_key=None if agent.shared else partial(_no_key, agent),
        )

    def toolset(self, answering: Answering) -> Toolset:
        """The tools of one run; the gate is asked about each call."""

        def allowed(tool: str) -> Decision:
            return may(answering.standing.actor, Action.CALL_TOOL, answering.resource(tool=tool))

        limits = self._limits()
        return Toolset(
            [tool for tool in self._tools if tool.spec.name in limits.tools],
            ToolContext(self._now, answering.standing.timezone),
            allowed,
            ToolLimits(limits.tool_seconds, limits.max_result_chars),
        )

    async def _endpoints_now(self, answering: Answering) -> tuple[Endpoint, ...]:
        """Who may answer when a run goes on: by the keys that are there by then. Raises `StorageUnavailable`."""
        agent_id = answering.agent.id
        grants = await self._database.read(lambda connection: grants_of(connection, agent_id))
        return await self._endpoints(answering, grants)

    async def _endpoints(self, answering: Answering, grants: Sequence[Grant]) -> tuple[Endpoint, ...]:
        """Who may answer; a model that is gone from the configuration is a problem of the call, told in words."""
        agent, leader = answering.agent, answering.leader
        sharing = sharing_of(agent, leader.opened_key)
        found = await self._keyring.endpoints(agent, leader.session_id, sharing, answering.profiles, grants)
        if found[0].model is None:
            self._log.error("agent.model_unknown", agent=agent.id, model=agent.model)
        return found


def _overheard(batch: Batch) -> str:
    """What was said in the group before the messages that are answered."""
    return overheard.told([line for turn in batch.turns for line in turn.overheard])


def _no_key(agent: Agent, endpoint: Endpoint) -> str:
    return words.no_key(agent.id, endpoint.provider)
