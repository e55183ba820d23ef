"""A session as it is shown: what its transcript says of it, and where it lives."""

from __future__ import annotations

from rookery.gateway import places
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.finding import Found, or_none
from rookery.gateway.shapes import Session, usd
from rookery.ids import AgentId, SessionId
from rookery.messages import Header
from rookery.messages.transcript import VERSION
from rookery.sessions.key import SessionKey
from rookery.sessions.summary import SessionSummary, begin


async def shown(desk: Desk, found: Found) -> Session:
    """A session that was found, as it stands."""
    async with desk.house.brains.use(found.agent.id) as brain:
        summary = await or_none(brain.summary(found.session_id))
    # What was accepted a moment ago may have no line yet.
    summary = summary or begin(header_of(desk, found))
    return session_of(summary, found.agent.id, await living_places(desk, found.agent.id), words=True)


async def written(desk: Desk, agent_id: AgentId, session_id: SessionId) -> Session:
    """A session that was opened just now, once its first lines are written."""
    await desk.house.gateway.lanes.ended(session_id)
    living = await living_places(desk, agent_id)
    async with desk.house.brains.use(agent_id) as brain:
        return session_of(await brain.summary(session_id), agent_id, living, words=True)


def session_of(
    summary: SessionSummary, agent_id: AgentId, living: dict[SessionId, list[str]], *, words: bool
) -> Session:
    """A session as it is shown; without `words` nothing in it is anybody's."""
    return Session(
        session_key=summary.session_key,
        session_id=summary.session_id,
        agent_id=agent_id,
        kind=SessionKey.parse(summary.session_key).kind.value,
        title=summary.title or None if words else None,
        label=summary.label or None if words else None,
        tags=summary.tags if words else (),
        status=summary.status,
        archived_at=summary.archived_at,
        archived_reason=summary.archived_reason,
        channel_binding=summary.channel_binding,
        created_at=summary.created_at,
        updated_at=summary.updated_at,
        entry_count=summary.entry_count,
        input_tokens=summary.input_tokens,
        output_tokens=summary.output_tokens,
        cost_usd=usd(summary.cost_nano_usd),
        places=tuple(living.get(summary.session_id, ())),
    )


async def living_places(desk: Desk, agent_id: AgentId) -> dict[SessionId, list[str]]:
    """Which of an agent's sessions live where."""
    living: dict[SessionId, list[str]] = {}
    for place in await desk.house.database.read(lambda connection: places.of_agent(connection, agent_id)):
        living.setdefault(place.session_id, []).append(place.session_key)
    return living


def header_of(desk: Desk, found: Found) -> Header:
    """The first line of a transcript, for a session whose own is not written yet."""
    return Header(VERSION, found.session_id, found.opened_key, found.agent.id, desk.now())
