"""What the chat commands do, in the same transaction in which their message is accepted."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

from rookery import ids
from rookery.gateway import (
    admitting,
    audit,
    commands,
    friends,
    link_commands,
    opening,
    privacy,
    rights,
    spending,
    turn_facts,
    turns,
    unlinking,
    yes_or_no,
)
from rookery.gateway.approvals import Approval
from rookery.gateway.arrival import Arrival
from rookery.gateway.audit import AuditRow
from rookery.gateway.commands import Command, Name
from rookery.gateway.deliveries import Delivery
from rookery.gateway.positions import in_words
from rookery.gateway.turns import Turn
from rookery.ids import SessionId, TurnId
from rookery.messages import ChatKind
from rookery.policy import Action, Decision, Operator, PersonResource, may, principal


class Effect(Struct, frozen=True):
    """What a command did, and what it says; nothing where its `notes` say it."""

    answer: str
    turns: tuple[Turn, ...] = ()
    stopped: tuple[TurnId, ...] = ()
    answered: tuple[Approval, ...] = ()
    notes: tuple[Delivery, ...] = ()


_ACTIONS = {
    Name.HELP: Action.READ_STATUS,
    Name.WHOAMI: Action.READ_STATUS,
    Name.STATUS: Action.READ_STATUS,
    Name.NEW: Action.NEW_SESSION,
    Name.STOP: Action.STOP_TURN,
    Name.USAGE: Action.READ_STATUS,
    Name.FRIENDS: Action.READ_STATUS,
    Name.TALK: Action.READ_STATUS,
    Name.LINK: Action.READ_STATUS,
    Name.UNLINK: Action.READ_STATUS,
    Name.ADMIT: Action.READ_STATUS,
    Name.PRIVACY: Action.READ_STATUS,
    Name.EXPORT: Action.READ_STATUS,
    Name.APPROVE: Action.APPROVE,
    Name.DENY: Action.APPROVE,
}


def carry_out(arrival: Arrival, command: Command) -> Effect:
    if command.name is None:
        return Effect(commands.unknown_text(command.word))
    decision = _may_use(arrival, command.name)
    if not decision:
        return Effect(decision.reason)
    match command.name:
        case Name.HELP:
            return Effect(commands.help_text(lambda name: bool(_may_use(arrival, name))))
        case Name.WHOAMI:
            return Effect(_whoami(arrival))
        case Name.STATUS:
            return Effect(_status(arrival))
        case Name.NEW:
            return _new(arrival, command.rest)
        case Name.STOP:
            return _stop(arrival)
        case Name.USAGE:
            return Effect(_usage(arrival))
        case Name.FRIENDS:
            return Effect(friends.listed(arrival))
        case Name.TALK:
            return Effect(friends.talk(arrival, command.rest))
        case Name.LINK:
            linked = link_commands.answer(arrival, command.rest)
            return Effect(linked.answer, notes=linked.notes)
        case Name.UNLINK:
            said, notes = unlinking.answer(arrival, command.rest)
            return Effect(said, notes=notes)
        case Name.ADMIT:
            return Effect(f"This group is let in already; {arrival.agent.name} answers here.")
        case Name.PRIVACY | Name.EXPORT:
            return Effect(privacy.answer(arrival, export=command.name is Name.EXPORT))
        case Name.APPROVE | Name.DENY:
            said, answered = yes_or_no.answer(arrival, command.rest, allow=command.name is Name.APPROVE)
            return Effect(said, answered=answered)
        case _:
            assert_never(command.name)


def _may_use(arrival: Arrival, name: Name) -> Decision:
    guest = arrival.sender.user is None
    if guest and name not in (Name.HELP, Name.WHOAMI, Name.NEW, Name.STOP):
        return Decision(False, "Guests can use /help, /whoami, /new and /stop.")
    if name in (Name.FRIENDS, Name.TALK) and not (allowed := friends.may_use(arrival)):
        return allowed
    if name is Name.ADMIT and not (allowed := admitting.may_use(arrival.sender, arrival.message.chat.kind)):
        return allowed
    return rights.ask(arrival.sender, arrival.agent, _ACTIONS[name], arrival.message.route)


def _whoami(arrival: Arrival) -> str:
    user, agent, address = arrival.sender.user, arrival.agent, arrival.sender.address
    who = (
        f"You are a guest here, known to me as {address.sender} on {address.channel}."
        if user is None
        else f"You are {user.name} ({user.id}), writing as {address.sender} on {address.channel}."
    )
    return f"{who}\n{agent.name} ({agent.id}) answers you."


def _status(arrival: Arrival) -> str:
    place = arrival.place
    waiting = turn_facts.waiting(arrival.connection, place.session_id)
    lines = [
        f"Conversation: {place.key} (session {place.session_id})",
        "Nothing is being answered." if not waiting else f"Being answered or waiting: {waiting}",
    ]
    position = _position(arrival)
    if position is not None:
        lines.append(f"Your message waits for a free model: {in_words(position)}.")
    user = arrival.sender.user
    if user is not None and arrival.message.chat.kind is ChatKind.DM:
        lines += [
            f"{_teller(look)} {look.action} {look.object} on {look.at:%Y-%m-%d %H:%M} UTC"
            for look in audit.on_behalf_of(arrival.connection, user.id, limit=3)
        ]
    return "\n".join(lines)


def _usage(arrival: Arrival) -> str:
    user = arrival.sender.user
    assert user is not None, "guests pay for nothing, and were answered before"
    if arrival.message.chat.kind is not ChatKind.DM:
        return "What you pay for is told to you alone: write /usage to me directly."
    decision = may(arrival.sender.actor, Action.READ_USAGE, PersonResource(user.id))
    return spending.told(arrival.connection, user, arrival.now) if decision else decision.reason


def _position(arrival: Arrival) -> int | None:
    """Where a turn of the same person's in this conversation stands in line; None when none does."""
    if not arrival.in_line:
        return None
    mine = turn_facts.unfinished(arrival.connection, arrival.place.session_id, arrival.principal)
    return next((arrival.in_line[turn_id] for turn_id in mine if turn_id in arrival.in_line), None)


