"""Erasing: everything of one person gone, or of one friend of theirs, and everybody else's left as it was.

It begins with one transaction, after which nothing of theirs is taken in, and ends with another. Whatever stops it
in between, the next start goes on with it, and so does the next call. The order is: stop what runs; delete the
brains; take their words out of what they shared with others; delete their rows, and leave a tombstone where sums
have to stay true; clear the log and the database's file of what was there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import Connection, delete, func, select, update

from rookery import users
from rookery.errors import Conflict, StorageUnavailable
from rookery.gateway import tables, turns
from rookery.gateway.leaving import people
from rookery.gateway.leaving.people import Erasure, Who
from rookery.gateway.leaving.redaction import bury_in_ledger, redact_audit
from rookery.gateway.leaving.shared import become_nobody, take_out
from rookery.gateway.leaving.stores import TABLES, End
from rookery.gateway.log import Forgets
from rookery.ids import AgentId, SessionId, TurnId, UserId
from rookery.storage import as_agent, metadata
from rookery.users import CredentialKind, credentials
from rookery.users import tables as user_tables

if TYPE_CHECKING:
    from rookery.gateway.deliveries import Delivery
    from rookery.gateway.gateway import Gateway
    from rookery.gateway.overheard import Line


class Begun(Struct, frozen=True):
    """An erasure that is on its way, and the turns that were stopped for it."""

    erasure: Erasure
    stopped: tuple[TurnId, ...]


def begin_person(
    connection: Connection, gateway: Gateway, user_id: UserId, actor: str, hand_over_to: UserId | None
) -> Begun:
    """From this transaction on nothing of theirs is taken in, and the erasure is only ever gone on with.

    Raises `NotFound`, and `Conflict` for the last admin, and for who sponsors something that nobody takes over.
    """
    user = users.get_user(connection, user_id)
    if people.is_erased(connection, user_id):
        return Begun(people.begin(connection, people.of_person(connection, user), actor, gateway.now()), ())
    users.change_user(connection, user_id, enabled=False)
    _hand_over(connection, user, hand_over_to)
    who = people.of_person(connection, user, groups=True)
    for kind in CredentialKind:
        credentials.end_all(connection, user_id, kind, now=gateway.now())
    erasure = people.begin(connection, who, actor, gateway.now())
    return Begun(erasure, (*turns.stop(connection, None, who.principals), *_stop_agents(connection, who)))


def _hand_over(connection: Connection, user: users.User, other: UserId | None) -> None:
    held = people.sponsored(connection, user.id)
    if other is not None:
        takes = users.get_user(connection, other)
        if takes.id == user.id or not takes.enabled:
            raise Conflict(
                f"{other!r} cannot take over what {user.id!r} sponsors: somebody else has to, who may come in."
            )
    if held.configured:
        named = ", ".join(held.configured)
        raise Conflict(f"{user.id!r} is the sponsor of {named} in agents.list of rookery.yaml; change that first.")
    if held and other is None:
        raise Conflict(
            f"{user.id!r} sponsors {held}; say who takes that over: "
            f"rookery user erase {user.id} --hand-over-to USER"
        )
    if other is not None:
        people.hand_over(connection, user.id, other)


def begin_agent(connection: Connection, gateway: Gateway, agent_id: AgentId, actor: str) -> Begun:
    """The same for one friend. Raises `NotFound`, and `Conflict` for an agent that is none."""
    agent = users.get_agent(connection, agent_id)
    if not agent.is_friend:
        raise Conflict(f"Agent {agent_id!r} is no friend; somebody's main agent goes only with them.")
    if agent.enabled:
        users.change_friend(connection, agent_id, enabled=False)
    who = Who(None, (agent_id,))
    return Begun(people.begin(connection, who, actor, gateway.now()), tuple(_stop_agents(connection, who)))


def _stop_agents(connection: Connection, who: Who) -> list[TurnId]:
    t = tables.turns.c
    busy = select(t.session_id).where(t.finished_at.is_(None), t.agent_id.in_(who.agents)).distinct()
    sessions = [SessionId(session_id) for session_id in connection.execute(busy).scalars()]
    return [turn_id for session_id in sessions for turn_id in turns.stop(connection, session_id, None)]


def tell(gateway: Gateway, begun: Begun) -> None:
    """Once it is committed: what runs is stopped, and what is open for them is closed."""
    gateway.lanes.stop(begun.stopped)
    if begun.erasure.who.user_id is not None:
        gateway.revocations.tell(begun.erasure.who.user_id)


async def go_on(gateway: Gateway, erasure: Erasure) -> None:
    """Take an erasure to its end. Raises `StorageUnavailable`: then the next call, or the next start, goes on."""
    async with gateway.erasing:
        there = {one.tombstone: one for one in await gateway.database.read(people.going_on)}
        if erasure.tombstone not in there:
            return  # somebody else took it to its end
        erasure = there[erasure.tombstone]
        if not erasure.swept:
            await _quiet(gateway, erasure.who)
            gateway.overheard.clear()  # whoever said it: what is only in memory is not worth telling apart
            for agent_id in erasure.who.agents:
                await gateway.brains.erase(agent_id)
            if erasure.who.user_id is not None:
                await take_out(gateway, erasure)
            await gateway.database.write(lambda connection: _sweep(connection, gateway, erasure))
        for agent_id in erasure.who.agents:
            await gateway.brains.erase(agent_id)  # somebody may have opened an empty one meanwhile
        await _clear_log(gateway, erasure.who)
        await gateway.database.scrub()
        await gateway.database.write(lambda connection: people.done(connection, erasure.tombstone))
        await gateway.database.scrub(whole=False)
        gateway.log.info("erasure.done", erasure=erasure.tombstone, agents=len(erasure.who.agents))


async def resume(gateway: Gateway) -> None:
    """Go on with what an earlier process began. What cannot be done now is tried again at the next start."""
    for erasure in await gateway.database.read(people.going_on):
        try:
            await go_on(gateway, erasure)
        except StorageUnavailable as error:
            gateway.log.error("erasure.waits", erasure=erasure.tombstone, error=error.detail)


async def _quiet(gateway: Gateway, who: Who) -> None:
    """Wait until nothing of theirs is being answered, and drop what is to be sent."""
    t = tables.turns.c

    def busy(connection: Connection) -> list[SessionId]:
        theirs = t.agent_id.in_(who.agents) | t.principal.in_(who.principals)
        query = select(t.session_id).where(t.finished_at.is_(None), theirs).distinct()
        return [SessionId(session_id) for session_id in connection.execute(query).scalars()]

    for session_id in await gateway.database.read(busy):
        await gateway.lanes.ended(session_id)

    def theirs(delivery: Delivery) -> bool:
        return delivery.agent_id in who.agents or delivery.principal in who.principals

    gateway.outbox.drop(theirs)
    gateway.overheard.forget(lambda group, line: group[0] in who.agents or _said_by(who, line))
    for agent_id in who.agents:
        gateway.vault.forget(agent_id)
    for agent_id in who.agents:
        gateway.providers.cooldowns.forget_owner(agent_id)


def _said_by(who: Who, line: Line) -> bool:
    return any((line.channel, line.sender_id) == (channel, sender) for channel, _, sender in who.addresses)


def _sweep(connection: Connection, gateway: Gateway, erasure: Erasure) -> None:
    """Delete every row of theirs, or put the tombstone in its place: one transaction."""
    who = erasure.who
    if who.user_id is not None:
        bury_in_ledger(connection, erasure)
        _name_nobody(connection, erasure)
    for name in _ORDER:
        if name == _LAST[0] and who.user_id is not None:
            become_nobody(connection, erasure)
        table, store = metadata.tables[name], TABLES[name]
        assert store.mine is not None, f"{name} says what is whose"
        for scope in _scopes(connection, name, who):
            if scope is not None:
                as_agent(connection, scope)
            only = () if scope is None else (table.c.agent_id == scope,)
            connection.execute(delete(table).where(store.mine(table, who), *only))
    if who.user_id is None:
        for agent_id in who.agents:
            users.remove_friend(connection, agent_id)
    else:
        gone = user_tables.agents
        connection.execute(delete(gone).where(gone.c.id.in_(who.agents)))
        connection.execute(delete(user_tables.users).where(user_tables.users.c.id == who.user_id))
        redact_audit(connection, erasure, gateway.now())
    people.swept(connection, erasure.tombstone)


_BODIES = ("turn_bodies", "outbox_bodies")
_LAST = ("turns", "outbox")
_ORDER = (
    *_BODIES,
    "seen",
    *_LAST,
    *(
        name
        for name, store in TABLES.items()
        if store.end is End.DELETED
        and store.mine is not None
        and name not in {*_BODIES, "seen", *_LAST, "agents", "users", "spaces"}
    ),
    "spaces",
)
"""What is looked up by another table goes before that one."""


def _scopes(connection: Connection, name: str, who: Who) -> list[AgentId | None]:
    """Whose rows the statement is to be run for, where the database holds agents apart."""
    return list(agents_of(connection, who)) if name in _BODIES else [None]


def agents_of(connection: Connection, who: Who) -> list[AgentId]:
    """Their agents, and those of others that they talked to."""
    t, o = tables.turns.c, tables.outbox.c
    talked = set(
        connection.execute(select(t.agent_id).where(t.principal.in_(who.principals)).distinct()).scalars()
    )
    talked |= set(
        connection.execute(select(o.agent_id).where(o.principal.in_(who.principals)).distinct()).scalars()
    )
    return sorted({*who.agents, *(AgentId(agent) for agent in talked)})


def _name_nobody(connection: Connection, erasure: Erasure) -> None:
    """Where somebody else's row says that it was they who did it, the tombstone says it from now on."""
    who, tombstone = erasure.who, erasure.tombstone
    for table, column in (
        (user_tables.shared_keys, "added_by"),
        (user_tables.spaces, "admitted_by"),
        (tables.pairings, "decided_by"),
        (tables.approvals, "answered_by"),
    ):
        spelled = table.c[column]
        # Some of these hold who acted as one word, others the bare id.
        for said, then in {**dict.fromkeys(who.principals, f"user:{tombstone}"), who.user_id: tombstone}.items():
            connection.execute(update(table).where(spelled == said).values({column: then}))


