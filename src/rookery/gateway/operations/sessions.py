"""Sessions: a person's own, for themselves; and for the operator, that they are there, and on the record what they
hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw
from sqlalchemy import Connection

from rookery import ids
from rookery.channels import webchat
from rookery.channels.terminal import ACCOUNT, CHANNEL
from rookery.errors import InvalidId, InvalidInput, NotFound, Refused
from rookery.gateway import audit, opening, places, turns
from rookery.gateway.audit import AuditRow
from rookery.gateway.operations import transcript
from rookery.gateway.operations.desk import Desk, known_agent, own_agents
from rookery.gateway.operations.finding import Found, absent, find, owns, resource_of
from rookery.gateway.rights import facts
from rookery.gateway.shapes import (
    Entries,
    EntriesAsk,
    Exported,
    ExportPart,
    Moment,
    Session,
    SessionChange,
    SessionExport,
    SessionList,
    SessionNamed,
    SessionNew,
    SessionOpen,
    SessionOpened,
    SessionRef,
    SessionRemove,
    SessionShown,
    Underway,
)
from rookery.gateway.turns import Body, Kind, Turn
from rookery.gateway.watchers import SessionChanged, Where
from rookery.ids import AgentId, EntryId, SessionId, TurnId, UserId
from rookery.messages import AnyEntry, Chat, ChatKind, Header, InfoEntry, Route, encode_line
from rookery.messages.transcript import VERSION
from rookery.policy import Action, AgentResource, Member, may, principal
from rookery.sessions import Session as OpenSession
from rookery.sessions.key import SessionKey
from rookery.sessions.scope import Conversation, Ephemeral, ScopeWords, choose_scope, place_for
from rookery.sessions.summary import SessionSummary, begin
from rookery.users import Agent

_PAGE = 200
_PART = 1 << 18

Look = Callable[[UserId, SessionId], Moment]
"""Where a person's stream of events stands now, and what runs in a session of theirs. Does not wait."""


# --- for the operator ----------------------------------------------------------------------------------------


async def listed(desk: Desk, ask: SessionList) -> list[Session]:
    """The sessions, latest first. With `user_id` they carry the person's own words, and the person can see that
    the operator looked; with `agent_id` alone they carry none. Raises `NotFound`, `InvalidInput`, `Refused`."""
    if ask.user_id is None and ask.agent_id is None:
        raise InvalidInput("Say whose sessions: a user's or an agent's.")
    user_id, agent_id = ask.user_id, ask.agent_id

    def look(connection: Connection) -> list[Agent]:
        if user_id is not None:
            _ask_for(desk, user_id)
            return own_agents(connection, user_id, agent_id)
        assert agent_id is not None, "one of the two was said"
        return [known_agent(connection, agent_id)]

    agents = await desk.house.database.read(look)
    for agent in agents:
        _ask_gate(desk, agent, Action.LIST_SESSIONS if user_id is None else Action.READ_SESSION)
    if user_id is not None:
        await _keep(desk, UserId(user_id), "session.list", ", ".join(agent.id for agent in agents))
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
    await _keep(desk, UserId(ask.user_id), "session.show", found.session_id)
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
    await _keep(desk, UserId(ask.user_id), "session.export", found.session_id)
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
        if not _is(desk, user_id):
            audit.keep(connection, _row(desk, user_id, "session.new", session_id))
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
    return await _written(desk, turn.agent_id, session_id)


# --- for the person themselves -------------------------------------------------------------------------------


