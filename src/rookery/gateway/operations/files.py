"""The files of an agent's workspace, for whoever they belong to, and for the operator on the record."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from sqlalchemy import Connection

from rookery.agents import bootstrap
from rookery.errors import InvalidInput, NotFound
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.on_record import look
from rookery.gateway.shapes import (
    AgentFile,
    AgentFileNamed,
    AgentFilePut,
    AgentFiles,
    AgentFileShown,
    Done,
    ExportPart,
)
from rookery.ids import AgentId, UserId
from rookery.policy import Action, Operator
from rookery.sessions.workspace import WorkspaceFile, parts_of, version_of

_PART = 1 << 18


async def listed(desk: Desk, ask: AgentFiles) -> list[AgentFile]:
    """The files, by path. Raises `NotFound`, `Refused`, and `InvalidInput` when it is not said whose."""
    agent_id = await _may(desk, Action.READ_FILES, ask.agent_id, ask.user_id, "file.list", None)
    async with desk.house.brains.use(agent_id) as brain:
        return [_shown(file) for file in await brain.workspace.listed()]


async def shown(desk: Desk, ask: AgentFileNamed) -> AgentFileShown:
    """What one file holds. Raises as `listed` does."""
    agent_id = await _may(desk, Action.READ_FILES, ask.agent_id, ask.user_id, "file.show", ask.path)
    async with desk.house.brains.use(agent_id) as brain:
        data = await brain.workspace.read(ask.path)
    return AgentFileShown(path=ask.path, version=version_of(data), data=data)


async def sent(desk: Desk, ask: AgentFileNamed) -> AsyncGenerator[ExportPart]:
    """The same in parts, for whom it is too large as a whole."""
    data = (await shown(desk, ask)).data
    for start in range(0, len(data), _PART):
        yield ExportPart(data[start : start + _PART])


async def put(desk: Desk, ask: AgentFilePut) -> AgentFile:
    """Write one file; it is on disk on return.

    Raises as `listed` does, and `Outdated`, `Conflict`, `TooLarge`, `QuotaReached`.
    """
    agent_id = await _may(desk, Action.CHANGE_FILES, ask.agent_id, ask.user_id, "file.put", ask.path)
    async with desk.house.brains.use(agent_id) as brain:
        return _shown(await brain.workspace.write(ask.path, ask.data, expected=ask.expected))


async def removed(desk: Desk, ask: AgentFileNamed) -> Done:
    """Take one file away. Raises as `listed` does, and `Outdated`."""
    agent_id = await _may(desk, Action.CHANGE_FILES, ask.agent_id, ask.user_id, "file.remove", ask.path)
    async with desk.house.brains.use(agent_id) as brain:
        await brain.workspace.remove(ask.path, expected=ask.expected)
    return Done(f"{ask.path} is gone.")


async def _may(
    desk: Desk, action: Action, agent_id: str, user_id: str | None, deed: str, path: str | None
) -> AgentId:
    """The agent, once the gate has said yes and what somebody else does is on record."""

    def work(connection: Connection) -> tuple[AgentId, UserId]:
        agent = desk.agent(connection, agent_id, action)
        whose = agent.owner or agent.sponsor
        assert whose is not None, "an agent has an owner or a sponsor"
        if isinstance(desk.actor, Operator):
            if user_id is None:
                raise InvalidInput("Say whose files they are: the owner's or the sponsor's user id.")
            if user_id != whose:
                raise NotFound(f"{user_id!r} has no agent {agent_id!r} of their own, and sponsors none.")
        return agent.id, whose

    found, whose = await desk.house.database.read(work)
    if path is not None:
        parts_of(path)
    # What somebody calls a file is their own affair; the names that every agent may have tell nothing.
    named = f"{found}: {path}" if path in bootstrap.FILES else str(found)
    await look(desk, whose, deed, named)
    return found


def _shown(file: WorkspaceFile) -> AgentFile:
    return AgentFile(path=file.path, size=file.size, changed_at=file.changed_at)