_LOOKS = frozenset({"session.list", "session.show", "session.export"})


def _teller(row: AuditRow) -> str:
    if row.actor == principal(Operator()) and row.action in _LOOKS:
        return "The operator looked:"
    return f"On record, by {row.actor}:"


def _new(arrival: Arrival, title: str) -> Effect:
    """Let another session live in this place; the one that did stays as it is, under its `sessionId`."""
    if arrival.place.ephemeral:
        return Effect("Nothing is kept of what is said here, so there is no conversation to begin anew.")
    session_id = SessionId(ids.fresh(arrival.now))
    opened = opening.open_session(
        arrival.connection,
        agent_id=arrival.agent.id,
        session_id=session_id,
        title=title or None,
        also_at=arrival.place.key,
        principal=arrival.principal,
        route=arrival.message.route,
        now=arrival.now,
    )
    named = f" “{title}”" if title else ""
    return Effect(f"A new conversation{named} begins here. The earlier one is kept.", turns=(opened,))


def _stop(arrival: Arrival) -> Effect:
    everybody = bool(
        rights.ask(arrival.sender, arrival.agent, Action.STOP_TURN, arrival.message.route, own_turn=False)
    )
    principals = None if everybody else [arrival.principal]
    stopped = turns.stop(arrival.connection, arrival.place.session_id, principals)
    if not stopped:
        return Effect("There is nothing to stop.")
    behind = len(stopped) - 1
    more = (
        f" {behind} more {'message was' if behind == 1 else 'messages were'} waiting; not answered either."
        if behind
        else ""
    )
    return Effect(f"Stopped.{more}", stopped=tuple(stopped))
