"""Sessions as the operator may see them: that they are there; and for a person, on the record, what they hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from msgspec import Raw
from sqlalchemy import Connection

from rookery import ids
from rookery.channels.terminal import ACCOUNT, CHANNEL
from rookery.errors import InvalidId, InvalidInput, InvalidKey, NotFound, Refused
from rookery.gateway import audit, opening, places
from rookery.gateway.audit import AuditRow
from rookery.gateway.operations.desk import Desk, known_agent, own_agents
from rookery.gateway.rights import facts
from rookery.gateway.shapes import (
    ExportPart,
    Session,
    SessionList,
    SessionNamed,
    SessionNew,
    SessionShown,
)
from rookery.gateway.turns import Turn
from rookery.ids import AgentId, SessionId, UserId
from rookery.messages import Chat, ChatKind, Route, encode_line
from rookery.policy import Action, AgentResource, Member, may, principal
from rookery.sessions.key import SessionKey, read_place
from rookery.sessions.summary import SessionSummary
from rookery.users import Agent

_PAGE = 200
_PART = 1 << 18


async def listed(desk: Desk, ask: SessionList) -> list[Session]:
    """The sessions, latest first. With `user_id` they carry the person's own words, and the person can see that
    the operator looked; with `agent_id` alone they carry none. Raises `NotFound`, `InvalidInput`."""
    if ask.user_id is None and ask.agent_id is None:
        raise InvalidInput("Say whose sessions: a user's or an agent's.")
    user_id, agent_id = ask.user_id, ask.agent_id

    def look(connection: Connection) -> list[Agent]:
        if user_id is not None:
            return own_agents(connection, user_id, agent_id)
        assert agent_id is not None, "one of the two was said"
        return [known_agent(connection, agent_id)]

    agents = await desk.house.database.read(look)
    if user_id is not None:
        for agent in agents:
            _ask_gate(desk, agent, Action.READ_SESSION)
        named = ", ".join(agent.id for agent in agents)
        await _keep(desk, UserId(user_id), "session.list", named)
    found: list[Session] = []
    for agent in agents:
        living = await _places(desk, agent.id)
        words = user_id is not None
        found += [_session(one, agent.id, living, words=words) async for one in _summaries(desk, agent.id)]
    found.sort(key=lambda session: session.updated_at, reverse=True)
    return found


async def show(desk: Desk, ask: SessionNamed) -> SessionShown:
    """What was said in a session of a user's own agent. The person can see that the operator looked.

    Raises `NotFound` for what is not theirs, whether it is there or not.
    """
    found = await _find(desk, ask)
    await _keep(desk, UserId(ask.user_id), "session.show", found.session_id)
    living = await _places(desk, found.agent_id)
    async with desk.house.brains.use(found.agent_id) as brain:
        session = await brain.session(found.session_id)
        entries = list(session.entries)
        summary = session.summary
    last = entries if ask.last is None else entries[max(0, len(entries) - ask.last) :]
    return SessionShown(
        session=_session(summary, found.agent_id, living, words=True),
        entries=tuple(Raw(encode_line(entry).rstrip(b"\n")) for entry in last),
        earlier=len(entries) - len(last),
    )


async def export(desk: Desk, ask: SessionNamed) -> AsyncGenerator[ExportPart]:
    """The whole transcript, in parts. Raises as `show` does, and leaves the same mark."""
    found = await _find(desk, ask)
    await _keep(desk, UserId(ask.user_id), "session.export", found.session_id)
    async with desk.house.brains.use(found.agent_id) as brain:
        data = await brain.export(found.session_id)
    for start in range(0, len(data), _PART):
        yield ExportPart(data[start : start + _PART])


async def new(desk: Desk, ask: SessionNew) -> Session:
    """Open a session for a user, at a place of its own. Returns when it is written.

    Raises `NotFound` for a user or an agent that is not theirs, `InvalidInput` for a title that is none.
    """
    title = ask.title
    if title is not None and (not title.strip() or not title.isprintable()):
        raise InvalidInput("A title is some words on one line; leave it out to have none.")
    gateway, now = desk.house.gateway, desk.now()
    session_id = SessionId(ids.fresh(now))

    def work(connection: Connection) -> Turn:
        agent = own_agents(connection, ask.user_id, ask.agent_id)[0]
        _ask_gate(desk, agent, Action.NEW_SESSION)
        user_id = UserId(ask.user_id)
        audit.keep(connection, _row(desk, user_id, "session.new", session_id))
        return opening.open_session(
            connection,
            agent_id=agent.id,
            session_id=session_id,
            title=title,
            also_at=None,
            principal=principal(Member(user_id)),
            route=Route(CHANNEL, ACCOUNT, Chat(ChatKind.DM, user_id), None, user_id, session_id),
            now=now,
        )

    turn = await desk.house.database.write(work, then=lambda queued: gateway.added([queued]))
    await gateway.lanes.ended(session_id)
    living = await _places(desk, turn.agent_id)
    async with desk.house.brains.use(turn.agent_id) as brain:
        return _session(await brain.summary(session_id), turn.agent_id, living, words=True)


# --- finding ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    agent_id: AgentId
    session_id: SessionId


async def _find(desk: Desk, ask: SessionNamed) -> _Found:
    """The session that was named, among those of the user's own agents."""
    agents = await desk.house.database.read(lambda connection: own_agents(connection, ask.user_id, ask.agent_id))
    for agent in agents:
        _ask_gate(desk, agent, Action.READ_SESSION)
    for agent in agents:
        try:
            async with desk.house.brains.use(agent.id) as brain:
                await brain.summary(SessionId(ask.session))
        except (NotFound, InvalidId):
            continue
        return _Found(agent.id, SessionId(ask.session))
    main_key = desk.house.gateway.settings.rules.main_key
    unknown = NotFound(f"{ask.user_id!r} has no session {ask.session!r}; `session list --user` shows theirs.")
    try:
        key = read_place(ask.session, agents[0].id, main_key)
    except InvalidKey:
        raise unknown from None
    if key.agent_id not in {agent.id for agent in agents}:
        raise unknown
    live = await desk.house.database.read(lambda connection: places.live(connection, str(key)))
    if live is None:
        raise unknown
    return _Found(key.agent_id, live.session_id)