async def create(desk: Desk, ask: SessionOpen) -> SessionOpened:
    """Begin a session of one's own, or find the one that lives where it would be. Returns when it is written.

    Raises `NotFound` for an agent one may not talk to, `InvalidInput` for words that are no line.
    """
    check_lines(ask.title, ask.label, *ask.tags)
    gateway, person, now = desk.house.gateway, desk.person, desk.now()
    if ask.ephemeral and ask.scope != "isolated":
        raise InvalidInput(f"ephemeral and scope {ask.scope!r} cannot be both: what lives in a place is kept.")
    session_id = SessionId(ids.fresh(now))

    def work(connection: Connection) -> _Opened:
        agent = desk.agent(connection, ask.agent_id or person, Action.NEW_SESSION)
        me = principal(Member(person))
        route = Route(webchat.CHANNEL, webchat.ACCOUNT, Chat(ChatKind.DM, person), None, person, session_id)
        if ask.scope == "isolated":
            turn = opening.open_session(
                connection,
                agent_id=agent.id,
                session_id=session_id,
                title=ask.title,
                also_at=None,
                principal=me,
                route=route,
                now=now,
                label=ask.label,
                tags=ask.tags or None,
                once=ask.ephemeral,
            )
            return _Opened(agent.id, session_id, turn)
        key = _place(desk, agent, person, ask.scope)
        live = places.live(connection, str(key))
        if live is not None:
            if not owns(agent, person, turns.hands(connection, live.session_id) if agent.shared else set()):
                raise NotFound(absent(str(key)))
            return _Opened(agent.id, live.session_id, None)
        turn = opening.open_place(
            connection,
            key,
            principal=me,
            route=route,
            title=ask.title,
            label=ask.label,
            tags=ask.tags or None,
            now=now,
        )
        return _Opened(agent.id, turn.session_id, turn)

    def tell(opened: _Opened) -> None:
        if opened.turn is not None:
            gateway.added([opened.turn])

    with gateway.catching_up():
        opened = await desk.write(work, lambda opened: opened.session_id, then=tell)
    if opened.turn is None:
        return SessionOpened(session=await get(desk, SessionRef(session=opened.session_id)), new=False)
    return SessionOpened(session=await _written(desk, opened.agent_id, opened.session_id), new=True)


async def get(desk: Desk, ask: SessionRef) -> Session:
    """One session. Raises `NotFound`."""
    found = await _own(desk, ask.session, Action.READ_SESSION)
    return await _shown(desk, found)


async def change(desk: Desk, ask: SessionChange) -> Session:
    """Change what a session is called, now, whatever is being answered there.

    Raises `NotFound`, `InvalidInput`.
    """
    words = [None if word is UNSET else word for word in (ask.title, ask.label)]
    check_lines(*words, *(ask.tags or ()))
    found = await _own(desk, ask.session, Action.CHANGE_SESSION)
    if found.removed:
        raise NotFound(absent(ask.session))
    now = desk.now()
    async with desk.house.brains.use(found.agent.id) as brain:
        session = await brain.open_session(found.session_id, found.opened_key, now)
        await session.append(
            InfoEntry(
                id=EntryId(f"{ids.fresh(now)}.0"),
                timestamp=now,
                title=None if ask.title is UNSET else ask.title or "",
                label=None if ask.label is UNSET else ask.label or "",
                tags=None if ask.tags is UNSET else ask.tags or (),
            )
        )
    here = Where(found.agent.id, found.session_id, found.opened_key, found.whose)
    desk.house.gateway.watchers.tell(here, SessionChanged())
    return await _shown(desk, found)


async def remove(desk: Desk, ask: SessionRemove) -> None:
    """Put a session in the bin, or (`purge`) delete every word of it. Whatever is being answered there is stopped
    first; its places are empty from now on. Returns when it is done. Raises `NotFound`."""
    gateway, person, now = desk.house.gateway, desk.person, desk.now()

    def work(connection: Connection) -> tuple[list[TurnId], Turn | None, SessionId]:
        found = find(connection, desk, person, ask.session, Action.DELETE_SESSION)
        if found.removed and not ask.purge:
            return [], None, found.session_id
        stopped = turns.stop(connection, found.session_id, None)
        places.vacate(connection, found.agent.id, found.session_id)
        chat = Chat(found.resource.chat, person)
        queued = turns.add(
            connection,
            turn_id=TurnId(ids.fresh(now)),
            agent_id=found.agent.id,
            session_id=found.session_id,
            session_key=found.opened_key,
            opened_key=found.opened_key,
            principal=principal(Member(found.whose or person)),
            kind=Kind.REMOVE,
            collectable=False,
            route=Route(webchat.CHANNEL, webchat.ACCOUNT, chat, None, person, ids.fresh(now)),
            body=Body(purge=ask.purge),
            now=now,
        )
        action = "session.purge" if ask.purge else "session.delete"
        audit.keep(connection, _row(desk, found.whose or person, action, found.session_id))
        return stopped, queued, found.session_id

    def tell(done: tuple[list[TurnId], Turn | None, SessionId]) -> None:
        gateway.lanes.stop(done[0])
        gateway.added([] if done[1] is None else [done[1]])

    with gateway.catching_up():
        _, _, session_id = await desk.house.database.write(work, then=tell)
    await gateway.lanes.ended(session_id)


