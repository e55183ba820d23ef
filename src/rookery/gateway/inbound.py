"""One message, from the network's hands into the queue: seen, identify, authorise, bind, place, accept.

All steps are one unit of work, so what is decided and what is kept commit together, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct
from sqlalchemy import Connection

from rookery import ids, users
from rookery.channels.chunks import chunks
from rookery.channels.contract import Outcome, Receipt
from rookery.config.words import GroupPolicy
from rookery.errors import InvalidInput
from rookery.gateway import (
    admitting,
    commands,
    deliveries,
    friends,
    guests,
    idempotency,
    link_commands,
    opening,
    pairing,
    rights,
    seen,
    turns,
)
from rookery.gateway.approvals import Approval
from rookery.gateway.arrival import Arrival, Bound
from rookery.gateway.bind import Binding
from rookery.gateway.commands import Command, Name
from rookery.gateway.deliveries import Delivery
from rookery.gateway.effects import carry_out
from rookery.gateway.idempotency import Once
from rookery.gateway.opening import LiveSession
from rookery.gateway.overheard import Group, Heard, group_of, line_of
from rookery.gateway.rights import Right, Sender
from rookery.gateway.rules import READ_IN_THE_SESSION, Rules
from rookery.gateway.standing import stand
from rookery.gateway.turns import Aside, Body, Kind, Turn
from rookery.ids import AgentId, DeliveryId, TurnId
from rookery.messages import ChatKind, InboundMessage
from rookery.policy import Action, Decision, principal
from rookery.sessions.key import Place, SessionKey
from rookery.sessions.scope import Conversation, Ephemeral, Scope, choose_scope, place_for
from rookery.users import Agent


class Taken(Struct, frozen=True):
    """What became of a message, and what the running gateway is to do about it once it is committed.

    `answer`: what a command says to somebody who holds the line for it. `heard`: a line of a group that was not
    said to us, and may be told with the next that is; `emptied`: the group whose lines are told no more.
    """

    receipt: Receipt
    turns: tuple[Turn, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    stopped: tuple[TurnId, ...] = ()
    answered: tuple[Approval, ...] = ()
    answer: str | None = None
    heard: Heard | None = None
    emptied: Group | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What the sender asked for beyond the message; only channels of our own can carry it.

    `agent_id`: one of several agents they may talk to. `session`: a place or a `sessionId` of that agent.
    `alone`: they wait for the very reply to this message, so it is never collected with others. `place`: one that
    the door itself made up for this person, so that nobody else can mean it; or none at all, for one message.
    `attended`: they hold a line open for it. Nothing is sent to them otherwise, and a turn whose line is gone with
    the process that held it is ended, not run. `aside` is what goes with this one message and is kept nowhere.
    `once`: they may say it again under the same key, and it is one message all the same.
    """

    agent_id: AgentId | None = None
    session: str | None = None
    alone: bool = False
    place: Place | Ephemeral | None = None
    attended: bool = False
    aside: Aside = turns.NO_ASIDE
    once: Once | None = None


NOBODY_WAITS: Mapping[str, int] = MappingProxyType({})
"""Places in line for a model when there is no line."""

NO_WISH = Wish()
"""What a message from any network wishes: nothing."""


def take_in(
    connection: Connection,
    message: InboundMessage,
    rules: Rules,
    chunk_limit: int,
    now: datetime,
    wish: Wish,
    in_line: Mapping[str, int] = NOBODY_WAITS,
) -> Taken:
    """Decide about one message and keep what was decided; `chunk_limit` is what its channel takes at once.

    `in_line` has the turns that wait for a model, each with its place.
    Raises `InvalidInput` for what no message may be, and `NotFound` when the wish names nothing of theirs.
    """
    if not message.text.strip() and not message.attachments:
        raise InvalidInput("The message is empty; it needs a text or an attachment.")
    turn_id = TurnId(ids.fresh(now))
    if wish.once is not None:
        earlier = idempotency.claim(connection, wish.once, turn_id, now)
        if earlier is not None:
            return Taken(Receipt(Outcome.DUPLICATE, turn_id=earlier))
    taken = _decide(connection, message, turn_id, rules, chunk_limit, now, wish, in_line)
    if wish.once is not None and taken.receipt.outcome is not Outcome.ACCEPTED:
        idempotency.release(connection, wish.once)  # nothing came of it, so there is nothing to give again
    return taken


