"""A person's own sessions, page by page, over all agents they have and may talk to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from sqlalchemy import Connection

from rookery import users
from rookery.errors import InvalidInput, NotFound
from rookery.gateway import turn_facts
from rookery.gateway.entries import EPHEMERAL
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.finding import kept_by, owns, resource_of
from rookery.gateway.operations.showing import living_places, session_of
from rookery.gateway.rights import facts
from rookery.gateway.shapes import Session, SessionPage, SessionQuery
from rookery.ids import SessionId
from rookery.messages import ChatKind
from rookery.policy import Action, AgentResource, may
from rookery.sessions.key import Direct, Group, PerChannel, PerPeer, Room, SessionKey
from rookery.sessions.summary import SessionSummary, read_cursor
from rookery.users import Agent

LONGEST_PAGE = 200
_READ_AT_ONCE = 50


async def page(desk: Desk, ask: SessionQuery) -> SessionPage:
    """One page of them, latest first.

    Raises `InvalidInput` for a cursor that is none, `NotFound` for an agent that is not theirs to talk to.
    """
    if not 1 <= ask.limit <= LONGEST_PAGE:
        raise InvalidInput(f"limit is a number from 1 to {LONGEST_PAGE}.")
    if ask.cursor is not None:
        read_cursor(ask.cursor)
    agents = await desk.house.database.read(lambda connection: _agents(connection, desk, ask.agent_id))
    found: list[tuple[SessionSummary, Agent]] = []
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(aclosing(_theirs(desk, agent, ask))) for agent in agents]
        heads = [(await anext(stream, None), stream, agent) for stream, agent in zip(streams, agents, strict=True)]
        while len(found) <= ask.limit:
            living = [(head, stream, agent) for head, stream, agent in heads if head is not None]
            if not living:
                break
            latest, stream, agent = max(living, key=lambda one: (one[0].updated_at, one[0].session_id))
            found.append((latest, agent))
            heads = [one for one in heads if one[1] is not stream]
            heads.append((await anext(stream, None), stream, agent))
    shown = found[: ask.limit]
    places = {agent.id: await living_places(desk, agent.id) for agent in {id(a): a for _, a in shown}.values()}
    items: tuple[Session, ...] = tuple(
        session_of(summary, agent.id, places[agent.id], words=True) for summary, agent in shown
    )
    return SessionPage(items=items, next_cursor=shown[-1][0].cursor if len(found) > ask.limit else None)


def _agents(connection: Connection, desk: Desk, agent_id: str | None) -> list[Agent]:
    """The agents that may have sessions of theirs. Raises `NotFound` for one that was named and is none."""
    person = desk.person
    reachable = [
        agent
        for agent in users.list_agents(connection)
        if agent.owner == person or agent.sponsor == person or (agent.shared and _known(desk, agent))
    ]
    if agent_id is None:
        return reachable
    named = [agent for agent in reachable if agent.id == agent_id]
    if not named:
        raise NotFound(f"There is no agent {agent_id[:80]!r}.")
    return named


def _known(desk: Desk, agent: Agent) -> bool:
    return bool(may(desk.actor, Action.READ_AGENT, AgentResource(facts(agent))))


async def _theirs(desk: Desk, agent: Agent, ask: SessionQuery) -> AsyncGenerator[SessionSummary]:
    """An agent's sessions that they may read and that were asked for, latest first."""
    cursor = ask.cursor
    async with desk.house.brains.use(agent.id) as brain:
        while some := await brain.sessions(_READ_AT_ONCE, cursor):
            wanted = [summary for summary in some if _fits(summary, ask) and not _for_one_task(desk, summary)]
            readable = await _readable(desk, agent, wanted, by_name=ask.agent_id is not None)
            for summary in wanted:
                if summary.session_id in readable:
                    yield summary
            cursor = some[-1].cursor


async def _readable(desk: Desk, agent: Agent, summaries: list[SessionSummary], *, by_name: bool) -> set[SessionId]:
    """Those the gate lets them read; a group's only to its sponsor, or to an admin who named its agent."""
    session_ids = [summary.session_id for summary in summaries]
    if not agent.shared or not session_ids:
        return set(session_ids)

    def look(connection: Connection) -> set[SessionId]:
        hands = turn_facts.hands_of(connection, session_ids)
        readable: set[SessionId] = set()
        for summary in summaries:
            own = owns(agent, desk.person, hands.get(summary.session_id, set()))
            kept = kept_by(connection, agent, summary.session_id, summary.session_key)
            resource = resource_of(kept, summary.session_key, own=own)
            shelved = resource.chat is ChatKind.DM or by_name or kept.sponsor == desk.person
            if shelved and may(desk.actor, Action.READ_SESSION, resource):
                readable.add(summary.session_id)
        return readable

    return await desk.house.database.read(look)


def _for_one_task(desk: Desk, summary: SessionSummary) -> bool:
    """Whether it is, or was, there for a task that it was given: such a one is on no shelf, and in no bin."""
    lanes = desk.house.gateway.lanes
    underway = (*lanes.answering(summary.session_id), *lanes.queued(summary.session_id))
    return summary.archived_reason == EPHEMERAL or any(turn.body.ephemeral for turn in underway)


def _fits(summary: SessionSummary, ask: SessionQuery) -> bool:
    listed = {"active", "pinned"} if ask.status == "active" else {ask.status}
    return (
        (ask.status == "all" or summary.status in listed)
        and (ask.tag is None or ask.tag in summary.tags)
        and (ask.channel is None or ask.channel in _channels(summary))
    )


def _channels(summary: SessionSummary) -> set[str]:
    """The networks a session's place, and the one it is bound to, name."""
    keys = [summary.session_key, *([summary.channel_binding] if summary.channel_binding else [])]
    found = [SessionKey.parse(key).place for key in keys]
    return {
        place.channel
        for place in found
        if isinstance(place, Direct | PerChannel | PerPeer | Group | Room) and place.channel is not None
    }