async def entries(desk: Desk, ask: EntriesAsk, look: Look) -> Entries:
    """Some entries of a session, and what goes on there, as it was at one moment.

    Raises `NotFound`, and `InvalidInput` for a cursor that is none.
    """
    found = await _own(desk, ask.session, Action.READ_SESSION)
    await _keep_of_group(desk, found, "session.show")
    async with desk.house.brains.use(found.agent.id) as brain:
        session = await _or_none(brain.session(found.session_id))
        # From here on nothing waits, so that entries and what goes on are of one moment.
        return _entries(desk, found, session, ask, look(desk.person, found.session_id))


async def exported(desk: Desk, ask: SessionExport) -> Exported:
    """A whole session, as the transcript has it or as a text for people. Raises `NotFound`."""
    found = await _own(desk, ask.session, Action.EXPORT_SESSION)
    await _keep_of_group(desk, found, "session.export")
    async with desk.house.brains.use(found.agent.id) as brain:
        if ask.format == "jsonl":
            data = await _or_none(brain.export(found.session_id))
            if data is None:
                data = encode_line(_header(found, desk))
            return Exported(name=f"{found.session_id}.jsonl", content_type="application/x-ndjson", data=data)
        session = await _or_none(brain.session(found.session_id))
        shown = () if session is None else tuple(session.entries)
        title = None if session is None else session.title
    text = transcript.as_markdown(title or found.opened_key, found.agent.name, shown)
    return Exported(name=f"{found.session_id}.md", content_type="text/markdown; charset=utf-8", data=text.encode())


# --- finding and showing -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Opened:
    """A session that was opened by `turn`, or (None) lived there."""

    agent_id: AgentId
    session_id: SessionId
    turn: Turn | None


T = TypeVar("T")


async def _or_none(looked: Awaitable[T]) -> T | None:
    """What is there; None where nothing is."""
    try:
        return await looked
    except (NotFound, InvalidId):
        return None


async def _own(desk: Desk, session: str, action: Action) -> Found:
    """A session of the person at the desk. Raises `NotFound`; a session that was purged is not there."""
    found = await desk.house.database.read(lambda connection: find(connection, desk, desk.person, session, action))
    if found.removed:
        async with desk.house.brains.use(found.agent.id) as brain:
            if await _or_none(brain.summary(found.session_id)) is None:
                raise NotFound(absent(session))
    return found


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
                summary = await _or_none(brain.summary(SessionId(ask.session)))
            if summary is not None:
                key = summary.session_key
                resource = resource_of(agent, key, own=True)
                return Found(agent, SessionId(ask.session), key, resource, UserId(ask.user_id), removed=False)
        raise


async def _shown(desk: Desk, found: Found) -> Session:
    async with desk.house.brains.use(found.agent.id) as brain:
        summary = await _or_none(brain.summary(found.session_id))
    # What was accepted a moment ago may have no line yet.
    summary = summary or begin(_header(found, desk))
    return session_of(summary, found.agent.id, await living_places(desk, found.agent.id), words=True)


async def _written(desk: Desk, agent_id: AgentId, session_id: SessionId) -> Session:
    """A session that was opened just now, once its first lines are written."""
    await desk.house.gateway.lanes.ended(session_id)
    living = await living_places(desk, agent_id)
    async with desk.house.brains.use(agent_id) as brain:
        return session_of(await brain.summary(session_id), agent_id, living, words=True)


def _header(found: Found, desk: Desk) -> Header:
    return Header(VERSION, found.session_id, found.opened_key, found.agent.id, desk.now())