def _decide(
    connection: Connection,
    message: InboundMessage,
    turn_id: TurnId,
    rules: Rules,
    chunk_limit: int,
    now: datetime,
    wish: Wish,
    in_line: Mapping[str, int],
) -> Taken:
    """Decide about one message under the id that its turn will have."""
    before = seen.claim(connection, message, turn_id, now)
    if before is not None:
        return Taken(Receipt(Outcome.DUPLICATE, turn_id=before.turn_id))
    sender = rights.identify(connection, message.route, rules)
    if sender.user is None:
        linked = link_commands.of_stranger(connection, message, turn_id, rules, now)
        if linked is not None:
            if linked.refusal:
                return _end(connection, message, Outcome.REFUSED, linked.refusal)
            return Taken(Receipt(Outcome.ACCEPTED, turn_id=turn_id), deliveries=linked.notes)
    if pairing.offered(sender, message.route, rules):
        asked = pairing.answer(connection, message.route, turn_id, now)
        return _end(connection, message, Outcome.REFUSED, asked.reason, asked.said)
    if not sender.admitted:
        heard = _overheard(connection, sender, message, rules)
        return _end(connection, message, Outcome.REFUSED, sender.admitted.reason, heard=heard)
    if not _spoken_to(message, rules):
        heard = _overheard(connection, sender, message, rules)
        reason = "The message did not mention the assistant."
        return _end(connection, message, Outcome.IGNORED, reason, heard=heard)
    bound = _bind(connection, sender, message, rules, wish)
    if isinstance(bound, str):
        spoken = admitting.spoken(connection, message, sender, rules, turn_id, now)
        if spoken.let_in:
            return Taken(Receipt(Outcome.ACCEPTED, turn_id=turn_id), deliveries=spoken.said)
        return _end(connection, message, Outcome.REFUSED, bound, spoken.said)
    agent = bound.agent
    decision = rights.ask(sender, agent, Action.TALK, message.route)
    if not decision:
        return _end(connection, message, Outcome.REFUSED, decision.reason)
    command = commands.parse(message.text)
    if sender.user is None:
        counted = guests.count(connection, sender, agent, rules, now, command=command is not None)
        if not counted.allowed:
            told = guests.tell(connection, sender, agent, message.route, counted, turn_id, chunk_limit, now)
            return _end(connection, message, Outcome.REFUSED, counted.reason, told)
    place = _place(connection, sender, agent, bound.binding, message, rules, wish, now)
    arrival = Arrival(connection, message, turn_id, sender, bound, place, chunk_limit, now, in_line)
    return _accept(arrival, wish) if command is None else _command(arrival, command, wish)


# --- authorise ----------------------------------------------------------------------------------------------


def _spoken_to(message: InboundMessage, rules: Rules) -> bool:
    if message.chat.kind is ChatKind.DM or message.mentioned or commands.parse(message.text) is not None:
        return True
    account = rules.account(message.channel, message.account)
    return account is not None and not account.require_mention


def _end(
    connection: Connection,
    message: InboundMessage,
    outcome: Outcome,
    reason: str,
    said: tuple[Delivery, ...] = (),
    heard: Heard | None = None,
) -> Taken:
    """Keep that the message was not let in. Nothing of it is processed, and nothing but its id is kept.

    `said`: what whoever wrote it is told, if anything. `heard`: its words, where they may be told in a while.
    """
    seen.settle(connection, message, outcome)
    return Taken(Receipt(outcome, reason), deliveries=said, heard=heard)