async def _clear_log(gateway: Gateway, who: Who) -> None:
    if not isinstance(gateway.log, Forgets):
        return
    words = who.words

    def names_them(line: bytes) -> bool:
        return words.search(line.decode(errors="replace")) is not None

    try:
        await gateway.log.forget(names_them)
    except OSError as error:
        raise StorageUnavailable(f"The log cannot be cleared: {error.strerror or error}.") from error


def counted(connection: Connection, who: Who) -> Mapping[str, int]:
    """How many rows of each table are theirs; those without any are left out."""
    found: dict[str, int] = {}
    for name, store in TABLES.items():
        if store.mine is None:
            continue
        table = metadata.tables[name]
        count = 0
        for scope in _scopes(connection, name, who):
            if scope is not None:
                as_agent(connection, scope)
            only = () if scope is None else (table.c.agent_id == scope,)
            query = select(func.count()).select_from(table).where(store.mine(table, who), *only)
            count += connection.execute(query).scalar_one()
        if count:
            found[name] = count
    return found


async def run(gateway: Gateway, erasure: Erasure) -> None:
    """Go on to the end also when whoever asked hangs up. Raises as `go_on` does."""
    await asyncio.shield(gateway.begin(go_on(gateway, erasure), f"maintenance: erasure {erasure.tombstone}"))