def _entries(desk: Desk, found: Found, session: OpenSession | None, ask: EntriesAsk, moment: Moment) -> Entries:
    everything: Sequence[AnyEntry] = () if session is None else session.entries
    end = len(everything)
    if ask.before is not None:
        end = next((number for number, one in enumerate(everything) if one.id == ask.before), -1)
        if end < 0:
            raise InvalidInput("before is no cursor of this session; begin without one.")
    start = max(0, end - ask.limit)
    lanes = desk.house.gateway.lanes
    answering = [turn for turn in lanes.answering(found.session_id) if turn.kind is Kind.MESSAGE]
    written = session is not None and bool(answering) and bool(session.entries_of(answering[0].turn_id))
    waiting = [turn for turn in lanes.queued(found.session_id) if turn.kind is Kind.MESSAGE]
    return Entries(
        items=tuple(msgspec.json.decode(encode_line(entry)) for entry in everything[start:end]),
        next_cursor=everything[start].id if start else None,
        epoch=moment.epoch,
        seq=moment.seq,
        running=moment.running,
        waiting=tuple(
            Underway(turn_id=turn.turn_id, text=turn.body.text, created_at=turn.accepted_at)
            for turn in ([] if written else answering) + waiting
        ),
    )


def _place(desk: Desk, agent: Agent, person: UserId, scope: str) -> SessionKey:
    """The place that a scope's word means for somebody on the page; on a shared agent one of their own."""
    chosen = choose_scope(ScopeWords(isolation_scope=scope), shared=agent.shared)
    assert not isinstance(chosen, Ephemeral), "no such word is understood here"
    conversation = Conversation(
        channel=webchat.CHANNEL,
        account=webchat.ACCOUNT,
        chat=Chat(ChatKind.DM, person),
        sender_id=person,
        known=person,
    )
    main_key = desk.house.gateway.settings.rules.main_key
    return SessionKey(agent.id, place_for(conversation, chosen, main_key, ids_per_account=False))


async def _summaries(desk: Desk, agent_id: AgentId) -> AsyncGenerator[SessionSummary]:
    async with desk.house.brains.use(agent_id) as brain:
        cursor: str | None = None
        while page := await brain.sessions(_PAGE, cursor):
            for summary in page:
                yield summary
            cursor = page[-1].cursor


async def living_places(desk: Desk, agent_id: AgentId) -> dict[SessionId, list[str]]:
    """Which of an agent's sessions live where."""
    living: dict[SessionId, list[str]] = {}
    for place in await desk.house.database.read(lambda connection: places.of_agent(connection, agent_id)):
        living.setdefault(place.session_id, []).append(place.session_key)
    return living


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
        cost_usd=None,
        places=tuple(living.get(summary.session_id, ())),
    )


def check_lines(*texts: str | None) -> None:
    """Raises `InvalidInput` for a title, label or tag that is not some words on one line."""
    for text in texts:
        if text is not None and (not text.strip() or not text.isprintable()):
            raise InvalidInput("A title, label or tag is some words on one line; leave it out to have none.")


# --- the gate, and the record ---------------------------------------------------------------------------------


def _is(desk: Desk, user_id: UserId) -> bool:
    return isinstance(desk.actor, Member) and desk.actor.user_id == user_id


def _ask_for(desk: Desk, user_id: str) -> None:
    """Only the operator looks into somebody else's conversations. Raises `NotFound` in the words for nobody."""
    if isinstance(desk.actor, Member) and desk.actor.user_id != user_id:
        raise NotFound(f"There is no user {user_id[:80]!r}.")


def _ask_gate(desk: Desk, agent: Agent, action: Action) -> None:
    decision = may(desk.actor, action, AgentResource(facts(agent)))
    if not decision:
        raise Refused(f"{agent.id}: {decision.reason}")


async def _keep(desk: Desk, user_id: UserId, action: str, what: str) -> None:
    """Put on record that somebody else than the person looked; nothing is shown before that is committed."""
    if not _is(desk, user_id):
        await desk.house.database.write(
            lambda connection: audit.keep(connection, _row(desk, user_id, action, what))
        )


async def _keep_of_group(desk: Desk, found: Found, action: str) -> None:
    """Put on record, for a group's sponsor, that an admin reads what was said there."""
    if found.whose is None and found.agent.sponsor is not None:
        await _keep(desk, found.agent.sponsor, action, found.session_id)


def _row(desk: Desk, user_id: UserId, action: str, what: str) -> AuditRow:
    return AuditRow(
        at=desk.now(),
        actor=principal(desk.actor),
        on_behalf_of=user_id,
        action=action,
        object=what,
        decision="allowed",
    )