def _overheard(connection: Connection, sender: Sender, message: InboundMessage, rules: Rules) -> Heard | None:
    """The message as a line of a group that was let in; None where lines are not kept, and for a command."""
    account = rules.account(message.channel, message.account)
    if account is None or not account.group_history or account.group_policy is GroupPolicy.DISABLED:
        return None
    if commands.parse(message.text) is not None or (sender.user is not None and not sender.user.enabled):
        return None
    if message.chat.kind is ChatKind.DM:
        return None
    group = rights.group_at(connection, message.route, rules)
    if isinstance(group, str) or not group.agent.enabled:
        return None
    where = group_of(group.agent.id, message.route)
    assert where is not None, "it is no chat of two"
    return Heard(where, line_of(message, stranger=not sender.admitted), account.group_history)


# --- bind ---------------------------------------------------------------------------------------------------


def _bind(
    connection: Connection, sender: Sender, message: InboundMessage, rules: Rules, wish: Wish
) -> Bound | str:
    """Who answers: the agent and the rule that said so, or why nobody does. Access is the gate's word."""
    if wish.agent_id is not None:
        fixed = friends.why_fixed(message.route, wished=True, ruled=False)
        return Bound(users.get_agent(connection, wish.agent_id), fixed=fixed)
    if message.chat.kind is not ChatKind.DM:
        group = rights.group_at(connection, message.route, rules)
        return group if isinstance(group, str) else Bound(group.agent, group.binding)
    binding = rules.bindings.find(message.channel, message.account, message.chat, message.thread_id)
    bound = rights.agent_named(connection, binding)
    if sender.user is not None:
        # A person's messages are their own agent's. A rule can say which, for a chat it names; elsewhere they do.
        if (
            binding is not None
            and binding.peer_id is not None
            and bound is not None
            and bound.owner == sender.user.id
        ):
            return Bound(bound, binding, fixed=friends.why_fixed(message.route, wished=False, ruled=True))
        if wish.session is not None or wish.place is not None:
            fixed = friends.why_fixed(message.route, wished=True, ruled=False)
            return Bound(users.get_agent(connection, sender.user.main_agent), fixed=fixed)
        answers = users.answering(connection, sender.user, message.route)
        return Bound(answers.agent, lost=answers.lost)
    if bound is None or not bound.shared:
        return f"No shared agent is bound to this account ({message.channel}@{message.account})."
    return Bound(bound, binding)


# --- place --------------------------------------------------------------------------------------------------


def _place(
    connection: Connection,
    sender: Sender,
    agent: Agent,
    binding: Binding | None,
    message: InboundMessage,
    rules: Rules,
    wish: Wish,
    now: datetime,
) -> LiveSession:
    """The session the message is for; an empty place opens one."""
    if isinstance(wish.place, Ephemeral):
        return opening.ephemeral(agent.id, now)
    if wish.place is not None:
        return opening.live_in(connection, agent.id, str(SessionKey(agent.id, wish.place)), now)
    if wish.session is not None and agent.shared:
        return opening.own(connection, agent.id, wish.session, principal(sender.actor))
    if wish.session is not None:
        return opening.named(connection, agent.id, wish.session, rules.main_key, now)
    words = rules.scope_words(message.channel, message.account, None if binding is None else binding.session)
    scope = choose_scope(words, shared=agent.shared)
    if isinstance(scope, Ephemeral):
        if message.chat.kind is ChatKind.DM:
            return opening.ephemeral(agent.id, now)
        scope = Scope.MAIN  # which a group does not ask: it keeps its own place
    conversation = Conversation(
        channel=message.channel,
        account=message.account,
        chat=message.chat,
        sender_id=message.sender_id,
        thread_id=message.thread_id,
        known=_known_name(connection, sender, rules),
    )
    ids_per_account = message.channel in rules.ids_per_account
    place = place_for(conversation, scope, rules.main_key, ids_per_account=ids_per_account)
    return opening.live_in(connection, agent.id, str(SessionKey(agent.id, place)), now)


