"""What somebody said where others are too: on shared agents, and in groups.

A conversation they alone had goes whole. In one that others had a part in, their words go and everybody else's
stay; where it was no group, what they were answered goes with them, for nobody else heard it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, delete, select, update

from rookery import users
from rookery.errors import NotFound
from rookery.gateway import tables, turn_facts
from rookery.gateway.leaving.people import Erasure, Who
from rookery.gateway.operations.finding import owns
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import AnyEntry, ChatKind, InfoEntry, MessageEntry, Role
from rookery.messages.transcript import TextPart, UnknownEntry
from rookery.sessions.transcripts import Rewrite

if TYPE_CHECKING:
    from rookery.gateway.gateway import Gateway

ERASED = "[erased]"
"""What stands where somebody's words were."""

_t = tables.turns.c


class Part(msgspec.Struct, frozen=True):
    """A session of somebody else's agent in which they wrote: their turns, each with the kind of chat it was in.

    `alone`: nobody else ever did.
    """

    agent_id: AgentId
    session_id: SessionId
    alone: bool
    turns: Mapping[TurnId, ChatKind]


def parts_of(connection: Connection, who: Who) -> list[Part]:
    """The sessions of shared agents that they had a part in."""
    assert who.user_id is not None, "a friend talks to nobody"
    theirs = select(_t.agent_id, _t.session_id, _t.turn_id, _t.chat_kind).where(
        _t.principal.in_(who.principals), _t.agent_id.not_in(who.agents)
    )
    found: dict[tuple[AgentId, SessionId], dict[TurnId, ChatKind]] = {}
    for row in connection.execute(theirs.order_by(_t.agent_id, _t.session_id, _t.seq)):
        place = (AgentId(row.agent_id), SessionId(row.session_id))
        found.setdefault(place, {})[TurnId(row.turn_id)] = ChatKind(row.chat_kind)
    parts: list[Part] = []
    for (agent_id, session_id), mine in found.items():
        try:
            agent = users.get_agent(connection, agent_id)
        except NotFound:
            continue
        alone = owns(agent, who.user_id, turn_facts.hands(connection, session_id))
        parts.append(Part(agent_id, session_id, alone, mine))
    return parts


async def take_out(gateway: Gateway, erasure: Erasure) -> None:
    """Take their words out of all of them, and the files they sent there. Doing it again changes nothing.

    Raises `StorageUnavailable`: then the same call again is the way to go on.
    """
    who = erasure.who
    parts = await gateway.database.read(lambda connection: parts_of(connection, who))
    for agent_id in sorted({part.agent_id for part in parts} | await _reached(gateway, who)):
        async with gateway.brains.use(agent_id) as brain:
            here = [part for part in parts if part.agent_id == agent_id]
            for part in here:
                if part.alone:
                    await brain.remove(part.session_id)
                else:
                    await brain.rewrite(part.session_id, _without(part.turns))
            for stored in await brain.attachments.listed():
                if stored.added_by in who.principals:
                    await brain.attachments.remove(stored.id)
            if here:
                await brain.reindex()  # what their conversations were called was in it


async def _reached(gateway: Gateway, who: Who) -> Set[AgentId]:
    """The shared agents they could have sent a file to."""
    agents = await gateway.database.read(users.list_agents)
    return {agent.id for agent in agents if agent.shared and agent.id not in who.agents}


def _without(mine: Mapping[TurnId, ChatKind]) -> Rewrite:
    """What every entry is to be once theirs say nothing."""

    def change(entry: AnyEntry) -> AnyEntry:
        turn_id = next((turn for turn in _turns_of(entry) if turn in mine), None)
        if turn_id is None:
            return entry
        heard_alone = mine[turn_id] is ChatKind.DM
        match entry:
            case MessageEntry(role=Role.USER):
                said = (TextPart(ERASED),)
                return msgspec.structs.replace(entry, content=said, attachments=(), sender=None)
            case InfoEntry():
                return msgspec.structs.replace(entry, title=None, label=None, tags=None)
            case _:
                return _blank(entry) if heard_alone else entry

    return change


def _turns_of(entry: AnyEntry) -> tuple[TurnId, ...]:
    accepted = entry.accepted if isinstance(entry, MessageEntry) else ()
    return accepted if entry.turn_id is None else (entry.turn_id, *accepted)


def _blank(entry: AnyEntry) -> AnyEntry:
    """A line in the place of another, with its id and its parent, that says nothing and is no part of a prompt."""
    fields = {"type": "redaction", "id": entry.id, "timestamp": entry.timestamp}
    fields |= {} if entry.parent_id is None else {"parentId": entry.parent_id}
    line = msgspec.json.encode(fields)
    return UnknownEntry(
        id=entry.id, parent_id=entry.parent_id, timestamp=entry.timestamp, type="redaction", line=line
    )


def become_nobody(connection: Connection, erasure: Erasure) -> None:
    """Of what was theirs alone not even the place stays; elsewhere nobody we know was there in their stead.

    That somebody was there has to be known: else the conversation would look as if it were another's alone.
    """
    tombstone = erasure.tombstone
    places = tables.places
    for part in parts_of(connection, erasure.who):
        if part.alone:
            connection.execute(delete(places).where(places.c.session_id == part.session_id))
            continue
        for turn_id, kind in part.turns.items():
            values: dict[str, object] = {
                "principal": f"user:{tombstone}",
                "sender_id": tombstone,
                "message_id": "",
            }
            if kind is ChatKind.DM:
                values["chat_id"] = tombstone
            connection.execute(update(tables.turns).where(_t.turn_id == turn_id).values(values))
