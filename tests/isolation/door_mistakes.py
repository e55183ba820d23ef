"""Mistakes made at the doors of the web, on purpose: see `mistakes`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from msgspec import structs
from sqlalchemy import Connection, bindparam, select

from rookery import users
from rookery.errors import NotFound
from rookery.gateway import idempotency, inbound, places, turn_facts, turns
from rookery.gateway.callers import Caller
from rookery.gateway.operations import approvals as approval_operations
from rookery.gateway.operations import attachments as attachment_operations
from rookery.gateway.operations import credentials as credential_operations
from rookery.gateway.operations import finding, looking, sessions, shelf
from rookery.gateway.operations import turns as turn_operations
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import ApprovalAnswer, CredentialNamed
from rookery.ids import AgentId, SessionId, TurnId, UserId
from rookery.policy import Action, AgentResource, Member, Operator, Resource
from rookery.sessions.brain import Brain
from rookery.sessions.key import Api
from rookery.storage.prepared import Prepared
from rookery.usage import sums
from rookery.users import credentials
from rookery.users import tables as user_tables
from rookery.web.entry import Entry
from rookery.web.live import door as live_door
from rookery.web.live.rooms import Rooms
from rookery.web.v1 import names

EVERYBODY = UserId("everybody")


def socket_outlives_its_right() -> AbstractContextManager[object]:
    """An open socket keeps what it was let in with."""
    return patch.object(live_door, "_keep_or_end", return_value=True)


def events_go_to_all() -> AbstractContextManager[object]:
    """The hub does not look at whose an event is."""
    hear = Rooms.hear

    def to_all(rooms: Rooms, where: Any, event: Any) -> None:
        for user_id in tuple(vars(rooms)["_rooms"]) or (where.user_id,):
            hear(rooms, structs.replace(where, user_id=user_id), event)

    return patch.object(Rooms, "hear", to_all)


def notices_go_to_all() -> AbstractContextManager[object]:
    """What a command says is told to every page that is open."""
    notice = Rooms.notice

    def to_all(rooms: Rooms, message: Any) -> None:
        for user_id in tuple(vars(rooms)["_rooms"]):
            chat = replace(message.route.chat, id=user_id)
            notice(rooms, replace(message, route=replace(message.route, chat=chat)))

    return patch.object(Rooms, "notice", to_all)


def one_ring_for_all() -> AbstractContextManager[object]:
    """What was missed is looked up without saying by whom."""
    room: Callable[[Rooms, UserId], Any] = vars(Rooms)["_room"]

    def shared(rooms: Rooms, user_id: UserId) -> Any:
        own = room(rooms, user_id)
        own.ring = next(iter(vars(rooms)["_rooms"].values())).ring
        return own

    return patch.object(Rooms, "_room", shared)


def idempotency_without_user() -> AbstractContextManager[object]:
    """A key that somebody used is used for everybody."""
    claim = idempotency.claim

    def anybodys(connection: Connection, once: Any, *rest: Any) -> str | None:
        return claim(connection, replace(once, user_id=EVERYBODY), *rest)

    return _everywhere(idempotency, "claim", anybodys)


def message_ids_without_user() -> AbstractContextManager[object]:
    """A message that came by a door is known by its client's word for it alone."""
    of: Callable[..., Any] = idempotency.Once.of

    def anybodys(user_id: UserId, route: str, key: str, request: bytes) -> Any:
        del user_id, request
        return of(EVERYBODY, route, key, b"")

    return patch.object(idempotency.Once, "of", anybodys)


def attachment_by_id_alone() -> AbstractContextManager[object]:
    """A file is whoever's who knows its id."""

    async def any_file(desk: Desk, ask: Any) -> Any:
        agents = await desk.house.database.read(users.list_agents)
        for agent in agents:
            async with desk.house.brains.use(agent.id) as brain:
                try:
                    return agent, await brain.attachments.get(ask.attachment_id)
                except NotFound:
                    continue
        raise NotFound("There is none.")

    return patch.object(attachment_operations, "_find", any_file)


def session_by_id_alone() -> AbstractContextManager[object]:
    """A session is whoever's who knows its id."""
    find = finding.find

    def found(connection: Connection, desk: Desk, person: UserId, session: str, *rest: Any, **more: Any) -> Any:
        known = places.whose(connection, SessionId(session)) or turn_facts.whose(connection, SessionId(session))
        if known is None:
            return find(connection, desk, person, session, *rest, **more)
        return finding.describe(connection, person, AgentId(known[0]), SessionId(session), known[1])

    return _everywhere(finding, "find", found)


def _unasked(*actions: Action) -> Callable[[], AbstractContextManager[object]]:
    """The gate is not asked about these."""
    ask = Desk.ask

    def without(desk: Desk, action: Action, resource: Resource, absent: str | None = None) -> None:
        if action not in actions or not isinstance(resource, AgentResource):
            ask(desk, action, resource, absent)

    return lambda: patch.object(Desk, "ask", without)


turn_by_id_alone = _unasked(Action.READ_TURN)
"""A turn is shown to whoever knows its id."""


def everybody_owns_shared_sessions() -> AbstractContextManager[object]:
    """What is said to a shared agent is everybody's."""

    def shared(agent: users.Agent, person: UserId, hands: object) -> bool:
        del hands
        return agent.shared or agent.owner == person

    return _everywhere(finding, "owns", shared)


