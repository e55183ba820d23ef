"""Mistakes that others made, made here on purpose: each breaks the gateway in one way that mixes people up.

    with Mistake.apply(): ...    # inside the block the gateway makes it

An oracle that does not catch one of them proves nothing by its silence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from msgspec import structs
from sqlalchemy import Connection, select

from rookery import users
from rookery.agents import prompt
from rookery.channels.contract import Outcome
from rookery.gateway import inbound, lanes, opening, places, rights, seen, tables, turn
from rookery.gateway.answering import Answering
from rookery.gateway.arrival import Bound
from rookery.gateway.consent import AsksThePerson
from rookery.gateway.deliveries import Delivery
from rookery.gateway.finishing import Finishing
from rookery.gateway.log import Logger
from rookery.gateway.outbox import Outbox
from rookery.gateway.turn import TurnRunner
from rookery.gateway.turns import Turn
from rookery.ids import AgentId
from rookery.messages import Address, Chat, ChatKind, InboundMessage, Route
from rookery.models import PromptMessage
from rookery.policy import Action, Actor, AgentResource, Decision, Member
from rookery.sessions import Session, key
from rookery.sessions.brain import Brain
from rookery.sessions.brains import BrainPool
from rookery.sessions.scope import Conversation, Scope
from rookery.usage import Bill
from rookery.users import User, people
from rookery.users import tables as user_tables
from tests.isolation import door_mistakes as at_doors
from tests.isolation import friend_mistakes as of_friends
from tests.isolation import mistakes_workspace as of_workspaces


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake; `apply` makes it for as long as its block lasts. `shown_by` is a seed in which it showed."""

    name: str
    apply: Callable[[], AbstractContextManager[object]]
    shown_by: int = 0

    def __str__(self) -> str:
        return self.name


def _spelled(change: Callable[[str], str]) -> Callable[[], AbstractContextManager[object]]:
    """Ids are changed before they are written into a key."""
    spell: Callable[[str, str], str] = vars(key)["_spell"]

    def changed(what: str, text: str) -> str:
        return spell(what, change(text) or text)

    return lambda: patch.object(key, "_spell", changed)


def _joined_with_bare_colons() -> AbstractContextManager[object]:
    def spell(_what: str, text: str) -> str:
        return text

    return patch.object(key, "_spell", spell)


def _one_main_session_for_all() -> AbstractContextManager[object]:
    return patch.object(inbound, "choose_scope", return_value=Scope.MAIN)


def _key_without_account() -> AbstractContextManager[object]:
    place_for = inbound.place_for

    def without(*said: Any, ids_per_account: bool) -> object:
        del ids_per_account
        return place_for(*said, ids_per_account=False)

    return patch.object(inbound, "place_for", without)


def _threads_share_their_group() -> AbstractContextManager[object]:
    place_for = inbound.place_for

    def without(said: Conversation, *rest: Any, ids_per_account: bool) -> object:
        return place_for(replace(said, thread_id=None), *rest, ids_per_account=ids_per_account)

    return patch.object(inbound, "place_for", without)


@contextmanager
def _last_route_heard() -> Generator[None]:
    """The reply goes where somebody wrote from last."""
    last: list[Route] = []
    take_in = inbound.take_in

    def noting(connection: Connection, message: InboundMessage, *rest: Any) -> object:
        last[:] = [message.route]
        return take_in(connection, message, *rest)

    with patch.object(inbound, "take_in", noting), _route_of_reply(lambda _route: last[0]):
        yield


def _group_answers_in_private() -> AbstractContextManager[object]:
    return _route_of_reply(lambda route: replace(route, chat=Chat(ChatKind.DM, route.sender_id)))


def _route_of_reply(change: Callable[[Route], Route]) -> AbstractContextManager[object]:
    message = Delivery.message.fget
    assert message is not None, "a delivery's message is a property"

    def changed(delivery: Delivery) -> object:
        return replace(message(delivery), route=change(delivery.route))

    return patch.object(Delivery, "message", property(changed))


def _identity(matches: Callable[[Address, Any], bool]) -> Callable[[], AbstractContextManager[object]]:
    """Whose an address is, by another comparison than the exact one."""

    def identify(connection: Connection, address: Address) -> User | None:
        linked = user_tables.identities
        for row in connection.execute(select(linked).where(linked.c.channel == address.channel)):
            if matches(address, row):
                return people.get_user(connection, row.user_id)
        return None

    return lambda: patch.object(users, "identify", identify)


def _account_matches(address: Address, row: Any) -> bool:
    return row.account in ("", address.account)