def _known_name(connection: Connection, sender: Sender, rules: Rules) -> str | None:
    """The name a person goes by in a key: their user id, or what `identityLinks` calls a guest."""
    if sender.user is not None:
        return sender.user.id
    address = sender.address
    linked = rules.links.name_of(address.channel, address.account, address.sender)
    if linked is None or users.is_taken(connection, linked):
        return None  # a name that is also a user's would put a guest into that person's place
    return linked


# --- accept -------------------------------------------------------------------------------------------------


_TALKS = Decision(True, "")  # which is how the message got as far as being accepted


def _accept(arrival: Arrival, wish: Wish) -> Taken:
    """Queue the message as a turn."""
    message, place, now = arrival.message, arrival.place, arrival.now
    turn = turns.add(
        arrival.connection,
        turn_id=arrival.turn_id,
        agent_id=arrival.agent.id,
        session_id=place.session_id,
        session_key=place.key,
        opened_key=place.opened_key,
        principal=arrival.principal,
        kind=Kind.MESSAGE,
        collectable=not (wish.alone or wish.attended),
        route=message.route,
        body=Body(
            text=message.text,
            sender_name=message.sender_name,
            attachments=message.attachments,
            ephemeral=place.ephemeral,
            attended=wish.attended,
        ),
        standing=stand(
            arrival.connection, Right(_TALKS, arrival.sender.actor, arrival.agent), arrival.sender.user
        ),
        now=now,
        aside=wish.aside,
    )
    told = _say(arrival, friends.explained(arrival)) if arrival.bound.lost else ()
    return Taken(Receipt(Outcome.ACCEPTED, turn_id=turn.turn_id), turns=(turn,), deliveries=told)


def _command(arrival: Arrival, command: Command, wish: Wish) -> Taken:
    """Carry out a command and keep its answer with its effect, for whoever does not wait for it."""
    turn_id = arrival.turn_id
    effect = carry_out(arrival, command)
    answer = f"{friends.explained(arrival)}\n\n{effect.answer}" if arrival.bound.lost else effect.answer
    receipt = Receipt(Outcome.ACCEPTED, turn_id=turn_id)
    if wish.attended:
        return Taken(
            receipt,
            turns=effect.turns,
            stopped=effect.stopped,
            answered=effect.answered,
            answer=answer,
            deliveries=effect.notes,
        )
    answered = _say(arrival, answer) if effect.answer else ()
    if arrival.message.channel in READ_IN_THE_SESSION:
        turns.add_command(
            arrival.connection,
            turn_id=turn_id,
            agent_id=arrival.agent.id,
            session_id=arrival.place.session_id,
            session_key=arrival.place.key,
            opened_key=arrival.place.opened_key,
            principal=arrival.principal,
            route=arrival.message.route,
            now=arrival.now,
        )
    return Taken(
        receipt,
        turns=effect.turns,
        deliveries=(*answered, *effect.notes),
        stopped=effect.stopped,
        answered=effect.answered,
        emptied=group_of(arrival.agent.id, arrival.message.route)
        if command.name is Name.NEW and effect.turns
        else None,
    )


def _say(arrival: Arrival, text: str) -> tuple[Delivery, ...]:
    """Keep what is said to the sender at once, by the gateway and in the name of who answers."""
    said = tuple(
        Delivery(
            delivery_id=DeliveryId(f"{arrival.turn_id}.0.{number}"),
            turn_id=arrival.turn_id,
            agent_id=arrival.agent.id,
            principal=arrival.principal,
            speaker=arrival.agent.name,
            route=arrival.message.route,
            text=piece,
            attempts=0,
            due_at=arrival.now,
            created_at=arrival.now,
        )
        for number, piece in enumerate(
            chunks(friends.signed(arrival.agent, arrival.message.route, text), arrival.chunk_limit)
        )
    )
    for delivery in said:
        deliveries.add(arrival.connection, delivery)
    return said