def ended_tokens_count() -> AbstractContextManager[object]:
    """Whether a credential was ended is not looked at."""
    c = user_tables.credentials.c
    anyhow = (
        select(
            c.id.label("credential_id"),
            c.kind,
            c.name.label("credential_name"),
            c.created_at.label("issued_at"),
            c.used_at,
            *user_tables.users.c,
        )
        .join(user_tables.users, user_tables.users.c.id == c.user_id)
        .where(c.secret_hash == bindparam("secret_hash"))
    )
    return patch.object(credentials, "_behind", Prepared(anyhow))


def _callers_cached(by: Callable[[str], str]) -> Callable[[], AbstractContextManager[object]]:
    """Who is behind a secret is remembered, under some part of it, and for ever."""
    look: Callable[..., Any] = vars(Entry)["_known"]

    def caching() -> AbstractContextManager[object]:
        known: dict[str, Caller] = {}

        async def cached(entry: Entry, secret: str, *rest: Any) -> Caller | None:
            if by(secret) not in known:
                found = await look(entry, secret, *rest)
                if found is None:
                    return None
                known[by(secret)] = found
            return known[by(secret)]

        return patch.object(Entry, "_known", cached)

    return caching


callers_by_prefix = _callers_cached(lambda secret: secret[:4])
callers_for_ever = _callers_cached(lambda secret: secret)


@contextmanager
def caller_in_a_global() -> Generator[None]:
    """Who asks stands in a variable of the process, set when a request is let in."""
    last: list[Caller] = []
    caller = Entry.caller

    async def noting(entry: Entry, *rest: Any, **more: Any) -> Any:
        found = await caller(entry, *rest, **more)
        if isinstance(found, Caller):
            last[:] = [found]
        return found

    ask = Desk.ask

    def asking(desk: Desk, *rest: Any) -> None:
        ask(replace(desk, actor=last[0].actor) if last else desk, *rest)

    def person(_: Desk) -> UserId:
        return last[0].user.id

    with (
        patch.object(Entry, "caller", noting),
        patch.object(Desk, "ask", asking),
        patch.object(Desk, "person", property(person)),
    ):
        yield


def v1_names_without_user() -> AbstractContextManager[object]:
    """A name for a session of a shared agent is everybody's name for it."""

    def without(name: str) -> Api:
        return Api(name.partition("/")[2] or name)

    return patch.object(names, "Api", without)


@contextmanager
def instructions_in_a_global() -> Generator[None]:
    """What a request of `/v1` says of itself stands where the next turn finds it."""
    last: list[Any] = []
    add = turns.add

    def adding(connection: Connection, *, aside: Any = turns.NO_ASIDE, **rest: Any) -> Any:
        if aside is not turns.NO_ASIDE:
            last[:] = [aside]
        return add(connection, aside=last[0] if last else aside, **rest)

    with patch.object(inbound.turns, "add", adding):
        yield


@contextmanager
def entries_of_the_last_brain() -> Generator[None]:
    """What is read of a session is read from the brain that answered last."""
    answering: list[Brain] = []
    open_session, session = Brain.open_session, Brain.session

    async def noting(brain: Brain, *rest: Any) -> Any:
        answering[:] = [brain]
        return await open_session(brain, *rest)

    async def of_last(brain: Brain, session_id: SessionId) -> Any:
        return await session(answering[0] if answering else brain, session_id)

    with patch.object(Brain, "open_session", noting), patch.object(Brain, "session", of_last):
        yield


def shelf_shows_all() -> AbstractContextManager[object]:
    """Every session of a shared agent is on everybody's list."""

    async def all_of_them(_desk: Desk, _agent: Any, summaries: Any, **_: Any) -> set[SessionId]:
        return {summary.session_id for summary in summaries}

    return patch.object(shelf, "_readable", all_of_them)


def usage_without_user() -> AbstractContextManager[object]:
    """The sums are not those of one person."""
    summed = sums.summed

    def of_all(connection: Connection, *said: Any, user_id: UserId | None, **more: Any) -> Any:
        del user_id
        return summed(connection, *said, user_id=None, **more)

    return patch.object(sums, "summed", of_all)


def credentials_end_by_id() -> AbstractContextManager[object]:
    """Whoever knows its id ends a token or a device."""
    end: Callable[..., Any] = vars(credential_operations)["_end"]

    async def anybodys(desk: Desk, ask: CredentialNamed, *rest: Any) -> Any:
        return await end(desk.of(Operator()), CredentialNamed(id=ask.id), *rest)

    return patch.object(credential_operations, "_end", anybodys)


def anybody_allows() -> AbstractContextManager[object]:
    """Whoever knows the turn answers what its person is asked."""
    answer = approval_operations.answer

    async def as_that_person(desk: Desk, ask: ApprovalAnswer) -> Any:
        found = await desk.house.database.read(
            lambda connection: turn_facts.state(connection, TurnId(ask.turn_id))
        )
        assert found is not None, "somebody was asked"
        person = UserId(found.principal.removeprefix("user:"))
        return await answer(desk.of(Member(person, admin=False)), ask)

    return patch.object(approval_operations, "answer", as_that_person)


def _everywhere(module: Any, name: str, instead: Any) -> AbstractContextManager[object]:
    """Replace a function in its own module and in those that took it by its name."""
    stack = ExitStack()
    original = getattr(module, name)
    for one in (module, finding, looking, sessions, shelf, turn_operations, attachment_operations, inbound):
        if getattr(one, name, None) is original:
            stack.enter_context(patch.object(one, name, instead))
    return stack