@contextmanager
def _agent_in_a_global() -> Generator[None]:
    """Who is served now stands in a variable of the process, set when a message is accepted."""
    current: list[AgentId] = []
    accept: Callable[..., object] = vars(inbound)["_accept"]
    use = BrainPool.use

    def noting(arrival: Any, wish: Any) -> object:
        current[:] = [arrival.agent.id]
        return accept(arrival, wish)

    def using(pool: BrainPool, agent_id: AgentId) -> AbstractContextManager[Brain]:
        return use(pool, current[0] if current else agent_id)  # pyright: ignore[reportReturnType]

    with patch.object(inbound, "_accept", noting), patch.object(BrainPool, "use", using):
        yield


def _pool_without_owner() -> AbstractContextManager[object]:
    use = BrainPool.use

    @asynccontextmanager
    async def first_open(pool: BrainPool, agent_id: AgentId) -> AsyncGenerator[Brain]:
        slots: dict[AgentId, object] = vars(pool)["_slots"]
        async with use(pool, next(iter(slots), agent_id)) as brain:
            yield brain

    return patch.object(BrainPool, "use", first_open)


def _rights_not_asked_when_sending() -> AbstractContextManager[object]:
    async def none(_outbox: Outbox, _delivery: Delivery) -> None:
        return None

    return patch.object(Outbox, "_refusal", none)


def _rights_not_asked_when_starting() -> AbstractContextManager[object]:
    stand: Callable[..., Any] = vars(TurnRunner)["_stand"]

    def standing(runner: TurnRunner, turn: Turn, connection: Connection) -> object:
        agent = users.get_agent(connection, turn.agent_id)
        pays = agent.owner or agent.sponsor
        return replace(stand(runner, turn, connection), decision=Decision(True, ""), agent=agent, pays=pays)

    return patch.object(TurnRunner, "_stand", standing)


def _rights_not_asked_at_a_yes() -> AbstractContextManager[object]:
    return patch.object(AsksThePerson, "_may_still", return_value=True)


@contextmanager
def _group_is_answered_by_the_members_own() -> Generator[None]:
    bind: Callable[..., object] = vars(inbound)["_bind"]
    may = rights.may

    def own(connection: Connection, sender: Any, message: InboundMessage, *rest: Any) -> object:
        if message.chat.kind is not ChatKind.DM and sender.user is not None:
            return Bound(users.get_agent(connection, sender.user.main_agent))
        return bind(connection, sender, message, *rest)

    def allowing(actor: Actor, action: Action, resource: AgentResource) -> Decision:
        if isinstance(actor, Member) and resource.agent.owner == actor.user_id:
            return Decision(True, "")
        return may(actor, action, resource)

    with patch.object(inbound, "_bind", own), patch.object(rights, "may", allowing):
        yield


def _link_may_be_called_like_a_user() -> AbstractContextManager[object]:
    return patch.object(users, "is_taken", return_value=False)


def _words_are_logged() -> AbstractContextManager[object]:
    report: Callable[..., None] = vars(Finishing)["_report"]

    def telling(finishing: Finishing, answering: Answering, *rest: Any) -> None:
        log: Logger = vars(finishing)["_log"]
        log.info("turn.said", text=answering.leader.body.text)
        report(finishing, answering, *rest)

    return patch.object(Finishing, "_report", telling)


def _seen_by_message_id_alone() -> AbstractContextManager[object]:
    claim = seen.claim

    def by_id(connection: Connection, message: InboundMessage, *rest: Any) -> seen.Seen | None:
        marks = tables.seen
        known = connection.execute(select(marks).where(marks.c.message_id == message.message_id)).first()
        return claim(connection, message, *rest) if known is None else seen.Seen(Outcome(known.outcome), None)

    return patch.object(seen, "claim", by_id)


def _any_session_by_its_name() -> AbstractContextManager[object]:
    """A session key is taken for the right to it."""

    def own(connection: Connection, agent_id: AgentId, session: str, _principal: str) -> object:
        for place in places.of_agent(connection, agent_id):
            if session in (place.session_key, place.session_id):
                return opening.LiveSession(place.session_key, place.session_id, place.opened_key)
        raise AssertionError("asked only for sessions that are there")

    return patch.object(opening, "own", own)


def _everybody_joins_a_batch() -> AbstractContextManager[object]:
    return patch.object(lanes, "_same_hand", return_value=True)


def _nothing_is_remembered() -> AbstractContextManager[object]:
    history = prompt.history

    def last(session: Session) -> Sequence[PromptMessage]:
        return history(session)[-1:]

    return patch.object(prompt, "history", last)


def _usage_of_whoever_came_last() -> AbstractContextManager[object]:
    """Who pays, in a global: that of the turn that began last."""
    meter_of: Callable[..., Any] = vars(turn)["_bill"]
    last: list[Bill] = []

    def of_the_last(leader: Turn, standing: Any) -> Bill | None:
        own: Bill | None = meter_of(leader, standing)
        if own is None:
            return None
        last.append(own)
        return structs.replace(own, user_id=last[-2:][0].user_id)

    return patch.object(turn, "_bill", of_the_last)


