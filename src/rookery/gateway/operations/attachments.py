"""Files that a person hands in for one of the agents they talk to."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable

from sqlalchemy import Connection

from rookery import ids, users
from rookery.errors import NotFound
from rookery.gateway import idempotency
from rookery.gateway.idempotency import Repeated
from rookery.gateway.operations.desk import Desk
from rookery.gateway.rights import facts
from rookery.gateway.shapes import AttachmentAdd, AttachmentNamed, AttachmentShown
from rookery.policy import Action, AgentResource, principal
from rookery.sessions.attachments import Stored, is_attachment_id
from rookery.users import Agent


def said(ask: AttachmentAdd) -> dict[str, object]:
    """What makes a file handed in this one and no other, without the file itself."""
    return {
        "name": ask.name,
        "contentType": ask.content_type,
        "agentId": ask.agent_id,
        "sha256": hashlib.sha256(ask.data).hexdigest(),
    }


async def add(desk: Desk, ask: AttachmentAdd) -> AttachmentShown:
    """Keep a file; it is on disk on return. Raises `NotFound` for an agent one may not talk to, `TooLarge`,
    `QuotaReached`, and `idempotency.Repeated`."""
    now, once = desk.now(), desk.once
    attachment_id = ids.fresh(now)

    def claim(connection: Connection) -> tuple[Agent, str | None]:
        agent = desk.agent(connection, ask.agent_id or desk.person, Action.ADD_ATTACHMENT)
        # The key is claimed for an id before the file is kept under it: whoever asks again after a crash between
        # the two keeps it under the same id.
        return agent, None if once is None else idempotency.claim(connection, once, attachment_id, now)

    agent, before = await desk.house.database.write(claim)
    async with desk.house.brains.use(agent.id) as brain:
        if before is not None and await _there(brain.attachments.get(before)):
            raise Repeated(before)
        stored = await brain.attachments.add(
            ask.name,
            ask.content_type,
            ask.data,
            added_by=principal(desk.actor),
            created_at=now,
            attachment_id=before or attachment_id,
        )
    return _shown(stored)


async def shown(desk: Desk, ask: AttachmentNamed) -> AttachmentShown:
    """What is known of one. Raises `NotFound`."""
    return _shown((await _find(desk, ask))[1])


async def content(desk: Desk, ask: AttachmentNamed) -> tuple[AttachmentShown, bytes]:
    """One, with its bytes. Raises `NotFound`."""
    agent, stored = await _find(desk, ask)
    async with desk.house.brains.use(agent.id) as brain:
        return _shown(stored), await brain.attachments.read(stored.id)


def _agents(connection: Connection, desk: Desk, agent_id: str | None) -> list[Agent]:
    return [
        agent
        for agent in users.list_agents(connection)
        if (agent_id is None or agent.id == agent_id)
        and (agent.owner == desk.person or (agent.shared and not agent.of_a_group))
    ]


async def _there(looked: Awaitable[Stored]) -> Stored | None:
    try:
        return await looked
    except NotFound:
        return None


def _shown(stored: Stored) -> AttachmentShown:
    return AttachmentShown(
        attachment_id=stored.id,
        name=stored.name,
        content_type=stored.content_type,
        size=stored.size,
        created_at=stored.created_at,
    )


async def _find(desk: Desk, ask: AttachmentNamed) -> tuple[Agent, Stored]:
    """A file of the agent that was named, or of any the person has. What somebody else brought is not there."""
    words = f"There is no attachment {ask.attachment_id[:80]!r}."
    if not is_attachment_id(ask.attachment_id):
        raise NotFound(words)
    agents = await desk.house.database.read(lambda connection: _agents(connection, desk, ask.agent_id))
    foreign: Agent | None = None
    for agent in agents:
        async with desk.house.brains.use(agent.id) as brain:
            stored = await _there(brain.attachments.get(ask.attachment_id))
        if stored is not None and stored.added_by == principal(desk.actor):
            desk.ask(Action.READ_ATTACHMENT, AgentResource(facts(agent), own_session=True), words)
            return agent, stored
        foreign = foreign if stored is None else agent
    # Found or not, somebody else's takes as long to refuse as none.
    if foreign is not None:
        desk.ask(Action.READ_ATTACHMENT, AgentResource(facts(foreign), own_session=False), words)
    raise NotFound(words)
