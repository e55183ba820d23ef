"""The operator and people's sessions: what there is, on the record what they hold, and a new one for somebody."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec import Raw
from sqlalchemy import Connection

from rookery import ids
from rookery.channels.terminal import ACCOUNT, CHANNEL
from rookery.errors import InvalidInput, NotFound, Refused
from rookery.gateway import opening
from rookery.gateway.operations.desk import Desk, known_agent, own_agents
from rookery.gateway.operations.finding import Found, find, or_none, resource_of
from rookery.gateway.operations.on_record import deed, look
from rookery.gateway.operations.showing import living_places, session_of, written
from rookery.gateway.rights import facts
from rookery.gateway.shapes import (
    ExportPart,
    Session,
    SessionList,
    SessionNamed,
    SessionNew,
    SessionShown,
    check_lines,
)
from rookery.gateway.turns import Turn
from rookery.ids import AgentId, SessionId, UserId
from rookery.messages import Chat, ChatKind, Route, encode_line
from rookery.policy import Action, AgentResource, Member, may, principal
from rookery.sessions.summary import SessionSummary
from rookery.users import Agent

_PAGE = 200
_PART = 1 << 18


async def listed(desk: Desk, ask: SessionList) -> list[Session]:
    """The sessions, latest first. With `user_id` they carry the person's own words, and the person can see that
    the operator looked; with `agent_id` alone they carry none. Raises `NotFound`, `InvalidInput`, `Refused`."""
    if ask.user_id is None and ask.agent_id is None:
        raise InvalidInput("Say whose sessions: a user's or an agent's.")
    user_id, agent_id = ask.user_id, ask.agent_id

    def theirs(connection: Connection) -> list[Agent]:
        if user_id is not None:
            _ask_for(desk, user_id)
            return own_agents(connection, user_id, agent_id)
        assert agent_id is not None, "one of the two was said"
        return [known_agent(connection, agent_id)]

    agents = await desk.house.database.read(theirs)
    for agent in agents:
        _ask_gate(desk, agent, Action.LIST_SESSIONS if user_id is None else Action.READ_SESSION)
    if user_id is not None:
        await look(desk, UserId(user_id), "session.list", ", ".join(agent.id for agent in agents))
    found: list[Session] = []
    for agent in agents:
        living = await living_places(desk, agent.id)
        words = user_id is not None
        found += [session_of(one, agent.id, living, words=words) async for one in _summaries(desk, agent.id)]
    found.sort(key=lambda session: session.updated_at, reverse=True)
    return found


async def show(desk: Desk, ask: SessionNamed) -> SessionShown:
    """What was said in a session of a user's. The person can see that the operator looked.

    Raises `NotFound` for what is not theirs, whether it is there or not.
    """
    found = await _named(desk, ask, Action.READ_SESSION)
    await look(desk, UserId(ask.user_id), "session.show", found.session_id)
    living = await living_places(desk, found.agent.id)
    async with desk.house.brains.use(found.agent.id) as brain:
        session = await brain.session(found.session_id)
        entries = list(session.entries)
        summary = session.summary
    last = entries if ask.last is None else entries[max(0, len(entries) - ask.last) :]
    return SessionShown(
        session=session_of(summary, found.agent.id, living, words=True),
        entries=tuple(Raw(encode_line(entry).rstrip(b"\n")) for entry in last),
        earlier=len(entries) - len(last),
    )


async def export(desk: Desk, ask: SessionNamed) -> AsyncGenerator[ExportPart]:
    """The whole transcript, in parts. Raises as `show` does, and leaves the same mark."""
    found = await _named(desk, ask, Action.EXPORT_SESSION)
    await look(desk, UserId(ask.user_id), "session.export", found.session_id)
    async with desk.house.brains.use(found.agent.id) as brain:
        data = await brain.export(found.session_id)
    for start in range(0, len(data), _PART):
        yield ExportPart(data[start : start + _PART])


async def new(desk: Desk, ask: SessionNew) -> Session:
    """Open a session for a user, at a place of its own. Returns when it is written.

    Raises `NotFound` for a user or an agent that is not theirs, `InvalidInput` for a title that is none.
    """
    check_lines(ask.title)
    now, session_id, user_id = desk.now(), SessionId(ids.fresh(desk.now())), UserId(ask.user_id)

    def work(connection: Connection) -> Turn:
        _ask_for(desk, ask.user_id)
        agent = own_agents(connection, ask.user_id, ask.agent_id)[0]
        _ask_gate(desk, agent, Action.NEW_SESSION)
        deed(connection, desk, user_id, "session.new", session_id)
        return opening.open_session(
            connection,
            agent_id=agent.id,
            session_id=session_id,
            title=ask.title,
            also_at=None,
            principal=principal(Member(user_id)),
            route=Route(CHANNEL, ACCOUNT, Chat(ChatKind.DM, user_id), None, user_id, session_id),
            now=now,
        )

    with desk.house.gateway.catching_up():
        turn = await desk.house.database.write(work, then=lambda queued: desk.house.gateway.added([queued]))
    return await written(desk, turn.agent_id, session_id)


async def _summaries(desk: Desk, agent_id: AgentId) -> AsyncGenerator[SessionSummary]:
    async with desk.house.brains.use(agent_id) as brain:
        cursor: str | None = None
        while page := await brain.sessions(_PAGE, cursor):
            for summary in page:
                yield summary
            cursor = page[-1].cursor


async def _named(desk: Desk, ask: SessionNamed, action: Action) -> Found:
    """The session that was named, among those of the user's own agents, as the operator names it."""
    agents = await desk.house.database.read(
        lambda connection: (_ask_for(desk, ask.user_id), own_agents(connection, ask.user_id, ask.agent_id))[1]
    )
    unknown = f"{ask.user_id!r} has no session {ask.session!r}; `session list --user` shows theirs."
    try:
        return await desk.house.database.read(
            lambda connection: find(
                connection,
                desk,
                UserId(ask.user_id),
                ask.session,
                action,
                agent_id=None if ask.agent_id is None else agents[0].id,
                words=unknown,
            )
        )
    except NotFound:
        # A transcript that was brought here is named by no row yet.
        for agent in agents:
            _ask_gate(desk, agent, action)
            async with desk.house.brains.use(agent.id) as brain:
                summary = await or_none(brain.summary(SessionId(ask.session)))
            if summary is not None:
                key = summary.session_key
                resource = resource_of(agent, key, own=True)
                return Found(agent, SessionId(ask.session), key, resource, UserId(ask.user_id), removed=False)
        raise


def _ask_for(desk: Desk, user_id: str) -> None:
    """Only the operator looks into somebody else's conversations. Raises `NotFound` in the words for nobody."""
    if isinstance(desk.actor, Member) and desk.actor.user_id != user_id:
        raise NotFound(f"There is no user {user_id[:80]!r}.")


def _ask_gate(desk: Desk, agent: Agent, action: Action) -> None:
    decision = may(desk.actor, action, AgentResource(facts(agent)))
    if not decision:
        raise Refused(f"{agent.id}: {decision.reason}")