MISTAKES = (
    Mistake("one main session for everybody", _one_main_session_for_all, 1),
    Mistake("the reply goes where somebody wrote from last", _last_route_heard),
    Mistake("a group is answered in the sender's direct chat", _group_answers_in_private),
    Mistake("ids are joined by bare colons", _joined_with_bare_colons, 7),
    Mistake("ids are case-folded in keys", _spelled(str.casefold), 13),
    Mistake("ids are trimmed in keys", _spelled(str.strip), 16),
    Mistake("ids are normalised in keys", _spelled(lambda text: unicodedata.normalize("NFKC", text)), 23),
    Mistake("ids lose their leading zeros in keys", _spelled(lambda text: text.lstrip("0")), 1),
    Mistake("keys without the account where ids are per account", _key_without_account, 60),
    Mistake("threads share their group's session", _threads_share_their_group),
    Mistake(
        "identity by prefix",
        _identity(lambda a, row: _account_matches(a, row) and a.sender.startswith(row.sender)),
        2,
    ),
    Mistake(
        "identity regardless of case",
        _identity(lambda a, row: _account_matches(a, row) and a.sender.casefold() == row.sender.casefold()),
    ),
    Mistake("identity regardless of the account", _identity(lambda a, row: a.sender == row.sender)),
    Mistake("the agent in a global, set at accept", _agent_in_a_global, 1),
    Mistake("the pool hands out another's brain", _pool_without_owner),
    Mistake("rights are not asked again when sending", _rights_not_asked_when_sending, 4),
    Mistake("rights are not asked again when a turn starts", _rights_not_asked_when_starting, 4),
    Mistake("rights are not asked again when a yes is used", _rights_not_asked_at_a_yes),
    Mistake("a group is answered by the member's own agent", _group_is_answered_by_the_members_own),
    Mistake("a link may be called like a user", _link_may_be_called_like_a_user, 9),
    Mistake("what was said is logged", _words_are_logged),
    Mistake("messages are known by their id alone", _seen_by_message_id_alone),
    Mistake("a session's name is the right to it", _any_session_by_its_name, 9),
    Mistake("a socket outlives what it was opened with", at_doors.socket_outlives_its_right, 10),
    Mistake("events go to every socket", at_doors.events_go_to_all),
    Mistake("notices go to every socket", at_doors.notices_go_to_all),
    Mistake("one ring of events for everybody", at_doors.one_ring_for_all, 56),
    Mistake("idempotency keys without the user", at_doors.idempotency_without_user, 5),
    Mistake("a client's word for a message is everybody's", at_doors.message_ids_without_user, 5),
    Mistake("a file is whoever's who knows its id", at_doors.attachment_by_id_alone),
    Mistake("a session is whoever's who knows its id", at_doors.session_by_id_alone, 4),
    Mistake("a turn is whoever's who knows its id", at_doors.turn_by_id_alone, 1),
    Mistake("whoever knows the turn allows what it asks", at_doors.anybody_allows),
    Mistake("what is said to a shared agent is everybody's", at_doors.everybody_owns_shared_sessions),
    Mistake("ended tokens count", at_doors.ended_tokens_count, 11),
    Mistake("callers are cached by the beginning of their secret", at_doors.callers_by_prefix, 1),
    Mistake("callers are cached for ever", at_doors.callers_for_ever, 1),
    Mistake("who asks, in a global", at_doors.caller_in_a_global),
    Mistake("sessions of /v1 are named without the user", at_doors.v1_names_without_user, 31),
    Mistake("instructions of /v1, in a global", at_doors.instructions_in_a_global),
    Mistake("entries are read from the brain used last", at_doors.entries_of_the_last_brain, 2),
    Mistake("every session is on everybody's list", at_doors.shelf_shows_all),
    Mistake("whoever knows its id ends a token", at_doors.credentials_end_by_id),
    Mistake("usage is written down for whoever came last", _usage_of_whoever_came_last),
    Mistake("everybody is shown everybody's usage", at_doors.usage_without_user),
    Mistake("a friend's persona in the main agent", of_friends.persona_of_a_friend_in_the_main_agent, 1),
    Mistake("talk remembered for the wrong chat", of_friends.talk_without_the_chat, 1),
    Mistake("talk remembered for all threads", of_friends.talk_without_the_thread, 1),
    Mistake("a friend's name of another person's resolves", of_friends.names_of_anybodys_friends, 1),
    Mistake("friends share their person's brain", of_friends.friends_share_a_brain, 1),
    Mistake("a group loads a member's file", of_workspaces.files_of_whoever_came_last, 1),
    Mistake("a group is told the history of another", of_workspaces.lines_of_all_groups),
    Mistake("a group's history is written to the transcript", of_workspaces.lines_in_the_transcript),
    Mistake("everybody joins a batch", _everybody_joins_a_batch),
    Mistake("nothing is remembered", _nothing_is_remembered),
)
"""The mistakes; the last two leak nothing, but a gateway that answers wrongly or forgets must not pass either."""
