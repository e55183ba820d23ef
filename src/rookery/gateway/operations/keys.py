"""The shared keys, and which agents may use them. Names only: nobody is told a key."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery import users
from rookery.errors import NotFound
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.permission import still
from rookery.gateway.shapes import Done, KeyGrant, Nothing, SharedKey
from rookery.ids import AgentId
from rookery.policy import HOUSE, Action


async def grant(desk: Desk, ask: KeyGrant) -> Done:
    """Let an agent use a shared key, from its next call on. Raises `NotFound` for either, and for an agent that is
    not this actor's to give keys to."""

    def work(connection: Connection) -> None:
        still(connection, desk)
        agent = desk.agent(connection, ask.agent_id, Action.GRANT_KEY)
        _check_there_is(desk, ask.shared_key)
        users.grant_key(connection, agent.id, ask.shared_key, now=desk.now())
        desk.record(connection, "key.grant", f"{agent.id} {ask.shared_key}", agent.owner)

    await desk.house.database.write(work)
    return Done(f"{ask.agent_id} may use the shared key {ask.shared_key} from its next call on.")


async def ungrant(desk: Desk, ask: KeyGrant) -> Done:
    """Take a shared key back, from the next call on. Raises `NotFound` when it was not granted."""

    def work(connection: Connection) -> None:
        still(connection, desk)
        agent = desk.agent(connection, ask.agent_id, Action.GRANT_KEY)
        users.ungrant_key(connection, agent.id, ask.shared_key)
        desk.record(connection, "key.ungrant", f"{agent.id} {ask.shared_key}", agent.owner)

    await desk.house.database.write(work)
    return Done(f"{ask.agent_id} may no longer use the shared key {ask.shared_key}.")


async def listed(desk: Desk, _: Nothing) -> list[SharedKey]:
    """The shared keys by name, with who may use them; those that are granted but gone come last.

    Raises `Refused`.
    """
    desk.ask(Action.READ_KEYS, HOUSE)

    def look(connection: Connection) -> dict[str, list[AgentId]]:
        granted: dict[str, list[AgentId]] = {}
        for agent in users.list_agents(connection):
            for name in users.granted_keys(connection, agent.id):
                granted.setdefault(name, []).append(agent.id)
        return granted

    granted = await desk.house.database.read(look)
    known = desk.house.gateway.providers.shared_keys
    return [
        SharedKey(
            name=name,
            provider=known[name].provider if name in known else None,
            agents=tuple(granted.get(name, ())),
        )
        for name in [*sorted(known), *sorted(set(granted) - set(known))]
    ]


def _check_there_is(desk: Desk, name: str) -> None:
    known = desk.house.gateway.providers.shared_keys
    if name not in known:
        names = ", ".join(sorted(known))
        remedy = f"there is {names}." if names else "rookery.yaml has none under models.sharedKeys."
        raise NotFound(f"There is no shared key {name!r}; {remedy}")