async def _summaries(desk: Desk, agent_id: AgentId) -> AsyncGenerator[SessionSummary]:
    async with desk.house.brains.use(agent_id) as brain:
        cursor: str | None = None
        while page := await brain.sessions(_PAGE, cursor):
            for summary in page:
                yield summary
            cursor = page[-1].cursor


async def _places(desk: Desk, agent_id: AgentId) -> dict[SessionId, list[str]]:
    living: dict[SessionId, list[str]] = {}
    for place in await desk.house.database.read(lambda connection: places.of_agent(connection, agent_id)):
        living.setdefault(place.session_id, []).append(place.session_key)
    return living


# --- the gate, and the record ---------------------------------------------------------------------------------


def _ask_gate(desk: Desk, agent: Agent, action: Action) -> None:
    decision = may(desk.actor, action, AgentResource(facts(agent)))
    if not decision:
        raise Refused(f"{agent.id}: {decision.reason}")


async def _keep(desk: Desk, user_id: UserId, action: str, what: str) -> None:
    """Put on record that the operator looked; nothing is shown before that is committed."""
    await desk.house.database.write(lambda connection: audit.keep(connection, _row(desk, user_id, action, what)))


def _row(desk: Desk, user_id: UserId, action: str, what: str) -> AuditRow:
    return AuditRow(
        at=desk.now(),
        actor=principal(desk.actor),
        on_behalf_of=user_id,
        action=action,
        object=what,
        decision="allowed",
    )


def _session(
    summary: SessionSummary, agent_id: AgentId, living: dict[SessionId, list[str]], *, words: bool
) -> Session:
    return Session(
        session_key=summary.session_key,
        session_id=summary.session_id,
        agent_id=agent_id,
        kind=SessionKey.parse(summary.session_key).kind.value,
        title=summary.title if words else None,
        label=summary.label if words else None,
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
        cost_usd=None,
        places=tuple(living.get(summary.session_id, ())),
    )
