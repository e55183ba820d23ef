"""A person's own sessions, for themselves: begun, read, changed and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection

from rookery import ids
from rookery.agents import messages_of
from rookery.channels import webchat
from rookery.errors import InvalidInput, NotFound
from rookery.gateway import opening, places, turn_facts, turns
from rookery.gateway.entries import accepted
from rookery.gateway.operations import transcript
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.finding import Found, absent, find, or_none, owns
from rookery.gateway.operations.on_record import look_at_group
from rookery.gateway.operations.showing import header_of, shown, written
from rookery.gateway.shapes import (
    Entries,
    EntriesAsk,
    Exported,
    Moment,
    Session,
    SessionChange,
    SessionExport,
    SessionOpen,
    SessionOpened,
    SessionRef,
    SessionRemove,
    Underway,
    check_lines,
)
from rookery.gateway.turns import Body, Kind, Turn
from rookery.gateway.watchers import SessionChanged, Where
from rookery.ids import AgentId, EntryId, SessionId, TurnId, UserId
from rookery.messages import AnyEntry, Chat, ChatKind, InfoEntry, Route, encode_line
from rookery.policy import Action, Member, principal
from rookery.sessions import Session as OpenSession
from rookery.sessions.key import SessionKey
from rookery.sessions.scope import Conversation, Ephemeral, ScopeWords, choose_scope, place_for
from rookery.users import Agent

Look = Callable[[UserId, SessionId], Moment]
"""Where a person's stream of events stands now, and what runs in a session of theirs. Does not wait."""


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
            if not owns(agent, person, turn_facts.hands(connection, live.session_id) if agent.shared else set()):
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
    return SessionOpened(session=await written(desk, opened.agent_id, opened.session_id), new=True)


async def get(desk: Desk, ask: SessionRef) -> Session:
    """One session. Raises `NotFound`."""
    found = await _own(desk, ask.session, Action.READ_SESSION)
    return await shown(desk, found)


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
    return await shown(desk, found)


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
        desk.record(connection, action, found.session_id, found.whose or person)
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
    await look_at_group(desk, found, "session.show")
    async with desk.house.brains.use(found.agent.id) as brain:
        session = await or_none(brain.session(found.session_id))
        # From here on nothing waits, so that entries and what goes on are of one moment.
        return _entries(desk, found, session, ask, look(desk.person, found.session_id))


async def exported(desk: Desk, ask: SessionExport) -> Exported:
    """A whole session, as the transcript has it or as a text for people. Raises `NotFound`."""
    found = await _own(desk, ask.session, Action.EXPORT_SESSION)
    await look_at_group(desk, found, "session.export")
    async with desk.house.brains.use(found.agent.id) as brain:
        if ask.format == "jsonl":
            data = await or_none(brain.export(found.session_id))
            if data is None:
                data = encode_line(header_of(desk, found))
            return Exported(name=f"{found.session_id}.jsonl", content_type="application/x-ndjson", data=data)
        session = await or_none(brain.session(found.session_id))
        said = () if session is None else tuple(session.entries)
        title = None if session is None else session.title
    text = transcript.as_markdown(title or found.opened_key, found.agent.name, said)
    return Exported(name=f"{found.session_id}.md", content_type="text/markdown; charset=utf-8", data=text.encode())


@dataclass(frozen=True, slots=True)
class _Opened:
    """A session that was opened by `turn`, or (None) lived there."""

    agent_id: AgentId
    session_id: SessionId
    turn: Turn | None


async def _own(desk: Desk, session: str, action: Action) -> Found:
    """A session of the person at the desk. Raises `NotFound`; a session that was purged is not there."""
    found = await desk.house.database.read(lambda connection: find(connection, desk, desk.person, session, action))
    if found.removed:
        async with desk.house.brains.use(found.agent.id) as brain:
            if await or_none(brain.summary(found.session_id)) is None:
                raise NotFound(absent(session))
    return found


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


def _entries(desk: Desk, found: Found, session: OpenSession | None, ask: EntriesAsk, moment: Moment) -> Entries:
    everything: Sequence[AnyEntry] = () if session is None else session.entries
    end = len(everything)
    if ask.before is not None:
        end = next((number for number, one in enumerate(everything) if one.id == ask.before), -1)
        if end < 0:
            raise InvalidInput("before is no cursor of this session; begin without one.")
    start = max(0, end - ask.limit)
    lanes = desk.house.gateway.lanes
    answering = lanes.answering(found.session_id)
    written = accepted(messages_of(session, answering[0].turn_id)) if session is not None and answering else ()
    underway = [turn for turn in (*answering, *lanes.queued(found.session_id)) if turn.kind is Kind.MESSAGE]
    return Entries(
        items=tuple(msgspec.json.decode(encode_line(entry)) for entry in everything[start:end]),
        next_cursor=everything[start].id if start else None,
        epoch=moment.epoch,
        seq=moment.seq,
        running=moment.running,
        waiting=tuple(
            Underway(turn_id=turn.turn_id, text=turn.body.text, created_at=turn.accepted_at)
            for turn in underway
            if turn.turn_id not in written
        ),
    )
